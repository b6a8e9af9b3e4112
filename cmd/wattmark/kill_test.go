package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/gateway/outbox"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/signer"
)

// kills is how often TestKill kills the demonstration.
const kills = 50

// TestKill kills the real program with SIGKILL at random moments, again and again in
// one directory, and looks after each kill at everything it left: what gateways were
// told is receipted is on the ledger for good, no sequence number was used twice, no
// two final blocks share a height, and the whole ledger passes its audit.
func TestKill(t *testing.T) {
	t.Parallel() // half of it is waiting for the moment
	program := buildProgram(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	w := newWitness(t, filepath.Join(t.TempDir(), "street"))
	for i := range kills {
		// Some kills fall into the founding, most into running.
		after := time.Duration(rng.Int64N(int64(2 * time.Second)))
		if i < 10 {
			after /= 4
		}
		w.startAndKill(program, after)
		w.look()
		if t.Failed() {
			t.Fatalf("kill %d, after %s", i+1, after)
		}
	}
	// It goes on as if nothing had been, and makes good what was under way.
	out, err := exec.Command(program, "demo", "--dir", w.dir, "--gateways", "3", "--http", "off", "--duration", "10s", "--json").Output()
	if err != nil {
		t.Fatalf("after the kills: %v: %s", err, stderrOf(err))
	}
	var r demoResult
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	if r.Lost != 0 || r.Signed == 0 || r.Acknowledged < r.Signed {
		t.Errorf("after the kills: %d signed, %d acknowledged, %d lost", r.Signed, r.Acknowledged, r.Lost)
	}
	w.look()
	w.end()
	for _, verb := range []string{"check", "audit"} {
		if out, err := exec.Command(program, "ledger", verb, w.dir).CombinedOutput(); err != nil {
			t.Errorf("ledger %s: %v\n%s", verb, err, out)
		}
	}
	t.Logf("%d acknowledged statements of %d seen, %d final checkpoints, %d blocks", len(w.acknowledged), len(w.bytes), len(w.finals), r.Blocks)
	if len(w.acknowledged) < 20 || len(w.finals) < 5 {
		t.Errorf("the kills left too little running to show anything: %d acknowledged statements, %d final checkpoints", len(w.acknowledged), len(w.finals))
	}
}

// buildProgram builds the program that this package is.
func buildProgram(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "wattmark")
	c := exec.Command("go", "build", "-o", name, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return name
}

func stderrOf(err error) string {
	if e, ok := err.(*exec.ExitError); ok {
		return string(e.Stderr)
	}
	return ""
}

// numbered is a sequence number of one key.
type numbered struct {
	key signer.KeyID
	entry.Sequence
}

// witness remembers what it saw in the directory over all lives of the program.
type witness struct {
	t            *testing.T
	dir          string
	bytes        map[numbered][32]byte     // the statement signed with each number, by its hash
	acknowledged map[block.Hash]string     // leaf hashes of statements with receipts, and their files
	finals       map[uint64]block.Hash     // root of each size that was ever final
	heights      map[uint64]block.Hash     // header hash of each final height
	onLedger     []map[block.Hash]struct{} // of each oracle, at the last look
}

func newWitness(t *testing.T, dir string) *witness {
	return &witness{
		t: t, dir: dir, bytes: make(map[numbered][32]byte), acknowledged: make(map[block.Hash]string),
		finals: make(map[uint64]block.Hash), heights: make(map[uint64]block.Hash),
	}
}

func (w *witness) startAndKill(program string, after time.Duration) {
	w.t.Helper()
	var stderr bytes.Buffer
	c := exec.Command(program, "demo", "--dir", w.dir, "--gateways", "3", "--http", "off", "--json")
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		w.t.Fatalf("the program ended by itself: %v\n%s", err, stderr.String())
	case <-time.After(after):
	}
	if err := c.Process.Signal(syscall.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
	<-ended
}

// look takes in all that a dead process left, and compares it with what was seen
// before.
func (w *witness) look() {
	w.t.Helper()
	w.lookAtStores()
	w.lookAtReceipts()
	w.lookAtOutboxes()
}

func (w *witness) lookAtStores() {
	dirs, err := filepath.Glob(filepath.Join(w.dir, "oracles", "*", "leaves"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.onLedger = nil
	for _, d := range dirs {
		r, _, err := store.OpenReader(filepath.Dir(d))
		if err != nil {
			w.t.Errorf("opening %s: %v", d, err)
			continue
		}
		leaves := make(map[block.Hash]struct{})
		var headers []block.Hash
		err = r.Leaves(0, r.Size(), func(_ uint64, leaf []byte) error {
			h := block.LeafHash(leaf)
			leaves[h] = struct{}{}
			switch entry.KindOf(leaf) {
			case entry.LeafHeader:
				headers = append(headers, h)
			case entry.LeafStatement:
				w.statement(d, leaf)
			}
			return nil
		})
		if err != nil {
			w.t.Errorf("reading %s: %v", d, err)
		}
		w.onLedger = append(w.onLedger, leaves)
		note, height, ok, err := r.Final()
		if err != nil {
			w.t.Errorf("final checkpoint of %s: %v", d, err)
		}
		if ok {
			w.final(d, note)
			for at := uint64(0); at <= height && at < uint64(len(headers)); at++ {
				if was, seen := w.heights[at]; seen && was != headers[at] {
					w.t.Errorf("%s: final block %d is another than before", d, at)
				}
				w.heights[at] = headers[at]
			}
		}
		if err := r.Close(); err != nil {
			w.t.Error(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(w.dir, "tiles", "checkpoint")); err == nil {
		w.final("tiles/checkpoint", b)
	}
}

// final notes a final checkpoint: of one size there is one root, ever.
func (w *witness) final(where string, note []byte) {
	c, err := block.CheckpointOf(note)
	if err != nil {
		w.t.Errorf("%s: %v", where, err)
		return
	}
	if was, ok := w.finals[c.Size]; ok && was != c.Root {
		w.t.Errorf("%s: two final checkpoints of %d leaves", where, c.Size)
	}
	w.finals[c.Size] = c.Root
}

// statement notes a gateway's statement: with one number there is one, ever.
func (w *witness) statement(where string, b []byte) {
	m, err := signer.Parse(b)
	if err != nil {
		w.t.Errorf("%s: %v", where, err)
		return
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		w.t.Errorf("%s: %v", where, err)
		return
	}
	if c.Sequence.Count == 0 {
		return
	}
	n := numbered{m.KeyID, c.Sequence}
	if was, ok := w.bytes[n]; ok && was != m.Hash() {
		w.t.Errorf("%s: sequence number %v of key %v was used twice", where, c.Sequence, m.KeyID)
	}
	w.bytes[n] = m.Hash()
}

// lookAtReceipts verifies every receipt file, and holds the ledgers to all that were
// ever seen.
func (w *witness) lookAtReceipts() {
	files, err := filepath.Glob(filepath.Join(w.dir, "receipts", "*", "*.tlog-proof"))
	if err != nil {
		w.t.Fatal(err)
	}
	if len(files) > 0 {
		trust, err := loadTrust(filepath.Join(w.dir, "policy"), "")
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				w.t.Fatal(err)
			}
			p, err := block.ParseLogProof(b)
			if err != nil {
				w.t.Errorf("%s: %v", f, err)
				continue
			}
			h := block.LeafHash(p.Extra)
			if w.acknowledged[h] != "" {
				continue
			}
			if r := audit.Verify(f, b, trust); r.Exit() != audit.ExitHolds {
				w.t.Errorf("%s does not verify: %+v", f, r.Verdicts)
			}
			cose := strings.TrimSuffix(f, proofSuffix) + coseSuffix
			if b, err := os.ReadFile(cose); err == nil {
				if r := audit.Verify(cose, b, trust); r.Exit() != audit.ExitHolds {
					w.t.Errorf("%s does not verify: %+v", cose, r.Verdicts)
				}
			}
			w.acknowledged[h] = f
			w.final(f, p.Checkpoint)
			w.statement(f, p.Extra)
		}
	}
	// A receipt needs a quorum: three of four have made the block durable.
	for h, file := range w.acknowledged {
		have := 0
		for _, l := range w.onLedger {
			if _, ok := l[h]; ok {
				have++
			}
		}
		if have < 3 {
			w.t.Errorf("the statement of %s was acknowledged and is on %d of %d ledgers", file, have, len(w.onLedger))
		}
	}
}

func (w *witness) lookAtOutboxes() {
	dirs, err := filepath.Glob(filepath.Join(w.dir, "gateways", "*", "outbox"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range dirs {
		o, _, err := outbox.Open(outbox.Disk, d, outbox.Options{GatewayID: filepath.Base(filepath.Dir(d))})
		if err != nil {
			w.t.Errorf("opening %s: %v", d, err)
			continue
		}
		list, err := o.Pending(outbox.Number{}, 1<<20)
		if err != nil {
			w.t.Errorf("reading %s: %v", d, err)
		}
		for _, r := range list {
			w.statement(fmt.Sprintf("%s %s", d, r.Number()), r.Statement)
		}
		if err := o.Close(); err != nil {
			w.t.Errorf("closing %s: %v", d, err)
		}
	}
}

// end holds the ledgers to everything once the program had time to finish: each
// acknowledged statement is on all of them.
func (w *witness) end() {
	for h, file := range w.acknowledged {
		for i, l := range w.onLedger {
			if _, ok := l[h]; !ok {
				w.t.Errorf("the statement of %s is not on the ledger of oracle %d", file, i+1)
			}
		}
	}
}
