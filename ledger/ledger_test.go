package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/signer"
)

// street is a few blocks with some of everything.
const street = `
	+home1 +home2:committed +stack:es256
	home1=1000 home2=500 stack=7
	home1=1010 home2=400 stack=6 junk home1#2=9 vote1:late_after_s=3600@6
	vote2:late_after_s=3600@6 vote3:late_after_s=3600@6 -stack home2=520
	stack=8 home1=1020 +stack also2:+stack
	home1@-5000=1021 home2=540 also3:+stack end4:home2 end1:home2
	end2:home2 stack=5 end3:home1
`

// create founds the ledger of a chain in a new directory and opens it.
func create(t *testing.T, c *ledgertest.Chain, opts store.Options) (*ledger.Ledger, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ledger")
	if err := ledger.Create(dir, c.Charter); err != nil {
		t.Fatal(err)
	}
	return open(t, dir, opts), dir
}

func open(t *testing.T, dir string, opts store.Options) *ledger.Ledger {
	t.Helper()
	l, report, err := ledger.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, line := range report.Lines() {
		t.Log(line)
	}
	return l
}

// appendBlock gives a drawn block to the ledger and compares what comes out.
func appendBlock(t *testing.T, l *ledger.Ledger, b *ledgertest.Block) {
	t.Helper()
	inputs, hashes := b.Inputs()
	got, err := l.Append(inputs, hashes, orderOf(b))
	if err != nil {
		t.Fatal(err)
	}
	want := &ledger.Block{Header: b.Header, Checkpoint: b.Checkpoint, Result: b.Result}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(block.Header{})); diff != "" {
		t.Fatalf("block %d (-drawn +appended)\n%s", b.Header.Height, diff)
	}
}

func orderOf(b *ledgertest.Block) ledger.Order {
	return ledger.Order{Sequence: 10 * b.Header.Height, Digest: [32]byte{byte(b.Header.Height)}}
}

// check compares an open ledger with a chain up to a block.
func check(t *testing.T, l *ledger.Ledger, c *ledgertest.Chain, height int) {
	t.Helper()
	b := c.Blocks[height]
	h, cp, order := l.Last()
	want := orderOf(b)
	if height == 0 {
		want = ledger.Order{}
	}
	if h != *b.Header || cp != b.Checkpoint || order != want {
		t.Errorf("last block is %+v %+v %+v, want %+v %+v %+v", h, cp, order, *b.Header, b.Checkpoint, want)
	}
	l.View(func(s *state.State) {
		if diff := cmp.Diff(b.Export, s.Export()); diff != "" {
			t.Errorf("state after block %d\n%s", height, diff)
		}
	})
	for _, b := range c.Blocks[:height+1] {
		for _, q := range b.Result.Sequences {
			leaf, _ := c.Leaf(q.Leaf)
			at, got, ok := l.Logged(q.KeyID, q.Sequence)
			if !ok || at != q.Leaf || !bytes.Equal(got, leaf) {
				t.Errorf("sequence number %v of key %v: leaf %d (%v), want %d", q.Sequence, q.KeyID, at, ok, q.Leaf)
			}
		}
	}
}

func TestAppendAndOpenAgain(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	l, dir := create(t, c, store.Options{})
	check(t, l, c, 0)
	for h, b := range c.Blocks[1:] {
		appendBlock(t, l, b)
		check(t, l, c, h+1)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, dir, store.Options{})
		check(t, l, c, h+1)
	}
	if _, _, ok := l.Logged(c.GatewayKey("home1").Public().ID(), entry.Sequence{Boot: 1, Count: 77}); ok {
		t.Error("a sequence number nobody used is logged")
	}
	for h := range c.Blocks {
		for _, b := range c.Blocks[h].Messages {
			if b.Pack != nil && c.Packs(packDigest(t, b.Statement)) != nil && !bytes.Equal(l.Pack(packDigest(t, b.Statement)), b.Pack) {
				t.Errorf("block %d: a committed pack is not in the vault", h)
			}
		}
	}
	if l.Pack(nil) != nil || l.Pack(make([]byte, 32)) != nil {
		t.Error("the vault gives packs that nobody committed to")
	}
	r, err := store.Check(dir, nil)
	if err != nil || !r.OK() {
		t.Errorf("store check: %v %+v", err, r.Faults)
	}
}

func packDigest(t *testing.T, statement []byte) []byte {
	t.Helper()
	m, err := signer.Parse(statement)
	if err != nil {
		t.Fatal(err)
	}
	return m.Payload
}

