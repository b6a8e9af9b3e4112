package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// workload is the statements of a bench, signed once for each ledger they go to.
type workload struct {
	*benchFlags
	dir   string
	round int
	alg   signer.Algorithm
	keys  []*signer.PrivateKey
}

func newWorkload(f *benchFlags, dir string) (*workload, error) {
	alg, err := signer.ParseAlgorithm(f.alg)
	if err != nil {
		return nil, err
	}
	w := &workload{benchFlags: f, dir: dir, alg: alg}
	for range f.gateways {
		k, err := signer.Generate(alg)
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, k)
	}
	return w, nil
}

func gatewayName(i int) string { return fmt.Sprintf("bench-%03d", i) }
func pointName(i int) string   { return fmt.Sprintf("mp-bench-%03d", i) }

func (w *workload) names() []string {
	out := make([]string, w.gateways)
	for i := range out {
		out[i] = gatewayName(i)
	}
	return out
}

var benchChannels = []string{"active_energy_export", "active_energy_import", "active_power", "current_l1", "frequency", "voltage_l1"}

func (w *workload) enrolments() []entry.Enrolment {
	var channels []entry.Channel
	for _, c := range benchChannels {
		kind := entry.KindGauge
		if strings.Contains(c, "energy") {
			kind = entry.KindCounter
		}
		channels = append(channels, entry.Channel{Name: c, Unit: "Wh", Kind: kind, Least: entry.Int(-1 << 40), Most: entry.Int(1 << 40)})
	}
	var out []entry.Enrolment
	for i, k := range w.keys {
		p := k.Public()
		out = append(out, entry.Enrolment{
			Algorithm: int(p.Algorithm()), Key: p.Bytes(), Gateway: gatewayName(i),
			Points: []entry.Point{{Subject: pointName(i), Mode: entry.ModeOpen, Channels: channels}},
		})
	}
	return out
}

