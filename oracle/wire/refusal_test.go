package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

var leaf = block.LeafHash([]byte("a statement"))

// find knows one key.
func find(k signer.PublicKey) func(signer.KeyID) (signer.PublicKey, bool) {
	return func(id signer.KeyID) (signer.PublicKey, bool) { return k, id == k.ID() }
}

func TestRefusalRoundTrip(t *testing.T) {
	key := ledgertest.Key(t, signer.EdDSA, "oracle")
	for _, reason := range append(entry.Reasons(), "a_reason_of_a_later_version") {
		want := &wire.Refusal{Leaf: leaf, Boot: 3, Count: 9, Reason: reason}
		b, err := want.Sign(key, "urn:wattmark:oracle:one", origin, 1_767_225_600)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.OpenRefusal(b, origin, find(key.Public()))
		if err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("refusal (-want +got):\n%s", diff)
		}
	}
}

// raw signs any bytes as a refusal would be.
func raw(t testing.TB, key signer.Signer, typ, content, audience string, payload []byte) []byte {
	t.Helper()
	s := &ledgertest.Statement{
		Key: key, Type: typ, Content: content, Payload: payload,
		Claims: entry.Claims{Issuer: "urn:wattmark:oracle:one", Audience: audience, IssuedAt: 1_767_225_600},
	}
	b, _ := s.Sign(t)
	return b
}

func payload(t testing.TB, r *wire.Refusal) []byte {
	t.Helper()
	b, err := deterministic.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenRefusalRefuses(t *testing.T) {
	key, other := ledgertest.Key(t, signer.EdDSA, "oracle"), ledgertest.Key(t, signer.EdDSA, "other")
	good := payload(t, &wire.Refusal{Leaf: leaf, Boot: 1, Count: 2, Reason: entry.ReasonFuture})
	signed := raw(t, key, entry.TypeRefusal, entry.ContentCBOR, origin, good)
	if _, err := wire.OpenRefusal(signed, origin, find(key.Public())); err != nil {
		t.Fatal(err)
	}
	broken := bytes.Clone(signed)
	broken[len(broken)-1] ^= 1
	refusal := func(p []byte) []byte { return raw(t, key, entry.TypeRefusal, entry.ContentCBOR, origin, p) }
	with := func(reason entry.Reason) []byte {
		return refusal(payload(t, &wire.Refusal{Leaf: leaf, Reason: reason}))
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"a changed signature", broken, signer.ErrSignature},
		{"of no oracle", raw(t, other, entry.TypeRefusal, entry.ContentCBOR, origin, good), wire.ErrMessage},
		{"for another ledger", raw(t, key, entry.TypeRefusal, entry.ContentCBOR, "elsewhere.example", good), wire.ErrMessage},
		{"a vote", raw(t, key, entry.TypeVote, entry.ContentCBOR, origin, good), wire.ErrMessage},
		{"of another content type", raw(t, key, entry.TypeRefusal, entry.ContentSenML, origin, good), wire.ErrMessage},
		{"no statement", []byte("refused"), wire.ErrMessage},
		{"nothing", nil, wire.ErrMessage},
		{"no reason", with(""), wire.ErrMessage},
		{"a reason for the terminal", with("future\x1b[2J"), wire.ErrMessage},
		{"a long reason", with(entry.Reason(strings.Repeat("a", 65))), wire.ErrMessage},
		{"a field that is not known", refusal(append([]byte{0xa5}, append(good[1:], 0x05, 0x00)...)), wire.ErrMessage},
		{"a field left out", refusal([]byte{0xa1, 0x04, 0x66, 'f', 'u', 't', 'u', 'r', 'e'}), wire.ErrMessage},
		{"a byte more", refusal(append(bytes.Clone(good), 0)), wire.ErrMessage},
	} {
		if r, err := wire.OpenRefusal(c.b, origin, find(key.Public())); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v and error %v, want %v", c.name, r, err, c.want)
		}
	}
}

func FuzzRefusal(f *testing.F) {
	key := ledgertest.Key(f, signer.EdDSA, "oracle")
	f.Add(payload(f, &wire.Refusal{Leaf: leaf, Boot: 1, Count: 2, Reason: entry.ReasonFuture}))
	f.Add(payload(f, &wire.Refusal{Reason: entry.ReasonMalformed}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 60_000 { // more than a statement takes
			return
		}
		r, err := wire.OpenRefusal(raw(t, key, entry.TypeRefusal, entry.ContentCBOR, origin, b), origin, find(key.Public()))
		if err != nil {
			return
		}
		if again := payload(t, r); !bytes.Equal(again, b) {
			t.Fatalf("%x: written again as %x", b, again)
		}
	})
}
