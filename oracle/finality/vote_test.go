package finality_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/finality"
	"wattmark/signer"
)

func TestVoteRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &finality.Vote{
			Height:     rapid.Uint64().Draw(t, "height"),
			Checkpoint: block.Checkpoint{Origin: ledgertest.Origin, Size: rapid.Uint64().Draw(t, "size"), Root: block.Hash(draw(t, 32))},
			Log:        rapid.String().Draw(t, "log"), Cosigned: rapid.String().Draw(t, "cosigned"),
			KeyID: signer.KeyID(draw(t, 16)), Receipts: draw(t, 64), Asking: rapid.Bool().Draw(t, "asking"), Promise: draw(t, 200),
		}
		got, err := finality.ParseVote(want.Encode(), ledgertest.Origin)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("vote (-want +got):\n%s", diff)
		}
	})
}

func draw(t *rapid.T, n int) []byte { return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "bytes") }

func TestParseVoteRefuses(t *testing.T) {
	c := ledgertest.NewConsortium(t, 1)
	good := vote(t, c, 0, 1, checkpoint(1, 0)).Encode()
	if _, err := finality.ParseVote(good, ledgertest.Origin); err != nil {
		t.Fatal(err)
	}
	large := vote(t, c, 0, 1, checkpoint(1, 0))
	large.Log = string(make([]byte, finality.MaxVote))
	for _, k := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"truncated", good[:len(good)-1]},
		{"a byte more", append(bytes.Clone(good), 0)},
		{"another version", append([]byte{good[0], 1}, good[2:]...)},
		{"a version in two bytes", append([]byte{good[0], 0x18, 2}, good[2:]...)},
		{"too large", large.Encode()},
	} {
		if _, err := finality.ParseVote(k.b, ledgertest.Origin); !errors.Is(err, finality.ErrVote) {
			t.Errorf("%s: got error %v, want ErrVote", k.name, err)
		}
	}
}

func FuzzParseVote(f *testing.F) {
	c := ledgertest.NewConsortium(f, 1)
	f.Add(vote(f, c, 0, 1, checkpoint(1, 0)).Encode())
	f.Add((&finality.Vote{Asking: true}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := finality.ParseVote(b, ledgertest.Origin)
		if err != nil {
			return
		}
		if again := v.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x: written again as %x", b, again)
		}
	})
}