// TestCrash copies the directory as a crash would leave it, with the index of any
// earlier moment or none at all: opened, it is the same ledger, and goes on.
func TestCrash(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	last := len(c.Blocks) - 1
	l, dir := create(t, c, store.Options{FlushBlocks: 1})
	var indexes []string
	keep := func() {
		t.Helper()
		if err := l.Store().Flush(); err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "index.db")
		copyFile(t, filepath.Join(dir, "index.db"), copied)
		indexes = append(indexes, copied)
	}
	keep()
	for _, b := range c.Blocks[1:last] {
		appendBlock(t, l, b)
		keep()
	}
	for i, index := range append(indexes, "") {
		t.Run(fmt.Sprint("index ", i), func(t *testing.T) {
			crashed := filepath.Join(t.TempDir(), "ledger")
			copyDir(t, dir, crashed)
			if err := os.Remove(filepath.Join(crashed, "index.db")); err != nil {
				t.Fatal(err)
			}
			if index != "" {
				copyFile(t, index, filepath.Join(crashed, "index.db"))
			}
			again := open(t, crashed, store.Options{})
			check(t, again, c, last-1)
			appendBlock(t, again, c.Blocks[last])
			check(t, again, c, last)
		})
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestForgottenPacks loses index and vault: the state cannot be made again, and
// Open says so instead of going on from another one.
func TestForgottenPacks(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	l, dir := create(t, c, store.Options{})
	for _, b := range c.Blocks[1:] {
		appendBlock(t, l, b)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, ledger.VaultDir)); err != nil {
		t.Fatal(err)
	}
	open(t, dir, store.Options{}).Close() // the index has the state
	if err := os.Remove(filepath.Join(dir, "index.db")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ledger.Open(dir, store.Options{}); !errors.Is(err, ledger.ErrForgotten) || !strings.Contains(err.Error(), "block 2") || !strings.Contains(err.Error(), "without keys/") {
		t.Errorf("got %v, want %v in block 2", err, ledger.ErrForgotten)
	}
}

func TestCreateRefuses(t *testing.T) {
	c := ledgertest.New(t, 4)
	_, dir := create(t, c, store.Options{})
	if err := ledger.Create(dir, c.Charter); err == nil {
		t.Error("a ledger was founded over one that is open")
	}
	other := t.TempDir()
	if err := ledger.Create(other, c.Charter); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Create(other, c.Charter); !errors.Is(err, fs.ErrExist) {
		t.Errorf("founded twice: %v", err)
	}
	bad := *c.Charter
	bad.Quorum = 1
	if err := ledger.Create(filepath.Join(t.TempDir(), "x"), &bad); !errors.Is(err, entry.ErrForm) {
		t.Errorf("a charter with a quorum of one in four: %v", err)
	}
	bad = *c.Charter
	bad.Parameters = []entry.Parameter{{Name: "colour", Value: 1}}
	dir = filepath.Join(t.TempDir(), "x")
	if err := ledger.Create(dir, &bad); err == nil {
		t.Error("a charter with a parameter nobody knows")
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused charter left a directory: %v", err)
	}
	if _, _, err := ledger.Open(t.TempDir(), store.Options{}); !errors.Is(err, ledger.ErrNoLedger) {
		t.Errorf("an empty directory: %v", err)
	}
}

// TestAppendFailureStops closes the store behind the ledger's back: the append
// fails, and so does every later one, with the first one's cause.
func TestAppendFailureStops(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	l, dir := create(t, c, store.Options{})
	appendBlock(t, l, c.Blocks[1])
	if err := l.Store().Close(); err != nil {
		t.Fatal(err)
	}
	inputs, hashes := c.Blocks[2].Inputs()
	_, err := l.Append(inputs, hashes, orderOf(c.Blocks[2]))
	if !errors.Is(err, store.ErrClosed) {
		t.Fatalf("got %v, want %v", err, store.ErrClosed)
	}
	inputs, hashes = c.Blocks[3].Inputs()
	_, again := l.Append(inputs, hashes, orderOf(c.Blocks[3]))
	if !errors.Is(again, store.ErrClosed) || !strings.Contains(again.Error(), "stopped earlier") {
		t.Errorf("the next one: %v", again)
	}
	if h, _, _ := l.Last(); h.Height != 1 {
		t.Errorf("the last durable block is %d, want 1", h.Height)
	}
	l.Close()
	l = open(t, dir, store.Options{})
	check(t, l, c, 1)
	appendBlock(t, l, c.Blocks[2])
	check(t, l, c, 2)
}

// TestExecuteAhead executes blocks before those under them are durable. What is not
// is found by its sequence number, and lost with the process.
func TestExecuteAhead(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	l, dir := create(t, c, store.Options{})
	var ahead []*ledger.Executed
	for _, b := range c.Blocks[1:4] {
		inputs, hashes := b.Inputs()
		x, err := l.Execute(inputs, hashes, orderOf(b))
		if err != nil {
			t.Fatal(err)
		}
		ahead = append(ahead, x)
	}
	for i, x := range ahead[:2] {
		for _, b := range c.Blocks[i+1 : 4] {
			for _, q := range b.Result.Sequences {
				want, _ := c.Leaf(q.Leaf)
				if at, leaf, ok := l.Logged(q.KeyID, q.Sequence); !ok || at != q.Leaf || !bytes.Equal(leaf, want) {
					t.Errorf("after %d commits, sequence number %v of block %d: leaf %d (%v), want %d", i, q.Sequence, b.Header.Height, at, ok, q.Leaf)
				}
			}
		}
		got, err := l.Commit(x)
		if err != nil {
			t.Fatal(err)
		}
		want := &ledger.Block{Header: c.Blocks[i+1].Header, Checkpoint: c.Blocks[i+1].Checkpoint, Result: c.Blocks[i+1].Result}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(block.Header{})); diff != "" {
			t.Fatalf("block %d (-drawn +committed)\n%s", i+1, diff)
		}
		if h, _, _ := l.Last(); h.Height != uint64(i+1) {
			t.Errorf("the last durable block is %d, want %d", h.Height, i+1)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, store.Options{})
	check(t, l, c, 2)
	appendBlock(t, l, c.Blocks[3])
	check(t, l, c, 3)
}

// TestConcurrentReaders looks at state, last block and sequence numbers while
// blocks are appended. What the state calls used is always found.
func TestConcurrentReaders(t *testing.T) {
	c := ledgertest.New(t, 1)
	c.KeepExports(false)
	c.Draw("+home1 +home2:committed")
	for i := range 150 {
		c.Draw(fmt.Sprintf("home1=%d home2=%d", 10*i, 7*i))
	}
	l, _ := create(t, c, store.Options{})
	id := c.GatewayKey("home1").Public().ID()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for at := uint64(1); ; {
				used := false
				q := entry.Sequence{Boot: 1, Count: at}
				l.View(func(s *state.State) { used = s.Used(id, q) })
				if used {
					if _, leaf, ok := l.Logged(id, q); !ok || len(leaf) == 0 {
						t.Errorf("sequence number %v is used and not found", q)
						return
					}
					at++
				}
				h, cp, order := l.Last()
				if h.Size+1 != cp.Size || order.Sequence != 10*h.Height {
					t.Errorf("header %d of size %d with checkpoint %d and order %d", h.Height, h.Size, cp.Size, order.Sequence)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for _, b := range c.Blocks[1:] {
		inputs, hashes := b.Inputs()
		if _, err := l.Append(inputs, hashes, orderOf(b)); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	wg.Wait()
}

// TestLongLedger makes several hundred blocks, loses the index, and audits.
func TestLongLedger(t *testing.T) {
	c := ledgertest.New(t, 1)
	c.KeepExports(false)
	c.Draw("+home1 +home2:committed +home3:es256")
	for i := range 500 {
		c.Draw(fmt.Sprintf("home1=%d home2=%d home3=%d", 10*i, 7*i, 3*i))
	}
	l, dir := create(t, c, store.Options{SegmentBytes: 100_000})
	for _, b := range c.Blocks[1:] {
		inputs, hashes := b.Inputs()
		if _, err := l.Append(inputs, hashes, orderOf(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "index.db")); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, store.Options{})
	l.View(func(s *state.State) {
		if diff := cmp.Diff(c.State.Export(), s.Export()); diff != "" {
			t.Errorf("state\n%s", diff)
		}
	})
	a := audit.NewAuditor(l.Pack)
	a.Expect(c.Last().Checkpoint)
	sum, err := a.Run(ledger.Leaves(l.Store(), 0, l.Store().Size()))
	if err != nil {
		t.Fatal(err)
	}
	want := &audit.Summary{
		Origin: ledgertest.Origin, Leaves: c.Size(), Statements: 501 + 3 + 1500, Blocks: 502, Checkpoint: true,
		Size: c.Size(), Root: c.Last().Checkpoint.Root,
	}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("summary (-want +got)\n%s", diff)
	}
}

// TestOpenFindsAnotherRule changes a stored statement so that only the rules can
// tell: Open re-executes and refuses.
func TestOpenRefusesWhatItsLeavesDoNotGive(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1\nhome1=1000\nhome1=900\nhome1=950")
	leaves := ledgertest.Rechain(ledgertest.Drop(c.All(), c.Blocks[3].Header.Size-1)) // the flag
	dir := filepath.Join(t.TempDir(), "ledger")
	s, _, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var tree block.Tree
	from := 0
	for i, leaf := range leaves {
		tree.Append(block.LeafHash(leaf), nil)
		h, err := block.ParseHeader(leaf)
		if err != nil {
			continue
		}
		if err := s.Append(leaves[from:i+1], nil, store.Commit{Height: h.Height, Size: tree.Size(), Root: tree.Root()}); err != nil {
			t.Fatal(err)
		}
		from = i + 1
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err = ledger.Open(dir, store.Options{})
	if !errors.Is(err, audit.ErrLedger) || !errors.Is(err, state.ErrReplay) {
		t.Errorf("got %v, want that replay differs", err)
	}
}
