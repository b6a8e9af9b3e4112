package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
)

// The gateways of a bench are a process of their own, so that what they use of the
// processor can be told from what broker and oracles use. It is this program again,
// as "bench generate": it reads an order from standard input, signs all statements,
// says that it is ready, waits for "go", and prints what it measured.

// generation is the order to a generator.
type generation struct {
	Alg        string         `json:"alg"`
	Statements int            `json:"statements"`
	Size       int            `json:"size"`
	Seeds      [][32]byte     `json:"seeds"` // of the gateways' keys
	Charter    []byte         `json:"charter"`
	Transport  string         `json:"transport"`        // mqtt or nats
	URLs       []string       `json:"urls"`             // gateways are dealt out to them
	Prefix     string         `json:"prefix,omitempty"` // of the gateways' names
	TLS        []broker.Files `json:"tls"`
	Window     int            `json:"window"` // of all gateways together
	Rate       int            `json:"rate"`   // 0 is a closed loop
	Alone      bool           `json:"alone"`  // answers are marks on standard input, not receipts
	Plain      bool           `json:"plain"`  // answers are messages of marks, not receipts
	Now        time.Time      `json:"now"`
}

// generated is what a generator prints, once with Ready alone and once at the end.
type generated struct {
	Ready      bool    `json:"ready,omitempty"`
	Error      string  `json:"error,omitempty"`
	Bytes      int     `json:"statement_bytes,omitempty"`
	Took       int64   `json:"took_ns,omitempty"` // from go to the last answer
	P50        float64 `json:"p50_ms,omitempty"`
	P99        float64 `json:"p99_ms,omitempty"`
	CPU        int64   `json:"cpu_us,omitempty"` // from go to the last answer
	Resent     int     `json:"resent,omitempty"`
	Reconnects int     `json:"reconnects,omitempty"`
}

const goWord = "go\n"

// markSize is the length of a statement's mark: the last bytes of its frame, which
// are of its signature and so not another one's.
const markSize = 8

func markOf(frame []byte) uint64 { return binary.BigEndian.Uint64(frame[len(frame)-markSize:]) }

func newBenchGenerate() *cobra.Command {
	return &cobra.Command{
		Use:    "generate",
		Short:  "Be the gateways of a bench",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := json.NewEncoder(cmd.OutOrStdout())
			g, err := generate(cmd.Context(), cmd.InOrStdin(), func() error { return out.Encode(generated{Ready: true}) })
			if err != nil {
				g = &generated{Error: err.Error()}
			}
			return failed(out.Encode(g))
		},
	}
}

// generate obeys one order. It ends when in does, as then nobody waits for it.
func generate(ctx context.Context, in io.Reader, ready func() error) (*generated, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The frames are most of the memory and stay: collecting often finds nothing.
	debug.SetGCPercent(400)
	r := bufio.NewReaderSize(in, 1<<16)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("reading the order: %w", err)
	}
	var o generation
	if err := json.Unmarshal(line, &o); err != nil {
		return nil, fmt.Errorf("reading the order: %w", err)
	}
	g, err := o.prepare(ctx)
	if err != nil {
		return nil, err
	}
	defer g.close()
	runtime.GC()
	if err := ready(); err != nil {
		return nil, err
	}
	if line, err := r.ReadString('\n'); err != nil || line != goWord {
		return nil, fmt.Errorf("waiting for go: got %q: %w", line, err)
	}
	go func() {
		defer cancel()
		var b [markSize]byte
		for {
			if _, err := io.ReadFull(r, b[:]); err != nil {
				return
			}
			g.marked(binary.BigEndian.Uint64(b[:]), time.Now())
		}
	}()
	return g.run(ctx)
}

// generators are the gateways of a bench.
type generators struct {
	list  []*sender
	bytes int                   // of a statement
	marks map[uint64]*sentFrame // where answers are marks
}

type sentFrame struct {
	sender *sender
	index  int
}

// prepare signs everything and connects.
func (o *generation) prepare(ctx context.Context) (_ *generators, err error) {
	charter, err := entry.ParseCharter(o.Charter)
	if err != nil {
		return nil, err
	}
	policy, err := oracle.PolicyOf(charter)
	if err != nil {
		return nil, err
	}
	keys, err := oracleKeys(charter)
	if err != nil {
		return nil, err
	}
	w, err := newWorkload(o.Alg, o.Statements, o.Size, o.Seeds)
	if err != nil {
		return nil, err
	}
	if o.Prefix != "" {
		w.prefix = o.Prefix
	}
	frames, err := w.sign(charter.Origin, o.Now)
	if err != nil {
		return nil, err
	}
	g := &generators{}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if o.Alone || o.Plain {
		g.marks = make(map[uint64]*sentFrame, o.Statements)
	}
	accepted := newAcceptances(policy)
	for i, name := range w.names() {
		s, err := newSender(name, charter.Origin, frames[i], accepted, keys)
		if err != nil {
			return nil, err
		}
		s.every, s.at = len(frames), i
		s.rate = o.Rate
		s.window = o.Window / len(frames)
		if i < o.Window%len(frames) {
			s.window++
		}
		if s.transport, err = o.transport(i, name); err != nil {
			return nil, err
		}
		if o.Plain {
			s.marked = g.marked
		}
		g.list = append(g.list, s)
		if len(frames[i]) > 0 {
			g.bytes = len(frames[i][0]) - frameHead
		}
		if g.marks != nil {
			for k, f := range frames[i] {
				g.marks[markOf(f)] = &sentFrame{s, k}
			}
		}
	}
	return g, g.connect(ctx)
}

// frameHead is what a frame adds to a statement.
var frameHead = len(wire.Frame{}.Encode())

const connectTries = 6