// sign makes the frames of a round for the ledger origin, gateway by gateway,
// on all cores.
func (w *workload) sign(origin string, now time.Time) ([][][]byte, error) {
	out := make([][][]byte, w.gateways)
	errs := make([]error, w.gateways)
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range out {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			n := w.statements / w.gateways
			if i < w.statements%w.gateways {
				n++
			}
			out[i], errs[i] = w.signFor(i, n, origin, now)
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

func (w *workload) signFor(gateway, n int, origin string, now time.Time) ([][]byte, error) {
	frames := make([][]byte, n)
	var previous []byte
	records := 4
	for i := range frames {
		for {
			s, err := w.statement(gateway, uint64(i+1), records, origin, previous, now)
			if err != nil {
				return nil, err
			}
			if i == 0 && len(s) < w.size-30 { // grow the pack until the size asked for is reached
				records++
				continue
			}
			sum := sha256.Sum256(s)
			previous = sum[:]
			frames[i] = wire.Frame{Statement: s}.Encode()
			break
		}
	}
	return frames, nil
}

func (w *workload) statement(gateway int, count uint64, records int, origin string, previous []byte, now time.Time) ([]byte, error) {
	base := pointName(gateway) + "/"
	p := entry.Pack{Base: base}
	for r := range records {
		c := benchChannels[r%len(benchChannels)]
		p.Records = append(p.Records, entry.Record{
			Name: base + c, Unit: "Wh", Time: now.UnixMilli() + int64(count)*1000 + int64(r),
			Value: entry.Decimal{Mantissa: int64(1_000_000+1000*count) + int64(r), Exponent: -int8(r % 2)},
		})
	}
	pack, err := p.Encode()
	if err != nil {
		return nil, err
	}
	c := entry.Claims{
		Issuer: "urn:wattmark:gateway:" + gatewayName(gateway), Subject: pointName(gateway), Audience: origin, IssuedAt: now.Unix(),
		Sequence: entry.Sequence{Boot: 1, Count: count}, Previous: previous,
		Time: &entry.TimeQuality{Quality: entry.ClockNTP, Uncertainty: 10_000_000, Monotonic: count},
	}
	claims, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(w.keys[gateway], signer.Header{Type: entry.TypeReading, ContentType: entry.ContentSenML, Claims: claims}, pack)
}

// measured is one round of the path.
type measured struct {
	perSecond, cpu, p50, p99, disk float64
}

func (w *workload) nextDir() string {
	w.round++
	return filepath.Join(w.dir, fmt.Sprintf("round-%d", w.round))
}

// path runs one round: every statement published, and its receipt verified.
func (w *workload) path(ctx context.Context, transport string, oracles, rate int) (*measured, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir := w.nextDir()
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	answered := make(chan int, 4096)
	c, err := openCluster(ctx, clusterConfig{
		dir: dir, oracles: oracles, gateways: w.names(), listen: transport != "direct", now: time.Now, log: benchLog(os.Stderr),
		observe: func(_ int, e oracle.Event) {
			if e.Answered > 0 && transport == "direct" {
				answered <- e.Answered
			}
		},
	})
	if err != nil {
		return nil, err
	}
	defer c.close()
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx) }()
	defer func() { cancel(); <-ended }()
	if err := c.enrol(ctx, w.enrolments()); err != nil {
		return nil, err
	}
	frames, err := w.sign(c.charter.Origin, time.Now())
	if err != nil {
		return nil, err
	}
	g, err := w.generators(c, transport, frames)
	if err != nil {
		return nil, err
	}
	defer g.close()
	if transport == "direct" {
		go g.count(ctx, answered)
	}
	runtime.GC()
	stop, err := w.profile()
	if err != nil {
		return nil, err
	}
	before, cpu := diskUsage(c.oracleDir(0)), cpuTime()
	start := time.Now()
	err = g.run(ctx, w.window, rate, ended)
	took := time.Since(start)
	stop()
	if err != nil {
		return nil, err
	}
	m := &measured{perSecond: float64(w.statements) / took.Seconds()}
	m.cpu = float64((cpuTime() - cpu).Microseconds()) / float64(w.statements)
	m.disk = float64(diskUsage(c.oracleDir(0))-before) / float64(w.statements)
	m.p50, m.p99 = g.percentiles()
	return m, nil
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

// generator is one gateway of the bench: it publishes its frames and checks the
// receipts that come back against the policy.
type generator struct {
	name    string
	frames  [][]byte
	send    func([]byte) error
	sent    []atomic.Int64 // Unix nanoseconds when frame i was due or sent
	took    []int64        // nanoseconds to its verified receipt, 0 while out
	policy  *block.Policy
	replies chan []byte
	stop    chan struct{}
	done    func()
	refused func(error)
}

// receipt takes what came back, unless the bench is over.
func (g *generator) receipt(b []byte) {
	select {
	case g.replies <- b:
	case <-g.stop:
	}
}

type generators struct {
	list    []*generator
	answers chan struct{} // one for each statement answered
	failure chan error
	closers []func()
}

func (w *workload) generators(c *cluster, transport string, frames [][][]byte) (*generators, error) {
	g := &generators{answers: make(chan struct{}, w.statements), failure: make(chan error, 1)}
	sub := wire.For(c.charter.Origin)
	for i, name := range w.names() {
		gen := &generator{
			name: name, frames: frames[i], sent: make([]atomic.Int64, len(frames[i])), took: make([]int64, len(frames[i])),
			policy: c.policy, replies: make(chan []byte, 1024), stop: make(chan struct{}),
			done: func() { g.answers <- struct{}{} },
			refused: func(err error) {
				select {
				case g.failure <- err:
				default:
				}
			},
		}
		stop, err := gen.connect(c, transport, sub)
		if err != nil {
			g.close()
			return nil, fmt.Errorf("gateway %s: %w", name, err)
		}
		g.closers = append(g.closers, stop)
		g.list = append(g.list, gen)
		go gen.check()
		g.closers = append(g.closers, func() { close(gen.stop) })
	}
	return g, nil
}

func (g *generators) close() {
	for _, c := range g.closers {
		c()
	}
}

// connect opens the gateway's own connection, with its certificate.
func (g *generator) connect(c *cluster, transport string, sub wire.Subjects) (func(), error) {
	refusal := func(b []byte) { g.refused(fmt.Errorf("gateway %s was refused: %x", g.name, b[:min(len(b), 40)])) }
	switch transport {
	case "direct":
		return g.connectDirect(c, sub, refusal)
	case "nats":
		return g.connectNATS(c, sub, refusal)
	}
	return g.connectMQTT(c, sub, refusal)
}

func (g *generator) connectDirect(c *cluster, sub wire.Subjects, refusal func([]byte)) (func(), error) {
	conn, err := c.broker.Conn()
	if err != nil {
		return nil, err
	}
	next := 0
	g.send = func(b []byte) error {
		next++
		for !c.nodes[next%len(c.nodes)].Ingest().Offer(g.name, b) {
			time.Sleep(100 * time.Microsecond)
		}
		return nil
	}
	_, err = conn.Subscribe(sub.Refusal(g.name), func(m *nats.Msg) { refusal(m.Data) })
	return conn.Close, errors.Join(err, conn.Flush())
}

// count takes the receipts that oracles sent for answers: handed to ingest
// without a broker, statements have no gateway whose work would be measured.
func (g *generators) count(ctx context.Context, answered <-chan int) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-answered:
			for range n {
				g.answers <- struct{}{}
			}
		}
	}
}

