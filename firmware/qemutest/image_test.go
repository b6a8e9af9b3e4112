package qemutest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"wattmark/firmware/update"
	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
)

// cuts is how often the power is pulled.
const cuts = 10

// TestImage is the life of a gateway: it is built, written to a card, switched on, sends,
// loses its power ten times, updates itself, is offered garbage, and goes on.
func TestImage(t *testing.T) {
	needQEMU(t)
	s := newSite(t)
	one := build(t, "lab", 1, s.perm)
	two := build(t, "lab", 2, "")
	if one.Root == two.Root {
		t.Fatal("two versions have one root")
	}
	m := s.machine
	m.card = one.image
	s.publish(released(t, one), nil) // what the card begins with is logged too
	m.on()
	last := s.more(3, one.Root)
	if got := s.told(); got == nil || got.Board != "lab" || got.Version != 1 || got.Commit != one.Commit || got.Root != one.Root {
		t.Errorf("the birth tells %+v, built was %+v", got, one)
	}
	if last.claims.Time == nil || last.claims.IssuedAt < time.Now().Add(-time.Hour).Unix() {
		t.Errorf("it has no time: %+v", last.claims)
	}
	t.Run("power", func(t *testing.T) { s.loses(t, one.Root) })
	t.Run("verify", func(t *testing.T) { s.verify(t, s.more(1, one.Root), one) })
	t.Run("update", func(t *testing.T) {
		root, err := os.ReadFile(two.root)
		if err != nil {
			t.Fatal(err)
		}
		s.publish(released(t, two), root)
		last := s.more(2, two.Root)
		s.until("version 2 was kept", func() bool {
			f := s.told()
			return f != nil && f.Version == 2 && f.Update != nil && f.Update.Result == string(update.Kept)
		})
		s.verify(t, last, two)
		m.off()
		m.on()
		s.more(1, two.Root)
	})
	t.Run("garbage", func(t *testing.T) {
		garbage := bytes.Repeat([]byte("no root "), 8192)
		sum := sha256.Sum256(garbage)
		r := released(t, two)
		r.Version, r.Root, r.Size = 3, sum, uint64(len(garbage))
		s.publish(r, garbage)
		s.until("version 3 was tried and given up", func() bool {
			f := s.told()
			return f != nil && f.Version == 2 && f.Update != nil && f.Update.Version == 3 && f.Update.Result == string(update.FellBack) && f.Update.Reason == string(update.NotBooted)
		})
		s.more(1, two.Root)
	})
	t.Run("refused", func(t *testing.T) {
		r := released(t, two)
		r.Version, r.Kernel = 4, "6.18.1-v8"
		s.publish(r, nil)
		s.until("version 4 was refused", func() bool {
			f := s.told()
			return f != nil && f.Update != nil && f.Update.Version == 4 && f.Update.Result == string(update.Rejected) && f.Update.Reason == string(update.OtherKernel)
		})
	})
	t.Run("unhealthy", func(t *testing.T) { s.unhealthy(t, two) })
	s.chain(t)
}

// unhealthy offers a release that starts well and gets no receipt, as its line to the
// oracles is cut: it is given up when its time is over, the old root runs again, and the
// gateway says why.
func (s *site) unhealthy(t *testing.T, runs built) {
	five := build(t, "lab", 5, "")
	root, err := os.ReadFile(five.root)
	if err != nil {
		t.Fatal(err)
	}
	starts := func() int { return strings.Count(s.machine.log.String(), "Booting Linux on physical CPU") }
	before := starts()
	s.line.cut(true)
	s.publish(released(t, five), root)
	s.until("version 5 was tried, and the machine has started again", func() bool { return starts() >= before+2 })
	s.line.cut(false)
	s.until("version 5 is told to have been unhealthy", func() bool {
		f := s.told()
		return f != nil && f.Version == runs.Version && f.Update != nil && f.Update.Version == 5 &&
			f.Update.Result == string(update.FellBack) && f.Update.Reason == string(update.Unhealthy)
	})
	s.more(1, runs.Root)
}

