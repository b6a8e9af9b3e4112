package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"wattmark/ledger/block"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// floor is the cheapest program that could honestly do the same behind the
// broker: verify in batches with cached keys on every core, hash each statement
// into a tree, append it to one flat file, one fdatasync a batch.
func (b *bench) floor() (*measured, error) {
	w := b.work
	frames, err := w.sign("wattmark.example/floor", time.Now())
	if err != nil {
		return nil, err
	}
	var statements [][]byte
	keys := make(map[signer.KeyID]signer.PublicKey)
	for i, list := range frames {
		keys[w.keys[i].Public().ID()] = w.keys[i].Public()
		for _, f := range list {
			frame, err := wire.ParseFrame(f)
			if err != nil {
				return nil, err
			}
			statements = append(statements, frame.Statement)
		}
	}
	file, err := os.Create(filepath.Join(b.dir, "floor"))
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	v := signer.NewVerifier()
	runtime.GC()
	cpu, start := cpuTime(), time.Now()
	var tree block.Tree
	const batch = 1024
	jobs := make([]signer.Job, 0, batch)
	var out []byte
	for at := 0; at < len(statements); at += batch {
		part := statements[at:min(at+batch, len(statements))]
		jobs, out = jobs[:0], out[:0]
		for _, s := range part {
			m, err := signer.Parse(s)
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, signer.Job{Message: m, Key: keys[m.KeyID]})
		}
		v.VerifyAll(jobs)
		for i, s := range part {
			if jobs[i].Err != nil {
				return nil, jobs[i].Err
			}
			tree.Append(block.LeafHash(s), nil)
			out = append(out, s...)
		}
		root := tree.Root()
		if _, err := file.Write(append(out, root[:]...)); err != nil {
			return nil, err
		}
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			return nil, err
		}
	}
	r := &generated{Took: time.Since(start).Nanoseconds(), Bytes: len(statements[0])}
	return b.measure(r, cpuTime()-cpu), nil
}

type floorResult struct {
	PerSecond   float64 `json:"statements_per_s"`
	BrokerAlone float64 `json:"broker_alone_per_s"`
	CPU         float64 `json:"cpu_us_per_statement"`
	BrokerCPU   float64 `json:"broker_alone_cpu_us_per_statement"`
	Statements  int     `json:"statements"`
	Size        int     `json:"size_bytes"`
	Bytes       int     `json:"statement_bytes"`
	Rounds      int     `json:"rounds"`
	Resent      int     `json:"resent"`
	Load        string  `json:"load_average"`
}

func newBenchFloor() *cobra.Command {
	f := benchFlags{oracles: 1}
	c := &cobra.Command{
		Use:   "floor",
		Short: "Measure the cheapest honest program, and the broker alone",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if f.transport != "mqtt" && f.transport != "nats" {
				return fmt.Errorf("--transport %q is not mqtt or nats", f.transport)
			}
			r, err := benchFloor(cmd.Context(), &f)
			if err != nil {
				return failed(err)
			}
			return failed(printResult(cmd.OutOrStdout(), f.asJSON, r, func(w io.Writer) {
				fmt.Fprintf(w, "floor         %8.0f statements/s   %.0f µs CPU each (%d bytes; batch verification, tree, group commit)\n", r.PerSecond, r.CPU, r.Bytes)
				fmt.Fprintf(w, "broker alone  %8.0f statements/s   %.0f µs CPU each (%s, TLS, QoS 1 where the transport has it)\n", r.BrokerAlone, r.BrokerCPU, f.transport)
				fmt.Fprintf(w, "load average  %s\n", r.Load)
			}))
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.transport, "transport", "mqtt", "mqtt or nats, for the broker alone")
	return c
}

func benchFloor(ctx context.Context, f *benchFlags) (*floorResult, error) {
	dir, clean, err := f.tempDir()
	if err != nil {
		return nil, err
	}
	defer clean()
	b, err := newBenchRun(f, dir)
	if err != nil {
		return nil, err
	}
	var floor, alone rounds
	for range f.rounds {
		m, err := b.floor()
		if err != nil {
			return nil, b.explain(ctx, err)
		}
		floor = append(floor, m)
		if m, err = b.brokerAlone(ctx, f.transport); err != nil {
			return nil, b.explain(ctx, err)
		}
		alone = append(alone, m)
	}
	r := &floorResult{
		PerSecond: floor.median(perSecond), BrokerAlone: alone.median(perSecond), CPU: floor.median(cpuEach), BrokerCPU: alone.median(cpuEach),
		Statements: f.statements, Size: f.size, Bytes: floor[0].bytes, Rounds: f.rounds, Load: loadAverage(),
	}
	for _, m := range alone {
		r.Resent += m.resent
	}
	return r, nil
}
