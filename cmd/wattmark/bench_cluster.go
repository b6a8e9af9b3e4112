package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/ingest"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// clusterResult is what bench ingest --brokers prints: medians of the rounds. CPU is in
// microseconds a statement, of all processes of a role together.
type clusterResult struct {
	Statements int     `json:"statements"`
	Bytes      int     `json:"statement_bytes"`
	Algorithm  string  `json:"alg"`
	Transport  string  `json:"transport"`
	Brokers    int     `json:"brokers"`
	Oracles    int     `json:"oracles"`
	Rounds     int     `json:"rounds"`
	PerSecond  float64 `json:"statements_per_s"`
	P50        float64 `json:"receipt_p50_ms"`
	P99        float64 `json:"receipt_p99_ms"`

	BrokersCPU  float64 `json:"brokers_cpu_us_per_statement"`
	OraclesCPU  float64 `json:"oracles_cpu_us_per_statement"`
	GatewaysCPU float64 `json:"gateways_cpu_us_per_statement"`
	AloneCPU    float64 `json:"brokers_alone_cpu_us_per_statement"`
	VerifyCPU   float64 `json:"batch_verification_cpu_us"` // of one statement by one oracle
	// Ratio is that of brokers and oracles to the brokers alone and one batch verification
	// an oracle; the goal is 1.3.
	Ratio float64 `json:"ratio_cpu"`
	Worst float64 `json:"worst_ratio_cpu"`
	// The floor is the same brokers with plain programs in the oracles' places.
	FloorBrokersCPU float64 `json:"floor_brokers_cpu_us_per_statement"`
	FloorOraclesCPU float64 `json:"floor_oracles_cpu_us_per_statement"`
	FloorRatio      float64 `json:"floor_ratio_cpu"` // what Ratio is of the floor
	OverFloor       float64 `json:"ratio_to_floor_cpu"`
	WorstFloor      float64 `json:"worst_ratio_to_floor_cpu"`

	Resent int    `json:"resent"`
	Load   string `json:"load_average"`
}

func (r *clusterResult) text(w io.Writer) {
	fmt.Fprintf(w, "%d statements of %d bytes, %s, over %s, %d server(s) and %d oracle(s), each a process, %d round(s)\n",
		r.Statements, r.Bytes, r.Algorithm, r.Transport, r.Brokers, r.Oracles, r.Rounds)
	fmt.Fprintf(w, "  to receipt       %8.0f /s   %.0f ms median, %.0f ms at the 99th percentile\n", r.PerSecond, r.P50, r.P99)
	fmt.Fprintf(w, "  servers          %8.0f µs CPU a statement, all together\n", r.BrokersCPU)
	fmt.Fprintf(w, "  oracles          %8.0f µs\n", r.OraclesCPU)
	fmt.Fprintf(w, "  gateways         %8.0f µs\n", r.GatewaysCPU)
	fmt.Fprintf(w, "  servers alone    %8.0f µs\n", r.AloneCPU)
	fmt.Fprintf(w, "  verification     %8.1f µs, in batches, an oracle\n", r.VerifyCPU)
	fmt.Fprintf(w, "  ratio            %8.2f of servers alone and a verification an oracle, worst round %.2f (goal 1.3)\n", r.Ratio, r.Worst)
	fmt.Fprintf(w, "  floor            %8.0f µs of servers and %.0f µs of plain programs in the oracles' places; its ratio is %.2f\n",
		r.FloorBrokersCPU, r.FloorOraclesCPU, r.FloorRatio)
	fmt.Fprintf(w, "  to the floor     %8.2f, worst round %.2f\n", r.OverFloor, r.WorstFloor)
	if r.Resent > 0 {
		fmt.Fprintf(w, "  sent again       %8d statements\n", r.Resent)
	}
	fmt.Fprintf(w, "  load average     %s\n", r.Load)
}

// clusterRound is what one round measured, in the units of the result.
type clusterRound struct {
	path               *generated
	alone, floor, full split
	verify             float64
}

// split is processor time a statement, of all processes of a role, in microseconds.
type split struct{ brokers, oracles float64 }

func (s split) sum() float64 { return s.brokers + s.oracles }

