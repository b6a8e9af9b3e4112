package sensirion_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"wattmark/hardware"
	"wattmark/hardware/sensirion"
)

func TestCRC(t *testing.T) {
	// The data sheets' example, and words of the SCD30 and SCD4x examples.
	for word, want := range map[uint16]byte{0xBEEF: 0x92, 0x43DB: 0xCB, 0x8C2E: 0x8F, 0x6667: 0xA2, 0x5EB9: 0x3C, 0x0000: 0x81} {
		if got := sensirion.CRC(word); got != want {
			t.Errorf("CRC(%#04x): got %#02x, want %#02x", word, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	b := sensirion.AppendWord(sensirion.AppendWord(nil, 0xBEEF), 1)
	if err := sensirion.Check(b, 2); err != nil || sensirion.Word(b, 0) != 0xBEEF || sensirion.Word(b, 1) != 1 {
		t.Errorf("a good answer: %v", err)
	}
	if err := sensirion.Check(b[:5], 2); !errors.Is(err, hardware.ErrTruncated) {
		t.Errorf("a short answer: %v", err)
	}
	if err := sensirion.Check(b, 1); !errors.Is(err, hardware.ErrWrongReply) {
		t.Errorf("a long answer: %v", err)
	}
	b[3] ^= 1
	if err := sensirion.Check(b, 2); !errors.Is(err, hardware.ErrChecksum) {
		t.Errorf("a damaged word: %v", err)
	}
}

// A driver that only decodes has no bus.
func TestPortWithoutABus(t *testing.T) {
	p := sensirion.NewPort(nil, 0x61)
	var recorded hardware.Transcript
	if _, err := p.Read(t.Context(), &recorded, 0xD100, 0, 1); !errors.Is(err, hardware.ErrAbsent) || p.Bus() != "" {
		t.Errorf("%v on %q", err, p.Bus())
	}
}

func TestCommand(t *testing.T) {
	if code, ok := sensirion.Command(sensirion.AppendWord([]byte{0x46, 0}, 2)); !ok || code != 0x4600 {
		t.Errorf("got %#04x, %v", code, ok)
	}
	for _, bad := range [][]byte{nil, {1}, {1, 2, 3}, {1, 2, 0xBE, 0xEF, 0x93}} {
		if _, ok := sensirion.Command(bad); ok {
			t.Errorf("% x is a command", bad)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add([]byte{0x36, 0x82}, []byte{0xF8, 0x96, 0x31, 0x9F, 0x07, 0xC2, 0x3B, 0xBE, 0x89})
	f.Add(sensirion.AppendWord([]byte{0x46, 0}, 2), []byte{0xBE, 0xEF, 0x93})
	f.Fuzz(func(t *testing.T, sent, received []byte) {
		if code, ok := sensirion.Command(sent); ok {
			again := binary.BigEndian.AppendUint16(nil, code)
			for i := range len(sent) / sensirion.WordSize {
				again = sensirion.AppendWord(again, sensirion.Word(sent[2:], i))
			}
			if !bytes.Equal(again, sent) {
				t.Errorf("the command % x came back as % x", sent, again)
			}
		}
		n := len(received) / sensirion.WordSize
		if err := sensirion.Check(received, n); err != nil {
			if !errors.Is(err, hardware.ErrMalformed) && !errors.Is(err, hardware.ErrChecksum) {
				t.Errorf("without class: %v", err)
			}
			return
		}
		var again []byte
		for i := range n {
			again = sensirion.AppendWord(again, sensirion.Word(received, i))
		}
		if !bytes.Equal(again, received) {
			t.Errorf("the answer % x came back as % x", received, again)
		}
	})
}
