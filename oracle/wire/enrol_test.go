package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// asked is the request of a gateway whose key is drawn from a seed.
func asked(tb testing.TB, gateway string, seed byte) []byte {
	tb.Helper()
	k, err := signer.FromSeed(signer.EdDSA, [32]byte{seed})
	if err != nil {
		tb.Fatal(err)
	}
	ask := entry.EnrolmentRequest{
		Gateway: gateway,
		Points: []entry.Point{{Subject: "mp-1", Mode: entry.ModeCommitted, Channels: []entry.Channel{
			{Name: "active_energy_import", Unit: "Wh", Kind: entry.KindCounter, Most: entry.Int(1_000_000_000)},
		}}},
		Devices: []entry.RequestDevice{{Model: "sdm120", Where: "rs485/1"}},
	}
	b, err := request.Sign(k, ask, "wattmark.example/vectors", 1_767_225_600)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// twoPending is the list of the vector.
func twoPending(tb testing.TB) *wire.Pending {
	return &wire.Pending{Requests: []wire.PendingRequest{
		{Statement: asked(tb, "home-01", 1), First: 1_767_225_600, Last: 1_767_225_630, Times: 2},
		{Statement: asked(tb, "home-02", 2), Gateway: "home-02", First: 1_767_225_601, Last: 1_767_225_601, Times: 1},
	}, Dropped: 7}
}

var pendingFields = cmpopts.IgnoreUnexported(wire.PendingRequest{})

// TestEnrolVectors: what is written is what others were told to read.
func TestEnrolVectors(t *testing.T) {
	for name, got := range map[string][]byte{
		"request-1.hex":       wire.EncodeRequest(asked(t, "home-01", 1)),
		"pending-1.hex":       twoPending(t).Encode(),
		"pending-1-empty.hex": new(wire.Pending).Encode(),
	} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the code writes\n%x", name, got)
		}
	}
}

func TestParseRequest(t *testing.T) {
	statement := asked(t, "home-01", 1)
	good := wire.EncodeRequest(statement)
	if got, err := wire.ParseRequest(good); err != nil || !bytes.Equal(got, statement) {
		t.Fatalf("a request: %x, %v", got, err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "a version alone": {1}, "another version": append([]byte{2}, statement...), "no version": statement,
		"cut": good[:len(good)-1], "more": append(bytes.Clone(good), 0), "no statement": []byte("\x01nonsense"),
		"too long": append(bytes.Clone(good), make([]byte, entry.MaxRequest)...),
		"a refusal": wire.EncodeRequest(func() []byte {
			k, _ := signer.FromSeed(signer.EdDSA, [32]byte{9})
			b, err := (&wire.Refusal{Reason: entry.ReasonFuture}).Sign(k, "urn:x", origin, 1)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}()),
	} {
		if _, err := wire.ParseRequest(b); !errors.Is(err, wire.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParsePending(t *testing.T) {
	want := twoPending(t)
	got, err := wire.ParsePending(want.Encode())
	if diff := cmp.Diff(want, got, pendingFields); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	many := &wire.Pending{}
	for range wire.MaxPending + 1 {
		many.Requests = append(many.Requests, want.Requests[0])
	}
	change := func(do func(r *wire.PendingRequest)) []byte {
		p := twoPending(t)
		do(&p.Requests[1])
		return p.Encode()
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "cut": want.Encode()[:40], "more": append(want.Encode(), 0), "too many": many.Encode(), "another version": append([]byte{0x83, 2}, want.Encode()[2:]...),
		"no name":           change(func(r *wire.PendingRequest) { r.Gateway = "Home 2" }),
		"no statement":      change(func(r *wire.PendingRequest) { r.Statement = nil }),
		"last before first": change(func(r *wire.PendingRequest) { r.Last-- }),
		"never":             change(func(r *wire.PendingRequest) { r.Times = 0 }),
		"long":              make([]byte, 2<<20),
	} {
		if _, err := wire.ParsePending(b); !errors.Is(err, wire.ErrPending) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPendingRoundTrip: whatever list an oracle may have is read as it was written, and
// fits one message of the broker.
func TestPendingRoundTrip(t *testing.T) {
	statements := [][]byte{asked(t, "home-01", 1), asked(t, "home-02", 2)}
	rapid.Check(t, func(t *rapid.T) {
		p := &wire.Pending{Requests: []wire.PendingRequest{}, Dropped: rapid.Uint64().Draw(t, "dropped")}
		for range rapid.IntRange(0, wire.MaxPending).Draw(t, "requests") {
			first := rapid.Int64Range(-1<<62, 1<<62).Draw(t, "first")
			p.Requests = append(p.Requests, wire.PendingRequest{
				Statement: rapid.SampledFrom(statements).Draw(t, "statement"), Gateway: rapid.SampledFrom([]string{"", "home-01", "a"}).Draw(t, "gateway"),
				First: first, Last: first + rapid.Int64Range(0, 1<<61).Draw(t, "span"), Times: rapid.Uint64Min(1).Draw(t, "times"),
			})
		}
		b := p.Encode()
		got, err := wire.ParsePending(b)
		if diff := cmp.Diff(p, got, pendingFields); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		if len(b) > 1<<20 {
			t.Fatalf("a list of %d bytes", len(b))
		}
	})
}

func FuzzRequestOnTheWire(f *testing.F) {
	f.Add(wire.EncodeRequest(asked(f, "home-01", 1)))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		statement, err := wire.ParseRequest(b)
		if err != nil {
			return
		}
		if again := wire.EncodeRequest(statement); !bytes.Equal(again, b) {
			t.Fatalf("%x: written again as %x", b, again)
		}
	})
}

func FuzzPending(f *testing.F) {
	f.Add(twoPending(f).Encode())
	f.Add(new(wire.Pending).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := wire.ParsePending(b)
		if err != nil {
			return
		}
		if again := p.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x: written again as %x", b, again)
		}
	})
}
