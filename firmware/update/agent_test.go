package update_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wattmark/firmware/manifest"
	"wattmark/firmware/manifest/manifesttest"
	"wattmark/firmware/update"
	"wattmark/firmware/update/slot"
	"wattmark/firmware/update/slot/slottest"
	"wattmark/ledger/entry"
)

func TestAnUpdateIsTriedAndKept(t *testing.T) {
	w := newWorld(t)
	_, proof := w.release(2, slottest.Root("two", slotSize/2))
	w.live(proof, well)
	if want := []uint64{1, 2}; !slices.Equal(w.ran, want) {
		t.Errorf("ran %v, want %v", w.ran, want)
	}
	w.check(2, update.Kept, "")
	w.live(proof, well) // the same offer again is no news
	w.check(2, update.Kept, "")
	_, proof = w.release(3, slottest.Root("three", slotSize/4))
	w.live(proof, well)
	w.live(nil, well)
	if w.running != slot.RootA {
		t.Errorf("version 3 runs from slot %d: the first has been free", w.running)
	}
}

// The heart of the matter: the power goes at every single write and sync of an update,
// and what was written and not synced is lost, kept, or half of it is.
func TestPowerCutsAtEveryStep(t *testing.T) {
	cases := []struct {
		name   string
		root   func() []byte
		health update.Health
		ends   uint64
		result update.Result
		reason update.Reason
	}{
		{"good", func() []byte { return slottest.Root("two", slotSize/2) }, well, 2, update.Kept, ""},
		{"without receipts", func() []byte { return slottest.Root("two", slotSize/2) }, update.Health{Key: true, Outbox: true, Signed: 1, Read: well.Read}, 1, update.FellBack, update.Unhealthy},
		{"garbage", func() []byte { return bytes.Repeat([]byte("garbage "), 512) }, well, 1, update.FellBack, update.NotBooted},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cuts := 0
			for _, fate := range []slottest.Fate{slottest.Lost, slottest.Kept, slottest.Torn} {
				for at := 1; ; at++ {
					w := newWorld(t)
					_, proof := w.release(2, c.root())
					w.disk.CutAt, w.disk.Fate = at, fate
					// The first start is by hand: the cut is counted from it.
					w.running = slot.RootA
					if err := w.open(); err != nil {
						t.Fatal(err)
					}
					reached := w.disk.CutAt
					w.run(proof, c.health)
					if w.disk.Ops < reached {
						break
					}
					cuts++
					w.finish(proof, c.health)
					last := w.agent.Last()
					ends := w.ran[len(w.ran)-1]
					if ends != c.ends || last == nil || last.Result != c.result || last.Reason != c.reason {
						t.Fatalf("cut at %d, unsynced sectors %d: ran %v, last outcome %+v; want %d, %s %s", at, fate, w.ran, last, c.ends, c.result, c.reason)
					}
					w.tidy()
				}
			}
			t.Logf("%d cuts", cuts)
			if cuts < 30 {
				t.Errorf("only %d cuts: the power went nearly nowhere", cuts)
			}
		})
	}
}

// run goes on from an opened agent, over restarts, until the power goes or nothing is left.
func (w *world) run(proof []byte, health update.Health) {
	w.tb.Helper()
	for first := true; ; first = false {
		if !first {
			cut := w.disk.CutAt
			w.disk.PowerOff()
			w.disk.PowerOn()
			w.disk.CutAt = cut
			var err error
			if w.running, err = w.bootKeepingCut(cut); err != nil {
				if w.disk.Off() {
					return
				}
				w.tb.Fatal(err)
			}
			if err := w.open(); err != nil {
				w.tb.Fatal(err)
			}
		}
		again, err := w.act(proof, health)
		if w.disk.Off() {
			return
		}
		if err != nil {
			w.tb.Fatal(err)
		}
		if !again {
			return
		}
	}
}

// bootKeepingCut boots without forgetting where the power is to go.
func (w *world) bootKeepingCut(cut int) (slot.Partition, error) {
	p, err := w.disk.Boot()
	if w.disk.Ops < cut {
		w.disk.CutAt = cut
	}
	return p, err
}

