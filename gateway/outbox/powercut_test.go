package outbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"wattmark/gateway/outbox"
)

// witness remembers what an outbox promised, over all its lives.
type witness struct {
	handed    map[outbox.Number]bool            // numbers handed out
	signed    map[outbox.Number][]byte          // statements appended
	durable   map[outbox.Number]bool            // flushed without error, or shown to the uplink
	shown     map[outbox.Number]bool            // shown to the uplink
	receipted map[outbox.Number]bool            // receipted, durable or not
	final     map[outbox.Number]bool            // receipted, and flushed since
	saying    map[outbox.Number][]outbox.Gap    // skipped ranges and gaps that statements say
	replaces  map[outbox.Number][]outbox.Number // by statements that were appended
	unflushed []outbox.Number                   // appended since the last flush
	facts     int                               // how often the fact was put,
	factsKept int                               // and which of these was flushed last
}

func newWitness() *witness {
	return &witness{
		handed: map[outbox.Number]bool{}, signed: map[outbox.Number][]byte{},
		durable: map[outbox.Number]bool{}, shown: map[outbox.Number]bool{},
		receipted: map[outbox.Number]bool{}, final: map[outbox.Number]bool{},
		saying: map[outbox.Number][]outbox.Gap{}, replaces: map[outbox.Number][]outbox.Number{},
	}
}

// life is one process over one outbox.
type life struct {
	*outbox.Outbox
	w       *witness
	rng     *rand.Rand
	offline bool // the uplink is rarely there, so that the outbox fills
}

func statementOf(n outbox.Number) []byte {
	return fmt.Appendf(nil, "statement %s %s", n, bytes.Repeat([]byte{'x'}, int(n.Seq*37%300)))
}

// sign takes a number and appends its statement.
func (l *life) sign() error { return l.signFor(nil) }

// thin signs a statement in place of some of the oldest that wait.
func (l *life) thin() error {
	recs, err := l.Thinnable(outbox.Number{}, 2+l.rng.IntN(8))
	if err != nil || len(recs) == 0 {
		return err
	}
	var list []outbox.Number
	for _, r := range recs { // as of one of two metering points
		if r.Boot == recs[0].Boot && l.rng.IntN(3) > 0 {
			list = append(list, r.Number())
		}
	}
	if len(list) == 0 {
		return nil
	}
	return l.signFor(list)
}

// put sets the fact to a value that was not there before.
func (l *life) put() error {
	l.w.facts++
	return l.Put("total", fmt.Appendf(nil, "%d", l.w.facts))
}

// signFor signs a statement that replaces others, if there are any.
func (l *life) signFor(replaces []outbox.Number) error {
	boot, seq, skipped, err := l.NextSeq()
	if err != nil {
		return err
	}
	n := outbox.Number{Boot: boot, Seq: seq}
	if l.w.handed[n] {
		return fmt.Errorf("number %s was handed out twice", n)
	}
	l.w.handed[n] = true
	if l.rng.IntN(12) == 0 {
		return nil // the key failed: the number is not used
	}
	rec := outbox.Record{Boot: boot, Seq: seq, Statement: statementOf(n), Covers: l.Gaps(), Replaces: replaces}
	if skipped != nil {
		l.w.saying[n] = append(l.w.saying[n], outbox.Gap{Range: *skipped, Reason: outbox.Skipped})
	}
	l.w.saying[n] = append(l.w.saying[n], rec.Covers...)
	if n.Seq%5 == 0 {
		rec.Pack = []byte("salt and pack")
	}
	l.w.signed[n] = rec.Statement
	if len(replaces) > 0 {
		l.w.replaces[n] = replaces
	}
	l.w.unflushed = append(l.w.unflushed, n)
	err = l.Append(rec)
	if errors.Is(err, outbox.ErrMemory) { // it was not taken, and its number is skipped
		delete(l.w.signed, n)
		delete(l.w.saying, n)
		delete(l.w.replaces, n)
		l.w.unflushed = l.w.unflushed[:len(l.w.unflushed)-1]
	}
	return err
}

func (l *life) flush() error {
	if err := l.Flush(); err != nil {
		return err
	}
	l.settled()
	return nil
}

// settled is called when everything so far is known to be durable.
func (l *life) settled() {
	for _, n := range l.w.unflushed {
		l.w.durable[n] = true
	}
	l.w.unflushed, l.w.factsKept = nil, l.w.facts
	maps.Copy(l.w.final, l.w.receipted)
}

