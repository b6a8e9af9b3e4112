package request_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
)

const (
	origin  = "example.org/street"
	seconds = 1_767_225_600
)

func key(tb testing.TB, alg signer.Algorithm, seed byte) *signer.PrivateKey {
	tb.Helper()
	k, err := signer.FromSeed(alg, [32]byte{seed})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func asking() entry.EnrolmentRequest {
	return entry.EnrolmentRequest{
		Gateway: "home-1",
		Points: []entry.Point{{Subject: "p-1", Mode: entry.ModeCommitted, Channels: []entry.Channel{
			{Name: "active_energy_import", Unit: "Wh", Kind: entry.KindCounter, Most: entry.Int(1_000_000_000), PerHour: entry.Int(30_000)},
		}}},
		Devices: []entry.RequestDevice{{Model: "sdm120", Where: "rs485/1"}},
	}
}

// rotation returns a rotation from old to next, whole.
func rotation(tb testing.TB, old, next signer.Signer) []byte {
	tb.Helper()
	id := old.Public().ID()
	asked, err := request.Sign(next, entry.EnrolmentRequest{Gateway: "home-1", Replaces: id[:]}, origin, seconds)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := request.Rotate(old, asked, "home-1", origin, seconds)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRequest(t *testing.T) {
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		k := key(t, alg, 1)
		b, err := request.Sign(k, asking(), origin, seconds)
		if err != nil {
			t.Fatal(err)
		}
		r, err := request.Open(b, origin)
		if err != nil {
			t.Fatal(err)
		}
		want := asking()
		want.Algorithm, want.Key = int(alg), k.Public().Bytes()
		if diff := cmp.Diff(want, r.EnrolmentRequest); diff != "" {
			t.Errorf("%v (-want +got):\n%s", alg, diff)
		}
		if r.Public != k.Public() || r.IssuedAt != seconds || r.Rotation {
			t.Errorf("%v: key %v, issued at %d, rotation %v", alg, r.Public.ID(), r.IssuedAt, r.Rotation)
		}
		if err := r.Consented(k.Public()); !errors.Is(err, request.ErrRequest) {
			t.Errorf("a request that replaces nothing has a consent: %v", err)
		}
	}
}

func TestRotation(t *testing.T) {
	old, next, other := key(t, signer.EdDSA, 1), key(t, signer.ES256, 2), key(t, signer.EdDSA, 3)
	r, err := request.Open(rotation(t, old, next), origin)
	if err != nil {
		t.Fatal(err)
	}
	id := old.Public().ID()
	if !r.Rotation || r.Public != next.Public() || !bytes.Equal(r.Replaces, id[:]) {
		t.Errorf("rotation %v of %x to %v", r.Rotation, r.Replaces, r.Public.ID())
	}
	if err := r.Consented(old.Public()); err != nil {
		t.Error(err)
	}
	if err := r.Consented(other.Public()); !errors.Is(err, request.ErrRequest) {
		t.Errorf("another key has consented: %v", err)
	}
}

func TestRequestsOfOthersAreRefused(t *testing.T) {
	old, next := key(t, signer.EdDSA, 1), key(t, signer.EdDSA, 2)
	id := old.Public().ID()
	first, err := request.Sign(next, asking(), origin, seconds)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := request.Sign(next, entry.EnrolmentRequest{Gateway: "home-1", Replaces: id[:]}, origin, seconds)
	if err != nil {
		t.Fatal(err)
	}
	around, err := request.Rotate(old, first, "home-1", origin, seconds)
	if err != nil {
		t.Fatal(err)
	}
	thief, err := request.Rotate(next, alone, "home-1", origin, seconds)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := request.Sign(next, asking(), "example.org/lane", seconds)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "truncated"},
		{"junk", []byte("junk"), ""},
		{"something after it", append(bytes.Clone(first), 0), ""},
		{"far too much", make([]byte, entry.MaxRequest+1), "over the limit"},
		{"a rotation that replaces nothing", around, "replaces no key"},
		{"a replacement without the old key", alone, "has not signed it"},
		{"a replacement that the new key agrees to", thief, "has not signed it"},
		{"a request for another ledger", elsewhere, "another ledger"},
	} {
		_, err := request.Open(tt.b, origin)
		if !errors.Is(err, request.ErrRequest) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
		if errors.Is(err, request.ErrLedger) != (tt.want == "another ledger") {
			t.Errorf("%s: is it for another ledger? %v", tt.name, err)
		}
	}
}

// TestEveryByteIsSigned changes one bit of a rotation: nothing of it may be taken.
func TestEveryByteIsSigned(t *testing.T) {
	old := key(t, signer.EdDSA, 1)
	whole := rotation(t, old, key(t, signer.ES256, 2))
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		i := rapid.IntRange(0, len(b)-1).Draw(rt, "byte")
		b[i] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if r, err := request.Open(b, origin); err == nil && r.Consented(old.Public()) == nil {
			rt.Fatalf("byte %d of %d was changed and nobody noticed", i, len(b))
		}
	})
}

func FuzzOpen(f *testing.F) {
	old := key(f, signer.EdDSA, 1)
	first, err := request.Sign(old, asking(), origin, seconds)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(first)
	f.Add(rotation(f, old, key(f, signer.ES256, 2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := request.Open(b, origin)
		if err != nil {
			if !errors.Is(err, request.ErrRequest) {
				t.Fatalf("%x: error %v", b, err)
			}
			return
		}
		if r.Rotation != (len(r.Replaces) > 0) || r.Public.IsZero() {
			t.Fatalf("%x: replaces %x, rotation %v, key %v", b, r.Replaces, r.Rotation, r.Public.ID())
		}
	})
}