// act is what one start does once the agent is open.
func (w *world) act(proof []byte, health update.Health) (again bool, err error) {
	next, err := w.agent.Resume()
	if err != nil || next == update.Reboot {
		return err == nil, err
	}
	if next == update.Gate {
		verdict, err := w.agent.Judge(health, 0)
		if err != nil || verdict == update.Failed {
			return err == nil, err
		}
		return false, nil
	}
	err = w.agent.Take(context.Background(), proof, w.fetch, []string{"meter"})
	var refused *update.Refused
	if errors.As(err, &refused) && !w.disk.Off() {
		return false, nil
	}
	return err == nil, err
}

// finish starts the machine after a cut, as often as it takes, without another.
func (w *world) finish(proof []byte, health update.Health) {
	w.tb.Helper()
	for range 12 {
		if err := w.boot(); err != nil {
			w.tb.Fatalf("after a power cut the machine does not come back: %v", err)
		}
		again, err := w.act(proof, health)
		if err != nil {
			w.tb.Fatalf("after a power cut: %v", err)
		}
		if !again {
			return
		}
	}
	w.tb.Fatalf("ran %v, and it never ends", w.ran)
}

// tidy checks that the boot files say the running slot and nothing else.
func (w *world) tidy() {
	w.tb.Helper()
	s, err := w.disk.Slots(w.running).State()
	if err != nil {
		w.tb.Fatal(err)
	}
	if want := (slot.State{Default: w.running, Agree: true}); s != want {
		w.tb.Fatalf("ran %v: the machine boots %+v, want %+v", w.ran, s, want)
	}
}

// Whatever is offered, however often the power goes, the machine starts, runs only what
// was released, and a version that was kept is never followed by a lower one.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		kept := uint64(1)
		for i := range rapid.IntRange(1, 6).Draw(rt, "offers") {
			version := rapid.Uint64Range(1, 6).Draw(rt, "version")
			root := slottest.Root(fmt.Sprint(version, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "root")), slotSize/4)
			if version == 1 {
				root = w.roots[1]
			}
			_, proof := w.release(version, root)
			health := well
			if rapid.Bool().Draw(rt, "ill") {
				health.Receipts = 0
			}
			w.disk.Fate = rapid.SampledFrom([]slottest.Fate{slottest.Lost, slottest.Kept, slottest.Torn}).Draw(rt, "fate")
			if i == 0 {
				w.running = slot.RootA
				if err := w.open(); err != nil {
					rt.Fatal(err)
				}
			}
			for range rapid.IntRange(0, 3).Draw(rt, "cuts") {
				w.disk.CutAt = w.disk.Ops + rapid.IntRange(1, 40).Draw(rt, "cut")
				w.run(proof, health)
				if err := w.boot(); err != nil {
					rt.Fatalf("the machine does not start: %v", err)
				}
			}
			w.finish(proof, health)
			w.tidy()
			if now := w.ran[len(w.ran)-1]; now < kept {
				rt.Fatalf("ran %v: back from %d", w.ran, kept)
			} else {
				kept = now
			}
		}
	})
}

// altered gives a root that is not quite the one that was released.
func altered(change func([]byte) []byte) func(*world) update.Roots {
	return func(w *world) update.Roots {
		return func(_ context.Context, r *entry.Release) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(change(bytes.Clone(w.roots[r.Version])))), nil
		}
	}
}

