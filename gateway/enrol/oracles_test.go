package enrol_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wattmark/gateway/enrol"
	"wattmark/ledger/block"
	"wattmark/ledger/handover"
	"wattmark/ledger/ledgertest"
)

// changes is the policy of three oracles, and what shows that they were exchanged one by
// one.
func changes(t testing.TB) (*block.Policy, []*handover.Handover) {
	t.Helper()
	c := ledgertest.New(t, 3)
	first := c.Policy
	var list []*handover.Handover
	for i := range 3 {
		next := slices.Clone(c.Oracles)
		next[i] = ledgertest.NewOracle(t, fmt.Sprintf("ledgertest.example/new%d", i+1))
		list = append(list, c.HandedOver(next...))
	}
	return first, list
}

func TestOraclesAreKept(t *testing.T) {
	dir := t.TempDir()
	first, list := changes(t)
	height := func() uint64 {
		t.Helper()
		_, spans, err := enrol.LoadOracles(dir, first)
		if err != nil {
			t.Fatal(err)
		}
		return spans[len(spans)-1].Height
	}
	if h := height(); h != 0 {
		t.Errorf("without a file the policy is of block %d", h)
	}
	for i := range list {
		if err := enrol.SaveOracles(dir, list[:i+1]); err != nil {
			t.Fatal(err)
		}
		if h := height(); h != list[i].Height() {
			t.Errorf("after change %d the policy is of block %d, want %d", i+1, h, list[i].Height())
		}
	}
	path := filepath.Join(dir, "oracles")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	// What does not hold is not believed, and what the technician gave is left.
	_, alone := ledgertest.New(t, 1), ledgertest.New(t, 1)
	strangers := handover.EncodeHistory([]*handover.Handover{{Checkpoint: alone.Note()}})
	for what, b := range map[string][]byte{
		"torn": good[:len(good)/2], "empty": nil, "longer": append(bytes.Clone(good), 0), "too large": make([]byte, 5<<20),
		"without its first step": handover.EncodeHistory(list[1:]), "in another order": handover.EncodeHistory([]*handover.Handover{list[0], list[2]}),
		"going back": handover.EncodeHistory(append(slices.Clone(list), list[0])),
	} {
		if err := os.WriteFile(path, b, 0o640); err != nil {
			t.Fatal(err)
		}
		kept, spans, err := enrol.LoadOracles(dir, first)
		if len(spans) != 1 || spans[0].Policy != first || len(kept) > 0 && err != nil {
			t.Errorf("%s: %d spans, %v", what, len(spans), err)
		}
		if what != "without its first step" && (err == nil || !strings.Contains(err.Error(), "oracles")) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// One of another ledger leads nowhere.
	if err := os.WriteFile(path, strangers, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, spans, _ := enrol.LoadOracles(dir, first); len(spans) != 1 {
		t.Error("a history of other oracles is followed")
	}
	if err := enrol.SaveOracles(filepath.Join(dir, "none"), list); err == nil {
		t.Error("kept in a directory that is not there")
	}
}

// saveOraclesForEver keeps one step more each time, from none to all, and says a line for
// each.
func saveOraclesForEver(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "all"))
	if err != nil {
		return err
	}
	list, err := handover.ParseHistory(b)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if err := enrol.SaveOracles(dir, list[:min(i+1, len(list))]); err != nil {
			return err
		}
		fmt.Println("saved", i)
	}
}

// TestKilledWhileItKeepsOracles kills the process that keeps them, at any moment: what is
// there is whole, and never behind what was said to be kept.
func TestKilledWhileItKeepsOracles(t *testing.T) {
	first, list := changes(t)
	for round := range 12 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "all"), handover.EncodeHistory(list), 0o600); err != nil {
			t.Fatal(err)
		}
		killed(t, saveOraclesIn+"="+dir, round%5)
		_, spans, err := enrol.LoadOracles(dir, first)
		if least := min(round%5, len(list)-1); err != nil || spans[len(spans)-1].Height < list[least].Height() {
			t.Fatalf("round %d: %d spans, %v", round, len(spans), err)
		}
	}
}

func FuzzLoadOracles(f *testing.F) {
	first, list := changes(f)
	f.Add(handover.EncodeHistory(list))
	f.Add(handover.EncodeHistory(list[:1]))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, "oracles"), b, 0o640); err != nil {
			t.Fatal(err)
		}
		kept, spans, err := enrol.LoadOracles(dir, first)
		if len(spans) == 0 || err != nil && (len(spans) != 1 || kept != nil) || spans[0].Policy != first {
			t.Fatalf("%d spans of %d handovers, %v", len(spans), len(kept), err)
		}
	})
}