// benchCluster runs the rounds.
func benchCluster(ctx context.Context, f *benchFlags, stderr io.Writer) (*clusterResult, error) {
	dir, clean, err := f.tempDir()
	if err != nil {
		return nil, err
	}
	defer clean()
	b, err := newBenchRun(f, dir)
	if err != nil {
		return nil, err
	}
	r := &clusterResult{
		Statements: f.statements, Algorithm: f.alg, Transport: f.transport, Brokers: f.brokers, Oracles: f.oracles, Rounds: f.rounds,
	}
	var rounds []*clusterRound
	for i := 1; i <= f.rounds; i++ {
		m, err := b.clusterRound(ctx, func(what string) { fmt.Fprintf(f.progress(stderr), "round %d of %d: %s\n", i, f.rounds, what) })
		if err != nil {
			return nil, b.explain(ctx, err)
		}
		rounds = append(rounds, m)
		r.Resent += m.path.Resent
	}
	of := func(get func(*clusterRound) float64) float64 {
		var all []float64
		for _, m := range rounds {
			all = append(all, get(m))
		}
		return median(all)
	}
	over := func(m *clusterRound, s split) float64 {
		return s.sum() / (m.alone.brokers + float64(f.oracles)*m.verify)
	}
	ratio := func(m *clusterRound) float64 { return over(m, m.full) }
	toFloor := func(m *clusterRound) float64 { return m.full.sum() / m.floor.sum() }
	r.Bytes = rounds[0].path.Bytes
	r.PerSecond = of(func(m *clusterRound) float64 { return float64(f.statements) / time.Duration(m.path.Took).Seconds() })
	r.P50, r.P99 = of(func(m *clusterRound) float64 { return m.path.P50 }), of(func(m *clusterRound) float64 { return m.path.P99 })
	r.BrokersCPU, r.OraclesCPU = of(func(m *clusterRound) float64 { return m.full.brokers }), of(func(m *clusterRound) float64 { return m.full.oracles })
	r.FloorBrokersCPU = of(func(m *clusterRound) float64 { return m.floor.brokers })
	r.FloorOraclesCPU = of(func(m *clusterRound) float64 { return m.floor.oracles })
	r.GatewaysCPU = of(func(m *clusterRound) float64 { return float64(m.path.CPU) / float64(f.statements) })
	r.AloneCPU, r.VerifyCPU = of(func(m *clusterRound) float64 { return m.alone.brokers }), of(func(m *clusterRound) float64 { return m.verify })
	r.Ratio, r.OverFloor = of(ratio), of(toFloor)
	r.FloorRatio = of(func(m *clusterRound) float64 { return over(m, m.floor) })
	for _, m := range rounds {
		r.Worst, r.WorstFloor = max(r.Worst, ratio(m)), max(r.WorstFloor, toFloor(m))
	}
	r.Load = loadAverage()
	return r, nil
}

// crew is who is at the servers besides the gateways.
type crew string

const (
	nobody   crew = "servers alone" // a subscriber of this process
	plainOne crew = "servers and plain programs"
	ours     crew = "servers and oracles"
)

// clusterRound measures the servers alone, then the same with plain programs and with
// oracles, then verification.
func (b *bench) clusterRound(ctx context.Context, say func(string)) (m *clusterRound, err error) {
	m = &clusterRound{}
	for _, part := range []struct {
		crew crew
		into *split
	}{{nobody, &m.alone}, {plainOne, &m.floor}, {ours, &m.full}} {
		say(string(part.crew))
		c, err := b.openProcesses(ctx, part.crew)
		if err != nil {
			return nil, err
		}
		g, servers, oracles, err := c.measure(ctx)
		if err := errors.Join(err, c.close()); err != nil {
			return nil, err
		}
		n := float64(b.statements)
		*part.into = split{float64(servers) / n, float64(oracles) / n}
		m.path = g // in the end that of the oracles
	}
	say("batch verification")
	m.verify, err = b.verification()
	return m, err
}

// processes are the servers and the oracles of a round.
type processes struct {
	*bench
	crew    crew
	dir     string
	charter *entry.Charter
	keys    []oracle.Keys
	pki     *broker.PKI
	routes  []*broker.Route // of the oracles
	mqtt    []string
	nats    []string
	servers []*worker
	oracles []*worker
}

// openProcesses founds a ledger and starts the processes.
func (b *bench) openProcesses(ctx context.Context, who crew) (_ *processes, err error) {
	b.round++
	c := &processes{bench: b, crew: who, dir: filepath.Join(b.dir, fmt.Sprintf("round-%d", b.round))}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.pki, err = broker.OpenPKI(filepath.Join(c.dir, "pki"), time.Now()); err != nil {
		return nil, err
	}
	var members []entry.OracleKeys
	origin := "wattmark.example/bench"
	for i := range b.benchFlags.oracles {
		k, err := oracle.LoadKeys(c.oracleDir(i) + "/keys")
		if err != nil {
			return nil, err
		}
		c.keys, members = append(c.keys, k), append(members, k.Public(oracleName(i), origin))
	}
	c.charter = oracle.NewCharter(origin, time.Now(), members)
	if err := c.startServers(ctx); err != nil {
		return nil, err
	}
	return c, c.startOracles(ctx)
}

func (c *processes) oracleDir(i int) string {
	return filepath.Join(c.dir, fmt.Sprintf("oracle-%d", i+1))
}

