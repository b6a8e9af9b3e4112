package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"wattmark/signer"
)

func newBench() *cobra.Command {
	return noun("bench", "Measure this machine and the real path on it",
		newBenchIngest(), newBenchFloor(), newBenchLimits())
}

// benchFlags are what every bench of statements takes.
type benchFlags struct {
	statements int
	size       int
	oracles    int
	gateways   int
	rounds     int
	window     int
	rate       int
	alg        string
	transport  string
	dir        string
	profileTo  string
	asJSON     bool
}

// profile starts a CPU profile if one was asked for.
func (f *benchFlags) profile() (stop func(), err error) {
	if f.profileTo == "" {
		return func() {}, nil
	}
	file, err := os.Create(f.profileTo)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { pprof.StopCPUProfile(); file.Close() }, nil
}

func (f *benchFlags) add(c *cobra.Command) {
	c.Flags().IntVar(&f.statements, "statements", 40_000, "statements in a round")
	c.Flags().IntVar(&f.size, "size", 1024, "bytes of a statement, about")
	c.Flags().IntVar(&f.rounds, "rounds", 1, "rounds; what is compared alternates, and the median is printed")
	c.Flags().IntVar(&f.gateways, "gateways", 64, "gateways that publish")
	c.Flags().IntVar(&f.window, "outstanding", 4096, "statements on their way at once, of all gateways together")
	c.Flags().StringVar(&f.alg, "alg", "ed25519", "ed25519 or es256")
	c.Flags().StringVar(&f.dir, "dir", "", "directory for the ledgers; default is a temporary one")
	c.Flags().StringVar(&f.profileTo, "profile", "", "write a CPU profile of the last measured path to `FILE`")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object")
}

func (f *benchFlags) check() error {
	switch {
	case f.statements < 1 || f.statements > 2_000_000:
		return fmt.Errorf("--statements %d is not between 1 and 2000000", f.statements)
	case f.size < 400 || f.size > 60_000:
		return fmt.Errorf("--size %d is not between 400 and 60000 bytes", f.size)
	case f.oracles < 0 || f.oracles > 16:
		return fmt.Errorf("--oracles %d is not between 1 and 16", f.oracles)
	case f.gateways < 1 || f.gateways > 512:
		return fmt.Errorf("--gateways %d is not between 1 and 512", f.gateways)
	case f.rounds < 1 || f.rounds > 100:
		return fmt.Errorf("--rounds %d is not between 1 and 100", f.rounds)
	case f.window < f.gateways || f.window > 1<<16:
		return fmt.Errorf("--outstanding %d is not between the number of gateways and 65536", f.window)
	}
	_, err := signer.ParseAlgorithm(f.alg)
	return err
}