func (g *generator) connectNATS(c *cluster, sub wire.Subjects, refusal func([]byte)) (func(), error) {
	cfg, err := c.clientTLS(g.name)
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(c.broker.NATSURL(), nats.Secure(cfg))
	if err != nil {
		return nil, err
	}
	subject := sub.Up(g.name)
	g.send = func(b []byte) error { return conn.Publish(subject, b) }
	_, err1 := conn.Subscribe(sub.Receipt(g.name), func(m *nats.Msg) { g.receipt(m.Data) })
	_, err2 := conn.Subscribe(sub.Refusal(g.name), func(m *nats.Msg) { refusal(m.Data) })
	return conn.Close, errors.Join(err1, err2, conn.Flush())
}

func (g *generator) connectMQTT(c *cluster, sub wire.Subjects, refusal func([]byte)) (func(), error) {
	client, err := g.mqttClient(c)
	if err != nil {
		return nil, err
	}
	topic := wire.Topic(sub.Up(g.name))
	g.send = func(b []byte) error {
		t := client.Publish(topic, 1, false, b)
		select {
		case <-t.Done():
			return t.Error()
		default:
			return nil // the receipt says whether it arrived
		}
	}
	t := client.SubscribeMultiple(map[string]byte{wire.Topic(sub.Receipt(g.name)): 0, wire.Topic(sub.Refusal(g.name)): 0},
		func(_ mqtt.Client, m mqtt.Message) {
			if strings.Contains(m.Topic(), "/receipt/") {
				g.receipt(m.Payload())
			} else {
				refusal(m.Payload())
			}
		})
	if !t.WaitTimeout(10*time.Second) || t.Error() != nil {
		return nil, fmt.Errorf("subscribing: %w", t.Error())
	}
	for topic, code := range t.(*mqtt.SubscribeToken).Result() {
		if code > 2 {
			return nil, fmt.Errorf("the broker refused the subscription to %s", topic)
		}
	}
	return func() { client.Disconnect(100) }, nil
}

func (g *generator) mqttClient(c *cluster) (mqtt.Client, error) {
	cfg, err := c.clientTLS(g.name)
	if err != nil {
		return nil, err
	}
	o := mqtt.NewClientOptions().AddBroker(c.broker.MQTTURL()).SetClientID(g.name).SetTLSConfig(cfg).
		SetCleanSession(true).SetOrderMatters(false).SetAutoReconnect(false).SetMaxResumePubInFlight(64)
	client := mqtt.NewClient(o)
	if t := client.Connect(); !t.WaitTimeout(10*time.Second) || t.Error() != nil {
		return nil, fmt.Errorf("connecting: %w", t.Error())
	}
	return client, nil
}

