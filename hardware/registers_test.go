package hardware_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/hardware"
)

func TestRegisters(t *testing.T) {
	r, err := hardware.ParseRegisters([]byte("# a meter\ninput 0x0000: 4366 3333\n12: 0001\nholding 0xFFFF: 00ff # the last\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		table   string
		address uint16
		word    uint16
		ok      bool
	}{
		{"input", 0, 0x4366, true},
		{"input", 1, 0x3333, true},
		{"input", 12, 1, true}, // without a table it counts for all
		{"holding", 12, 1, true},
		{"holding", 0xffff, 0xff, true},
		{"holding", 0, 0, false},
	} {
		if word, ok := r.Word(want.table, want.address); word != want.word || ok != want.ok {
			t.Errorf("%s %d: %#x %v, want %#x %v", want.table, want.address, word, ok, want.word, want.ok)
		}
	}
	words, ok := r.Read(nil, "input", 0, 2)
	if diff := cmp.Diff([]uint16{0x4366, 0x3333}, words); diff != "" || !ok {
		t.Errorf("%v:\n%s", ok, diff)
	}
	if words, ok := r.Read(nil, "input", 0, 3); ok || words != nil {
		t.Errorf("a hole was read as %v", words)
	}
	if _, ok := r.Read(nil, "holding", 0xffff, 2); ok {
		t.Error("read beyond the last address")
	}
}

// Registers of some parts have different widths, and are told as wide as they are.
func TestWideRegisters(t *testing.T) {
	const text = "0x0000: 0010 fb6b\n0x0004: 0fa000\n0x0009: 00000000ff\n"
	r, err := hardware.ParseRegisters([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.String(); got != text || r.Digits() != 10 {
		t.Errorf("%d digits, came back as\n%s", r.Digits(), got)
	}
	for address, want := range map[uint16]struct {
		value  uint64
		digits int
		word   bool
	}{1: {0xfb6b, 4, true}, 4: {0x0fa000, 6, false}, 9: {0xff, 10, false}, 5: {}} {
		value, digits := r.Wide(address)
		if _, ok := r.Word(hardware.TableDefault, address); value != want.value || digits != want.digits || ok != want.word {
			t.Errorf("%d: %#x of %d digits, a word: %v", address, value, digits, ok)
		}
	}
}

func TestRegistersRefused(t *testing.T) {
	for text, want := range map[string]string{
		"0x0000 1234":                  "no colon",
		"coil 1: 1234":                 `"coil"`,
		"input holding 1: 1234":        "no address",
		"65536: 1234":                  "0 to 65535",
		"-1: 1234":                     "0 to 65535",
		"1:":                           "no values",
		"1: 123":                       "two, four, six or ten hex digits",
		"1: wxyz":                      "two, four, six or ten hex digits",
		"1: 12 1234":                   "4 digits",
		"1: 123456 12":                 "2 digits",
		"1: 12345678":                  "hex digits",
		"input 1: 12345678901":         "hex digits",
		"1: 1234\n0x1: 1234":           "twice",
		"65535: 1234 1234":             "above 65535",
		"\n\n1: 1234 12":               "line 3",
		"1: " + strings.Repeat("é", 4): "hex digits",
	} {
		if _, err := hardware.ParseRegisters([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

func FuzzParseRegisters(f *testing.F) {
	f.Add([]byte("input 0x0000: 4366 3333\nholding 12: 0001\n7: ffff"))
	f.Add([]byte("0xfa: 12 34"))
	f.Add([]byte("4: 0fa000 0ef9a0 0c80\n9: 0000000001"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := hardware.ParseRegisters(text)
		if err != nil {
			return
		}
		again, err := hardware.ParseRegisters([]byte(r.String()))
		if err != nil {
			t.Fatalf("%v, from\n%s", err, r)
		}
		if again.String() != r.String() || again.Len() != r.Len() {
			t.Errorf("\n%s came back as\n%s", r, again)
		}
	})
}
