package outbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"wattmark/gateway/outbox"
)

// TestFailingDisk runs the script on a disk that refuses for a while now and
// then, with what it refuses lost or done all the same. It ends with a power
// cut, and a disk that often refuses in the midst of the recovery. What was
// durable must be there, and what was lost from memory must be said.
func TestFailingDisk(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		fsys, w := newSim(), newWitness()
		o := open(t, fsys, simOptions, "first")
		l := &life{o, w, rng, seed%2 == 0}
		now := time.Unix(1e9, 0)
		for range 150 {
			if rng.IntN(12) == 0 {
				fsys.breakDown(rng)
			}
			err := l.step()
			if err != nil && !errors.Is(err, outbox.ErrMemory) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err := outbox.Check(o); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			now = now.Add(20 * time.Second)
			if err := o.Retry(now); err == nil && fsys.fail == nil {
				if err := l.flush(); err != nil {
					t.Fatalf("seed %d: flush after retry: %v", seed, err)
				}
			}
		}
		l.outlive(t, seed, fsys)
	}
}

// outlive ends a life by a power cut of each fate, and last by a kill. The next
// two lives must find what was promised, and go on.
func (l *life) outlive(t *testing.T, seed uint64, fsys *simFS) {
	for f := lost; f <= fates; f++ {
		again, w := fsys, l.w.clone()
		if f < fates {
			again = fsys.afterCut(f, l.rng)
		}
		for _, boot := range []string{"first", "second"} {
			again.fail = nil
			clear(again.locks)
			if l.rng.IntN(2) == 0 {
				again.breakDown(l.rng)
			}
			now := time.Unix(2e9, 0)
			o, report, err := outbox.Open(again, "box", simOptions)
			again.fail = nil
			if err == nil {
				err = o.Retry(now)
			}
			if err == nil {
				_, err = o.RaiseBoot(boot)
			}
			if err == nil {
				err = w.check(o)
			}
			next := &life{o, w, l.rng, l.offline}
			for i := 0; i < 10 && err == nil; i++ {
				if err = next.step(); err == nil {
					err = outbox.Check(o)
				}
			}
			if err != nil {
				t.Fatalf("seed %d, ended by %s, boot %s: %v\n%s", seed, f, boot, err, report)
			}
			again = again.afterCut(min(f, kept), l.rng)
		}
	}
}

// breakDown makes the disk fail, soon, or mends it.
func (s *simFS) breakDown(rng *rand.Rand) {
	s.fail = []error{nil, syscall.ENOSPC, syscall.EIO}[rng.IntN(3)]
	s.stored = rng.IntN(2) == 0
	s.failAt = s.ops + 1 + rng.IntN(8)
}

// TestMemory tells the story of a full disk: sampling goes on, the uplink gets
// what is in memory, and when there is space again nothing is missing.
func TestMemory(t *testing.T) {
	fsys := newSim()
	opts := outbox.Options{GatewayID: "gw"}
	o := open(t, fsys, opts, "boot")
	add(t, o, 3)
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	fsys.fail = syscall.ENOSPC
	add(t, o, 5)
	if err := o.Flush(); !errors.Is(err, outbox.ErrMemory) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("flush on a full disk: %v", err)
	}
	if state, cause := o.State(); state != outbox.InMemory || !errors.Is(cause, syscall.ENOSPC) {
		t.Errorf("state %v, cause %v", state, cause)
	}
	if got := pending(t, o); len(got) != 8 {
		t.Errorf("in memory %d statements are pending, want 8", len(got))
	}
	if err := o.Receipted(1, 7, []byte("receipt")); err != nil {
		t.Errorf("receipt in memory: %v", err)
	}
	now := time.Unix(1e9, 0)
	if err := o.Retry(now); !errors.Is(err, outbox.ErrMemory) {
		t.Errorf("retry on a full disk: %v", err)
	}
	fsys.fail = nil
	if err := o.Retry(now.Add(59 * time.Second)); !errors.Is(err, outbox.ErrMemory) {
		t.Errorf("retry before a minute has passed: %v", err)
	}
	if err := o.Retry(now.Add(time.Minute)); err != nil {
		t.Errorf("retry: %v", err)
	}
	if state, _ := o.State(); state != outbox.OnDisk || o.Durable() != (outbox.Number{Boot: 1, Seq: 8}) {
		t.Errorf("after retry: %v, durable %v", state, o.Durable())
	}
	again := open(t, fsys.afterCut(lost, rand.New(rand.NewPCG(1, 1))), opts, "boot")
	if got := pending(t, again); len(got) != 7 {
		t.Errorf("after a power cut %d statements are pending, want 7", len(got))
	}
	if kept, err := again.Receipts(); err != nil || len(kept) != 1 || kept[0].Seq != 7 {
		t.Errorf("receipts %v, %v", kept, err)
	}
}

