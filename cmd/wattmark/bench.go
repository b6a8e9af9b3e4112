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
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"wattmark/signer"
)

func newBench() *cobra.Command {
	return noun("bench", "Measure this machine and the real path on it",
		newBenchIngest(), newBenchFloor(), newBenchLimits(), newBenchMarket(), newBenchCarbon(), newBenchGenerate(), newBenchWorker())
}

// benchFlags are what every bench of statements takes.
type benchFlags struct {
	statements int
	size       int
	oracles    int
	brokers    int
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

// maxSize is what a pack of the most records comes to, about.
const maxSize = 20_000

func (f *benchFlags) check() error {
	switch {
	case f.statements < 1 || f.statements > 2_000_000:
		return fmt.Errorf("--statements %d is not between 1 and 2000000", f.statements)
	case f.size < 300 || f.size > maxSize:
		return fmt.Errorf("--size %d is not between 300 and %d bytes", f.size, maxSize)
	case f.rate < 0 || f.rate > 1_000_000:
		return fmt.Errorf("--rate %d is not between 0 and 1000000", f.rate)
	case f.transport == direct && f.rate > 0:
		return errors.New("--rate needs a transport: behind the broker nobody waits for a receipt")
	case f.brokers != 0 && f.brokers != 1 && f.brokers != 3:
		return fmt.Errorf("--brokers %d is not 0, 1 or 3", f.brokers)
	case f.brokers > 0 && f.transport == direct:
		return errors.New("--brokers needs a transport that goes over them")
	case f.oracles < 1 || f.oracles > 16:
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

// progress returns where a bench says what it is doing: nowhere for a program that
// reads its result, unless a person looks on.
func (f *benchFlags) progress(stderr io.Writer) io.Writer {
	if file, ok := stderr.(*os.File); f.asJSON && !(ok && term.IsTerminal(int(file.Fd()))) {
		return io.Discard
	}
	return stderr
}

// benchLog keeps the warnings of broker and oracles for the error of a bench that
// fails. Where it does not fail its result says what came of them.
func benchLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// explain words the error of a bench for a person.
func (b *bench) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was measured")
	}
	if said := strings.TrimSpace(b.said.String()); said != "" {
		return fmt.Errorf("%w\nBroker and oracles said last:\n%s", err, said)
	}
	return err
}

// lastLines keeps the end of what is written to it.
type lastLines struct {
	mu   sync.Mutex // guards the field below
	kept []byte
}

const keptLines = 4 << 10

// Write keeps b's end.
func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, b...)
	if n := len(l.kept) - keptLines; n > 0 {
		l.kept = append(l.kept[:0], l.kept[n:]...)
	}
	return len(b), nil
}

// String returns what was kept.
func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.kept)
}

