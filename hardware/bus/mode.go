package bus

import (
	"fmt"
	"strconv"
	"strings"
)

// Parity is how a serial line checks a character.
type Parity byte

// The parities, as in "8N1".
const (
	ParityNone Parity = 'N'
	ParityEven Parity = 'E'
	ParityOdd  Parity = 'O'
)

// Mode is how a serial line is set. Zero values are 9600 baud, 8 data bits, no
// parity, one stop bit.
type Mode struct {
	Baud     int
	DataBits int
	Parity   Parity
	StopBits int
}

// ParseMode reads what String returns: speed, space, data bits, parity and stop bits,
// as in "9600 8N1".
func ParseMode(s string) (Mode, error) {
	speed, frame, _ := strings.Cut(s, " ")
	baud, err := strconv.Atoi(speed)
	if err != nil || len(frame) != 3 {
		return Mode{}, fmt.Errorf("serial mode %q is not of the form \"9600 8N1\"", s)
	}
	m, err := Mode{baud, int(frame[0]) - '0', Parity(frame[1]), int(frame[2]) - '0'}.normal()
	if err == nil && m.String() != s {
		err = fmt.Errorf("it is written %q", m)
	}
	if err != nil {
		return Mode{}, fmt.Errorf("serial mode %q: %w", s, err)
	}
	return m, nil
}

// normal returns m with its defaults filled in, or why it cannot be.
func (m Mode) normal() (Mode, error) {
	if m.Baud == 0 {
		m.Baud = 9600
	}
	if m.DataBits == 0 {
		m.DataBits = 8
	}
	if m.Parity == 0 {
		m.Parity = ParityNone
	}
	if m.StopBits == 0 {
		m.StopBits = 1
	}
	switch {
	case m.Baud < 300 || m.Baud > 4_000_000:
		return m, fmt.Errorf("%d baud is not within 300 to 4000000", m.Baud)
	case m.DataBits < 5 || m.DataBits > 8:
		return m, fmt.Errorf("%d data bits are not within 5 to 8", m.DataBits)
	case m.Parity != ParityNone && m.Parity != ParityEven && m.Parity != ParityOdd:
		return m, fmt.Errorf("parity %q is none of N, E and O", m.Parity)
	case m.StopBits != 1 && m.StopBits != 2:
		return m, fmt.Errorf("%d stop bits are not 1 or 2", m.StopBits)
	}
	return m, nil
}

// charBits is how many bits one character takes on the wire.
func (m Mode) charBits() int {
	bits := 1 + m.DataBits + m.StopBits
	if m.Parity != ParityNone {
		bits++
	}
	return bits
}

// String returns the customary form, such as "9600 8N1".
func (m Mode) String() string {
	n, err := m.normal()
	if err != nil {
		return "invalid mode"
	}
	return fmt.Sprintf("%d %d%c%d", n.Baud, n.DataBits, n.Parity, n.StopBits)
}