func TestUpdatesThatAreRefused(t *testing.T) {
	root := slottest.Root("two", slotSize/2)
	as := func(change func(*entry.Release)) func(*world) []byte {
		return func(w *world) []byte {
			r, _ := w.release(2, root)
			change(r)
			if r.Version != 1 {
				w.roots[r.Version] = root
			}
			return w.ledger.Log(w.ledger.Manifest(r), manifesttest.Quorum).Encode()
		}
	}
	good := as(func(*entry.Release) {})
	for _, c := range []struct {
		reason update.Reason
		name   string
		proof  func(*world) []byte
		roots  func(*world) update.Roots
		damage bool
		older  bool // offered to a machine that runs version 2
	}{
		{reason: update.Malformed, name: "no proof", proof: func(*world) []byte { return []byte("no proof") }},
		{reason: update.BadSignature, name: "a stranger's", proof: func(w *world) []byte {
			r, _ := w.release(2, root)
			note, err := manifest.Sign(manifesttest.Key(t, "stranger"), r)
			if err != nil {
				t.Fatal(err)
			}
			return w.ledger.Log(note, manifesttest.Quorum).Encode()
		}},
		{reason: update.NoQuorum, name: "two oracles of four", proof: func(w *world) []byte {
			r, _ := w.release(2, root)
			return w.ledger.Log(w.ledger.Manifest(r), manifesttest.Quorum-1).Encode()
		}},
		{reason: update.NotLogged, name: "another's place", proof: func(w *world) []byte {
			r, _ := w.release(2, root)
			p := w.ledger.LogLeaf([]byte("an image for everybody"), manifesttest.Quorum)
			p.Extra = w.ledger.Statement(w.ledger.Manifest(r))
			return p.Encode()
		}},
		{reason: update.WrongBoard, name: "for the lab", proof: as(func(r *entry.Release) { r.Board = "lab" })},
		{reason: update.OlderVersion, name: "one before", older: true, proof: good},
		{reason: update.TooOldToFollow, name: "after 5", proof: as(func(r *entry.Release) { r.Version, r.After = 9, 5 })},
		{reason: update.OtherKernel, name: "a newer kernel", proof: as(func(r *entry.Release) { r.Kernel = "6.18.1-v8" })},
		{reason: update.Truncated, name: "a sector less", proof: good, roots: altered(func(b []byte) []byte { return b[:len(b)-512] })},
		{reason: update.Truncated, name: "a byte more", proof: good, roots: altered(func(b []byte) []byte { return append(b, 0) })},
		{reason: update.Altered, name: "another byte", proof: good, roots: altered(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })},
		{reason: update.Altered, name: "a card that forgets", proof: good, damage: true},
	} {
		t.Run(string(c.reason)+", "+c.name, func(t *testing.T) {
			w := newWorld(t)
			runs := uint64(1)
			if c.older {
				_, proof := w.release(3, slottest.Root("three", slotSize/2))
				w.live(proof, well)
				runs = 3
			}
			proof := c.proof(w)
			if err := w.boot(); err != nil {
				t.Fatal(err)
			}
			roots := w.fetch
			if c.roots != nil {
				roots = c.roots(w)
			}
			w.disk.Damaged[slot.RootB] = c.damage
			err := w.agent.Take(t.Context(), proof, roots, nil)
			var refused *update.Refused
			if !errors.As(err, &refused) || refused.Reason != c.reason {
				t.Fatalf("%v, want %s", err, c.reason)
			}
			if !strings.Contains(err.Error(), c.reason.Remedy()) {
				t.Errorf("%q does not say what to do", err)
			}
			w.disk.Damaged[slot.RootB] = false
			w.check(runs, update.Rejected, c.reason)
			// It is the last outcome also after the next start, which is in the old root.
			if err := w.boot(); err != nil {
				t.Fatal(err)
			}
			if next, err := w.agent.Resume(); err != nil || next != update.Stay {
				t.Errorf("the next start: %v, %v", next, err)
			}
			w.check(runs, update.Rejected, c.reason)
		})
	}
}

func TestWhatHealthMisses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*update.Health)
		detail string
	}{
		"key":     {func(h *update.Health) { h.Key = false }, "key"},
		"outbox":  {func(h *update.Health) { h.Outbox = false }, "outbox"},
		"signed":  {func(h *update.Health) { h.Signed = 0 }, "statement"},
		"part":    {func(h *update.Health) { h.Read = nil }, "meter gives no values"},
		"receipt": {func(h *update.Health) { h.Receipts = 0 }, "receipt"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, proof := w.release(2, slottest.Root("two", slotSize/2))
			if again, err := w.once(proof, well); err != nil || !again {
				t.Fatal(again, err)
			}
			if err := w.boot(); err != nil {
				t.Fatal(err)
			}
			if next, err := w.agent.Resume(); err != nil || next != update.Gate {
				t.Fatalf("%v, %v: want the gate", next, err)
			}
			ill := well
			c.change(&ill)
			if v, err := w.agent.Judge(ill, time.Second); err != nil || v != update.Wait {
				t.Fatalf("with time left: %v, %v", v, err)
			}
			if v, err := w.agent.Judge(ill, 0); err != nil || v != update.Failed {
				t.Fatalf("without time: %v, %v", v, err)
			}
			if last := w.agent.Last(); last.Reason != update.Unhealthy || !strings.Contains(last.Detail, c.detail) {
				t.Errorf("last outcome %+v", last)
			}
			w.live(proof, well) // it is not taken again
			if got := w.ran[len(w.ran)-1]; got != 1 {
				t.Errorf("ran %v", w.ran)
			}
		})
	}
}

