package ingest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"wattmark/oracle/ingest"
	"wattmark/signer"
)

func TestBundleRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 0, ingest.BundleMost).Draw(t, "statements")
		got, err := ingest.ParseBundle(ingest.EncodeBundle(want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("statements (-want +got):\n%s", diff)
		}
	})
}

// Anybody who may write to the order can write anything.
func TestParseBundleRefuses(t *testing.T) {
	long := binary.BigEndian.AppendUint32([]byte{1}, signer.MaxMessage+1)
	long = append(long, make([]byte, signer.MaxMessage+1)...)
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"another version", []byte{2}},
		{"half a length", []byte{1, 0, 0}},
		{"a statement that is not there", []byte{1, 0, 0, 0, 5, 'a'}},
		{"a length of 4 GiB", []byte{1, 255, 255, 255, 255, 'a'}},
		{"a statement that is too long", long},
		{"too many statements", ingest.EncodeBundle(make([][]byte, ingest.BundleMost+1))},
		{"too many bytes", append([]byte{1}, make([]byte, 1<<20)...)},
	} {
		if _, err := ingest.ParseBundle(c.b); !errors.Is(err, ingest.ErrBundle) {
			t.Errorf("%s: got error %v, want ErrBundle", c.name, err)
		}
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add(ingest.EncodeBundle(nil))
	f.Add(ingest.EncodeBundle([][]byte{[]byte("one"), nil, []byte("two")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		statements, err := ingest.ParseBundle(b)
		if err != nil {
			return
		}
		if again := ingest.EncodeBundle(statements); !bytes.Equal(again, b) {
			t.Fatalf("%x: written again as %x", b, again)
		}
	})
}
