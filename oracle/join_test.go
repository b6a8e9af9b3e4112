package oracle_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/oracle"
	"wattmark/oracle/wire"
)

// trim has the broker forget the messages of the order before first, as it does with
// those that are too old.
func (s *street) trim(first uint64) {
	s.t.Helper()
	js, err := natsjs.New(s.connect())
	if err != nil {
		s.t.Fatal(err)
	}
	stream, err := js.Stream(context.Background(), "ORDER-"+wire.ShortName(ledgertest.Origin))
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	for _, most := range []int64{int64(stream.CachedInfo().State.LastSeq - first + 1), -1} {
		cfg.MaxMsgs = most
		if stream, err = js.UpdateStream(context.Background(), cfg); err != nil {
			s.t.Fatal(err)
		}
	}
	if got := stream.CachedInfo().State.FirstSeq; got != first {
		s.t.Fatalf("the order begins with message %d, want %d", got, first)
	}
}

func export(n *node) (out []state.Change) {
	n.Ledger().View(func(st *state.State) { out = st.Export() })
	return out
}

// TestJoin has a fifth oracle join a ledger whose order was trimmed, with the tiles of
// one that any file server serves and a snapshot of another, and one whose disk was
// lost from the tiles and the others' packs alone. Both come to the others' state, to
// the byte.
func TestJoin(t *testing.T) {
	s := newStreet(t, 4, entry.Parameter{Name: entry.ParamSnapshotBlocks, Value: 7})
	s.start(0, 1, 2, 3)
	open, hidden := s.enrol("home1", entry.ModeOpen), s.enrol("home2", entry.ModeCommitted)
	for range 12 {
		open.deliver(open.read(3)...)
		hidden.deliver(hidden.read(2)...)
	}
	s.level(0, 1, 2, 3)
	tiles := filepath.Join(s.oracleDir(1), "tiles")
	final := s.nodes[1].Final()
	s.until("tiles", func() bool {
		b, err := os.ReadFile(filepath.Join(tiles, "checkpoint"))
		return err == nil && bytes.Equal(b, final.Note)
	})
	heights, err := ledger.Snapshots(s.oracleDir(0))
	if err != nil || len(heights) != 2 {
		t.Fatalf("snapshots %v, %v", heights, err)
	}
	newest := heights[len(heights)-1]
	at, err := s.nodes[0].Ledger().Store().BlockAt(newest - 1)
	if err != nil {
		t.Fatal(err)
	}
	s.trim(at.Order)

	// Without a copy nobody can begin any more.
	five := s.join(ledgertest.NewOracle(t, "ledgertest.example/oracle5"))
	s.configure = func(_ int, cfg *oracle.Config) { cfg.Watch = true }
	if err := ledger.Create(s.oracleDir(five), s.Charter); err != nil {
		t.Fatal(err)
	}
	s.start(five)
	s.until("a halt of who cannot begin", func() bool { return errors.Is(s.nodes[five].Halted(), oracle.ErrHalted) })
	s.stop(five)
	if err := os.RemoveAll(s.oracleDir(five)); err != nil {
		t.Fatal(err)
	}

	server := httptest.NewServer(http.FileServer(http.Dir(tiles)))
	defer server.Close()
	ctx := context.Background()
	snapshot := func(height uint64) ([]byte, error) { return os.ReadFile(ledger.SnapshotFile(s.oracleDir(0), height)) }
	joinKilled(t, s.oracleDir(five), tiles, ledger.SnapshotFile(s.oracleDir(0), newest))
	height, err := oracle.Join(ctx, s.oracleDir(five), &oracle.Tiles{From: server.URL}, s.Policy, snapshot, nil)
	if err != nil {
		t.Fatal(err)
	}
	if height != newest-1 {
		t.Errorf("joined at block %d, want %d", height, newest-1)
	}
	if _, err := oracle.Join(ctx, s.oracleDir(five), &oracle.Tiles{From: server.URL}, s.Policy, snapshot, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("joining over a ledger: %v", err)
	}

	// The fourth has lost its disk, and with it the snapshots.
	s.stop(3)
	if err := os.RemoveAll(s.oracleDir(3)); err != nil {
		t.Fatal(err)
	}
	vault, _, err := store.OpenVaultReader(filepath.Join(s.oracleDir(0), ledger.VaultDir))
	if err != nil {
		t.Fatal(err)
	}
	packs := func(digest []byte) []byte { return ledger.PackOf(vault, digest) }
	if _, err := oracle.Join(ctx, s.oracleDir(3), &oracle.Tiles{From: tiles}, s.Policy, nil, nil); !errors.Is(err, ledger.ErrForgotten) {
		t.Errorf("joining without snapshot and packs: %v", err)
	}
	if _, err = oracle.Join(ctx, s.oracleDir(3), &oracle.Tiles{From: tiles}, s.Policy, nil, packs); err != nil {
		t.Fatal(err)
	}
	if err := vault.Close(); err != nil {
		t.Fatal(err)
	}
	s.start(3, five)
	open.deliver(open.read(3)...)
	hidden.deliver(hidden.read(3)...)
	s.level(0, 1, 2, 3, five)
	for _, i := range []int{3, five} {
		if diff := cmp.Diff(export(s.nodes[0]), export(s.nodes[i])); diff != "" {
			t.Errorf("state of oracle %d (-first +it):\n%s", i+1, diff)
		}
	}
	hidden.inVault(s.nodes[3])
	open.once(s.nodes[five])
	a := audit.NewAuditor(s.nodes[3].Ledger().Pack)
	last, _ := s.nodes[3].Ledger().Store().Last()
	if sum, err := a.Run(ledger.Leaves(s.nodes[3].Ledger().Store(), 0, last.Size)); err != nil || sum.Opaque > 0 {
		t.Errorf("audit: %v, %+v", err, sum)
	}
	// What was sent before it joined is answered from its index.
	h := s.nodes[five].Ledger()
	for count, statement := range open.sent {
		_, leaf, ok := h.Logged(s.GatewayKey("home1").Public().ID(), entry.Sequence{Boot: 1, Count: count})
		if !ok || !bytes.Equal(leaf, statement) {
			t.Fatalf("statement %d is not found by its number: %v", count, ok)
		}
	}
}

