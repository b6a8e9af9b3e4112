package oracle_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle"
	"wattmark/oracle/wire"
)

// holding returns the files below a directory that hold some bytes. Whose directory it is
// may be at work, so that a file goes meanwhile.
func holding(t testing.TB, dir string, what []byte) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(b, what) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestForget has four oracles forget a metering point by a motion. Then no file of any oracle or of the broker holds
// a pack, a salt or the newest value; an audit of the whole ledger passes; another
// point's packs are all there; and an oracle joins.
func TestForget(t *testing.T) {
	s := newStreet(t, 4, entry.Parameter{Name: entry.ParamSnapshotBlocks, Value: 4})
	s.start(0, 1, 2, 3)
	g, stays := s.enrol("home1", entry.ModeCommitted), s.enrol("home2", entry.ModeCommitted)
	var packs [][]byte
	for range 6 {
		frames := g.read(2)
		for _, f := range frames {
			p, err := wire.ParseFrame(f)
			if err != nil {
				t.Fatal(err)
			}
			packs = append(packs, p.Pack)
		}
		g.deliver(frames...)
		stays.deliver(stays.read(2)...)
	}
	s.level(0, 1, 2, 3)
	for _, p := range packs {
		if n := len(holding(t, s.dir, p)); n < 5 { // four vaults and the broker
			t.Fatalf("%d files hold a pack before it is forgotten, so this shows nothing", n)
		}
	}
	body, err := (&entry.Forgetting{Subject: ledgertest.Subject("home1"), Reason: "moved away"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.adopt(stays, entry.MotionForget, body, 0, 1, 2)
	s.level(0, 1, 2, 3)
	var leaf uint64
	for _, n := range s.nodes {
		s.until("forgetting", func() bool {
			rest, err := n.Ledger().ToForget()
			return err == nil && len(rest) == 0
		})
	}
	refused := len(g.refusals)
	g.publish(g.read(1)...)
	s.until("a refusal", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(g.refusals) > refused && g.refusals[refused].Reason == entry.ReasonForgotten
	})
	s.stop(0, 1, 2, 3)
	for i, p := range packs {
		if files := holding(t, s.dir, p); len(files) > 0 {
			t.Errorf("pack %d is still in %q", i, files)
		}
		if files := holding(t, s.dir, p[2:18]); len(files) > 0 { // [salt of 16, pack]
			t.Errorf("the salt of pack %d is still in %q", i, files)
		}
	}
	s.start(0, 1, 2, 3)
	stays.deliver(append(stays.waiting, stays.read(2)...)...)
	s.level(0, 1, 2, 3)
	for i, n := range s.nodes {
		l := n.Ledger()
		stays.inVault(n)
		a := audit.NewAuditor(l.Pack)
		last, _ := l.Store().Last()
		sum, err := a.Run(ledger.Leaves(l.Store(), 0, last.Size))
		if err != nil || sum.Opaque != uint64(len(packs)) {
			t.Errorf("audit of oracle %d: %v, %d readings unchecked, want %d", i+1, err, sum.Opaque, len(packs))
			continue
		}
		f := a.State().Forgotten()
		if len(f) != 1 || leaf != 0 && f[0].Leaf != leaf {
			t.Fatalf("oracle %d: forgotten %+v", i+1, f)
		}
		leaf = f[0].Leaf
		if diff := cmp.Diff(export(n), a.State().Export()); diff != "" {
			t.Errorf("state of oracle %d (-it +audited):\n%s", i+1, diff)
		}
	}

	// Who joins starts from a snapshot taken after it.
	stays.deliver(stays.read(1)...)
	s.level(0, 1, 2, 3)
	var snapshots []uint64
	s.until("a snapshot after it", func() bool {
		stays.waiting = append(stays.waiting, stays.read(1)...)
		stays.publish(stays.waiting[len(stays.waiting)-1])
		snapshots, _ = ledger.Snapshots(s.oracleDir(0))
		return len(snapshots) > 0
	})
	five := s.join(ledgertest.NewOracle(t, "ledgertest.example/oracle5"))
	s.configure = func(_ int, cfg *oracle.Config) { cfg.Watch = true }
	from := &oracle.Tiles{From: filepath.Join(s.oracleDir(0), "tiles")}
	s.until("joining", func() bool { // when tiles reach to it
		_, err := oracle.Join(context.Background(), s.oracleDir(five), from, s.Policy,
			func(height uint64) ([]byte, error) { return os.ReadFile(ledger.SnapshotFile(s.oracleDir(0), height)) }, nil)
		return err == nil
	})
	s.start(five)
	stays.deliver(append(stays.waiting, stays.read(1)...)...)
	s.level(0, 1, 2, 3, five)
	if diff := cmp.Diff(export(s.nodes[0]), export(s.nodes[five])); diff != "" {
		t.Errorf("state of who joined (-first +it):\n%s", diff)
	}
}

// TestForgottenThoughKilled kills an oracle, a process of its own, in the middle of
// forgetting, again and again from where it was before. Once it is let, no file of it
// holds a pack or a salt, and its state is the others'.
func TestForgottenThoughKilled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := foundStreet(t, 4)
	s.listenForChild()
	s.startBroker()
	s.start(0, 1, 2)
	g, stays := s.enrol("home1", entry.ModeCommitted), s.enrol("home2", entry.ModeCommitted)
	kill := s.child()
	var packs [][]byte
	for range 10 {
		frames := g.read(30)
		for _, f := range frames {
			p, err := wire.ParseFrame(f)
			if err != nil {
				t.Fatal(err)
			}
			packs = append(packs, p.Pack)
		}
		g.deliver(frames...)
		stays.deliver(stays.read(2)...)
	}
	s.level(0, 1, 2)
	dir := s.oracleDir(3)
	held := func() (n int) {
		for i := 0; i < len(packs); i += 30 {
			if len(holding(t, dir, packs[i])) > 0 {
				n++
			}
		}
		return n
	}
	s.until("the packs in the vault of the process", func() bool { return held() == len(packs)/30 })
	kill()
	before := filepath.Join(t.TempDir(), "before")
	copyDir(t, dir, before)

	body, err := (&entry.Forgetting{Subject: ledgertest.Subject("home1"), Reason: "moved away"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	height := s.adopt(stays, entry.MotionForget, body, 0, 1, 2)
	s.level(0, 1, 2)
	again := func() (kill func()) {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		copyDir(t, before, dir)
		return s.child()
	}
	kill, begun := again(), time.Now()
	s.until("forgetting", func() bool { return held() == 0 })
	took := time.Since(begun)
	kill()
	// The moments close in on it: later after a kill before the block, sooner after one
	// behind the end.
	middle, from, to := 0, time.Duration(0), took
	const kills = 12
	for range kills {
		kill := again()
		at := from + time.Duration(rng.Int64N(int64(max(to-from, time.Millisecond))))
		time.Sleep(at)
		kill()
		h, _ := lastOf(t, dir)
		switch n := held(); {
		case h < height-1: // the block before the motion takes effect closes the point
			from = (from + at) / 2
		case n == 0:
			to = (to + at) / 2
		default:
			middle++
		}
	}
	t.Logf("%d of %d kills fell between the block and the end of forgetting", middle, kills)
	if middle == 0 {
		t.Error("no kill fell into forgetting")
	}
	kill = s.child()
	s.until("the process to forget what it was killed over", func() bool { return held() == 0 })
	kill()
	for i, p := range packs {
		if files := holding(t, dir, p[2:18]); len(files) > 0 { // [salt of 16, pack]
			t.Errorf("the salt of pack %d is still in %q", i, files)
		}
	}
	s.start(3)
	s.level(0, 1, 2, 3)
	if rest, err := s.nodes[3].Ledger().ToForget(); err != nil || len(rest) > 0 {
		t.Errorf("still to forget: %v, %v", rest, err)
	}
	stays.inVault(s.nodes[3])
	if diff := cmp.Diff(export(s.nodes[0]), export(s.nodes[3])); diff != "" {
		t.Errorf("state (-first +it):\n%s", diff)
	}
}