// A trial that the power ends is tried once more, and then never again.
func TestInterruptedTrials(t *testing.T) {
	w := newWorld(t)
	_, proof := w.release(2, slottest.Root("two", slotSize/2))
	for range 2 {
		if again, err := w.once(proof, well); err != nil || !again {
			t.Fatal(again, err)
		}
		if err := w.boot(); err != nil {
			t.Fatal(err)
		}
		if next, err := w.agent.Resume(); err != nil || next != update.Gate || w.running != slot.RootB {
			t.Fatalf("slot %d: %v, %v", w.running, next, err)
		}
		// The power goes before anybody judged.
	}
	if again, err := w.once(proof, well); err != nil || again {
		t.Fatalf("taken a third time: %v, %v", again, err)
	}
	w.check(1, update.FellBack, update.Interrupted)
}

// A root that somebody else put into the idle slot and armed does not stay.
func TestARootThatNobodyVouchesFor(t *testing.T) {
	w := newWorld(t)
	w.release(2, slottest.Root("two", slotSize/2))
	d := w.disk.Slots(slot.RootA)
	if err := errors.Join(d.Write(slot.RootB, bytes.NewReader(w.roots[2]), int64(len(w.roots[2]))), d.Arm()); err != nil {
		t.Fatal(err)
	}
	w.live(nil, well)
	w.check(1, update.FellBack, update.Unknown)
}

func TestJournals(t *testing.T) {
	w := newWorld(t)
	_, proof := w.release(2, slottest.Root("two", slotSize/2))
	w.live(proof, well)
	good := w.store.content
	for name, b := range map[string]string{
		"half": string(good[:len(good)/2]), "another format": `{"format":2}`, "an unknown key": `{"format":1,"x":1}`,
		"a slot that is none": `{"format":1,"floor":0,"pending":{"version":2,"root":"` + strings.Repeat("00", 32) + `","size":1,"slot":1,"phase":"ready"}}`,
	} {
		w.store.content = []byte(b)
		if err := w.open(); !errors.Is(err, update.ErrJournal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := update.File(filepath.Join(t.TempDir(), "journal"))
	if b, err := f.Load(); b != nil || err != nil {
		t.Fatalf("none yet: %q, %v", b, err)
	}
	for _, want := range []string{"one", "two"} {
		if err := f.Save([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if b, err := f.Load(); string(b) != want || err != nil {
			t.Fatalf("%q, %v", b, err)
		}
	}
}

func TestRollOut(t *testing.T) {
	w := newWorld(t)
	r, _ := w.release(2, slottest.Root("two", slotSize/2))
	if err := w.boot(); err != nil {
		t.Fatal(err)
	}
	at := func(percent uint64, issued int64, change func(*manifest.Rollout)) bool {
		t.Helper()
		o := &manifest.Rollout{Origin: r.Origin, Board: r.Board, Version: r.Version, Percent: percent, Issued: issued}
		if change != nil {
			change(o)
		}
		b, err := manifest.SignRollout(manifesttest.Key(t, "release"), o)
		if err != nil {
			t.Fatal(err)
		}
		in, err := w.agent.Included(b, r)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	if at(0, 10, nil) || !at(100, 20, nil) {
		t.Error("none or all is not what it says")
	}
	if at(0, 30, nil); at(100, 20, nil) {
		t.Error("a roll-out that was stopped goes on by an older word")
	}
	if at(100, 40, func(o *manifest.Rollout) { o.Version = 3 }) || at(100, 40, func(o *manifest.Rollout) { o.Board = "lab" }) {
		t.Error("another's roll-out counts")
	}
	b, err := manifest.SignRollout(manifesttest.Key(t, "stranger"), &manifest.Rollout{Origin: r.Origin, Board: r.Board, Version: 2, Percent: 100, Issued: 50})
	if err != nil {
		t.Fatal(err)
	}
	if in, err := w.agent.Included(b, r); in || !errors.Is(err, manifest.ErrSignature) {
		t.Errorf("a stranger's roll-out: %v, %v", in, err)
	}
}
