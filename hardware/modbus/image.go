package modbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"wattmark/hardware"
)

// ErrNoRequest is a reply, recorded without the request that it answers, of a part for
// which that cannot be guessed. It is a detail of hardware.ErrMalformed.
var ErrNoRequest = fmt.Errorf("a reply without its request: %w", hardware.ErrMalformed)

// Image is what a recording or a dump says of a unit's registers. Several exchanges
// merge; where two hold the same register the later one counts. It refers to what it was
// made from, and is valid as long as that does not change.
type Image struct {
	recorded *hardware.Transcript
	usual    Request
	refused  error // the first exception that was expected

	dumped *hardware.Registers
	bare   Function // the table of words that were dumped without one
}

// Expect says what a recording may hold.
type Expect struct {
	// Usual is the request that a lone reply answers when nothing was sent. Without one
	// such a recording is ErrNoRequest.
	Usual Request
	// Refusable says which requests a unit may answer with an exception; nil is none.
	Refusable func(r Request) bool
}

// Recorded reads the exchanges of t, in either framing, under the rule that each request
// was answered once and before the next. All of them are with one unit. An exception
// that expect does not allow is ErrDevice; the Image that comes with it holds all the
// rest.
func Recorded(t *hardware.Transcript, expect Expect) (Image, error) {
	m := Image{recorded: t, usual: expect.Usual}
	if t.Len() == 0 {
		return Image{}, refuse(hardware.ErrTruncated, "nothing was received")
	}
	unit := -1 // of the first request that is to one unit only
	var exception error
	for i := range t.Len() {
		sent, received := t.Exchange(i)
		r, err := m.check(sent, received)
		switch {
		case errors.Is(err, hardware.ErrDevice):
			expected := expect.Refusable != nil && expect.Refusable(r)
			switch {
			case expected && m.refused == nil:
				m.refused = at(r, err)
			case !expected && exception == nil:
				exception = at(r, err)
			}
		case err != nil && r.Count > 0:
			return Image{}, at(r, err)
		case err != nil:
			return Image{}, err
		}
		switch {
		case anyone(r.Unit):
		case unit < 0:
			unit = int(r.Unit)
		case int(r.Unit) != unit:
			return Image{}, refuse(hardware.ErrWrongDevice, "exchanges with unit %d and unit %d", unit, r.Unit)
		}
	}
	return m, exception
}

// check reads one exchange.
func (m *Image) check(sent, received []byte) (Request, error) {
	switch {
	case len(sent) > 0:
		r, _, err := ReadExchange(sent, received)
		return r, err
	case m.recorded.Len() > 1:
		return Request{}, refuse(hardware.ErrStale, "%d bytes came before anything was sent", len(received))
	case m.usual.Count == 0:
		return Request{}, refuse(ErrNoRequest, "put a line that starts with > before it")
	}
	_, err := ParseReply(m.usual, received)
	return m.usual, err
}

// Dumped reads registers that were dumped instead of the frames that carried them. Words
// without a table are of the table that bare reads.
func Dumped(r *hardware.Registers, bare Function) (Image, error) {
	switch {
	case r.Len() == 0:
		return Image{}, refuse(hardware.ErrTruncated, "there are no registers in it")
	case r.Digits() != 4 && r.Digits() != 0:
		return Image{}, refuse(hardware.ErrMalformed, "values of %d digits, a Modbus register has four", r.Digits())
	}
	return Image{dumped: r, bare: bare}, nil
}

// Refused returns the first exception among those that were expected, nil if there was
// none.
func (m Image) Refused() error { return m.refused }

// Word returns the register at address of the table that f reads, and whether it is
// known.
func (m Image) Word(f Function, address uint16) (uint16, bool) {
	if m.dumped != nil {
		return m.dumpedWord(f, address)
	}
	for i := m.recorded.Len() - 1; i >= 0; i-- {
		r, data, ok := m.exchange(i)
		at := int(address) - int(r.Address)
		if ok && r.Function == f && at >= 0 && at < int(r.Count) {
			return binary.BigEndian.Uint16(data[2*at:]), true
		}
	}
	return 0, false
}

func (m Image) dumpedWord(f Function, address uint16) (uint16, bool) {
	if w, ok := m.dumped.Exact(f.String(), address); ok {
		return w, true
	}
	if f != m.bare {
		return 0, false
	}
	return m.dumped.Exact(hardware.TableDefault, address)
}

// exchange returns an exchange that Recorded has read; it is false for an exception.
func (m Image) exchange(i int) (r Request, data []byte, ok bool) {
	sent, received := m.recorded.Exchange(i)
	switch {
	case len(sent) == 0:
		r, data = m.usual, received[1:]
	case framingOf(sent) == FramingTCP:
		r, data = readRequest(sent[headerSize-1], sent[headerSize:]), received[headerSize:]
	default:
		r, data = readRequest(sent[0], sent[1:]), received[1:]
	}
	return r, data[2:], data[0]&exceptionBit == 0
}

// Asked reports whether count registers from an address on were asked for in a
// recording, in part at least.
func (m Image) Asked(f Function, address uint16, count int) bool {
	if m.dumped != nil {
		return false
	}
	for i := range m.recorded.Len() {
		r, _, _ := m.exchange(i)
		if r.Function == f && int(r.Address) < int(address)+count && int(address) < int(r.Address)+int(r.Count) {
			return true
		}
	}
	return false
}

// Missing reports whether registers that are not known should have been: because the
// rest of the unit was dumped, or because they were asked for.
func (m Image) Missing(f Function, address uint16, count int) bool {
	return m.dumped != nil || m.Asked(f, address, count)
}

// Words appends count registers from an address on to dst. It is false, and dst is
// unchanged, when one of them is not known.
func (m Image) Words(dst []uint16, f Function, address uint16, count int) ([]uint16, bool) {
	out := dst
	for i := range count {
		at := int(address) + i
		if at > math.MaxUint16 {
			return dst, false
		}
		w, ok := m.Word(f, uint16(at))
		if !ok {
			return dst, false
		}
		out = append(out, w)
	}
	return out, true
}

// Uint32 returns two registers, the one at address being the high word.
func (m Image) Uint32(f Function, address uint16) (uint32, bool) {
	high, ok := m.Word(f, address)
	if !ok || address == math.MaxUint16 {
		return 0, false
	}
	low, ok := m.Word(f, address+1)
	return uint32(high)<<16 | uint32(low), ok
}

// Text returns count registers as the characters in them, high byte first, up to the
// first NUL and without space around.
func (m Image) Text(f Function, address uint16, count int) (string, bool) {
	words, ok := m.Words(make([]uint16, 0, count), f, address, count)
	if !ok {
		return "", false
	}
	b := make([]byte, 0, 2*count)
	for _, w := range words {
		b = binary.BigEndian.AppendUint16(b, w)
	}
	text, _, _ := strings.Cut(string(b), "\x00")
	return strings.TrimSpace(strings.ToValidUTF8(text, "?")), true
}