// tempDir returns the directory to work in and how to clean up.
func (f *benchFlags) tempDir() (string, func(), error) {
	if f.dir != "" {
		return f.dir, func() {}, os.MkdirAll(f.dir, 0o700)
	}
	d, err := os.MkdirTemp("", "wattmark-bench-")
	return d, func() { os.RemoveAll(d) }, err
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// loadAverage is the machine's, as the kernel words it, or empty.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// printResult prints a result as JSON or, line by line, as text.
func printResult(w io.Writer, asJSON bool, v any, text func(io.Writer)) error {
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	text(w)
	return nil
}

func benchLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func newBenchIngest() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "ingest",
		Short: "Measure publish → verified → ordered → durable final block → receipt",
		Long: `Ingest runs the real path: gateways publish signed statements over TLS to the
embedded broker, oracles verify, order, execute, make durable and cosign, and a
statement counts when its receipt has been verified at the gateway. Statements
are signed before the clock starts.

In the same run, alternating, it measures the same statements handed to ingest
behind the broker, the broker alone (same frames to a plain subscriber) and the
floor (batch verification, leaf hash and chain, group commit), and prints the
ratios. With --rate it offers that many a second instead, and the latency counts
from when a statement was due.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if f.transport != "mqtt" && f.transport != "nats" && f.transport != "direct" {
				return fmt.Errorf("--transport %q is not mqtt, nats or direct", f.transport)
			}
			r, err := benchIngest(cmd.Context(), &f, cmd.ErrOrStderr())
			if err != nil {
				return failed(err)
			}
			return failed(printResult(cmd.OutOrStdout(), f.asJSON, r, r.text))
		},
	}
	f.add(c)
	c.Flags().IntVar(&f.oracles, "oracles", 1, "oracles, all in this process")
	c.Flags().StringVar(&f.transport, "transport", "mqtt", "mqtt, nats or direct (handed to ingest)")
	c.Flags().IntVar(&f.rate, "rate", 0, "statements offered a second, open loop; 0 is as fast as they are answered")
	return c
}

// ingestResult is what bench ingest prints. Rates are statements a second.
type ingestResult struct {
	Statements  int     `json:"statements"`
	Size        int     `json:"size_bytes"`
	Oracles     int     `json:"oracles"`
	Algorithm   string  `json:"alg"`
	Transport   string  `json:"transport"`
	Offered     int     `json:"offered_per_s,omitempty"`
	PerSecond   float64 `json:"statements_per_s"`
	Behind      float64 `json:"behind_broker_per_s"`
	BrokerAlone float64 `json:"broker_alone_per_s"`
	Floor       float64 `json:"floor_per_s"`
	OverBroker  float64 `json:"ratio_to_broker_alone"`
	OverFloor   float64 `json:"ratio_behind_to_floor"`
	WorstBroker float64 `json:"worst_ratio_to_broker_alone"`
	WorstFloor  float64 `json:"worst_ratio_behind_to_floor"`
	CPU         float64 `json:"cpu_us_per_statement"`
	P50         float64 `json:"receipt_p50_ms"`
	P99         float64 `json:"receipt_p99_ms"`
	DiskBytes   float64 `json:"disk_bytes_per_statement"`
	Load        string  `json:"load_average"`
}

func (r *ingestResult) text(w io.Writer) {
	fmt.Fprintf(w, "%d statements of %d bytes, %s, %d oracle(s), over %s\n", r.Statements, r.Size, r.Algorithm, r.Oracles, r.Transport)
	if r.Offered > 0 {
		fmt.Fprintf(w, "  offered          %8d /s\n", r.Offered)
	}
	fmt.Fprintf(w, "  to receipt       %8.0f /s   %.0f µs CPU a statement, generator included\n", r.PerSecond, r.CPU)
	fmt.Fprintf(w, "  receipt after    %8.0f ms median, %.0f ms at the 99th percentile\n", r.P50, r.P99)
	if r.BrokerAlone > 0 {
		fmt.Fprintf(w, "  broker alone     %8.0f /s   ratio %.2f, worst round %.2f\n", r.BrokerAlone, r.OverBroker, r.WorstBroker)
	}
	if r.Floor > 0 {
		fmt.Fprintf(w, "  behind broker    %8.0f /s\n", r.Behind)
		fmt.Fprintf(w, "  floor            %8.0f /s   ratio behind broker %.2f, worst round %.2f\n", r.Floor, r.OverFloor, r.WorstFloor)
	}
	fmt.Fprintf(w, "  on disk          %8.0f bytes a statement and oracle\n", r.DiskBytes)
	fmt.Fprintf(w, "  load average     %s\n", r.Load)
}

// benchIngest alternates the rounds and takes medians of pairs.
func benchIngest(ctx context.Context, f *benchFlags, progress io.Writer) (*ingestResult, error) {
	r := &ingestResult{Statements: f.statements, Size: f.size, Oracles: f.oracles, Algorithm: f.alg, Transport: f.transport, Offered: f.rate}
	dir, clean, err := f.tempDir()
	if err != nil {
		return nil, err
	}
	defer clean()
	w, err := newWorkload(f, dir)
	if err != nil {
		return nil, err
	}
	var path, behind, alone, floor, cpu, p50, p99, disk []float64
	for i := range f.rounds {
		note := func(what string) { fmt.Fprintf(progress, "round %d of %d: %s\n", i+1, f.rounds, what) }
		if f.transport != "direct" && f.rate == 0 {
			note("broker alone")
			v, err := w.brokerAlone(ctx, f.transport)
			if err != nil {
				return nil, err
			}
			alone = append(alone, v)
		}
		note("to receipt over " + f.transport)
		m, err := w.path(ctx, f.transport, f.oracles, f.rate)
		if err != nil {
			return nil, err
		}
		path, cpu, disk = append(path, m.perSecond), append(cpu, m.cpu), append(disk, m.disk)
		p50, p99 = append(p50, m.p50), append(p99, m.p99)
		if f.rate > 0 {
			continue
		}
		note("floor")
		v, err := w.floor()
		if err != nil {
			return nil, err
		}
		floor = append(floor, v)
		if f.transport == "direct" {
			behind = append(behind, m.perSecond)
			continue
		}
		note("behind the broker")
		if m, err = w.path(ctx, "direct", f.oracles, 0); err != nil {
			return nil, err
		}
		behind = append(behind, m.perSecond)
	}
	r.PerSecond, r.Behind, r.BrokerAlone, r.Floor = median(path), median(behind), median(alone), median(floor)
	r.CPU, r.P50, r.P99, r.DiskBytes, r.Load = median(cpu), median(p50), median(p99), median(disk), loadAverage()
	r.OverBroker, r.WorstBroker = ratios(path, alone)
	r.OverFloor, r.WorstFloor = ratios(behind, floor)
	return r, nil
}

// ratios pairs each round's figures and returns the median and the worst ratio.
func ratios(a, b []float64) (mid, worst float64) {
	var all []float64
	for i := range min(len(a), len(b)) {
		all = append(all, a[i]/b[i])
	}
	if len(all) == 0 {
		return 0, 0
	}
	sort.Float64s(all)
	return median(all), all[0]
}
