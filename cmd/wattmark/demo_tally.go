package main

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"wattmark/ledger"
	"wattmark/oracle"
)

// tally is what the demonstration counts in one run.
type tally struct {
	samples, signed, acknowledged atomic.Uint64

	mu         sync.Mutex // guards what follows
	refused    map[string]uint64
	refusedOf  map[string]string // reason to the gateway last concerned
	known      uint64            // height at the start
	height     uint64            // of the newest durable block of any oracle
	leaves     uint64
	final      uint64
	cosigners  int
	firstFinal time.Duration // of a block of this run, from the first line; 0 before
	firstBlock uint64        // its height
}

func (t *tally) start(l *ledger.Ledger) {
	header, checkpoint, _ := l.Last()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused, t.refusedOf = make(map[string]uint64), make(map[string]string)
	t.known, t.height, t.leaves = header.Height, header.Height, checkpoint.Size
}

func (t *tally) observe(_ int, e oracle.Event, since time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Block != nil && e.Block.Header.Height > t.height:
		t.height, t.leaves = e.Block.Header.Height, e.Block.Checkpoint.Size
	case e.Final != nil && e.Final.Height >= t.final:
		t.final, t.cosigners = e.Final.Height, len(e.Final.Receipts)
		if t.firstFinal == 0 && t.final > t.known {
			t.firstFinal, t.firstBlock = max(since, time.Millisecond), t.final
		}
	case e.Refusal != nil:
		t.refused[string(e.Refusal.Reason)]++
		t.refusedOf[string(e.Refusal.Reason)] = e.Gateway
	}
}

// counts is a tally at one moment.
type counts struct {
	samples, signed, acknowledged uint64
	refused                       map[string]uint64
	refusedOf                     map[string]string
	height, leaves, final         uint64
	cosigners                     int
	firstFinal                    time.Duration
	firstBlock                    uint64
}

func (t *tally) now() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return counts{
		samples: t.samples.Load(), signed: t.signed.Load(), acknowledged: t.acknowledged.Load(),
		refused: maps.Clone(t.refused), refusedOf: maps.Clone(t.refusedOf),
		height: t.height, leaves: t.leaves, final: t.final, cosigners: t.cosigners, firstFinal: t.firstFinal, firstBlock: t.firstBlock,
	}
}

// lateAfter is how long a statement may go without a receipt before it counts as
// lost.
const lateAfter = 5 * time.Second

// result sums the run up, once the gateways have stopped.
func (d *demo) result(stopped time.Time) *demoResult {
	n := d.tally.now()
	r := &demoResult{
		Signed: n.signed, Acknowledged: n.acknowledged, Refused: n.refused,
		Blocks: n.height + 1, Leaves: n.leaves, FirstFinalMS: n.firstFinal.Milliseconds(),
	}
	for _, g := range d.fleet {
		r.Lost += g.late(stopped.Add(-lateAfter))
	}
	return r
}

// awaitFirstFinal returns once a block of this run is final.
func (d *demo) awaitFirstFinal(ctx context.Context) error {
	return poll(ctx, func() bool { return d.tally.now().firstFinal > 0 })
}

// poll returns nil as soon as done says so, or ctx's error.
func poll(ctx context.Context, done func() bool) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
