package audit_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
)

func TestEvidenceRefuses(t *testing.T) {
	c, at := drawStreet(t)
	good := evidence(t, c, at.committed, c.Packs)
	edit := func(fn func(e *audit.Evidence)) []byte {
		t.Helper()
		e, err := audit.ParseEvidence(good)
		if err != nil {
			t.Fatal(err)
		}
		fn(e)
		return e.Encode()
	}
	for _, tt := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"nothing", nil, "EOF"},
		{"no map", []byte{0x80}, "cannot unmarshal"},
		{"another version", bytes.Replace(good, []byte{0x01, 0x01}, []byte{0x01, 0x02}, 1), "version 2 is not known"},
		{"a key nobody knows", append([]byte{good[0] + 1}, append(good[1:len(good):len(good)], 0x07, 0x00)...), "not deterministic"},
		{"leaves out of order", edit(func(e *audit.Evidence) { e.Leaves[0], e.Leaves[1] = e.Leaves[1], e.Leaves[0] }), "not in order"},
		{"a leaf twice", edit(func(e *audit.Evidence) { e.Leaves[1] = e.Leaves[0] }), "not in order"},
		{"no leaf claimed", edit(func(e *audit.Evidence) { e.Claim = 3 }), "leaf 3 is not among"},
		{"no leaves", edit(func(e *audit.Evidence) { e.Leaves = nil }), "not among"},
		{"a tail", append(bytes.Clone(good), 0), "extraneous"},
	} {
		_, err := audit.ParseEvidence(tt.bytes)
		if !errors.Is(err, block.ErrForm) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzParseEvidence(f *testing.F) {
	c, at := drawStreet(f)
	for _, i := range []uint64{0, at.open, at.committed, at.flag, at.header} {
		f.Add(evidence(f, c, i, c.Packs))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := audit.ParseEvidence(b)
		if err != nil {
			return
		}
		if again := e.Encode(); !bytes.Equal(again, b) {
			t.Errorf("%x reads and is written as %x", b, again)
		}
	})
}

// FuzzVerify gives any bytes to the verifier under every name. It must not panic,
// and must let nothing pass but the files it started from.
func FuzzVerify(f *testing.F) {
	c, at := drawStreet(f)
	trust := audit.Trust{Policy: c.Policy, Keys: keySet(f, c)}
	names := []string{"a.cose", "a.tlog-proof", "a.evidence", "a"}
	var seeds [][]byte
	for _, i := range []uint64{0, at.open, at.committed, at.es256, at.flag, at.refusal, at.header} {
		seeds = append(seeds, evidence(f, c, i, c.Packs), c.LogProof(i))
	}
	seeds = append(seeds, c.Transparent(at.open), c.Transparent(at.es256), c.Transparent(at.committed), c.Transparent(at.clock))
	for _, s := range seeds {
		for n := range names {
			f.Add(uint8(n), s)
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, b []byte) {
		r := audit.Verify(names[int(n)%len(names)], b, trust)
		if r.Exit() != audit.ExitHolds {
			return
		}
		for _, s := range seeds {
			if bytes.Equal(s, b) {
				return
			}
		}
		// Signatures of strangers under a checkpoint are passed over; nothing else
		// may differ.
		if i := bytes.Index(b, []byte("\n\n")); i < 0 {
			t.Errorf("%q passes: %v", b, r.Verdicts)
		}
	})
}
