package bus_test

import (
	"testing"

	"wattmark/hardware/bus"
)

func TestModes(t *testing.T) {
	for _, c := range []struct {
		mode bus.Mode
		text string
		bits int // start, data, parity and stop bits of one character
	}{
		{bus.Mode{}, "9600 8N1", 10},
		{bus.Mode{Baud: 2400}, "2400 8N1", 10},
		{bus.Mode{Baud: 19200, Parity: bus.ParityEven}, "19200 8E1", 11},
		{bus.Mode{Baud: 9600, StopBits: 2}, "9600 8N2", 11},
		{bus.Mode{Baud: 300, DataBits: 7, Parity: bus.ParityEven}, "300 7E1", 10},
		{bus.Mode{Baud: 4_000_000, DataBits: 5, Parity: bus.ParityOdd, StopBits: 2}, "4000000 5O2", 9},
	} {
		if got := c.mode.String(); got != c.text {
			t.Errorf("%+v: got %q, want %q", c.mode, got, c.text)
		}
		if got, err := bus.CharBits(c.mode); err != nil || got != c.bits {
			t.Errorf("%s: a character of %d bits, %v, want %d", c.text, got, err, c.bits)
		}
		if m, err := bus.ParseMode(c.text); err != nil || m.String() != c.text {
			t.Errorf("%q was read as %q, %v", c.text, m, err)
		}
	}
}

func TestModesThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "9600", "9600 ", " 8N1", "9600 8N", "9600 8N11", "9600  8N1", "9600 8N1 ", "+9600 8N1", "09600 8N1", "0 8N1",
		"-9600 8N1", "299 8N1", "4000001 8N1", "9600 4N1", "9600 9N1", "9600 0N1", "9600 8n1", "9600 8M1", "9600 8N0", "9600 8N3",
		"9600 8\x001",
	} {
		if m, err := bus.ParseMode(text); err == nil {
			t.Errorf("%q was read as %q", text, m)
		}
	}
	for _, m := range []bus.Mode{{Baud: 1}, {Baud: -9600}, {DataBits: 9}, {Parity: 'X'}, {StopBits: 3}} {
		if got := m.String(); got != "invalid mode" {
			t.Errorf("%+v is %q", m, got)
		}
	}
}

func FuzzParseMode(f *testing.F) {
	f.Add("9600 8N1")
	f.Add("300 7E2")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := bus.ParseMode(text)
		if err == nil && m.String() != text {
			t.Errorf("%q came back as %q", text, m)
		}
		if err != nil && m != (bus.Mode{}) {
			t.Errorf("%q: %+v beside the error %v", text, m, err)
		}
	})
}