func newBenchIngest() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "ingest",
		Short: "Measure publish → verified → ordered → durable final block → receipt",
		Long: `Ingest runs the real path: gateways publish signed statements over TLS to the
embedded broker, oracles verify, order, execute, make durable and cosign, and a
statement counts when its receipt has been verified at the gateway. Statements
are signed before the clock starts, and the gateways are a process of their own,
so that cpu_us_per_statement is that of broker and oracles.

In the same run, alternating, it measures the same statements handed to ingest
behind the broker, the broker alone (same frames to a plain subscriber) and the
floor (batch verification, leaf hash and chain, group commit), and prints the
ratios. A statement whose receipt does not come is sent again, and counted. Before a
round of the oracles other gateways' statements, a quarter as many, warm them up.

With --brokers the servers and the oracles are processes of their own, and what
is compared is the processor time of all of them together with that of the same
servers alone and one batch verification an oracle, and with the floor: the same
servers with plain programs in the oracles' places, which bundle, read what the
servers ordered, verify it in batches and make it durable, and do nothing else.

With --rate it offers that many a second instead, and the latency counts from
when a statement was due.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if f.transport != "mqtt" && f.transport != "nats" && f.transport != direct {
				return fmt.Errorf("--transport %q is not mqtt, nats or direct", f.transport)
			}
			if f.brokers > 0 {
				r, err := benchCluster(cmd.Context(), &f, cmd.ErrOrStderr())
				if err != nil {
					return failed(err)
				}
				return failed(printResult(cmd.OutOrStdout(), f.asJSON, r, r.text))
			}
			r, err := benchIngest(cmd.Context(), &f, cmd.ErrOrStderr())
			if err != nil {
				return failed(err)
			}
			return failed(printResult(cmd.OutOrStdout(), f.asJSON, r, r.text))
		},
	}
	f.add(c)
	c.Flags().IntVar(&f.oracles, "oracles", 1, "oracles, all in this process, or with --brokers each in its own")
	c.Flags().IntVar(&f.brokers, "brokers", 0, "servers of a cluster, 1 or 3, each a process of its own; 0 is a broker in this process")
	c.Flags().StringVar(&f.transport, "transport", "mqtt", "mqtt, nats or direct (handed to ingest)")
	c.Flags().IntVar(&f.rate, "rate", 0, "statements offered a second, open loop; 0 is as fast as they are answered")
	return c
}

// ingestResult is what bench ingest prints: medians of the rounds. Rates are
// statements a second, CPU is in microseconds a statement.
type ingestResult struct {
	Statements  int     `json:"statements"`
	Size        int     `json:"size_bytes"`
	Bytes       int     `json:"statement_bytes"` // as signed
	Oracles     int     `json:"oracles"`
	Algorithm   string  `json:"alg"`
	Transport   string  `json:"transport"`
	Rounds      int     `json:"rounds"`
	Offered     int     `json:"offered_per_s,omitempty"`
	PerSecond   float64 `json:"statements_per_s"`
	Behind      float64 `json:"behind_broker_per_s"`
	BrokerAlone float64 `json:"broker_alone_per_s"`
	Floor       float64 `json:"floor_per_s"`
	OverBroker  float64 `json:"ratio_to_broker_alone"`
	OverFloor   float64 `json:"ratio_behind_to_floor"`
	WorstBroker float64 `json:"worst_ratio_to_broker_alone"`
	WorstFloor  float64 `json:"worst_ratio_behind_to_floor"`
	// CPU is that of broker and oracles, all oracles together; the gateways are a
	// process of their own. Without a broker it is what one process does.
	CPU          float64 `json:"cpu_us_per_statement"`
	GeneratorCPU float64 `json:"generator_cpu_us_per_statement"`
	BrokerCPU    float64 `json:"broker_alone_cpu_us_per_statement"`
	BehindCPU    float64 `json:"behind_broker_cpu_us_per_statement"`
	FloorCPU     float64 `json:"floor_cpu_us_per_statement"`
	P50          float64 `json:"receipt_p50_ms"`
	P99          float64 `json:"receipt_p99_ms"`
	DiskBytes    float64 `json:"disk_bytes_per_statement"`
	// RSS is the peak of the process with broker and oracles while it was measured.
	RSS        float64 `json:"peak_rss_mb"`
	Resent     int     `json:"resent"`     // statements sent again, in all rounds
	Reconnects int     `json:"reconnects"` // connections that gateways lost and opened again
	Load       string  `json:"load_average"`
}

func (r *ingestResult) text(w io.Writer) {
	fmt.Fprintf(w, "%d statements of %d bytes, %s, %d oracle(s), over %s, %d round(s)\n", r.Statements, r.Bytes, r.Algorithm, r.Oracles, r.Transport, r.Rounds)
	if r.Offered > 0 {
		fmt.Fprintf(w, "  offered          %8d /s\n", r.Offered)
	}
	fmt.Fprintf(w, "  to receipt       %8.0f /s   %.0f µs CPU a statement", r.PerSecond, r.CPU)
	if r.GeneratorCPU > 0 {
		fmt.Fprintf(w, ", and %.0f µs of the gateways", r.GeneratorCPU)
	}
	fmt.Fprintf(w, "\n  receipt after    %8.0f ms median, %.0f ms at the 99th percentile\n", r.P50, r.P99)
	if r.BrokerAlone > 0 {
		fmt.Fprintf(w, "  broker alone     %8.0f /s   %.0f µs; ratio to receipt %.2f, worst round %.2f\n", r.BrokerAlone, r.BrokerCPU, r.OverBroker, r.WorstBroker)
	}
	if r.Floor > 0 {
		fmt.Fprintf(w, "  behind broker    %8.0f /s   %.0f µs\n", r.Behind, r.BehindCPU)
		fmt.Fprintf(w, "  floor            %8.0f /s   %.0f µs; ratio behind broker %.2f, worst round %.2f\n", r.Floor, r.FloorCPU, r.OverFloor, r.WorstFloor)
	}
	fmt.Fprintf(w, "  on disk          %8.0f bytes a statement and oracle\n", r.DiskBytes)
	fmt.Fprintf(w, "  memory           %8.0f MB at most, broker and oracles\n", r.RSS)
	if r.Resent > 0 || r.Reconnects > 0 {
		fmt.Fprintf(w, "  sent again       %8d statements, %d connections were lost\n", r.Resent, r.Reconnects)
	}
	fmt.Fprintf(w, "  load average     %s\n", r.Load)
}

// rounds are the measurements of one thing, one a round.
type rounds []*measured

func (r rounds) each(f func(*measured) float64) []float64 {
	out := make([]float64, len(r))
	for i, m := range r {
		out[i] = f(m)
	}
	return out
}

func (r rounds) median(f func(*measured) float64) float64 { return median(r.each(f)) }

func perSecond(m *measured) float64 { return m.perSecond }
func cpuEach(m *measured) float64   { return m.cpu }

// benchIngest alternates the rounds and takes medians, and of each round's pairs
// the ratios.
func benchIngest(ctx context.Context, f *benchFlags, stderr io.Writer) (*ingestResult, error) {
	dir, clean, err := f.tempDir()
	if err != nil {
		return nil, err
	}
	defer clean()
	b, err := newBenchRun(f, dir)
	if err != nil {
		return nil, err
	}
	defer b.clean()
	var path, behind, alone, floor rounds
	measure := func(into *rounds, round int, what string, fn func() (*measured, error)) {
		if err != nil {
			return
		}
		fmt.Fprintf(f.progress(stderr), "round %d of %d: %s\n", round, f.rounds, what)
		var m *measured
		if m, err = fn(); err == nil {
			*into = append(*into, m)
		}
	}
	for i := 1; i <= f.rounds; i++ {
		pairs := f.rate == 0 // an open loop is measured for its latency alone
		if pairs && f.transport != direct {
			measure(&alone, i, "broker alone", func() (*measured, error) { return b.brokerAlone(ctx, f.transport) })
		}
		measure(&path, i, "to receipt over "+f.transport, func() (*measured, error) { return b.path(ctx, f.transport, f.oracles, f.rate) })
		if pairs {
			measure(&floor, i, "floor", b.floor)
		}
		if pairs && f.transport != direct {
			measure(&behind, i, "behind the broker", func() (*measured, error) { return b.path(ctx, direct, f.oracles, 0) })
		}
		if err != nil {
			return nil, b.explain(ctx, err)
		}
	}
	if f.transport == direct {
		behind = path
	}
	r := &ingestResult{
		Statements: f.statements, Size: f.size, Bytes: path[0].bytes, Oracles: f.oracles, Algorithm: f.alg, Transport: f.transport,
		Rounds: f.rounds, Offered: f.rate, Load: loadAverage(),
		PerSecond: path.median(perSecond), Behind: behind.median(perSecond), BrokerAlone: alone.median(perSecond), Floor: floor.median(perSecond),
		CPU: path.median(cpuEach), BehindCPU: behind.median(cpuEach), BrokerCPU: alone.median(cpuEach), FloorCPU: floor.median(cpuEach),
		GeneratorCPU: path.median(func(m *measured) float64 { return m.generator }),
		P50:          path.median(func(m *measured) float64 { return m.p50 }),
		P99:          path.median(func(m *measured) float64 { return m.p99 }),
		DiskBytes:    path.median(func(m *measured) float64 { return m.disk }),
		RSS:          path.median(func(m *measured) float64 { return m.rss }),
	}
	for _, m := range append(append(rounds{}, path...), alone...) {
		r.Resent += m.resent
		r.Reconnects += m.reconnects
	}
	r.OverBroker, r.WorstBroker = ratios(path, alone)
	r.OverFloor, r.WorstFloor = ratios(behind, floor)
	return r, nil
}

// ratios pairs each round's rates and returns the median and the worst ratio.
func ratios(a, b rounds) (mid, worst float64) {
	var all []float64
	for i := range min(len(a), len(b)) {
		all = append(all, a[i].perSecond/b[i].perSecond)
	}
	if len(all) == 0 {
		return 0, 0
	}
	sort.Float64s(all)
	return median(all), all[0]
}
