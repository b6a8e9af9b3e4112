package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/oracle/wire"
	"wattmark/signer"
)

func TestFrameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := wire.Frame{
			Statement: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "statement"),
			Pack:      rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "pack"),
		}
		if rapid.Bool().Draw(t, "open") {
			want.Pack = nil
		}
		got, err := wire.ParseFrame(want.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("frame (-want +got):\n%s", diff)
		}
	})
}

func TestFrameLimits(t *testing.T) {
	statement, pack := make([]byte, signer.MaxMessage), make([]byte, wire.MaxPack)
	for _, c := range []struct {
		name     string
		frame    []byte
		ok       bool
		tooLarge bool
	}{
		{"largest", wire.Frame{Statement: statement, Pack: pack}.Encode(), true, false},
		{"statement too large", wire.Frame{Statement: append(statement, 0)}.Encode(), false, true},
		{"pack too large", wire.Frame{Statement: statement[:1], Pack: append(pack, 0)}.Encode(), false, true},
		{"frame too large", wire.Frame{Statement: statement, Pack: append(pack, 0)}.Encode(), false, true},
		{"nothing", nil, false, false},
		{"no length", []byte{1, 0, 0, 0}, false, false},
		{"empty statement", []byte{1, 0, 0, 0, 0}, true, false},
		{"unknown version", []byte{2, 0, 0, 0, 0}, false, false},
		{"truncated", wire.Frame{Statement: []byte("abc")}.Encode()[:7], false, false},
		{"length of 4 GiB", []byte{1, 255, 255, 255, 255, 0}, false, true},
	} {
		_, err := wire.ParseFrame(c.frame)
		if (err == nil) != c.ok || errors.Is(err, wire.ErrTooLarge) != c.tooLarge || err != nil && !errors.Is(err, wire.ErrFrame) {
			t.Errorf("%s, %d bytes: got error %v, want accepted %v, too large %v", c.name, len(c.frame), err, c.ok, c.tooLarge)
		}
	}
}

// What a frame holds may be kept and appended to without reaching into the other.
func TestFramePartsAreApart(t *testing.T) {
	f, err := wire.ParseFrame(wire.Frame{Statement: []byte("s"), Pack: []byte("pack")}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = append(f.Statement, "other"...)
	if string(f.Pack) != "pack" {
		t.Errorf("the pack became %q", f.Pack)
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add(wire.Frame{Statement: []byte("statement")}.Encode())
	f.Add(wire.Frame{Statement: []byte("statement"), Pack: []byte("pack")}.Encode())
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := wire.ParseFrame(b)
		if err != nil {
			return
		}
		if again := got.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x: written again as %x", b, again)
		}
	})
}
