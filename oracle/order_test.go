package oracle_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/orderer"
	"wattmark/signer"
)

// gated is an order that delivers nothing before a gate is opened.
type gated struct {
	orderer.Orderer
	gate chan struct{}
}

func (o *gated) Deliver(ctx context.Context, from uint64, fn func(uint64, [][]byte) error) error {
	select {
	case <-o.gate:
		return o.Orderer.Deliver(ctx, from, fn)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An oracle that was away leaves gateways to the others until it knows what is in
// the order: it would judge by a state of long ago.
func TestListensOnceCaughtUp(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	s.level(0, 1, 2, 3)
	s.stop(3)
	frames := g.read(5)
	g.deliver(frames...)
	behind := &gated{gate: make(chan struct{})}
	s.order = func(i int, o orderer.Orderer) orderer.Orderer { behind.Orderer = o; return behind }
	s.start(3)
	s.until("its first vote, sent when everything has begun", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.restarted[s.Oracles[3].Cosigner.Public().ID()]
	})
	for range 10 {
		g.publish(frames...) // what is on the ledger already
		g.deliver(g.read(5)...)
	}
	if st := s.nodes[3].Ingest().Stats(); st.Accepted+st.Duplicates+st.Dropped > 0 || len(st.Refused) > 0 {
		t.Errorf("it took frames while it was behind: %+v", st)
	}
	close(behind.gate)
	s.level(0, 1, 2, 3)
	s.until("frames that reach it, now that it has caught up", func() bool {
		g.deliver(g.read(5)...)
		return s.nodes[3].Ingest().Stats().Accepted > 0
	})
	s.level(0, 1, 2, 3)
	g.once(s.nodes[3])
}

// changedOrder answers for an order that is not the one before.
type changedOrder struct {
	orderer.Orderer
	at      error // of At
	trimmed uint64
	forged  bool // the first message delivered is another one
}

func (o *changedOrder) At(ctx context.Context, seq uint64) ([]byte, error) {
	if o.at != nil {
		return nil, o.at
	}
	return o.Orderer.At(ctx, seq)
}

func (o *changedOrder) Deliver(ctx context.Context, from uint64, fn func(uint64, [][]byte) error) error {
	if from <= o.trimmed {
		return orderer.ErrTrimmed
	}
	return o.Orderer.Deliver(ctx, from, func(first uint64, msgs [][]byte) error {
		if o.forged && first == from {
			msgs[0] = append(bytes.Clone(msgs[0]), 0)
		}
		return fn(first, msgs)
	})
}

// What an oracle finds when it comes back to its order.
func TestComingBackToAnOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		order func(last uint64) *changedOrder
		want  error // nil: it goes on
	}{
		{"as it was", func(uint64) *changedOrder { return &changedOrder{} }, nil},
		{"trimmed up to where the chain ends", func(last uint64) *changedOrder {
			return &changedOrder{at: orderer.ErrTrimmed, trimmed: last}
		}, nil},
		{"trimmed beyond", func(last uint64) *changedOrder {
			return &changedOrder{at: orderer.ErrTrimmed, trimmed: last + 1}
		}, orderer.ErrTrimmed},
		{"with a hole", func(uint64) *changedOrder { return &changedOrder{at: orderer.ErrDiverged} }, orderer.ErrDiverged},
		{"exchanged before anything was delivered", func(uint64) *changedOrder { return &changedOrder{forged: true} }, orderer.ErrDiverged},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStreet(t, 4)
			s.start(0, 1, 2, 3)
			g := s.enrol("home-1", entry.ModeOpen)
			s.level(0, 1, 2, 3)
			_, _, last := s.nodes[3].Ledger().Last()
			s.stop(3)
			g.deliver(g.read(5)...)
			s.order = func(i int, o orderer.Orderer) orderer.Orderer {
				changed := c.order(last.Sequence)
				changed.Orderer = o
				return changed
			}
			s.start(3)
			if c.want == nil {
				s.level(0, 1, 2, 3)
				g.once(s.nodes[3])
				return
			}
			s.until("the halt", func() bool { return s.nodes[3].Halted() != nil })
			if err := s.nodes[3].Halted(); !errors.Is(err, oracle.ErrHalted) || !errors.Is(err, c.want) {
				t.Errorf("halted with %v, want %v", err, c.want)
			}
			g.deliver(g.read(5)...)
			s.level(0, 1, 2)
			if _, _, now := s.nodes[3].Ledger().Last(); now != last {
				t.Errorf("it went on from message %d to %d", last.Sequence, now.Sequence)
			}
		})
	}
}

// Rubbish in the order is rubbish to all alike.
func TestRubbishInTheOrder(t *testing.T) {
	s := newStreet(t, 4)
	var order atomic.Pointer[orderer.Orderer]
	s.order = func(i int, o orderer.Orderer) orderer.Orderer { order.Store(&o); return o }
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	for _, b := range [][]byte{[]byte("rubbish"), {1, 255, 0, 0, 0}, {1, 0, 0, 0, 0}, {1}, {1, 0, 0, 0, 3, 'a', 'b', 'c'}} {
		if err := (*order.Load()).Submit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		g.deliver(g.read(2)...)
	}
	s.level(0, 1, 2, 3)
	g.once(s.nodes[3])
}

// A block that is full is closed without anybody's clock, at the same message by
// everybody.
func TestFullBlockIsClosed(t *testing.T) {
	s := newStreet(t, 4, entry.Parameter{Name: entry.ParamCutLeaves, Value: 2})
	s.cutAfter = time.Hour
	s.start(0, 1, 2, 3)
	for _, name := range []string{"home-1", "home-2"} {
		b, _ := s.Enrolment(name, signer.EdDSA, entry.ModeOpen).Sign(t)
		if err := s.nodes[0].Submit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	s.until("the block of two enrolments", func() bool {
		for i := range s.nodes {
			if s.seen(i, func(e oracle.Event) bool { return e.Block != nil && len(e.Block.Result.Accepted) == 2 }) == 0 {
				return false
			}
		}
		return true
	})
	g := s.gateway("home-1")
	for _, f := range g.read(2) {
		if !s.nodes[1].Ingest().Offer("home-1", f) {
			t.Fatal("the queue is full")
		}
	}
	s.until("receipts", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(g.places) == 2
	})
	s.level(0, 1, 2, 3)
	if h, _, _ := s.nodes[0].Ledger().Last(); h.Height != 2 {
		t.Errorf("%d blocks, want 2", h.Height)
	}
}

func TestBounds(t *testing.T) {
	s := newStreet(t, 1, entry.Parameter{Name: entry.ParamCutBytes, Value: 1 << 40}, entry.Parameter{Name: entry.ParamCutLeaves, Value: 1 << 40})
	s.start(0)
	if leaves, bytes := s.nodes[0].Limits(); leaves != entry.MostCutLeaves || bytes != entry.MostCutBytes {
		t.Errorf("blocks of %d leaves and %d bytes, want %d and %d at most", leaves, bytes, entry.MostCutLeaves, entry.MostCutBytes)
	}

	var o oracle.Owed
	if lost, _, _, n := o.Owe(0, oracle.MaxOwed); lost != 0 || n != oracle.MaxOwed {
		t.Errorf("%d owed and %d let go, want %d and none", n, lost, oracle.MaxOwed)
	}
	if lost, first, last, n := o.Owe(oracle.MaxOwed, oracle.MaxOwed+10); lost != 10 || first != 10 || last != oracle.MaxOwed+9 || n != oracle.MaxOwed {
		t.Errorf("%d let go, owed are %d from leaf %d to %d, want the oldest 10 let go", lost, n, first, last)
	}
}
