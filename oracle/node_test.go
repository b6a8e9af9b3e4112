package oracle_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"golang.org/x/mod/sumdb/tlog"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle"
	"wattmark/oracle/api"
	"wattmark/oracle/ingest"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
)

// The whole way: four oracles, readings open and committed, receipts that verify,
// packs in every vault, tiles that anybody can check.
func TestReadingsBecomeFinal(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	open, hidden := s.enrol("home-1", entry.ModeOpen), s.enrol("home-2", entry.ModeCommitted)
	open.deliver(open.read(30)...)
	hidden.deliver(hidden.read(20)...)
	open.deliver(open.read(1)...)
	s.level(0, 1, 2, 3)
	for _, n := range s.nodes {
		open.once(n)
		hidden.once(n)
		hidden.inVault(n)
		f := n.Final()
		if signed, err := s.Policy.Verify(f.Note); err != nil || signed.Checkpoint != f.Checkpoint {
			t.Errorf("final checkpoint: got %+v and error %v", signed, err)
		}
	}
	dirs := make([]string, len(s.nodes))
	for i := range dirs {
		dirs[i] = filepath.Join(s.oracleDir(i), "tiles")
	}
	size := s.nodes[0].Final().Size
	s.stop(0, 1, 2, 3) // publishes what is new once more
	for _, dir := range dirs {
		checkTiles(t, s, dir, size)
	}
}

// tiles reads a published directory for golang.org/x/mod/sumdb/tlog.
type tiles struct{ dir string }

func (r tiles) Height() int { return 8 }

func (r tiles) ReadTiles(list []tlog.Tile) (out [][]byte, err error) {
	for _, t := range list {
		path := t.Path()[len("tile/8/"):]
		b, err := os.ReadFile(filepath.Join(r.dir, "tile", path))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (r tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// checkTiles reads a directory as a stranger would: the checkpoint under the
// policy, every hash from the tiles, every leaf from the entry bundles.
func checkTiles(t *testing.T, s *street, dir string, least uint64) {
	t.Helper()
	note, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Policy.Verify(note)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	if c.Size < least {
		t.Errorf("%s: published up to leaf %d of %d", dir, c.Size, least)
	}
	hashes := tlog.TileHashReader(tlog.Tree{N: int64(c.Size), Hash: tlog.Hash(c.Root)}, tiles{dir})
	if root, err := tlog.TreeHash(int64(c.Size), hashes); err != nil || block.Hash(root) != c.Root {
		t.Fatalf("%s: root %v and error %v, want %v", dir, root, err, c.Root)
	}
	var leaves uint64
	for n := uint64(0); n < c.Size; n += 256 {
		width := min(c.Size-n, 256)
		tile := tlog.Tile{H: 8, L: -1, N: int64(n / 256), W: int(width)}
		path := tile.Path()[len("tile/8/data/"):]
		b, err := os.ReadFile(filepath.Join(dir, "tile", "entries", path))
		if err != nil {
			t.Fatal(err)
		}
		for ; len(b) > 0; leaves++ {
			size := int(b[0])<<8 | int(b[1])
			leaf := b[2 : 2+size]
			b = b[2+size:]
			got, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(leaves))})
			if err != nil || block.Hash(got[0]) != block.LeafHash(leaf) {
				t.Fatalf("%s: leaf %d does not have the hash in the tiles; error %v", dir, leaves, err)
			}
		}
	}
	if leaves != c.Size {
		t.Errorf("%s: the bundles hold %d leaves, the checkpoint says %d", dir, leaves, c.Size)
	}
}

// What is sent twice gets a receipt twice, and stands on the ledger once.
func TestSentTwiceIsLoggedOnce(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	frames := g.read(10)
	g.deliver(frames...)
	s.level(0, 1, 2, 3)
	for range 3 {
		g.publish(frames...)
	}
	s.until("receipts for what was sent again", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for count := range g.sent {
			if g.receipts[count] < 2 {
				return false
			}
		}
		return true
	})
	g.once(s.nodes[0])
	copies := uint64(0)
	for _, n := range s.nodes {
		copies += n.Ingest().Stats().Duplicates
	}
	if copies < uint64(len(frames)) {
		t.Errorf("%d copies are counted, want %d or more", copies, len(frames))
	}
}

