package ingest_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/oracle/ingest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// refused and again are answers that an intake gave.
type refused struct {
	gateway string
	wire.Refusal
}

type again struct {
	gateway  string
	sequence entry.Sequence
	index    uint64
}

// intake is an Ingest on a drawn ledger, with an order that only remembers.
type intake struct {
	*ingest.Ingest
	*ledgertest.Chain
	t      testing.TB
	config ingest.Config

	mu       sync.Mutex // guards what follows
	bundles  [][][]byte
	packs    map[[32]byte][]byte
	refusals []refused
	agains   []again
	submit   func() error // what the order says, nil for yes
	put      func() error // what the store of packs says
}

// open draws a ledger with the gateways home-1 (open), home-2 (committed) and
// old-1, whose key was revoked, and says how an intake on it is made.
func open(t testing.TB) *intake {
	t.Helper()
	in := &intake{Chain: ledgertest.New(t, 4), t: t, packs: make(map[[32]byte][]byte)}
	messages := in.Clocks(60_000)
	for _, g := range []struct{ name, mode string }{{"home-1", entry.ModeOpen}, {"home-2", entry.ModeCommitted}, {"old-1", entry.ModeOpen}} {
		s, _ := in.Enrolment(g.name, signer.EdDSA, g.mode).Sign(t)
		messages = append(messages, in.Deliver(s, nil))
	}
	in.Append(messages...)
	s, _ := in.Revocation(in.GatewayKey("old-1").Public().ID()).Sign(t)
	in.Append(append(in.Clocks(60_000), in.Deliver(s, nil))...)
	in.config = ingest.Config{
		Ledger: in, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.UnixMilli(in.State.Time()) },
		Submit: func(_ context.Context, bundle []byte) error {
			in.mu.Lock()
			defer in.mu.Unlock()
			if in.submit != nil {
				if err := in.submit(); err != nil {
					return err
				}
			}
			statements, err := ingest.ParseBundle(bytes.Clone(bundle))
			in.bundles = append(in.bundles, statements)
			for _, s := range statements {
				if m, err := signer.Parse(s); err != nil || m.Hidden() && in.packs[[32]byte(m.Payload)] == nil {
					t.Errorf("a statement was ordered before its pack was kept, or %v", err)
				}
			}
			return err
		},
		PutPack: func(_ context.Context, digest [32]byte, pack []byte) error {
			in.mu.Lock()
			defer in.mu.Unlock()
			if in.put != nil {
				return in.put()
			}
			in.packs[digest] = pack
			return nil
		},
		Refuse: func(gateway string, r wire.Refusal) {
			in.mu.Lock()
			defer in.mu.Unlock()
			in.refusals = append(in.refusals, refused{gateway, r})
		},
		Again: func(gateway string, q entry.Sequence, index uint64) {
			in.mu.Lock()
			defer in.mu.Unlock()
			in.agains = append(in.agains, again{gateway, q, index})
		},
	}
	return in
}

// prepare makes the intake, inside a synctest bubble. It takes frames, and does
// nothing with them before run.
func (in *intake) prepare() { in.Ingest = ingest.New(in.config) }

// View and Logged make the chain the ledger that ingest asks. Tests append to it
// only while the intake has nothing to do.
func (in *intake) View(fn func(*state.State)) { fn(in.State) }

func (in *intake) Logged(id signer.KeyID, q entry.Sequence) (uint64, []byte, bool) {
	for i, leaf := range in.All() {
		m, err := signer.Parse(leaf)
		if err != nil || m.KeyID != id {
			continue
		}
		if c, err := entry.ParseClaims(m.Claims); err == nil && c.Sequence == q {
			return uint64(i), leaf, true
		}
	}
	return 0, nil, false
}

// run starts the intake inside a synctest bubble and returns what ends it.
func (in *intake) run() (end func()) {
	if in.Ingest == nil {
		in.prepare()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			in.t.Errorf("the intake ended with %v", err)
		}
	}
}

// offer hands frames over and waits until they are worked through.
func (in *intake) offer(gateway string, frames ...[]byte) {
	in.t.Helper()
	for _, f := range frames {
		if !in.Offer(gateway, f) {
			in.t.Fatal("the queue is full")
		}
	}
	time.Sleep(ingest.Pace) // of the bubble: the next batch begins
	synctest.Wait()
}

// reading is the frame of a gateway's next reading, and its statement.
func (in *intake) reading(gateway string) (frame, statement []byte) {
	in.t.Helper()
	return in.frame(in.Reading(gateway, ledgertest.Record(gateway, "energy", 1000, in.State.Time())))
}

func (in *intake) frame(s *ledgertest.Statement) (frame, statement []byte) {
	in.t.Helper()
	statement, pack := s.Sign(in.t)
	return wire.Frame{Statement: statement, Pack: pack}.Encode(), statement
}

// submitted returns the statements of all bundles.
func (in *intake) submitted() (out [][]byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, b := range in.bundles {
		out = append(out, b...)
	}
	return out
}

// log puts statements onto the ledger, as if they came out of the order, and
// takes them from the intake as the oracle does.
func (in *intake) log(statements ...[]byte) {
	in.t.Helper()
	messages := in.Clocks(60_000)
	for _, s := range statements {
		messages = append(messages, in.Deliver(s, in.packOf(s)))
	}
	b := in.Append(messages...)
	for _, m := range messages {
		if in.Ingest != nil {
			in.Take(m.Hash)
		}
	}
	if len(b.Result.Refusals) > 0 {
		in.t.Fatalf("the rules refused statements: %v", b.Result.Reasons)
	}
}

func (in *intake) packOf(statement []byte) []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	m, err := signer.Parse(statement)
	if err != nil || !m.Hidden() {
		return nil
	}
	return in.packs[[32]byte(m.Payload)]
}
