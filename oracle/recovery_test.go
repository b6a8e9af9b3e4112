package oracle_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
)

// restart closes the broker, does something to its directory, and starts it again.
func (s *street) restartBroker(meanwhile func(dir string)) {
	s.t.Helper()
	for _, conn := range s.conns {
		conn.Close()
	}
	s.broker.Close()
	meanwhile(filepath.Join(s.dir, "broker"))
	s.startBroker()
}

// TestRecovery goes through the ceremony of RECOVERY.md: the broker's disk is put back
// to an hour ago, all oracles halt and write nothing, one of them is behind; then all
// are brought to one block, a new order begins behind it, and every statement that any
// gateway holds comes onto the ledger once.
func TestRecovery(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g := s.enrol("home1", entry.ModeOpen)
	g.deliver(g.read(10)...)
	s.level(0, 1, 2, 3)
	s.stop(0, 1, 2, 3)
	backup := filepath.Join(s.dir, "backup")
	s.restartBroker(func(dir string) { copyDir(t, dir, backup) })

	s.start(0, 1, 2, 3)
	g = g.again()
	g.deliver(g.read(10)...)
	s.level(0, 1, 2, 3)
	s.stop(3) // it is behind when the others go on
	more := g.read(10)
	g.deliver(more...)
	s.level(0, 1, 2)
	s.stop(0, 1, 2)
	height, final := lastOf(t, s.oracleDir(0))
	s.restartBroker(func(dir string) {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		copyDir(t, backup, dir)
	})

	s.start(0, 1, 2, 3)
	s.until("four halts", func() bool {
		for _, n := range s.nodes {
			if !errors.Is(n.Halted(), oracle.ErrHalted) {
				return false
			}
		}
		return true
	})
	g = g.again()
	lost := g.read(3) // sent while nobody takes anything
	g.publish(lost...)
	s.stop(0, 1, 2, 3)

	// The ceremony. Reports: three are at one block, and the fourth at an earlier one.
	behind, _ := lastOf(t, s.oracleDir(3))
	for _, i := range []int{0, 1, 2} {
		if h, cp := lastOf(t, s.oracleDir(i)); h != height || cp != final {
			t.Fatalf("oracle %d is at block %d, the first at %d: halted oracles must not write", i+1, h, height)
		}
	}
	if behind >= height {
		t.Fatalf("the fourth is at block %d, so this shows less than it should", behind)
	}
	if err := os.RemoveAll(s.oracleDir(3)); err != nil {
		t.Fatal(err)
	}
	copyDir(t, s.oracleDir(0), s.oracleDir(3))
	conn := s.connect()
	cfg := jetstream.Config{Ledger: wire.ShortName(ledgertest.Origin)}
	order, err := jetstream.Renew(context.Background(), conn, cfg, rests(t, s.oracleDir(0))+1)
	if err != nil {
		t.Fatal(err)
	}
	if first, last, err := order.Bounds(context.Background()); err != nil || first != rests(t, s.oracleDir(0))+1 || last != first-1 {
		t.Fatalf("the new order is from %d to %d, %v", first, last, err)
	}
	s.start(0, 1, 2, 3)
	g.deliver(append(lost, g.read(5)...)...)
	s.level(0, 1, 2, 3)
	for _, n := range s.nodes {
		g.once(n)
	}
	if h, _, _ := s.nodes[3].Ledger().Last(); h.Height <= height {
		t.Errorf("the ledger is at block %d and was at %d", h.Height, height)
	}
}