// What a gateway sends again goes to one oracle by its number, and that one alone takes
// it in: none can swallow it that pretends to be many.
func TestSentToOneOracle(t *testing.T) {
	s := newStreet(t, 4)
	s.start(s.all()...)
	g := s.enrol("home-1", entry.ModeOpen)
	hog := s.connect()
	for range 50 {
		if _, err := hog.QueueSubscribe(s.subjects.Up("*"), wire.QueueGroup, func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := hog.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range s.nodes {
		before := s.nodes[i].Ingest().Stats().Accepted
		frames := g.read(3)
		for _, f := range frames {
			if err := g.conn.Publish(s.subjects.UpTo(g.name, i), f); err != nil {
				t.Fatal(err)
			}
		}
		s.until("receipts", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(g.places) == len(g.sent)
		})
		if took := s.nodes[i].Ingest().Stats().Accepted - before; took != 3 {
			t.Errorf("oracle %d took in %d of the 3 statements sent to it", i+1, took)
		}
	}
}

// Two oracles that take in one statement both answer, and it is logged once.
func TestTwoOraclesTakeInOneStatement(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	frames := g.read(5)
	for i := range 2 {
		for _, f := range frames {
			if !s.nodes[i].Ingest().Offer("home-1", f) {
				t.Fatal("the queue is full")
			}
		}
	}
	s.until("receipts of both oracles", func() bool {
		return s.answered(0) >= 5 && s.answered(1) >= 5
	})
	s.until("all receipts", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(g.places) == 5
	})
	s.level(2, 0)
	g.once(s.nodes[2])
}

// Copies that were ordered, in one block with the first and later, leave nothing
// on the ledger; another statement with the same number leaves its refusal.
func TestCopiesInTheOrderLeaveNothing(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	frames := g.read(3)
	f, err := wire.ParseFrame(frames[0])
	if err != nil {
		t.Fatal(err)
	}
	three := ingest.EncodeBundle([][]byte{f.Statement, f.Statement, f.Statement})
	for i := range s.nodes {
		if err := s.nodes[i].Submit(context.Background(), f.Statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.submit(three); err != nil {
		t.Fatal(err)
	}
	g.deliver(frames...)
	if err := s.submit(append(three, ingest.EncodeBundle([][]byte{f.Statement})[1:]...)); err != nil {
		t.Fatal(err)
	}
	g.deliver(g.read(2)...)
	s.level(0, 1, 2, 3)
	g.once(s.nodes[1])

	lie := s.Reading("home-1", ledgertest.Record("home-1", "energy", 7, s.now().UnixMilli()))
	lie.Claims.Sequence.Count = 1
	statement, _ := lie.Sign(t)
	if err := s.nodes[2].Submit(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
	s.until("the refusal of another statement with the number", func() bool {
		return s.seen(3, func(e oracle.Event) bool {
			return e.Block != nil && slices.Contains(e.Block.Result.Reasons, entry.ReasonSequenceUsed)
		}) == 1
	})
}

// submit puts a message into the order.
func (s *street) submit(msg []byte) error {
	s.t.Helper()
	o, err := jetstream.Open(context.Background(), s.connect(), jetstream.Config{Ledger: wire.ShortName(ledgertest.Origin)})
	if err != nil {
		s.t.Fatal(err)
	}
	return o.Submit(context.Background(), msg)
}

// answered counts the receipts that a node sent.
func (s *street) answered(i int) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.node == i {
			n += e.Answered
		}
	}
	return n
}

// A refusal is signed, says which statement is meant, and changes nothing.
func TestRefusalsAreSigned(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	s.level(0, 1, 2, 3)
	before := s.nodes[0].Final().Height
	future := s.Reading("home-1", ledgertest.Record("home-1", "energy", 5, s.now().UnixMilli()))
	future.Claims.IssuedAt = s.now().Unix() + 3600
	statement, _ := future.Sign(t)
	g.publish(wire.Frame{Statement: statement}.Encode(), []byte("no frame"))
	s.until("two refusals", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(g.refusals) == 2
	})
	want := map[wire.Refusal]bool{
		{Leaf: block.LeafHash(statement), Boot: 1, Count: 1, Reason: entry.ReasonFuture}: true,
		{Leaf: block.LeafHash([]byte("no frame")), Reason: entry.ReasonMalformed}:        true,
	}
	s.mu.Lock()
	for _, r := range g.refusals {
		if !want[r] {
			t.Errorf("got refusal %+v", r)
		}
	}
	s.mu.Unlock()
	counted := uint64(0)
	for _, n := range s.nodes {
		for _, c := range n.Ingest().Stats().Refused {
			counted += c
		}
	}
	if counted != 2 {
		t.Errorf("%d refusals are counted, want 2", counted)
	}
	told := make(map[string]api.RefusedLast)
	for _, n := range s.nodes {
		for _, r := range n.API().Refused() {
			if r.Count != 1 || r.Remedy == "" || len(r.Last) != 1 {
				t.Errorf("an oracle tells its operator %+v", r)
				continue
			}
			told[r.Reason] = r.Last[0]
		}
	}
	if f := told[string(entry.ReasonFuture)]; len(told) != 2 || f.Gateway != "home-1" || f.Boot != 1 || f.Count != 1 || f.At == 0 {
		t.Errorf("operators are told of %+v", told)
	}
	if got := s.nodes[0].Final().Height; got != before {
		t.Errorf("refusals made blocks %d to %d", before+1, got)
	}
	// A statement that is ordered all the same is refused by the rules.
	if err := s.nodes[0].Submit(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
	s.until("the rules' refusal", func() bool {
		return s.seen(3, func(e oracle.Event) bool { return e.Block != nil && len(e.Block.Result.Refusals) == 1 }) == 1
	})
}
