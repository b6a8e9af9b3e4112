package emulated

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync"
	"time"
)

// SMLMeter is a German meter with an optical head, a Talker at the end of a Cable: every
// second it sends an SML file of three messages, as BSI TR-03109-1 annex IV part b has
// them. All methods may be called from any goroutine.
type SMLMeter struct {
	maker  string
	number uint32
	// Locked makes it give whole kilowatt hours and no power, as without its PIN.
	// SignedPower makes it send positive power of up to three bytes as signed, as DZG's
	// DVS74 did. Set both before use.
	Locked, SignedPower bool

	mu   sync.Mutex // guards the fields below
	now  Supply
	sent uint32 // messages
	secs uint32 // since it was switched on
}

// NewSMLMeter returns a meter with the three letters of its maker and a number, on a dead
// supply.
func NewSMLMeter(maker string, number uint32) *SMLMeter {
	if len(maker) != 3 {
		panic("internal error: a maker has three letters")
	}
	return &SMLMeter{maker: maker, number: number, secs: 1_000_000}
}

// Set makes the meter measure s from now on.
func (m *SMLMeter) Set(s Supply) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = s
}

// Checksum implements Checked.
func (m *SMLMeter) Checksum(frame []byte) int { return len(frame) - 1 }

// Talk implements Talker.
func (m *SMLMeter) Talk(b []byte) ([]byte, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.secs++
	server := append([]byte{0x0A, 0x01}, m.maker...)
	server = binary.BigEndian.AppendUint32(append(server, 0), m.number)

	var body bytes.Buffer
	// SML_PublicOpen.Res: codepage, client, request file, server, time, version.
	m.message(&body, 0x0101, concat([]byte{0x76}, absent, absent, octets(binary.BigEndian.AppendUint32(nil, m.sent)), octets(server), absent, absent))
	entries := [][]byte{
		m.entry("\x01\x00\x60\x32\x01\x01", absent, absent, absent, octets([]byte(m.maker))),
		m.entry("\x01\x00\x60\x01\x00\xff", absent, absent, absent, octets(server)),
	}
	if m.Locked {
		entries = append(entries,
			m.entry("\x01\x00\x01\x08\x00\xff", unsigned(0x1C0104, 4), unsigned(30, 1), []byte{0x52, 0xFF}, unsigned(uint64(m.now.ImportWh/1000*10000), 8)),
			m.entry("\x01\x00\x02\x08\x00\xff", absent, unsigned(30, 1), []byte{0x52, 3}, unsigned(uint64(m.now.ExportWh/1000), 2)))
	} else {
		power := 0.0
		for _, p := range m.now.Phases {
			power += p.Power
		}
		entries = append(entries,
			m.entry("\x01\x00\x01\x08\x00\xff", unsigned(0x1C0104, 4), unsigned(30, 1), []byte{0x52, 0xFF}, unsigned(uint64(m.now.ImportWh*10), 8)),
			m.entry("\x01\x00\x02\x08\x00\xff", absent, unsigned(30, 1), []byte{0x52, 0xFF}, unsigned(uint64(m.now.ExportWh*10), 8)),
			m.entry("\x01\x00\x10\x07\x00\xff", absent, unsigned(27, 1), []byte{0x52, 0xFE}, m.power(power)))
		for i, p := range m.now.Phases {
			entries = append(entries,
				m.entry("\x01\x00"+string(rune(32+20*i))+"\x07\x00\xff", absent, unsigned(35, 1), []byte{0x52, 0xFF}, unsigned(uint64(math.Round(p.Voltage*10)), 2)))
		}
	}
	entries = append(entries, m.entry("\x81\x81\xc7\x82\x05\xff", absent, absent, absent, octets(bytes.Repeat([]byte{0x5A}, 48)))) // public key
	values := []byte{0x70 | byte(len(entries))}
	for _, e := range entries {
		values = append(values, e...)
	}
	clock := concat([]byte{0x72}, unsigned(1, 1), unsigned(uint64(m.secs), 4))
	// SML_GetList.Res: client, server, name, time, values, signature, time.
	m.message(&body, 0x0701, concat([]byte{0x77}, absent, octets(server), octets([]byte("\x01\x00\x62\x0a\xff\xff")), clock, values, absent, absent))
	m.message(&body, 0x0201, concat([]byte{0x71}, absent)) // SML_PublicClose.Res
	return append(b, transport(body.Bytes())...), time.Second
}

// message appends a message.
func (m *SMLMeter) message(to *bytes.Buffer, tag uint64, body []byte) {
	m.sent++
	start := to.Len()
	to.Write(concat([]byte{0x76}, octets(binary.BigEndian.AppendUint32(nil, m.sent)), unsigned(0, 1), unsigned(0, 1), []byte{0x72}, unsigned(tag, 2), body))
	crc := crcCCITT(to.Bytes()[start:])
	to.Write([]byte{0x63, byte(crc), byte(crc >> 8), 0x00})
}

// entry is an SML_ListEntry.
func (m *SMLMeter) entry(name string, status, unit, scaler, value []byte) []byte {
	return concat([]byte{0x77}, octets([]byte(name)), status, absent, unit, scaler, value, absent)
}

// power is a power in hundredths of a watt.
func (m *SMLMeter) power(watts float64) []byte {
	n := int64(math.Round(watts * 100))
	size := 1
	for n < -1<<(8*size-1) || n > 1<<(8*size-1)-1 {
		size++
	}
	if m.SignedPower && n > 0 { // it sends as many bytes as the number has without a sign
		for size = 1; n >= 1<<(8*size); {
			size++
		}
	}
	b := []byte{0x50 | byte(size+1)}
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// absent is an optional element that is left out.
var absent = []byte{0x01}

// octets is an octet string.
func octets(data []byte) []byte {
	if n := len(data) + 1; n > 15 {
		n++
		return append([]byte{0x80 | byte(n>>4), byte(n & 15)}, data...)
	}
	return append([]byte{byte(len(data) + 1)}, data...)
}

// unsigned is a number of that many bytes.
func unsigned(n uint64, size int) []byte {
	b := []byte{0x60 | byte(size+1)}
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

func concat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// transport wraps messages for the line: start, the bytes with runs of the escape byte
// doubled, fill to four bytes, end with the number of fill bytes and the checksum.
func transport(body []byte) []byte {
	const run = "\x1b\x1b\x1b\x1b"
	frame := []byte(run + "\x01\x01\x01\x01")
	frame = append(frame, bytes.ReplaceAll(body, []byte(run), []byte(run+run))...)
	fill := (4 - len(frame)%4) % 4
	frame = append(frame, make([]byte, fill)...)
	frame = append(frame, run+"\x1a"...)
	frame = append(frame, byte(fill))
	crc := crcCCITT(frame)
	return append(frame, byte(crc), byte(crc>>8))
}

// crcCCITT is CRC-16/X-25, worked out as a long division of the reversed bits by
// x^16+x^12+x^5+1.
func crcCCITT(b []byte) uint16 {
	remainder := uint32(0xFFFF)
	for _, c := range b {
		for i := range 8 {
			if uint32(c>>i)&1 != remainder>>15&1 {
				remainder = (remainder<<1 ^ 0x1021) & 0xFFFF
			} else {
				remainder = remainder << 1 & 0xFFFF
			}
		}
	}
	reversed := uint16(0)
	for i := range 16 {
		reversed |= uint16(remainder>>i&1) << (15 - i)
	}
	return ^reversed
}
