package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/oracle"
	"wattmark/oracle/wire"
)

// direct is the transport of what is handed to ingest, behind the broker.
const direct = "direct"

// bench is a run of a bench: its rounds share keys and a directory.
type bench struct {
	*benchFlags
	work  *workload
	warm  *workload // of other gateways, before a round
	dir   string
	round int
	used  []string   // the directories of rounds that are over
	said  *lastLines // what broker and oracles wrote to their log
}

func newBenchRun(f *benchFlags, dir string) (*bench, error) {
	seeds, err := newSeeds(f.gateways)
	if err != nil {
		return nil, err
	}
	w, err := newWorkload(f.alg, f.statements, f.size, seeds)
	if err != nil {
		return nil, err
	}
	b := &bench{benchFlags: f, work: w, dir: dir, said: &lastLines{}}
	if seeds, err = newSeeds(f.gateways); err == nil {
		b.warm, err = newWorkload(f.alg, max(f.statements/4, f.window), f.size, seeds)
	}
	if err != nil {
		return nil, err
	}
	b.warm.prefix = "warm"
	return b, nil
}

// measured is one round of something. CPU is in microseconds a statement, and of
// this process: broker and oracles.
type measured struct {
	perSecond, cpu, disk float64
	p50, p99             float64 // to receipt, ms
	generator            float64 // CPU of the gateways' process, µs a statement
	rss                  float64 // peak of this process, MB
	bytes                int     // of a statement
	resent, reconnects   int
}

// open opens a cluster of its own for a round. The round calls end when it is over.
func (b *bench) open(ctx context.Context, oracles int, listen bool, observe func(int, oracle.Event)) (c *cluster, end func(), err error) {
	b.round++
	dir := filepath.Join(b.dir, fmt.Sprintf("round-%d", b.round))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	c, err = openCluster(ctx, clusterConfig{
		dir: dir, oracles: oracles, gateways: b.work.names(), listen: listen, now: time.Now, log: benchLog(b.said), observe: observe,
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	return c, func() { c.close(); b.empty(dir) }, nil
}

// empty gives back the room of a round, and leaves its files until the end: ext4 passes
// over the inodes of files that went within the last minutes, one by one, and the tiles
// of the next round would take ten times as long to create.
func (b *bench) empty(dir string) {
	b.used = append(b.used, dir)
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			err = os.Truncate(path, 0)
		}
		return err
	})
}

// clean removes what the rounds left.
func (b *bench) clean() {
	for _, dir := range b.used {
		os.RemoveAll(dir)
	}
}

// path runs one round: every statement published, and its receipt verified.
func (b *bench) path(ctx context.Context, transport string, oracles, rate int) (*measured, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	h := newHanding()
	c, end, err := b.open(ctx, oracles, transport != direct, h.observe)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	defer end()
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.run(ctx); err != nil {
			cancel(fmt.Errorf("an oracle stopped: %w", err))
		}
	})
	defer running.Wait()
	defer cancel(nil)
	if err := c.enrol(ctx, append(b.work.enrolments(), b.warm.enrolments()...)); err != nil {
		return nil, err
	}
	if err := h.connect(c); err != nil {
		return nil, err
	}
	defer h.close()
	var run func() (*generated, error)
	if transport == direct {
		frames, err := b.work.sign(c.charter.Origin, time.Now())
		if err != nil {
			return nil, err
		}
		run = func() (*generated, error) { return h.run(ctx, b.work, frames, b.window) }
	} else {
		order, err := b.order(c, transport)
		if err != nil {
			return nil, err
		}
		order.Rate = rate
		g, err := startGenerator(ctx, order)
		if err != nil {
			return nil, err
		}
		defer g.close()
		run = func() (*generated, error) { return g.run(ctx) }
	}
	if err := b.warmUp(ctx, c, h); err != nil {
		return nil, fmt.Errorf("warming up: %w", err)
	}
	stop, err := b.profile()
	if err != nil {
		return nil, err
	}
	before, cpu := diskUsage(c.oracleDir(0)), cpuTime()
	r, err := run()
	used := cpuTime() - cpu
	stop()
	if err != nil {
		return nil, err
	}
	m := b.measure(r, used)
	m.disk = float64(diskUsage(c.oracleDir(0))-before) / float64(b.statements)
	m.rss = peakRSS()
	return m, nil
}

// warmUp has oracles that start take statements of other gateways. What is measured
// is oracles that run, not memory that is touched for the first time: broker alone and
// floor have theirs by then.
func (b *bench) warmUp(ctx context.Context, c *cluster, h *handing) error {
	frames, err := b.warm.sign(c.charter.Origin, time.Now())
	if err != nil {
		return err
	}
	startPeak()
	if _, err := h.run(ctx, b.warm, frames, b.window); err != nil {
		return err
	}
	runtime.GC()
	return nil
}

// measure puts together what a round gave.
func (b *bench) measure(r *generated, used time.Duration) *measured {
	n := float64(b.statements)
	return &measured{
		perSecond: n / time.Duration(r.Took).Seconds(), cpu: float64(used.Microseconds()) / n, p50: r.P50, p99: r.P99,
		generator: float64(r.CPU) / n, bytes: r.Bytes, resent: r.Resent, reconnects: r.Reconnects,
	}
}

// order is the order to the gateways' process for a round.
func (b *bench) order(c *cluster, transport string) (*generation, error) {
	charter, err := c.charter.Encode()
	if err != nil {
		return nil, err
	}
	o := &generation{
		Alg: b.alg, Statements: b.statements, Size: b.size, Seeds: b.work.seeds, Charter: charter,
		Transport: transport, URLs: []string{c.broker.MQTTURL()}, Window: b.window, Now: time.Now(),
	}
	if transport == "nats" {
		o.URLs = []string{c.broker.NATSURL()}
	}
	for _, name := range b.work.names() {
		f, err := c.pki.Gateway(time.Now(), wire.ShortName(c.charter.Origin), name)
		if err != nil {
			return nil, err
		}
		o.TLS = append(o.TLS, f)
	}
	return o, nil
}

