package main

import (
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"wattmark/gateway/console"
	"wattmark/gateway/outbox"
)

// kills is how often TestKill kills the program.
const kills = 50

// TestKill kills the real program with SIGKILL at random moments, again and again in
// one directory, with a broker and an oracle that answer, and looks after each kill at
// what it left: no number was signed twice with different bytes, nothing was lost, and
// what waits is sent and receipted in the end.
func TestKill(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	s := newSite(t, meter(t))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	seen := make(map[outbox.Number][32]byte)
	for i := range kills {
		// Some kills fall into the start, most into running.
		after := time.Duration(rng.Int64N(int64(1500 * time.Millisecond)))
		if i%5 == 0 {
			after /= 20
		}
		d := s.start(t, program)
		moment := time.NewTimer(after)
		<-moment.C
		if err := d.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = d.cmd.Wait() // it was killed
		d.told.Close()
		s.look(t, seen)
		if t.Failed() {
			t.Fatalf("kill %d, after %s", i+1, after)
		}
	}
	before := len(seen)
	d := s.start(t, program)
	d.status("all is sent", func(c *console.Status) bool {
		return c.Uplink.Receipts > 0 && c.Outbox.Pending == 0
	})
	if err := d.end(); err != nil {
		t.Errorf("after the kills it ended with %v", err)
	}
	s.look(t, seen)
	s.checkReceipts(t)
	t.Logf("%d statements were seen after kills", before)
	if before < kills/4 {
		t.Errorf("the kills left too little running to show anything: %d statements", before)
	}
}

// look opens the outbox as the next start does, and remembers what is in it.
func (s *site) look(t *testing.T, seen map[outbox.Number][32]byte) {
	t.Helper()
	o, report, err := outbox.Open(outbox.Disk, filepath.Join(s.dir, "outbox"), outbox.Options{GatewayID: name})
	if err != nil {
		t.Errorf("the outbox does not open: %v", err)
		return
	}
	defer o.Close()
	if len(report.Gaps) > 0 {
		t.Errorf("a process that was killed lost statements: %s", report)
	}
	note := func(n outbox.Number, statement []byte) {
		sum := sha256.Sum256(statement)
		if before, ok := seen[n]; ok && before != sum {
			t.Errorf("statement %v was signed twice with different bytes", n)
		}
		seen[n] = sum
	}
	kept, err := o.Receipts()
	for _, r := range kept {
		note(r.Number(), r.Statement)
	}
	pending, failed := o.Pending(outbox.Number{}, 10_000)
	for _, r := range pending {
		note(r.Number(), r.Statement)
	}
	if err := errors.Join(err, failed); err != nil {
		t.Error(err)
	}
}
