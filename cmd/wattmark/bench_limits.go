package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"wattmark/signer"
)

type limitsResult struct {
	Fdatasync float64 `json:"fdatasync_us"`
	SHA256    float64 `json:"sha256_mb_per_s"`
	Ed25519   float64 `json:"ed25519_verify_us"`
	Batch     float64 `json:"ed25519_verify_batch_1024_us"`
	ES256     float64 `json:"es256_verify_us"`
	SignEd    float64 `json:"ed25519_sign_us"`
	SignES    float64 `json:"es256_sign_us"`
	Loopback  float64 `json:"loopback_mb_per_s"`
	RoundTrip float64 `json:"loopback_round_trip_us"`
	// BrokerAlone is bench floor's, of 1 KB over MQTT, on all cores.
	BrokerAlone float64 `json:"broker_alone_per_s"`
	Processors  int     `json:"processors"`
	Load        string  `json:"load_average"`
}

func newBenchLimits() *cobra.Command {
	var asJSON bool
	var dir string
	c := &cobra.Command{
		Use:   "limits",
		Short: "Measure this machine: disk, hashing, signatures, loopback, broker",
		Long: `Limits measures what bounds everything else on this machine: an fdatasync, hashing
and signatures on one core, the loopback, and the broker alone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := benchLimits(cmd.Context(), dir)
			if err != nil {
				return failed(err)
			}
			return failed(printResult(cmd.OutOrStdout(), asJSON, r, func(w io.Writer) {
				fmt.Fprintf(w, "fdatasync of 64 kB    %8.0f µs\n", r.Fdatasync)
				fmt.Fprintf(w, "SHA-256               %8.0f MB/s\n", r.SHA256)
				fmt.Fprintf(w, "Ed25519 verification  %8.1f µs singly, %.1f µs in batches of 1024\n", r.Ed25519, r.Batch)
				fmt.Fprintf(w, "ES256 verification    %8.1f µs\n", r.ES256)
				fmt.Fprintf(w, "signing               %8.1f µs Ed25519, %.1f µs ES256\n", r.SignEd, r.SignES)
				fmt.Fprintf(w, "loopback              %8.0f MB/s, %.0f µs there and back\n", r.Loopback, r.RoundTrip)
				fmt.Fprintf(w, "broker alone          %8.0f statements/s of 1 KB over MQTT\n", r.BrokerAlone)
				fmt.Fprintf(w, "processors            %8d, load average %s\n", r.Processors, r.Load)
			}))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().StringVar(&dir, "dir", "", "directory whose disk is measured; default is the temporary one")
	return c
}

func benchLimits(ctx context.Context, dir string) (*limitsResult, error) {
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
	if r.Loopback, r.RoundTrip, err = timeLoopback(); err != nil {
		return nil, err
	}
	f := &benchFlags{statements: 10_000, size: 1024, gateways: 64, window: 4096, alg: "ed25519", dir: dir}
	if f.dir, err = os.MkdirTemp(dir, "wattmark-limits-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(f.dir)
	b, err := newBenchRun(f, f.dir)
	if err != nil {
		return nil, err
	}
	m, err := b.brokerAlone(ctx, "mqtt")
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	r.BrokerAlone, r.Load = m.perSecond, loadAverage()
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

// timeLoopback returns how many megabytes a second go through one connection of the
// loopback, and how long one byte takes there and back, in microseconds.
func timeLoopback() (mb, us float64, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, fmt.Errorf("measuring the loopback: %w", err)
	}
	defer l.Close()
	const bulk, chunk, trips = 128 << 20, 64 << 10, 2000
	served := make(chan error, 1)
	go func() {
		served <- func() error {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			defer c.Close()
			var one [1]byte
			for range trips {
				if _, err := io.ReadFull(c, one[:]); err != nil {
					return err
				}
				if _, err := c.Write(one[:]); err != nil {
					return err
				}
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(c, bulk), make([]byte, chunk)); err != nil {
				return err
			}
			_, err = c.Write(one[:])
			return err
		}()
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return 0, 0, fmt.Errorf("measuring the loopback: %w", err)
	}
	defer c.Close()
	var one [1]byte
	us = perCall(trips, func() error {
		if _, err := c.Write(one[:]); err != nil {
			return err
		}
		_, err := io.ReadFull(c, one[:])
		return err
	})
	start, b := time.Now(), make([]byte, chunk)
	for range bulk / chunk {
		if _, err := c.Write(b); err != nil {
			return 0, 0, fmt.Errorf("measuring the loopback: %w", err)
		}
	}
	_, err = io.ReadFull(c, one[:])
	mb = bulk / 1e6 / time.Since(start).Seconds()
	return mb, us, errors.Join(err, <-served)
}