func diskUsage(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// handing hands frames to the oracles' ingest within this process. It counts the
// receipts that the oracles send, whose gateways do not exist.
type handing struct {
	offer   func(k int, gateway string, frame []byte) bool
	refused chan []byte
	conn    *nats.Conn

	mu      sync.Mutex // guards the fields below
	sent    map[string][]time.Time
	took    []int64
	answers chan int
}

func newHanding() *handing {
	return &handing{refused: make(chan []byte, 1), sent: make(map[string][]time.Time), answers: make(chan int, 4096)}
}

// connect makes the cluster's ingest the one that frames are handed to.
func (h *handing) connect(c *cluster) (err error) {
	h.offer = func(k int, gateway string, frame []byte) bool {
		return c.nodes[k%len(c.nodes)].Ingest().Offer(gateway, frame)
	}
	if h.conn, err = c.broker.Conn(); err != nil {
		return err
	}
	_, err = h.conn.Subscribe(wire.For(c.charter.Origin).Refusal("*"), func(m *nats.Msg) {
		select {
		case h.refused <- m.Data:
		default:
		}
	})
	return errors.Join(err, h.conn.Flush())
}

func (h *handing) close() {
	if h.conn != nil {
		h.conn.Close()
	}
}

// observe takes the answers to a gateway as those to its oldest statements: that is
// their order but for neighbours, and telling them apart would be a gateway's work.
func (h *handing) observe(_ int, e oracle.Event) {
	if e.Answered == 0 {
		return
	}
	now := time.Now()
	h.mu.Lock()
	sent := h.sent[e.Gateway]
	n := min(e.Answered, len(sent))
	for _, at := range sent[:n] {
		h.took = append(h.took, now.Sub(at).Nanoseconds())
	}
	h.sent[e.Gateway] = sent[n:]
	h.mu.Unlock()
	if n > 0 {
		h.answers <- n
	}
}

// run hands over the frames of w's gateways, at most window on their way.
func (h *handing) run(ctx context.Context, w *workload, frames [][][]byte, window int) (*generated, error) {
	total, k := 0, 0
	for _, f := range frames {
		total += len(f)
	}
	next := func() (gateway, i int) { return k % len(frames), k / len(frames) }
	h.took = make([]int64, 0, total) // nothing is on its way
	idle := time.NewTimer(quiet)
	defer idle.Stop()
	start := time.Now()
	for out, answered := 0, 0; answered < total; {
		for out < window && k < total {
			g, i := next()
			name := w.gateway(g)
			h.mu.Lock()
			h.sent[name] = append(h.sent[name], time.Now())
			h.mu.Unlock()
			for !h.offer(k, name, frames[g][i]) {
				time.Sleep(100 * time.Microsecond)
			}
			k++
			out++
		}
		idle.Reset(quiet)
		select {
		case n := <-h.answers:
			answered += n
			out -= n
		case b := <-h.refused:
			return nil, fmt.Errorf("a statement was refused: %x", b[:min(len(b), 80)])
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-idle.C:
			return nil, fmt.Errorf("no receipt for %v, %d of %d statements are answered: %s", quiet, answered, total, tooBusy)
		}
	}
	g := &generated{Took: time.Since(start).Nanoseconds(), Bytes: len(frames[0][0]) - frameHead}
	g.P50, g.P99 = percentiles(h.took)
	return g, nil
}

// brokerAlone publishes the same frames over the same transport to a plain
// subscriber: what any path through this broker costs.
func (b *bench) brokerAlone(ctx context.Context, transport string) (*measured, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, end, err := b.open(ctx, 1, true, nil)
	if err != nil {
		return nil, err
	}
	defer end()
	defer c.closeLedgers()
	order, err := b.order(c, transport)
	if err != nil {
		return nil, err
	}
	order.Alone = true
	g, err := startGenerator(ctx, order)
	if err != nil {
		return nil, err
	}
	defer g.close()
	marks := newMarkStream(g)
	var writing sync.WaitGroup
	writing.Go(func() { marks.write(ctx) })
	defer writing.Wait()
	defer cancel()
	conn, err := c.broker.Conn()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	s, err := conn.Subscribe(wire.For(c.charter.Origin).Up("*"), func(m *nats.Msg) { marks.add(m.Data) })
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.SetPendingLimits(-1, -1), conn.Flush()); err != nil {
		return nil, err
	}
	runtime.GC()
	cpu := cpuTime()
	r, err := g.run(ctx)
	if err != nil {
		return nil, err
	}
	return b.measure(r, cpuTime()-cpu), nil
}

// markStream tells the gateways' process which statements reached the subscriber.
type markStream struct {
	g     *generator
	ready chan struct{} // holds one: there is something to write

	mu   sync.Mutex // guards the field below
	next []byte
}

func newMarkStream(g *generator) *markStream { return &markStream{g: g, ready: make(chan struct{}, 1)} }

func (m *markStream) add(frame []byte) {
	m.mu.Lock()
	m.next = append(m.next, frame[len(frame)-markSize:]...)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *markStream) write(ctx context.Context) {
	var spare []byte
	for {
		select {
		case <-m.ready:
		case <-ctx.Done():
			return
		}
		m.mu.Lock()
		b := m.next
		m.next = spare[:0]
		m.mu.Unlock()
		if _, err := m.g.in.Write(b); err != nil {
			return // the process ended, which whoever waits for it is told
		}
		spare = b
	}
}