func (c *processes) startServers(ctx context.Context) error {
	origin := c.charter.Origin
	var gateways []broker.Gateway
	for _, name := range append(c.work.names(), c.warm.names()...) {
		gateways = append(gateways, oracle.GatewayRights(origin, name, len(c.keys)))
	}
	var rights []broker.Oracle
	for i := range c.keys {
		rights = append(rights, oracle.OracleRights(origin, oracleName(i), i))
	}
	// The subscriber of the servers alone listens as an oracle does.
	var peers, routes []string
	for range c.brokers {
		a, err := freeAddress()
		if err != nil {
			return err
		}
		_, port, err := net.SplitHostPort(a)
		if err != nil {
			return err
		}
		peers, routes = append(peers, a), append(routes, "localhost:"+port)
	}
	for i := range c.brokers {
		name := fmt.Sprintf("nats-%d", i+1)
		files, err := c.pki.Node(time.Now(), name)
		if err != nil {
			return err
		}
		address, err := freeAddress()
		if err != nil {
			return err
		}
		w := &brokerWork{
			Name: name, Dir: filepath.Join(c.dir, name), NATS: address, MQTT: "127.0.0.1:0", Files: files, Gateways: gateways, Oracles: rights,
		}
		if c.brokers > 1 {
			w.Cluster = &broker.Cluster{Listen: peers[i], Routes: routes}
		}
		p, err := startWorker(ctx, &work{Broker: w}, c.said)
		if err != nil {
			return err
		}
		c.servers = append(c.servers, p)
		c.nats = append(c.nats, "tls://"+address)
	}
	for _, p := range c.servers {
		s, err := p.ready()
		if err != nil {
			return err
		}
		c.mqtt = append(c.mqtt, s.MQTT)
	}
	return nil
}

func (c *processes) startOracles(ctx context.Context) error {
	policy, err := oracle.PolicyOf(c.charter)
	if err != nil {
		return err
	}
	for i := range c.keys {
		files, err := c.pki.Oracle(time.Now(), wire.ShortName(c.charter.Origin), oracle.CertificateName(oracleName(i)))
		if err != nil {
			return err
		}
		// Each is with a server of its own as long as there are enough.
		k := i % len(c.nats)
		c.routes = append(c.routes, broker.RouteTo(append(append([]string{}, c.nats[k:]...), c.nats[:k]...), files, oracle.InboxPrefix(c.charter.Origin, oracleName(i))))
	}
	if c.crew == nobody {
		return nil
	}
	for i := range c.keys {
		w := &work{}
		if c.crew == plainOne {
			w.Plain = &plainWork{
				Position: i, Oracles: len(c.keys), Quorum: int(c.charter.Quorum), Dir: c.oracleDir(i), Origin: c.charter.Origin, Route: *c.routes[i],
				Replicas: c.brokers, Alg: c.alg, Seeds: append(slices.Clone(c.work.seeds), c.warm.seeds...),
			}
		} else {
			if err := ledger.Create(c.oracleDir(i), c.charter); err != nil {
				return err
			}
			w.Oracle = &oracleWork{
				Name: oracleName(i), Dir: c.oracleDir(i), Policy: policy.String(), Origin: c.charter.Origin, Route: *c.routes[i], Replicas: c.brokers,
			}
		}
		p, err := startWorker(ctx, w, c.said)
		if err != nil {
			return err
		}
		c.oracles = append(c.oracles, p)
	}
	for _, p := range c.oracles {
		if _, err := p.ready(); err != nil {
			return err
		}
	}
	if c.crew != ours {
		return nil
	}
	return c.enrol(ctx, append(c.work.enrolments(), c.warm.enrolments()...))
}

