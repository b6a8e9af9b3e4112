package audit_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// longStreet is a ledger of open Ed25519 readings with some records each.
func longStreet(tb testing.TB, blocks, statements, records int) *ledgertest.Chain {
	tb.Helper()
	const gateways = 50
	c := ledgertest.New(tb, 1)
	c.KeepExports(false)
	var ms []ledgertest.Message
	for g := range gateways {
		ms = append(ms, c.Open(c.Enrolment(fmt.Sprint("home", g), signer.EdDSA, entry.ModeOpen)))
	}
	c.Append(ms...)
	for b := range blocks {
		ms := c.Clocks(60_000)
		for i := range statements {
			name := fmt.Sprint("home", i%gateways)
			n := int64((b*statements + i) / gateways) // of this gateway's readings
			at := c.State.Time() + 100*n%60_000
			list := make([]entry.Record, records)
			for r := range list {
				if r%2 == 0 {
					list[r] = ledgertest.Record(name, "energy", 1_000_000+n, at+int64(r))
				} else {
					list[r] = ledgertest.Record(name, "power", 230+int64(r), at+int64(r))
				}
			}
			ms = append(ms, c.Open(c.Reading(name, list...)))
		}
		c.Append(ms...)
	}
	return c
}

// floor is the cheapest program that could honestly vouch for as much: every
// signature in batches under keys at hand, every leaf's hash, the tree. It is
// given statements that are parsed already, and knows no rules.
type floor struct {
	leaves [][]byte
	jobs   [][]signer.Job // by chunk
}

const floorChunk = 1024

func newFloor(tb testing.TB, c *ledgertest.Chain) *floor {
	f := &floor{leaves: c.All()}
	for at := 0; at < len(f.leaves); at += floorChunk {
		var jobs []signer.Job
		for _, l := range f.leaves[at:min(at+floorChunk, len(f.leaves))] {
			m, err := signer.Parse(l)
			if err != nil {
				continue
			}
			k, ok := c.State.PublicKey(m.KeyID)
			if !ok {
				tb.Fatal("a statement of an unknown key")
			}
			jobs = append(jobs, signer.Job{Message: m, Key: k})
		}
		f.jobs = append(f.jobs, jobs)
	}
	return f
}

func (f *floor) run(tb testing.TB, want block.Hash) {
	hashes := make([]block.Hash, len(f.leaves))
	work := make(chan int, len(f.jobs))
	for i := range f.jobs {
		work <- i
	}
	close(work)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		v := signer.NewVerifier()
		wg.Go(func() {
			for i := range work {
				from := i * floorChunk
				for k, l := range f.leaves[from:min(from+floorChunk, len(f.leaves))] {
					hashes[from+k] = block.LeafHash(l)
				}
				v.VerifyBatch(f.jobs[i])
				for k := range f.jobs[i] {
					if f.jobs[i][k].Err != nil {
						tb.Error(f.jobs[i][k].Err)
					}
				}
			}
		})
	}
	wg.Wait()
	var t block.Tree
	for _, h := range hashes {
		t.Append(h, nil)
	}
	if t.Root() != want {
		tb.Error("the floor has another root")
	}
}

// BenchmarkAudit audits the same ledger at one core and at two, and runs the
// floor beside it at two, in turns: ratios are of one run. An operation is one
// round of all three.
func BenchmarkAudit(b *testing.B) {
	for _, size := range []struct {
		name    string
		records int
	}{{"few records", 4}, {"many records", 40}} {
		b.Run(size.name, func(b *testing.B) {
			c := longStreet(b, 60, 1000, size.records)
			f := newFloor(b, c)
			root := c.Last().Checkpoint.Root
			run := func(cores int, fn func()) time.Duration {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
				start := time.Now()
				fn()
				return time.Since(start)
			}
			audited := func() {
				a := audit.NewAuditor(nil)
				a.Expect(c.Last().Checkpoint)
				if _, err := a.Run(from(c.All())); err != nil {
					b.Error(err)
				}
			}
			var one, two, least time.Duration
			for b.Loop() {
				two += run(2, audited)
				least += run(2, func() { f.run(b, root) })
				one += run(1, audited)
			}
			leaves := float64(c.Size()) * float64(b.N)
			b.ReportMetric(leaves/one.Seconds(), "leaves/s@1")
			b.ReportMetric(leaves/two.Seconds(), "leaves/s@2")
			b.ReportMetric(leaves/least.Seconds(), "floor/s@2")
			b.ReportMetric(least.Seconds()/two.Seconds(), "of-floor")
			b.ReportMetric(one.Seconds()/two.Seconds(), "two-cores")
			b.ReportMetric(float64(len(f.leaves[len(f.leaves)-2])), "B/statement")
		})
	}
}
