package ledger_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
)

// TestForgetSurvivesACrash has an oracle be killed after the block that closed a
// metering point was durable and before anything was deleted: opened again, it knows
// what to delete, and afterwards no file of it holds a pack or the newest value.
func TestForgetSurvivesACrash(t *testing.T) {
	c := ledgertest.New(t, 1, entry.Parameter{Name: entry.ParamSnapshotBlocks, Value: 2})
	c.Draw("+home1:committed +home2:committed\nhome1=7777788 home2=5\nhome1=7777799 home2=6\n.")
	body, err := (&entry.Forgetting{Subject: ledgertest.Subject("home1"), Reason: "moved away"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	c.Adopt(entry.MotionForget, c.State.Height()+1, body)
	dir := filepath.Join(t.TempDir(), "oracle")
	if err := ledger.Create(dir, c.Charter); err != nil {
		t.Fatal(err)
	}
	open := func() *ledger.Ledger {
		t.Helper()
		l, _, err := ledger.Open(dir, store.Options{FlushBlocks: 1})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	var secrets [][]byte
	for i, b := range c.Blocks[1:] {
		inputs, hashes := b.Inputs()
		for k := range b.Messages {
			if p := b.Messages[k].Pack; p != nil && bytes.Contains(p, []byte(ledgertest.Subject("home1")+"/")) {
				secrets = append(secrets, p)
			}
		}
		x, err := l.Execute(inputs, hashes, ledger.Order{Sequence: uint64(i + 1)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Commit(x); err != nil {
			t.Fatal(err)
		}
	}
	secrets = append(secrets, []byte{0x1a, 0, 0x76, 0xae, 0x07}) // 7777799 in CBOR
	holding := func() (files []string) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			for _, s := range secrets {
				if bytes.Contains(b, s) {
					rel, _ := filepath.Rel(dir, path)
					files = append(files, rel)
					break
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if err := l.Close(); err != nil { // as far as the disk goes, a process that was killed here
		t.Fatal(err)
	}
	if got := holding(); len(got) < 2 {
		t.Fatalf("%q hold it before, so this shows nothing", got)
	}
	l = open()
	rest, err := l.ToForget()
	if err != nil || len(rest) != 1 || rest[0].Subject != ledgertest.Subject("home1") {
		t.Fatalf("to forget: %+v, %v", rest, err)
	}
	if n, err := l.Forget(rest); err != nil || n != 2 {
		t.Fatalf("forgot %d packs, %v", n, err)
	}
	if got := holding(); len(got) > 0 {
		t.Errorf("%q still hold it", got)
	}
	after := exported(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := store.Check(dir, nil); err != nil || len(report.Faults) > 0 {
		t.Errorf("the store after it: %v, %v", report.Faults, err)
	}
	l = open()
	defer l.Close()
	if rest, err := l.ToForget(); err != nil || len(rest) > 0 {
		t.Errorf("still to forget: %+v, %v", rest, err)
	}
	if diff := cmp.Diff(after, exported(l)); diff != "" {
		t.Errorf("state after opening again:\n%s", diff)
	}
	if diff := cmp.Diff(c.Last().Export, after); diff != "" {
		t.Errorf("state (-chain +ledger):\n%s", diff)
	}
	if n, err := l.PacksOf(ledgertest.Subject("home2")); err != nil || len(n) != 2 {
		t.Errorf("another point has %d packs, %v", len(n), err)
	}
}

func exported(l *ledger.Ledger) (out []state.Change) {
	l.View(func(s *state.State) { out = s.Export() })
	return out
}