// TestJoinBelievesNobody gives a joining oracle a snapshot, leaves and a checkpoint of
// somebody else's making.
func TestJoinBelievesNobody(t *testing.T) {
	s := newStreet(t, 1, entry.Parameter{Name: entry.ParamSnapshotBlocks, Value: 2})
	s.start(0)
	g := s.enrol("home1", entry.ModeOpen)
	for range 3 {
		g.deliver(g.read(2)...)
	}
	s.level(0)
	s.stop(0)
	tiles := filepath.Join(s.oracleDir(0), "tiles")
	good := func(height uint64) ([]byte, error) { return os.ReadFile(ledger.SnapshotFile(s.oracleDir(0), height)) }
	dir := filepath.Join(s.dir, "joined")
	try := func(from string, snapshot func(uint64) ([]byte, error)) error {
		t.Helper()
		_, err := oracle.Join(context.Background(), dir, &oracle.Tiles{From: from}, s.Policy, snapshot, nil)
		if _, gone := os.Stat(dir); err != nil && !errors.Is(gone, os.ErrNotExist) {
			t.Errorf("what failed with %v left a ledger", err)
		}
		return err
	}
	for _, change := range []func([]byte) []byte{
		func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		func(b []byte) []byte { return b[:len(b)-1] },
		func(b []byte) []byte { return append(b, 0) },
		func([]byte) []byte { return nil },
	} {
		err := try(tiles, func(height uint64) ([]byte, error) {
			b, err := good(height)
			return change(b), err
		})
		if !errors.Is(err, ledger.ErrOtherLedger) {
			t.Errorf("a changed snapshot: %v", err)
		}
	}
	changed := filepath.Join(s.dir, "changed")
	copyDir(t, tiles, changed)
	names, err := filepath.Glob(filepath.Join(changed, "tile", "entries", "*.p", "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no entry bundles: %v", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := try(changed, good); err == nil {
		t.Error("joined from leaves that were changed")
	}
	if err := try(filepath.Join(s.dir, "nowhere"), good); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("from nowhere: %v", err)
	}
	if err := try(tiles, good); err != nil {
		t.Errorf("from what is right: %v", err)
	}
}