// uplink sends what is pending and gets receipts for most of it.
func (l *life) uplink(max int) error {
	recs, err := l.Pending(outbox.Number{}, max)
	if err != nil {
		return err
	}
	for _, r := range recs {
		n := r.Number()
		if state, _ := l.State(); state == outbox.OnDisk {
			l.w.shown[n], l.w.durable[n] = true, true
		}
		if l.w.final[n] {
			return fmt.Errorf("%s is pending again after its receipt", n)
		}
		if !bytes.Equal(r.Statement, l.w.signed[n]) {
			return fmt.Errorf("%s has other bytes: %q", n, r.Statement)
		}
		switch l.rng.IntN(10) {
		case 0: // no answer
		case 1:
			err = l.Refused(r.Boot, r.Seq, "clock too far")
		default:
			if err = l.Receipted(r.Boot, r.Seq, fmt.Appendf(nil, "receipt %s", n)); err == nil {
				l.w.receipted[n] = true
			}
		}
		if errors.Is(err, outbox.ErrUnknown) {
			continue // the mark before it made room by dropping it, and a gap says so
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check compares what an outbox, just opened and booted, holds with what was
// promised, and forgets what it may have lost.
func (w *witness) check(o *outbox.Outbox) error {
	w.unflushed = nil
	here := map[outbox.Number]bool{}
	var cursor outbox.Number
	for {
		recs, err := o.Pending(cursor, 10)
		if err != nil {
			return err
		}
		if len(recs) == 0 {
			break
		}
		for _, r := range recs {
			cursor = r.Number()
			here[cursor] = true
			if w.final[cursor] {
				return fmt.Errorf("%s is pending though its receipt was durable", cursor)
			}
			delete(w.receipted, cursor) // its mark was lost; it is sent again
			w.shown[cursor], w.durable[cursor] = true, true
			if !bytes.Equal(r.Statement, w.signed[cursor]) || !bytes.Equal(r.Pack, packOf(cursor)) {
				return fmt.Errorf("%s has other bytes: %q %q", cursor, r.Statement, r.Pack)
			}
		}
	}
	for _, r := range o.Refusals() {
		here[r.Number] = true
		delete(w.receipted, r.Number)
		if w.final[r.Number] {
			return fmt.Errorf("%s is refused though its receipt was durable", r.Number)
		}
	}
	kept, err := o.Receipts()
	if err != nil {
		return err
	}
	for _, r := range kept {
		n := r.Number()
		if !w.receipted[n] || string(r.Receipt) != "receipt "+n.String() || !bytes.Equal(r.Statement, w.signed[n]) {
			return fmt.Errorf("kept receipt of %s: %q for %q", n, r.Receipt, r.Statement)
		}
		here[n] = true
	}
	if err := w.checkFact(o); err != nil {
		return err
	}
	for by, list := range w.replaces {
		for _, n := range list {
			if here[by] && here[n] && !w.receipted[n] {
				return fmt.Errorf("%s is there beside %s, which replaced it", n, by)
			}
		}
	}
	said := w.accounted(o, here)
	for n := range w.signed {
		covered := slices.ContainsFunc(said, func(g outbox.Gap) bool { return g.Contains(n) })
		dropped := slices.ContainsFunc(said, func(g outbox.Gap) bool { return g.Contains(n) && g.Reason == outbox.Full })
		switch {
		case here[n], w.receipted[n], dropped, w.replaced(o, n, here), covered && !w.durable[n]:
		case w.shown[n]:
			return fmt.Errorf("%s was given to the uplink and is gone", n)
		case w.durable[n]:
			return fmt.Errorf("%s was durable and is gone", n)
		default:
			return fmt.Errorf("%s was lost and nothing says so", n)
		}
	}
	return nil
}

// replaced tells whether a statement in the place of n is here or receipted, or a
// gap says that it was dropped itself.
func (w *witness) replaced(o *outbox.Outbox, n outbox.Number, here map[outbox.Number]bool) bool {
	for by, list := range w.replaces {
		if slices.Contains(list, n) && (here[by] || w.receipted[by]) {
			return true
		}
	}
	thinned := func(g outbox.Gap) bool { return g.Reason == outbox.Thinned && g.Contains(n) }
	if slices.ContainsFunc(o.Gaps(), thinned) {
		return true
	}
	for by, gaps := range w.saying {
		if (here[by] || w.receipted[by]) && slices.ContainsFunc(gaps, thinned) {
			return true
		}
	}
	return false
}

// checkFact wants the newest value that was flushed, or one after it.
func (w *witness) checkFact(o *outbox.Outbox) error {
	n := 0
	if b := o.Get("total"); b != nil {
		var err error
		if n, err = strconv.Atoi(string(b)); err != nil {
			return err
		}
	}
	if n < w.factsKept || n > w.facts {
		return fmt.Errorf("the fact has its value %d, and %d was flushed of %d", n, w.factsKept, w.facts)
	}
	w.facts, w.factsKept = n, n // what was lost is put again
	return nil
}

func packOf(n outbox.Number) []byte {
	if n.Seq%5 == 0 {
		return []byte("salt and pack")
	}
	return nil
}

// accounted lists the gaps that are said to be missing: by statements that
// are here or at the oracles, by open gaps, and by what the next number skips.
func (w *witness) accounted(o *outbox.Outbox, here map[outbox.Number]bool) []outbox.Gap {
	var said []outbox.Gap
	for n, gaps := range w.saying {
		if here[n] || w.receipted[n] {
			said = append(said, gaps...)
		}
	}
	// The last are those that NextSeq will tell, one after the other.
	return slices.Concat(said, o.Gaps(), outbox.SkippedOf(o))
}

var simOptions = outbox.Small(outbox.Options{GatewayID: "gw", MaxBytes: 10 * 2048, MemoryBytes: 4096}, 2048, 4, 16)

// script runs a gateway's life on a file system: some processes and boots, with
// everything an outbox can do. It ends early when the power goes.
func script(t *testing.T, fsys *simFS, w *witness, rng *rand.Rand, boot string, offline bool, steps int) error {
	o, _, err := outbox.Open(fsys, "box", simOptions)
	if err != nil {
		return err
	}
	if _, err := o.RaiseBoot(boot); err != nil {
		return err
	}
	if fsys.dead {
		return errCut
	}
	if err := w.check(o); err != nil {
		t.Fatal(err)
	}
	l := &life{o, w, rng, offline}
	for range steps {
		if err := l.step(); err != nil && !errors.Is(err, errCut) && !errors.Is(err, outbox.ErrMemory) {
			t.Fatal(err)
		}
		if fsys.dead {
			return errCut
		}
	}
	if rng.IntN(2) == 0 {
		if err := o.Close(); err != nil {
			return err
		}
		l.settled()
	} else {
		clear(fsys.locks) // killed
	}
	if fsys.dead {
		return errCut // while it tidied up, when all was durable
	}
	return nil
}

func (l *life) step() error {
	switch k := l.rng.IntN(20); {
	case k < 9:
		return l.sign()
	case k < 10:
		return l.thin()
	case k < 11:
		return l.put()
	case k < 14:
		return l.flush()
	case k < 18:
		if l.offline && l.rng.IntN(8) > 0 {
			return nil
		}
		return l.uplink(1 + l.rng.IntN(20))
	case k < 19:
		for _, r := range l.Refusals() {
			if l.rng.IntN(2) == 0 {
				err := l.Resend(r.Boot, r.Seq)
				if errors.Is(err, outbox.ErrUnknown) && !slices.Contains(l.Refusals(), r) {
					continue // as in uplink
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// whole runs several processes of the script.
func whole(t *testing.T, fsys *simFS, w *witness, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range 4 {
		// Every second time the machine is the same boot.
		if err := script(t, fsys, w, rng, fmt.Sprintf("boot-%d", i/2), seed%2 == 0, 50); err != nil {
			return err
		}
	}
	return nil
}

// TestPowerCut cuts the power at every operation of a scripted run, with each
// fate of what was not durable, opens the outbox again (sometimes with a second
// cut in that), and holds it to its promises. In the second run the uplink is
// hardly there, so that the outbox fills.
func TestPowerCut(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			counting := newSim()
			if err := whole(t, counting, newWitness(), seed); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations", counting.ops)
			for cut := 1; cut <= counting.ops; cut++ {
				for f := lost; f < fates; f++ {
					cutOnce(t, seed, cut, f)
				}
			}
		})
	}
}

func cutOnce(t *testing.T, seed uint64, cut int, f fate) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d, cut at operation %d, unsynced writes %s", seed, cut, f)
		}
	}()
	w, fsys := newWitness(), newSim()
	fsys.cutAt = cut
	if err := whole(t, fsys, w, seed); !errors.Is(err, errCut) {
		t.Fatalf("the run did not end with the cut: %v", err)
	}
	rng := rand.New(rand.NewPCG(seed, uint64(cut)<<8|uint64(f)))
	for life := 0; life < 3; life++ {
		fsys = fsys.afterCut(f, rng)
		if life < 2 && rng.IntN(2) == 0 {
			fsys.cutAt = 1 + rng.IntN(8) // while it recovers
		}
		boot := fmt.Sprintf("after-%d-%d", cut, life)
		if rng.IntN(3) == 0 {
			boot = "boot-2" // as when only the disk lost power
		}
		if err := script(t, fsys, w, rng, boot, seed%2 == 0, 15); err != nil && !fsys.dead {
			t.Fatalf("reopening: %v", err)
		}
		fsys.cutAt = 0
	}
}
