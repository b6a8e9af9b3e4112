package modbus

import "encoding/binary"

// crcTable holds the CRC of each byte: polynomial 0xA001, reflected (V1.02
// section 6.2.2).
var crcTable = func() (table [256]uint16) {
	for i := range table {
		c := uint16(i)
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
		table[i] = c
	}
	return table
}()

// CRC returns the checksum of an RTU frame without its last two bytes. It is sent
// low byte first.
func CRC(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc = crc>>8 ^ crcTable[byte(crc)^c]
	}
	return crc
}

// intact reports whether frame is long enough to be one and ends in its CRC.
func intact(frame []byte) bool {
	n := len(frame) - 2
	return n >= 2 && binary.LittleEndian.Uint16(frame[n:]) == CRC(frame[:n])
}
