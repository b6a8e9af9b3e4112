package emulated

import "sync"

// S8 is the register model of a Senseair S8 CO2 sensor, after "Modbus on Senseair S8"
// (TDE2067): status and CO2 among the first input registers, type and serial number from
// 0x0019 on. All methods may be called from any goroutine.
type S8 struct {
	mu     sync.Mutex // guards the fields below
	status uint16
	ppm    uint16
	input  [0x001F]uint16
}

// NewS8 returns a sensor in air of 400 ppm.
func NewS8(serial uint32) *S8 {
	s := &S8{ppm: 400}
	s.input[0x0019], s.input[0x001A] = 0x0001, 0x070E // type
	s.input[0x001B] = 12                              // version of the map
	s.input[0x001C] = 0x0109                          // of the firmware
	s.input[0x001D], s.input[0x001E] = uint16(serial>>16), uint16(serial)
	return s
}

// Set makes the sensor measure ppm from now on. It tells 10,000 where there is more.
func (s *S8) Set(ppm int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ppm = uint16(max(0, min(10_000, ppm)))
}

// SetStatus sets the status register: 1 a fatal error, 4 of the algorithm, 16 of the
// self-test, 32 out of range, 64 of the memory.
func (s *S8) SetStatus(status uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// anyAddress is what each sensor answers to.
func (s *S8) anyAddress() byte { return 0xFE }

func (s *S8) answer(pdu, out []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.input[0x0000], s.input[0x0003] = s.status, s.ppm
	switch {
	case len(pdu) == 5 && pdu[0] == 0x04:
		return answerRegisters(pdu, out, s.input[:], 8)
	case len(pdu) == 5 && pdu[0] == 0x03:
		return answerRegisters(pdu, out, make([]uint16, 0x0020), 8)
	}
	return append(out, pdu[0]|0x80, illegalFunction)
}
