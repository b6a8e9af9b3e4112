package main

import (
	"context"
	"crypto/sha256"
	"errors"
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
func (w *workload) floor() (float64, error) {
	frames, err := w.sign("wattmark.example/floor", time.Now())
	if err != nil {
		return 0, err
	}
	var statements [][]byte
	keys := make(map[signer.KeyID]signer.PublicKey)
	for i, list := range frames {
		keys[w.keys[i].Public().ID()] = w.keys[i].Public()
		for _, f := range list {
			frame, err := wire.ParseFrame(f)
			if err != nil {
				return 0, err
			}
			statements = append(statements, frame.Statement)
		}
	}
	file, err := os.Create(filepath.Join(w.dir, "floor"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	v := signer.NewVerifier()
	runtime.GC()
	start := time.Now()
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
				return 0, err
			}
			jobs = append(jobs, signer.Job{Message: m, Key: keys[m.KeyID]})
		}
		v.VerifyAll(jobs)
		for i, s := range part {
			if jobs[i].Err != nil {
				return 0, jobs[i].Err
			}
			tree.Append(block.LeafHash(s), nil)
			out = append(out, s...)
		}
		root := tree.Root()
		if _, err := file.Write(append(out, root[:]...)); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			return 0, err
		}
	}
	return float64(len(statements)) / time.Since(start).Seconds(), nil
}

type floorResult struct {
	PerSecond   float64 `json:"statements_per_s"`
	BrokerAlone float64 `json:"broker_alone_per_s"`
	Statements  int     `json:"statements"`
	Size        int     `json:"size_bytes"`
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
				fmt.Fprintf(w, "floor         %8.0f statements/s (%d bytes; batch verification, tree, group commit)\n", r.PerSecond, r.Size)
				fmt.Fprintf(w, "broker alone  %8.0f statements/s (%s, TLS, QoS 1 where the transport has it)\n", r.BrokerAlone, f.transport)
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
	w, err := newWorkload(f, dir)
	if err != nil {
		return nil, err
	}
	var floor, alone []float64
	for range f.rounds {
		v, err := w.floor()
		if err != nil {
			return nil, err
		}
		floor = append(floor, v)
		if v, err = w.brokerAlone(ctx, f.transport); err != nil {
			return nil, err
		}
		alone = append(alone, v)
	}
	return &floorResult{median(floor), median(alone), f.statements, f.size, loadAverage()}, nil
}

type limitsResult struct {
	Fdatasync  float64 `json:"fdatasync_us"`
	SHA256     float64 `json:"sha256_mb_per_s"`
	Ed25519    float64 `json:"ed25519_verify_us"`
	Batch      float64 `json:"ed25519_verify_batch_1024_us"`
	ES256      float64 `json:"es256_verify_us"`
	SignEd     float64 `json:"ed25519_sign_us"`
	SignES     float64 `json:"es256_sign_us"`
	Processors int     `json:"processors"`
	Load       string  `json:"load_average"`
}

func newBenchLimits() *cobra.Command {
	var asJSON bool
	var dir string
	c := &cobra.Command{
		Use:   "limits",
		Short: "Measure this machine: disk, hashing, signatures, each on one core",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := benchLimits(dir)
			if err != nil {
				return failed(err)
			}
			return failed(printResult(cmd.OutOrStdout(), asJSON, r, func(w io.Writer) {
				fmt.Fprintf(w, "fdatasync of 64 kB    %8.0f µs\n", r.Fdatasync)
				fmt.Fprintf(w, "SHA-256               %8.0f MB/s\n", r.SHA256)
				fmt.Fprintf(w, "Ed25519 verification  %8.1f µs singly, %.1f µs in batches of 1024\n", r.Ed25519, r.Batch)
				fmt.Fprintf(w, "ES256 verification    %8.1f µs\n", r.ES256)
				fmt.Fprintf(w, "signing               %8.1f µs Ed25519, %.1f µs ES256\n", r.SignEd, r.SignES)
				fmt.Fprintf(w, "processors            %8d, load average %s\n", r.Processors, r.Load)
			}))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().StringVar(&dir, "dir", "", "directory whose disk is measured; default is the temporary one")
	return c
}

func benchLimits(dir string) (*limitsResult, error) {
	r := &limitsResult{Processors: runtime.NumCPU()}
	var err error
	if r.Fdatasync, err = timeFdatasync(dir); err != nil {
		return nil, err
	}
	block := make([]byte, 1<<20)
	r.SHA256 = 1e6 / perCall(64, func() error { sha256.Sum256(block); return nil }) * 1.048576
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		k, err := signer.Generate(alg)
		if err != nil {
			return nil, err
		}
		message := make([]byte, 1000)
		sig, err := k.Sign(message)
		if err != nil {
			return nil, err
		}
		signing := perCall(500, func() error { _, err := k.Sign(message); return err })
		verifying := perCall(500, func() error {
			if !signer.VerifyRaw(k.Public(), message, sig) {
				return signer.ErrSignature
			}
			return nil
		})
		if alg == signer.EdDSA {
			r.SignEd, r.Ed25519 = signing, verifying
		} else {
			r.SignES, r.ES256 = signing, verifying
		}
	}
	if r.Batch, err = timeBatch(); err != nil {
		return nil, err
	}
	r.Load = loadAverage()
	return r, nil
}

// perCall returns microseconds a call, NaN never: a failing call counts as slow
// as a second, which shows.
func perCall(n int, f func() error) float64 {
	start := time.Now()
	for range n {
		if f() != nil {
			return 1e6
		}
	}
	return float64(time.Since(start).Nanoseconds()) / 1e3 / float64(n)
}

func timeFdatasync(dir string) (float64, error) {
	f, err := os.CreateTemp(dir, "wattmark-limits-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	chunk := make([]byte, 64<<10)
	us := perCall(100, func() error {
		_, err := f.Write(chunk)
		return errors.Join(err, unix.Fdatasync(int(f.Fd())))
	})
	return us, nil
}

func timeBatch() (float64, error) {
	k, err := signer.Generate(signer.EdDSA)
	if err != nil {
		return 0, err
	}
	jobs := make([]signer.Job, 1024)
	for i := range jobs {
		s, err := signer.Sign(k, signer.Header{Type: "t", ContentType: "c"}, []byte{byte(i), byte(i >> 8)})
		if err != nil {
			return 0, err
		}
		m, err := signer.Parse(s)
		if err != nil {
			return 0, err
		}
		jobs[i] = signer.Job{Message: m, Key: k.Public()}
	}
	v := signer.NewVerifier()
	us := perCall(5, func() error { v.VerifyBatch(jobs); return jobs[0].Err })
	return us / float64(len(jobs)), nil
}