// released is the release of an image.
func released(t *testing.T, b built) *entry.Release {
	t.Helper()
	r := &entry.Release{Origin: releaseOrigin, Board: b.Board, Version: b.Version, Commit: b.Commit, Size: b.Size, Kernel: b.Kernel}
	raw, err := hex.DecodeString(b.Root)
	if err != nil || len(raw) != len(r.Root) {
		t.Fatalf("root %q: %v", b.Root, err)
	}
	copy(r.Root[:], raw)
	return r
}

// loses pulls the plug at random moments of starting and running.
func (s *site) loses(t *testing.T, root string) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("moments drawn from the seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	for i := range cuts {
		s.machine.off()
		s.machine.on()
		// Half of the cuts come while it starts, the others once it sends.
		if i%2 == 1 {
			s.more(1, root)
		}
		wait := time.NewTimer(time.Duration(draw.IntN(8000)) * time.Millisecond)
		select {
		case <-wait.C:
		case <-t.Context().Done():
			t.Fatal("ended")
		}
	}
	s.machine.off()
	s.machine.on()
	s.more(2, root)
	s.chain(t)
}

// chain checks what the ledger has of the gateway: no number stands for two statements,
// and whatever a statement says was before it is there too, once all was sent.
func (s *site) chain(t *testing.T) {
	t.Helper()
	var missing int
	s.until("every statement's predecessor is on the ledger", func() bool {
		have := make(map[[32]byte]bool)
		list := s.statements(0)
		for _, l := range list {
			have[l.identity] = true
		}
		missing = 0
		for _, l := range list {
			if len(l.claims.Previous) > 0 && !have[[32]byte(l.claims.Previous)] {
				missing++
			}
		}
		return missing == 0
	})
	seen := make(map[entry.Sequence]bool)
	boots := make(map[uint64]int)
	for _, l := range s.statements(0) {
		if seen[l.claims.Sequence] {
			t.Errorf("the number %v stands twice", l.claims.Sequence)
		}
		seen[l.claims.Sequence] = true
		boots[l.claims.Sequence.Boot]++
	}
	// The oracle refuses a number that comes with other bytes, and says so on the ledger.
	src := s.far.Oracle.Ledger().Store()
	err := src.Leaves(0, src.Size(), func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafOutcome {
			return nil
		}
		o, err := entry.ParseOutcome(leaf)
		if err == nil && o.Kind == entry.OutcomeRefused {
			t.Errorf("leaf %d: a statement was refused: %s", i, o.Code)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d statements of %d boots, none missing, none twice", len(seen), len(boots))
}

// verify asks, of evidence for a statement, which release signed it.
func (s *site) verify(t *testing.T, l logged, want built) {
	t.Helper()
	src := s.far.Oracle.Ledger().Store()
	var note []byte
	s.until("the statement is final", func() bool {
		checkpoint, _, ok := src.Final()
		if !ok {
			return false
		}
		note = checkpoint
		signed, err := s.far.Policy.Verify(checkpoint)
		return err == nil && signed.Size > l.leaf
	})
	signed, err := s.far.Policy.Verify(note)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ledger.Evidence(src, note, signed.Checkpoint, l.leaf, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := audit.Verify("reading.evidence", e.Encode(), audit.Trust{Policy: s.far.Policy})
	for _, v := range r.Verdicts {
		if v.Check != audit.CheckRelease {
			continue
		}
		if name := fmt.Sprintf("release %d for %s of %s", want.Version, want.Board, releaseOrigin); v.Verdict != audit.Holds || !strings.HasPrefix(v.Detail, name) {
			t.Errorf("%+v, want %s", v, name)
		}
		t.Logf("verify says: %s", v.Detail)
		return
	}
	t.Errorf("nothing is said of the release: %+v", r.Verdicts)
}
