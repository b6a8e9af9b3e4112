package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPrologue lets a street begin on the evening before: every interval of it is settled
// from readings alone, nothing is refused, and then the street is live by its own rules.
// Killed in the prologue, it goes on from the end of it.
func TestPrologue(t *testing.T) {
	t.Parallel() // a demonstration waits more than it computes
	begun := []string{"demo", "--json", "--prologue", "--speed", "300", "--gateways", "5", "--oracles", "1", "--http", "off", "--dir"}
	s := &street{buildBinary(t), filepath.Join(t.TempDir(), "street")}
	p := s.start(t, append(begun, s.dir)...)
	intervals := func() []listedInterval {
		o := s.run(t, "market", "intervals", "--dir", s.dir, "--json")
		if o.code != 0 { // no final block yet
			return nil
		}
		return lines[listedInterval](t, o)
	}
	await(t, "an interval after the prologue", func() bool {
		for _, i := range intervals() {
			if i.Run == "R0" && i.Interval >= "2026-06-17T11:30:00Z" {
				return true
			}
		}
		return false
	})
	p.cmd.Process.Signal(os.Interrupt)
	checkKept(t, parseCounted(t, p.wait(t)))
	settled := make(map[string]bool)
	for _, i := range intervals() {
		if i.Run != "R0" || i.Interval >= "2026-06-17T11:15:00Z" {
			continue
		}
		settled[i.Interval] = true
		if i.Totals == nil || i.Totals.Measured != 5 || i.Totals.Missing > 0 {
			t.Errorf("%s is settled from %+v, want five readings", i.Interval, i.Totals)
		}
	}
	for at := time.Date(2026, time.June, 16, 18, 45, 0, 0, time.UTC); at.Before(time.Date(2026, time.June, 17, 11, 0, 0, 0, time.UTC)); at = at.Add(15 * time.Minute) {
		if name := at.Format(time.RFC3339); !settled[name] {
			t.Errorf("%s is not settled", name)
		}
	}
	if b, err := os.ReadFile(filepath.Join(s.dir, "street.json")); err != nil || strings.Contains(string(b), "loose") {
		t.Errorf("the rules are still the prologue's: %s, %v", b, err)
	}
	if o := s.run(t, "ledger", "audit", s.dir); o.code != 0 {
		t.Errorf("ledger audit: %s%s", o.stdout, o.stderr)
	}

	s.dir = filepath.Join(t.TempDir(), "street")
	p = s.start(t, append(begun, s.dir)...)
	await(t, "a receipt", func() bool {
		list, _ := filepath.Glob(filepath.Join(s.dir, "receipts", "home-01", "*.cose"))
		return len(list) > 0
	})
	p.cmd.Process.Signal(syscall.SIGKILL)
	p.cmd.Wait()
	s.refused(t, "leave --prologue out", append(begun, s.dir)...)
	checkKept(t, s.demo(t, "--oracles", "1", "--duration", "8s", "--http", "off"))
	if at, end := s.clock(t).Street, time.Date(2026, time.June, 17, 11, 20, 0, 0, time.UTC); at.Before(end) {
		t.Errorf("killed in its prologue, the street goes on at %s, want it past %s", at, end)
	}
	if o := s.run(t, "ledger", "audit", s.dir); o.code != 0 {
		t.Errorf("ledger audit: %s%s", o.stdout, o.stderr)
	}
}
