package emulated

import (
	"encoding/binary"
	"sync"
)

// PZEM is the register model of a Peacefair PZEM-004T version 3, after its user manual
// (section 2): integers, of 32 bits with the low word first. It keeps a total of energy,
// which function 0x42 clears. All methods may be called from any goroutine.
type PZEM struct {
	mu sync.Mutex // guards the fields below
	// What is measured, in the meter's steps: 0.1 V, mA, 0.1 W, Wh, 0.1 Hz, 0.01.
	volts, hertz, factor uint16
	milliamps, watts     uint32
	wattHours            uint32
	threshold            uint16 // W, of the alarm
	resets               int
}

// NewPZEM returns a meter on 230 V without a load, its alarm set to 23 kW.
func NewPZEM() *PZEM {
	return &PZEM{volts: 2300, hertz: 500, threshold: 23_000}
}

// Set makes the meter measure from now on: tenths of a volt, milliamperes, tenths of a
// watt, tenths of a hertz, hundredths of a power factor.
func (m *PZEM) Set(deciVolts uint16, milliAmps, deciWatts uint32, deciHertz, centiFactor uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.volts, m.milliamps, m.watts, m.hertz, m.factor = deciVolts, milliAmps, deciWatts, deciHertz, centiFactor
}

// SetEnergy sets the total, in Wh.
func (m *PZEM) SetEnergy(wattHours uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wattHours = wattHours
}

// SetThreshold sets the power, in W, above which the alarm is on.
func (m *PZEM) SetThreshold(watts uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.threshold = watts
}

// Resets returns how often the total was cleared.
func (m *PZEM) Resets() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.resets
}

// anyAddress is what each PZEM answers to.
func (m *PZEM) anyAddress() byte { return 0xF8 }

func (m *PZEM) answer(pdu, out []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	alarm := uint16(0)
	if m.watts > 10*uint32(m.threshold) {
		alarm = 0xFFFF
	}
	input := [10]uint16{
		m.volts, uint16(m.milliamps), uint16(m.milliamps >> 16), uint16(m.watts), uint16(m.watts >> 16),
		uint16(m.wattHours), uint16(m.wattHours >> 16), m.hertz, m.factor, alarm,
	}
	holding := [3]uint16{0, m.threshold, 1}
	switch {
	case len(pdu) == 1 && pdu[0] == 0x42:
		m.wattHours = 0
		m.resets++
		return append(out, pdu[0])
	case len(pdu) == 5 && pdu[0] == 0x04:
		return answerRegisters(pdu, out, input[:], len(input))
	case len(pdu) == 5 && pdu[0] == 0x03:
		return answerRegisters(pdu, out, holding[:], len(holding))
	}
	return append(out, pdu[0]|0x80, illegalFunction)
}

// answerRegisters answers a read with registers, which stand from address 0 on, of which
// at most maximum go into one reply.
func answerRegisters(pdu, out []byte, registers []uint16, maximum int) []byte {
	address, count := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	switch {
	case count == 0 || count > maximum:
		return append(out, pdu[0]|0x80, illegalValue)
	case address+count > len(registers):
		return append(out, pdu[0]|0x80, illegalAddress)
	}
	out = append(out, pdu[0], byte(2*count))
	for _, r := range registers[address : address+count] {
		out = binary.BigEndian.AppendUint16(out, r)
	}
	return out
}