// enrol has the first oracle admit the gateways, and waits until all know them.
func (c *processes) enrol(ctx context.Context, list []joining) error {
	conn, err := c.routes[0].Connect(broker.Patient()...)
	if err != nil {
		return err
	}
	defer conn.Close()
	order, err := jetstream.Open(ctx, conn, jetstream.Config{Ledger: wire.ShortName(c.charter.Origin), Replicas: c.brokers})
	if err != nil {
		return err
	}
	for _, j := range list {
		asked, err := request.Sign(j.key, j.request, c.charter.Origin, time.Now().Unix())
		if err != nil {
			return err
		}
		payload, err := (&entry.ProvenEnrolment{Request: asked}).Encode()
		if err != nil {
			return err
		}
		claims, err := (&entry.Claims{Issuer: "urn:wattmark:oracle:" + oracleName(0), Audience: c.charter.Origin, IssuedAt: time.Now().Unix()}).Encode()
		if err != nil {
			return err
		}
		s, err := signer.Sign(c.keys[0].Statement, signer.Header{Type: entry.TypeProvenEnrolment, ContentType: entry.ContentCBOR, Claims: claims}, payload)
		if err == nil {
			err = order.Submit(ctx, ingest.EncodeBundle([][]byte{s}))
		}
		if err != nil {
			return err
		}
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for _, p := range c.oracles {
		for {
			s, err := p.state()
			if err != nil {
				return err
			}
			if s.Keys == len(list) {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-poll.C:
			}
		}
	}
	return nil
}

// generation is the order to a process of gateways.
func (c *processes) generation(w *workload) (*generation, error) {
	charter, err := c.charter.Encode()
	if err != nil {
		return nil, err
	}
	o := &generation{
		Alg: c.alg, Statements: w.statements, Size: c.size, Seeds: w.seeds, Charter: charter, Prefix: w.prefix,
		Transport: c.transport, URLs: c.mqtt, Window: c.window, Now: time.Now(), Alone: c.crew == nobody, Plain: c.crew == plainOne,
	}
	if c.transport == "nats" {
		o.URLs = c.nats
	}
	if w == c.work {
		o.Rate = c.rate
	}
	for _, name := range w.names() {
		f, err := c.pki.Gateway(time.Now(), wire.ShortName(c.charter.Origin), name)
		if err != nil {
			return nil, err
		}
		o.TLS = append(o.TLS, f)
	}
	return o, nil
}

// measure warms up and measures: what the gateways saw, and the processor time of servers
// and of oracles, in microseconds.
func (c *processes) measure(ctx context.Context) (g *generated, servers, oracles int64, err error) {
	for _, w := range []*workload{c.warm, c.work} {
		if g, servers, oracles, err = c.publish(ctx, w); err != nil {
			return nil, 0, 0, err
		}
	}
	return g, servers, oracles, nil
}

func (c *processes) publish(ctx context.Context, w *workload) (g *generated, servers, oracles int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o, err := c.generation(w)
	if err != nil {
		return nil, 0, 0, err
	}
	gateways, err := startGenerator(ctx, o)
	if err != nil {
		return nil, 0, 0, err
	}
	defer gateways.close()
	if o.Alone {
		end, err := c.listen(ctx, gateways)
		if err != nil {
			return nil, 0, 0, err
		}
		defer end()
		defer cancel()
	}
	before, err := c.used()
	if err != nil {
		return nil, 0, 0, err
	}
	if g, err = gateways.run(ctx); err != nil {
		return nil, 0, 0, err
	}
	after, err := c.used()
	if err != nil {
		return nil, 0, 0, err
	}
	return g, after[0] - before[0], after[1] - before[1], nil
}

// listen is the plain subscriber of the servers alone: one, as the oracles' queue group
// takes each frame once.
func (c *processes) listen(ctx context.Context, g *generator) (end func(), err error) {
	conn, err := c.routes[0].Connect()
	if err != nil {
		return nil, err
	}
	marks := newMarkStream(g)
	written := make(chan struct{})
	go func() { defer close(written); marks.write(ctx) }()
	end = func() { <-written; conn.Close() }
	s, err := conn.QueueSubscribe(wire.For(c.charter.Origin).Up("*"), wire.QueueGroup, func(m *nats.Msg) { marks.add(m.Data) })
	if err == nil {
		err = errors.Join(s.SetPendingLimits(-1, -1), conn.Flush())
	}
	return end, err
}

// used sums the processor time of the servers and of the oracles until now.
func (c *processes) used() (sum [2]int64, err error) {
	for i, list := range [][]*worker{c.servers, c.oracles} {
		for _, p := range list {
			s, err := p.state()
			if err != nil {
				return sum, err
			}
			sum[i] += s.CPU
		}
	}
	return sum, nil
}

// close ends the processes and removes what they wrote.
func (c *processes) close() error {
	var errs []error
	for _, list := range [][]*worker{c.oracles, c.servers} {
		for _, p := range list {
			errs = append(errs, p.close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// verification is the processor time of verifying one statement among many, with keys that
// are known, as every oracle has to.
func (b *bench) verification() (float64, error) {
	frames, err := b.work.sign("wattmark.example/verify", time.Now())
	if err != nil {
		return 0, err
	}
	var jobs []signer.Job
	for i, list := range frames {
		for _, f := range list {
			frame, err := wire.ParseFrame(f)
			if err != nil {
				return 0, err
			}
			m, err := signer.Parse(frame.Statement)
			if err != nil {
				return 0, err
			}
			jobs = append(jobs, signer.Job{Message: m, Key: b.work.keys[i].Public()})
		}
	}
	v := signer.NewVerifier()
	runtime.GC()
	cpu := cpuTime()
	for at := 0; at < len(jobs); at += 1024 {
		v.VerifyAll(jobs[at:min(at+1024, len(jobs))])
	}
	used := cpuTime() - cpu
	for i := range jobs {
		if jobs[i].Err != nil {
			return 0, jobs[i].Err
		}
	}
	return float64(used.Microseconds()) / float64(len(jobs)), nil
}