// check verifies receipts as a gateway does: what the oracles signed once a
// message, each statement's place against the exact bytes that were sent.
func (g *generator) check() {
	for {
		var b []byte
		select {
		case b = <-g.replies:
		case <-g.stop:
			return
		}
		now := time.Now().UnixNano()
		r, err := wire.ParseReceipts(b)
		if err != nil {
			g.refused(err)
			continue
		}
		a, err := r.Accept(g.policy)
		if err != nil {
			g.refused(err)
			continue
		}
		for i := range r.Items {
			it := &r.Items[i]
			n := int(it.Count) - 1
			if n < 0 || n >= len(g.frames) || g.took[n] != 0 {
				continue
			}
			f, err := wire.ParseFrame(g.frames[n])
			if err == nil {
				err = a.Check(it, f.Statement)
			}
			if err != nil {
				g.refused(err)
				continue
			}
			g.took[n] = max(1, now-g.sent[n].Load())
			g.done()
		}
	}
}

// run publishes everything, at most window on their way, or rate a second.
func (g *generators) run(ctx context.Context, window, rate int, ended <-chan error) error {
	total := 0
	for _, gen := range g.list {
		total += len(gen.frames)
	}
	next := make([]int, len(g.list))
	start := time.Now()
	publish := func(k int) error {
		gen := g.list[k%len(g.list)]
		i := next[k%len(g.list)]
		if i >= len(gen.frames) {
			return nil
		}
		next[k%len(g.list)]++
		due := time.Now()
		if rate > 0 {
			due = start.Add(time.Duration(k) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(due))
		}
		gen.sent[i].Store(due.UnixNano())
		return gen.send(gen.frames[i])
	}
	k, out, answered := 0, 0, 0
	most := len(g.list) * len(g.list[0].frames)
	idle := time.NewTimer(time.Minute)
	defer idle.Stop()
	for answered < total {
		for k < most && (rate > 0 || out < window) {
			before := slices.Clone(next[k%len(g.list) : k%len(g.list)+1])
			if err := publish(k); err != nil {
				return err
			}
			if next[k%len(g.list)] != before[0] {
				out++
			}
			k++
			if rate > 0 {
				break
			}
		}
		block := rate == 0 || k >= most
		for more := true; more && answered < total; {
			if !block {
				select {
				case <-g.answers:
					answered++
					out--
				case err := <-g.failure:
					return err
				default:
					more = false
				}
				continue
			}
			idle.Reset(time.Minute)
			select {
			case <-g.answers:
				answered++
				out--
				more = out >= window || k >= most
			case err := <-g.failure:
				return err
			case err := <-ended:
				return fmt.Errorf("an oracle stopped: %w", err)
			case <-ctx.Done():
				return ctx.Err()
			case <-idle.C:
				return fmt.Errorf("no receipt for a minute: %d of %d answered", answered, total)
			}
		}
	}
	return nil
}

// percentiles returns the median and the 99th percentile to receipt, in ms.
func (g *generators) percentiles() (p50, p99 float64) {
	var all []int64
	for _, gen := range g.list {
		all = append(all, gen.took...)
	}
	slices.Sort(all)
	at := func(q int) float64 { return float64(all[(len(all)-1)*q/100]) / 1e6 }
	return at(50), at(99)
}

// brokerAlone publishes the same frames over the same transport to a plain
// subscriber: what any path through this broker costs.
func (w *workload) brokerAlone(ctx context.Context, transport string) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir := w.nextDir()
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	c, err := openCluster(ctx, clusterConfig{
		dir: dir, oracles: 1, gateways: w.names(), listen: true, now: time.Now, log: benchLog(os.Stderr),
	})
	if err != nil {
		return 0, err
	}
	defer c.close()
	defer c.closeLedgers()
	frames, err := w.sign(c.charter.Origin, time.Now())
	if err != nil {
		return 0, err
	}
	g, err := w.generators(c, transport, frames)
	if err != nil {
		return 0, err
	}
	defer g.close()
	conn, err := c.broker.Conn()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	s, err := conn.Subscribe(wire.For(c.charter.Origin).Up("*"), func(*nats.Msg) { g.answers <- struct{}{} })
	if err != nil {
		return 0, err
	}
	if err := errors.Join(s.SetPendingLimits(-1, -1), conn.Flush()); err != nil {
		return 0, err
	}
	runtime.GC()
	start := time.Now()
	if err := g.run(ctx, w.window, 0, nil); err != nil {
		return 0, err
	}
	return float64(w.statements) / time.Since(start).Seconds(), nil
}