// TestMemoryLimit fills the memory: the oldest statements go, and a gap says so.
func TestMemoryLimit(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{MemoryBytes: 20000}, "boot")
	fsys.fail = syscall.EIO
	for range 200 {
		boot, seq, _, err := o.NextSeq()
		if err != nil {
			t.Fatal(err)
		}
		err = o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: make([]byte, 300), Covers: nil})
		if err != nil {
			t.Fatal(err)
		}
	}
	st := o.Stats()
	if st.MemoryBytes > 20000 || st.Pending+int(st.Dropped) != 200 || st.Dropped == 0 {
		t.Errorf("stats %+v", st)
	}
	want := outbox.Gap{Range: outbox.Range{Boot: 1, First: 1, Last: st.Dropped}, Count: st.Dropped, Reason: outbox.Full}
	if got := o.Gaps(); len(got) != 1 || got[0] != want {
		t.Errorf("gaps %v, want %v", got, want)
	}
	for {
		if _, _, _, err := o.NextSeq(); err != nil {
			if !errors.Is(err, outbox.ErrNoNumber) {
				t.Error(err)
			}
			break
		}
	}
	fsys.fail = nil
	if err := o.Retry(time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if _, seq, skipped, err := o.NextSeq(); err != nil || seq != 257 || skipped == nil || *skipped != (outbox.Range{Boot: 1, First: 201, Last: 256}) {
		t.Errorf("next %d, skipped %v, %v", seq, skipped, err)
	}
}

// TestOpenReadOnly opens an outbox on a disk that takes no writes.
func TestOpenReadOnly(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, simOptions, "boot")
	add(t, o, 4)
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	clear(fsys.locks)
	fsys.fail = syscall.EROFS
	o, report, err := outbox.Open(fsys, "box", simOptions)
	if err != nil {
		t.Fatal(err)
	}
	if got := pending(t, o); len(got) != 4 || len(report.Notes) != 1 {
		t.Errorf("%d pending, report %v", len(got), report)
	}
	if _, err := o.RaiseBoot("boot"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("boot count on a disk that takes no writes: %v", err)
	}
	if _, _, _, err := o.NextSeq(); !errors.Is(err, outbox.ErrNoBoot) {
		t.Errorf("number without a boot: %v", err)
	}
	fsys.fail = nil
	if boot, err := o.RaiseBoot("boot"); err != nil || boot != 1 {
		t.Errorf("boot %d, %v", boot, err)
	}
}

func (w *witness) clone() *witness {
	c := newWitness()
	copyMap(c.handed, w.handed)
	copyMap(c.signed, w.signed)
	copyMap(c.durable, w.durable)
	copyMap(c.shown, w.shown)
	copyMap(c.receipted, w.receipted)
	copyMap(c.final, w.final)
	copyMap(c.saying, w.saying)
	copyMap(c.replaces, w.replaces)
	c.facts, c.factsKept = w.facts, w.factsKept
	return c
}

func copyMap[V any](to, from map[outbox.Number]V) {
	for k, v := range from {
		to[k] = v
	}
}

// open opens an outbox of the directory box and begins a boot.
func open(t *testing.T, fsys outbox.FS, opts outbox.Options, boot string) *outbox.Outbox {
	t.Helper()
	o, _, err := outbox.Open(fsys, "box", opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.RaiseBoot(boot); err != nil {
		t.Fatal(err)
	}
	return o
}

// add appends n statements.
func add(t *testing.T, o *outbox.Outbox, n int) {
	t.Helper()
	for range n {
		boot, seq, _, err := o.NextSeq()
		if err != nil {
			t.Fatal(err)
		}
		num := outbox.Number{Boot: boot, Seq: seq}
		if err := o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: statementOf(num), Pack: packOf(num)}); err != nil {
			t.Fatal(err)
		}
	}
}

// pending returns all that is pending and checks its bytes.
func pending(t *testing.T, o *outbox.Outbox) []outbox.Number {
	t.Helper()
	var out []outbox.Number
	for {
		var after outbox.Number
		if len(out) > 0 {
			after = out[len(out)-1]
		}
		recs, err := o.Pending(after, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			if !bytes.Equal(r.Statement, statementOf(r.Number())) || !bytes.Equal(r.Pack, packOf(r.Number())) {
				t.Errorf("%s has other bytes", r.Number())
			}
			out = append(out, r.Number())
		}
		if len(recs) == 0 {
			break
		}
	}
	if !slices.IsSortedFunc(out, outbox.Number.Compare) {
		t.Errorf("not in order: %v", fmt.Sprint(out))
	}
	return out
}
