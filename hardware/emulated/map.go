package emulated

import (
	"encoding/binary"
	"sync"
)

// Map is a part that speaks Modbus and has the registers that it is given. All methods
// may be called from any goroutine.
type Map struct {
	maximum int
	strict  bool

	mu    sync.Mutex                 // guards the field below
	words map[byte]map[uint16]uint16 // by function: 0x03 holding, 0x04 input
}

// NewMap returns a part without registers, which answers at most so many in a request.
// A strict one refuses a request with any that it has not; others read as zero, as long
// as there is one that it has.
func NewMap(maximum int, strict bool) *Map {
	return &Map{maximum: maximum, strict: strict, words: map[byte]map[uint16]uint16{0x03: {}, 0x04: {}}}
}

// SetHolding sets holding registers from an address on.
func (m *Map) SetHolding(address uint16, words ...uint16) { m.set(0x03, address, words) }

// SetInput sets input registers from an address on.
func (m *Map) SetInput(address uint16, words ...uint16) { m.set(0x04, address, words) }

func (m *Map) set(function byte, address uint16, words []uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, w := range words {
		m.words[function][address+uint16(i)] = w
	}
}

// Clear removes all registers.
func (m *Map) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.words[0x03])
	clear(m.words[0x04])
}

func (m *Map) answer(pdu, out []byte) []byte {
	if len(pdu) != 5 || pdu[0] != 0x03 && pdu[0] != 0x04 {
		return append(out, pdu[0]|0x80, illegalFunction)
	}
	address, count := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	if count == 0 || count > m.maximum || address+count > 1<<16 {
		return append(out, pdu[0]|0x80, illegalValue)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	start, known := len(out), 0
	out = append(out, pdu[0], byte(2*count))
	for i := range count {
		w, ok := m.words[pdu[0]][uint16(address+i)]
		if ok {
			known++
		}
		out = binary.BigEndian.AppendUint16(out, w)
	}
	if known == 0 || m.strict && known < count {
		return append(out[:start], pdu[0]|0x80, illegalAddress)
	}
	return out
}