// connect opens all connections, some at a time.
func (g *generators) connect(ctx context.Context) error {
	errs := make([]error, len(g.list))
	limit := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i, s := range g.list {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			// The servers of a cluster that has just started set MQTT up with the first
			// gateways, some of which they give up.
			for try := range connectTries {
				if errs[i] = s.connect(ctx); errs[i] == nil || ctx.Err() != nil {
					return
				}
				errs[i] = fmt.Errorf("gateway %s, connected %d times in vain: %w", s.name, try+1, errs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (g *generators) close() {
	for _, s := range g.list {
		s.disconnect()
	}
}

// marked takes the mark of a statement that was answered by it.
func (g *generators) marked(mark uint64, at time.Time) {
	if f := g.marks[mark]; f != nil {
		f.sender.answered(f.index, at)
	}
}

// quiet is how long nothing may be answered before a bench is given up.
const quiet = time.Minute

// run publishes everything and waits for the answers.
func (g *generators) run(ctx context.Context) (*generated, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	before, start := cpuTime(), time.Now()
	var wg sync.WaitGroup
	for _, s := range g.list {
		wg.Go(func() { s.check(ctx, cancel) })
	}
	var sending sync.WaitGroup
	for _, s := range g.list {
		sending.Go(func() { s.run(ctx, start) })
	}
	all := make(chan struct{})
	go func() { sending.Wait(); close(all) }()
	err := g.watch(ctx, all)
	took, cpu := time.Since(start), cpuTime()-before
	cancel(nil)
	<-all
	wg.Wait()
	if err != nil {
		return nil, err
	}
	out := &generated{Bytes: g.bytes, Took: took.Nanoseconds(), CPU: cpu.Microseconds()}
	var times []int64
	for _, s := range g.list {
		times = append(times, s.took...)
		out.Resent += s.resent
		out.Reconnects += s.reconnects
	}
	out.P50, out.P99 = percentiles(times)
	return out, nil
}

// watch waits until all is answered, and gives up when nothing is for too long.
func (g *generators) watch(ctx context.Context, all <-chan struct{}) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, seen := time.Now(), -1
	for {
		select {
		case <-all:
			return context.Cause(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		left, total := 0, 0
		for _, s := range g.list {
			left += s.unanswered()
			total += len(s.frames)
		}
		if left != seen {
			last, seen = time.Now(), left
		}
		if time.Since(last) > quiet {
			return fmt.Errorf("no answer for %v, %d of %d statements are answered: %s", quiet, total-left, total, tooBusy)
		}
	}
}

// tooBusy is what to do about a bench that gets stuck.
const tooBusy = "wait until the machine is less busy, or ask for less with --outstanding, --gateways or --rate"

// percentiles returns the median and the 99th percentile of nanoseconds, in ms.
func percentiles(ns []int64) (p50, p99 float64) {
	if len(ns) == 0 {
		return 0, 0
	}
	slices.Sort(ns)
	at := func(q int) float64 { return float64(ns[(len(ns)-1)*q/100]) / 1e6 }
	return at(50), at(99)
}

// acceptances verifies what the oracles signed once for all gateways of the bench:
// they are one process, and get the same checkpoints.
type acceptances struct {
	policy *block.Policy
	mu     sync.Mutex // guards the field below
	known  map[[32]byte]*wire.Accepted
}

func newAcceptances(p *block.Policy) *acceptances {
	return &acceptances{policy: p, known: make(map[[32]byte]*wire.Accepted)}
}

func (a *acceptances) accept(r *wire.Receipts) (*wire.Accepted, error) {
	bare := wire.Receipts{Checkpoint: r.Checkpoint, Signatures: r.Signatures}
	id := sha256.Sum256(bare.Encode())
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := a.known[id]; k != nil {
		return k, nil
	}
	k, err := r.Accept(a.policy)
	if err != nil {
		return nil, err
	}
	if len(a.known) == 256 {
		clear(a.known)
	}
	a.known[id] = k
	return k, nil
}

// generator is a generator's process, seen from the bench.
type generator struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr *lastLines
}

// startGenerator starts a process and returns when all is signed and connected.
func startGenerator(ctx context.Context, o *generation) (*generator, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	g := &generator{cmd: exec.CommandContext(ctx, self, "bench", "generate"), stderr: &lastLines{}}
	g.cmd.Args[0] = os.Args[0]
	g.cmd.Stderr = g.stderr
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	g.out = json.NewDecoder(out)
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the gateways' process: %w", err)
	}
	if err := json.NewEncoder(g.in).Encode(o); err != nil {
		return nil, errors.Join(g.broken(ctx, err), g.close())
	}
	r, err := g.read(ctx)
	if err == nil && !r.Ready {
		err = errors.New("the gateways' process did not say that it is ready")
	}
	if err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *generator) read(ctx context.Context) (*generated, error) {
	var r generated
	if err := g.out.Decode(&r); err != nil {
		return nil, g.broken(ctx, err)
	}
	if r.Error != "" {
		return nil, errors.New(r.Error)
	}
	return &r, nil
}

// broken words an error of the pipes: it means that the process ended.
func (g *generator) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the gateways' process ended early (%w): %s", err, g.stderr.String())
}

// run says go and returns what the process measured. Marks go to it meanwhile.
func (g *generator) run(ctx context.Context) (*generated, error) {
	if _, err := io.WriteString(g.in, goWord); err != nil {
		return nil, g.broken(ctx, err)
	}
	type result struct {
		*generated
		error
	}
	done := make(chan result, 1)
	go func() {
		r, err := g.read(ctx)
		done <- result{r, err}
	}()
	select {
	case r := <-done:
		return r.generated, r.error
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// close ends the process.
func (g *generator) close() error {
	g.in.Close()
	err := g.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // it printed why, or was stopped on purpose
	}
	return err
}
