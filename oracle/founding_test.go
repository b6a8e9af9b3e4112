package oracle_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle"
)

const newOrigin = "wattmark.example/new-street"

// members makes the keys of n oracles in directories of their own.
func members(t *testing.T, n int) (keys []oracle.Keys, public []entry.OracleKeys) {
	t.Helper()
	for i := range n {
		k, err := oracle.LoadKeys(filepath.Join(t.TempDir(), "keys"))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
		public = append(public, k.Public([]string{"a.example/one", "b.example/one", "c.example/one", "d.example/four"}[i], newOrigin))
	}
	return keys, public
}

func TestLoadKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first, err := oracle.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := oracle.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, b := first.Public("a.example", newOrigin), again.Public("a.example", newOrigin)
	if string(a.Key) != string(b.Key) || a.Log != b.Log || a.Cosigner != b.Cosigner {
		t.Errorf("other keys the second time: %+v and %+v", a, b)
	}
	if first.Statement.Public().ID() == first.Log.Public().ID() || first.Log.Public().ID() == first.Cosigner.Public().ID() {
		t.Error("one key has two purposes")
	}
	for _, name := range []string{"statement.pem", "log.pem", "cosigner.pem"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v and error %v, want 0600", name, info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "log.pem"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := oracle.LoadKeys(dir); err == nil {
		t.Error("a damaged key was replaced without a word")
	}
}

// The usual thresholds let no two quorums meet in liars alone.
func TestCharterAndPolicy(t *testing.T) {
	for n, want := range map[int]uint64{1: 1, 2: 2, 3: 3, 4: 3} {
		keys, public := members(t, n)
		c := oracle.NewCharter(newOrigin, time.UnixMilli(ledgertest.Start), public)
		if c.Quorum != want || c.Governance != want {
			t.Errorf("%d oracles: quorum %d and governance %d, want %d", n, c.Quorum, c.Governance, want)
		}
		p, err := oracle.PolicyOf(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := block.ParsePolicy([]byte(p.String())); err != nil || p.Origin() != newOrigin {
			t.Errorf("%d oracles: policy for %q; error %v", n, p.Origin(), err)
		}
		dir := t.TempDir()
		if err := ledger.Create(dir, c); err != nil {
			t.Fatalf("%d oracles: %v", n, err)
		}
		for i := range keys {
			if _, ok := p.Witness(keys[i].Cosigner.Public().ID()); !ok {
				t.Errorf("%d oracles: the policy lacks oracle %d", n, i+1)
			}
		}
	}
}

// Keys, charter and policy must be those of one ledger, or an oracle would find
// out by signing what nobody takes.
func TestOpenChecksKeys(t *testing.T) {
	keys, public := members(t, 4)
	charter := oracle.NewCharter(newOrigin, time.UnixMilli(ledgertest.Start), public[:3])
	dir := t.TempDir()
	if err := ledger.Create(dir, charter); err != nil {
		t.Fatal(err)
	}
	policy, err := oracle.PolicyOf(charter)
	if err != nil {
		t.Fatal(err)
	}
	other := *charter
	other.Oracles = public[1:]
	stranger, err := oracle.PolicyOf(&other)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := ledgertest.NewConsortium(t, 3).Policy
	mixed := keys[0]
	mixed.Cosigner = keys[0].Log
	for _, c := range []struct {
		name   string
		cfg    oracle.Config
		saying string
	}{
		{"keys of another", oracle.Config{Name: public[0].Name, Keys: keys[1], Policy: policy}, "which key files"},
		{"keys exchanged", oracle.Config{Name: public[0].Name, Keys: mixed, Policy: policy}, "which key files"},
		{"not in the charter", oracle.Config{Name: public[3].Name, Keys: keys[3], Policy: policy}, "check the name"},
		{"policy of another ledger", oracle.Config{Name: public[0].Name, Keys: keys[0], Policy: elsewhere}, "the policy is for"},
		{"policy without it", oracle.Config{Name: public[0].Name, Keys: keys[0], Policy: stranger}, "does not know the keys"},
	} {
		c.cfg.Dir = dir // released each time, or the next could not open it
		if _, _, err := oracle.Open(c.cfg); err == nil || !strings.Contains(err.Error(), c.saying) {
			t.Errorf("%s: got error %v, want one that says %q", c.name, err, c.saying)
		}
	}
	if _, _, err := oracle.Open(oracle.Config{Name: public[0].Name, Keys: keys[0], Policy: policy, Dir: t.TempDir()}); err == nil {
		t.Error("opened a ledger that was never created")
	}
}
