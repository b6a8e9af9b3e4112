package entry_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
)

// strict is a general decoder told to take no more than deterministic CBOR.
var strict = func() cbor.DecMode {
	m, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, UTF8: cbor.UTF8RejectInvalid}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

var deterministic = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// reencodes checks what a parser promises of bytes that it took: written again
// they are the same.
func reencodes(t *testing.T, b []byte, encode func() ([]byte, error)) {
	t.Helper()
	again, err := encode()
	if err != nil {
		t.Fatalf("%x: what was read is not written: %v", b, err)
	}
	if !bytes.Equal(again, b) {
		t.Fatalf("%x: written again as %x", b, again)
	}
}

func FuzzParseClaims(f *testing.F) {
	f.Add(encodeClaims(f, full()))
	f.Add(encodeClaims(f, least()))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := entry.ParseClaims(b)
		if err != nil {
			return
		}
		reencodes(t, b, c.Encode)
		var m map[int64]cbor.RawMessage
		if err := strict.Unmarshal(b, &m); err != nil {
			t.Fatalf("%x: a strict decoder refuses it: %v", b, err)
		}
	})
}

func FuzzParsePack(f *testing.F) {
	f.Add(encodePack(f, sample(5)))
	f.Add([]byte("\x82\xa4\x00\x61x\x02\x01\x06\x0a\x22\x0a\xa3\x00\x61x\x02\x01\x06\x29"))
	f.Add([]byte("\x81\xa3\x00\x61x\x02\xc4\x82\x20\x0a\x22\xc4\x82\x21\x05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := entry.ParsePack(b)
		if err != nil {
			return
		}
		// Records may be written in several ways: it is the values that are stable.
		again, err := p.Encode()
		if err != nil {
			t.Fatalf("%x: what was read is not written: %v", b, err)
		}
		back, err := entry.ParsePack(again)
		if err != nil {
			t.Fatalf("%x: written as %x, which is refused: %v", b, again, err)
		}
		if diff := cmp.Diff(p, back); diff != "" {
			t.Fatalf("%x: written as %x, it changes:\n%s", b, again, diff)
		}
		var list []map[int64]cbor.RawMessage
		if err := strict.Unmarshal(b, &list); err != nil {
			t.Fatalf("%x: a strict decoder refuses it: %v", b, err)
		}
		if same, err := deterministic.Marshal(list); err != nil || !bytes.Equal(same, b) {
			t.Fatalf("%x is not deterministic, but %x, %v", b, same, err)
		}
	})
}

func FuzzParseCommitted(f *testing.F) {
	c := entry.Committed{Salt: make([]byte, 16), Pack: encodePack(f, sample(2))}
	b, err := c.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		digest := sha256.Sum256(b)
		if c, err := entry.ParseCommitted(b, digest[:]); err == nil {
			reencodes(t, b, c.Encode)
		}
	})
}

func FuzzParseEnrolment(f *testing.F) {
	b, err := enrolment().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := entry.ParseEnrolment(b); err == nil {
			reencodes(t, b, e.Encode)
		}
	})
}

func FuzzParseCharter(f *testing.F) {
	b, err := charter().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := entry.ParseCharter(b); err == nil {
			reencodes(t, b, c.Encode)
			if k := entry.KindOf(b); k != entry.LeafCharter {
				t.Fatalf("%x: a charter is taken for a %v", b, k)
			}
		}
	})
}

func FuzzParseOutcome(f *testing.F) {
	f.Add((&entry.Outcome{Kind: entry.OutcomeRefused, Code: "future"}).Encode())
	f.Add((&entry.Outcome{Kind: entry.OutcomeFlagged, Leaf: 7, Code: "late", Detail: "mp-1/export"}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := entry.ParseOutcome(b); err == nil {
			reencodes(t, b, func() ([]byte, error) { return o.Encode(), nil })
			if k := entry.KindOf(b); k != entry.LeafOutcome {
				t.Fatalf("%x: an outcome is taken for a %v", b, k)
			}
		}
	})
}

// FuzzParseSmallPayloads reads revocations, clocks and votes.
func FuzzParseSmallPayloads(f *testing.F) {
	f.Add((&entry.Revocation{KeyID: make([]byte, 16), Reason: "lost"}).Encode())
	f.Add((&entry.Clock{Height: 1, Time: noon}).Encode())
	f.Add((&entry.Vote{Proposal: entry.Proposal{Parameter: entry.ParamCutBytes, Value: 1 << 20, Height: 10}}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := entry.ParseRevocation(b); err == nil {
			reencodes(t, b, func() ([]byte, error) { return r.Encode(), nil })
		}
		if c, err := entry.ParseClock(b); err == nil {
			reencodes(t, b, func() ([]byte, error) { return c.Encode(), nil })
		}
		if v, err := entry.ParseVote(b); err == nil {
			reencodes(t, b, func() ([]byte, error) { return v.Encode(), nil })
		}
	})
}

func FuzzDecimal(f *testing.F) {
	f.Add([]byte("\xc4\x82\x21\x19\x6a\xb3"))
	f.Add([]byte("\x1a\x00\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d entry.Decimal
		if err := d.UnmarshalCBOR(b); err == nil {
			reencodes(t, b, d.MarshalCBOR)
		}
	})
}
