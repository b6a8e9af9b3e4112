package oracle_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/finality"
	"wattmark/oracle/orderer"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

const (
	patient = 30 * time.Second // how long a test waits for what must come
	resend  = 300 * time.Millisecond
)

// street is a broker with real streams and oracles with real stores on it, in one
// directory, which all end with the test.
type street struct {
	*ledgertest.Chain // whose consortium it is, and that signs statements
	t                 *testing.T
	dir               string
	began             time.Time
	broker            *broker.Broker
	subjects          wire.Subjects
	cutAfter          time.Duration
	// listen, if set, opens ports of the broker.
	listen func(*broker.Config)
	// order and packs, if set, come between a node and the broker.
	order func(i int, o orderer.Orderer) orderer.Orderer
	packs func(i int, p oracle.Packs) oracle.Packs
	// configure, if set, changes how a node is opened.
	configure func(i int, cfg *oracle.Config)
	// saw, if set, is told what a node observes, from its own goroutine.
	saw   func(i int, e oracle.Event)
	nodes []*node
	conns []*nats.Conn

	mu      sync.Mutex // guards the fields below
	changed chan struct{}
	events  []event
	votes   map[promise]block.Checkpoint
	liars   map[signer.KeyID]bool // whose votes are not looked at
	later   []*block.Policy       // of oracle sets that come into force after the charter's
	// restarted are those of whom a vote was heard since they were started last.
	restarted map[signer.KeyID]bool
}

type event struct {
	node int
	oracle.Event
}

// promise is what an oracle votes for once.
type promise struct {
	key    signer.KeyID
	height uint64
}

// node is a running oracle.
type node struct {
	*oracle.Node
	stop func()
}

// newStreet founds a ledger of n oracles, of which none runs yet.
func newStreet(t *testing.T, n int, parameters ...entry.Parameter) *street {
	t.Helper()
	s := foundStreet(t, n, parameters...)
	s.startBroker()
	return s
}

// foundStreet is newStreet without a broker.
func foundStreet(t *testing.T, n int, parameters ...entry.Parameter) *street {
	t.Helper()
	s := &street{
		Chain: ledgertest.New(t, n, parameters...), t: t, dir: t.TempDir(), began: time.Now(), subjects: wire.For(ledgertest.Origin),
		nodes: make([]*node, n), changed: make(chan struct{}), cutAfter: 5 * time.Millisecond, restarted: make(map[signer.KeyID]bool), votes: make(map[promise]block.Checkpoint), liars: make(map[signer.KeyID]bool),
	}
	for i := range n {
		if err := ledger.Create(s.oracleDir(i), s.Charter); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.end)
	return s
}

func (s *street) oracleDir(i int) string { return filepath.Join(s.dir, fmt.Sprint("oracle-", i+1)) }

func (s *street) startBroker() {
	s.t.Helper()
	cfg := broker.Config{StoreDir: filepath.Join(s.dir, "broker")}
	if s.listen != nil {
		s.listen(&cfg)
	}
	b, err := broker.Start(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.broker = b
	if _, err := s.connect().Subscribe(s.subjects.Vote(), s.voted); err != nil {
		s.t.Fatal(err)
	}
}

func (s *street) connect() *nats.Conn {
	s.t.Helper()
	c, err := s.broker.Conn()
	if err != nil {
		s.t.Fatal(err)
	}
	s.conns = append(s.conns, c)
	return c
}

// voted checks what every oracle promises: one checkpoint a height, for ever.
func (s *street) voted(m *nats.Msg) {
	v, err := finality.ParseVote(m.Data, ledgertest.Origin)
	if err != nil {
		return
	}
	signed, err := s.Policy.Open(v.Note())
	if err != nil || len(signed.Witnesses) != 1 || signed.Witnesses[0].Key.ID() != v.KeyID {
		return // anybody can say so
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := promise{v.KeyID, v.Height}
	if old, ok := s.votes[p]; ok && old != v.Checkpoint && !s.liars[v.KeyID] {
		s.t.Errorf("oracle %v voted at height %d for %v and for %v", v.KeyID, v.Height, old, v.Checkpoint)
	}
	s.votes[p] = v.Checkpoint
	s.restarted[v.KeyID] = true
	s.tell()
}

// tell wakes who waits. The caller holds mu.
func (s *street) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *street) now() time.Time { return time.UnixMilli(ledgertest.Start).Add(time.Since(s.began)) }

// start opens and runs oracles.
func (s *street) start(list ...int) {
	s.t.Helper()
	for _, i := range list {
		n := &node{}
		conns := []*nats.Conn{s.connect(), s.connect()}
		js := jetstream.Config{Ledger: wire.ShortName(ledgertest.Origin)}
		ctx, cancel := context.WithCancel(context.Background())
		order, err := jetstream.Open(ctx, conns[1], js)
		if err != nil {
			s.t.Fatal(err)
		}
		packs, err := jetstream.OpenPacks(ctx, conns[1], js)
		if err != nil {
			s.t.Fatal(err)
		}
		o := &s.Oracles[i]
		cfg := oracle.Config{
			Name: o.Name, Keys: oracle.Keys{Statement: o.Statement, Log: o.Log, Cosigner: o.Cosigner},
			Dir: s.oracleDir(i), Conn: conns[0], Order: order, Packs: packs, Policy: s.Policy, Now: s.now, CutAfter: s.cutAfter,
			Log: slog.New(slog.NewTextHandler(&lines{t: s.t, prefix: o.Name}, nil)), Observe: func(e oracle.Event) { s.observed(i, e) },
		}
		if s.order != nil {
			cfg.Order = s.order(i, order)
		}
		if s.packs != nil {
			cfg.Packs = s.packs(i, packs)
		}
		if s.configure != nil {
			s.configure(i, &cfg)
		}
		if n.Node, _, err = oracle.Open(cfg); err != nil {
			s.t.Fatal(err)
		}
		s.mu.Lock()
		delete(s.restarted, o.Cosigner.Public().ID())
		s.mu.Unlock()
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		n.stop = func() {
			cancel()
			if err := <-done; err != nil {
				s.t.Errorf("oracle %d ended with: %v", i+1, err)
			}
			for _, c := range conns {
				c.Close()
			}
		}
		s.nodes[i] = n
	}
}

func (s *street) observed(i int, e oracle.Event) {
	if s.saw != nil {
		s.saw(i, e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event{i, e})
	s.tell()
}

func (s *street) stop(list ...int) {
	s.t.Helper()
	for _, i := range list {
		if n := s.nodes[i]; n != nil {
			s.nodes[i] = nil
			n.stop()
		}
	}
}

func (s *street) all() (list []int) {
	for i := range s.nodes {
		list = append(list, i)
	}
	return list
}

// end stops everything, and checks what is on the disks: each store by itself,
// and that all hold one history.
func (s *street) end() {
	s.stop(s.all()...)
	for _, c := range s.conns {
		c.Close()
	}
	if s.broker != nil {
		s.broker.Close()
	}
	var first [][]byte
	for i := range s.nodes {
		report, err := store.Check(s.oracleDir(i), nil)
		if err != nil || len(report.Faults) > 0 {
			s.t.Errorf("store of oracle %d: faults %v and error %v", i+1, report.Faults, err)
			continue
		}
		r, _, err := store.OpenReader(s.oracleDir(i))
		if err != nil {
			s.t.Errorf("store of oracle %d: %v", i+1, err)
			continue
		}
		err = r.Leaves(0, r.Size(), func(at uint64, leaf []byte) error {
			switch {
			case i == 0:
				first = append(first, append([]byte(nil), leaf...))
			case at < uint64(len(first)) && string(first[at]) != string(leaf):
				return fmt.Errorf("leaf %d is not the one of the first oracle", at)
			}
			return nil
		})
		if err := errors.Join(err, r.Close()); err != nil {
			s.t.Errorf("store of oracle %d: %v", i+1, err)
		}
	}
}

// until waits for what must come to be, and looks whenever something happened, and
// now and then.
func (s *street) until(what string, is func() bool) {
	s.t.Helper()
	limit := time.After(patient)
	look := time.NewTicker(20 * time.Millisecond) // for what makes no event
	defer look.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-look.C:
		case <-limit:
			s.t.Fatalf("waited %v for: %s", patient, what)
		}
	}
}

// seen counts events of a node.
func (s *street) seen(i int, is func(oracle.Event) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.node == i && is(e.Event) {
			n++
		}
	}
	return n
}

// level waits until the oracles have all that the first of them has, and their
// last block is final for each.
func (s *street) level(list ...int) {
	s.t.Helper()
	s.until("one final last block", func() bool {
		h, _, _ := s.nodes[list[0]].Ledger().Last()
		for _, i := range list {
			mine, _, _ := s.nodes[i].Ledger().Last()
			if f := s.nodes[i].Final(); f == nil || f.Height != h.Height || mine.Height != h.Height {
				return false
			}
		}
		return true
	})
}

// enrol has the first running oracle enrol a gateway, and waits for every running
// one to know it.
func (s *street) enrol(name, mode string) *gateway {
	s.t.Helper()
	b, _ := s.Enrolment(name, signer.EdDSA, mode).Sign(s.t)
	asked := false
	id := s.GatewayKey(name).Public().ID()
	s.until("enrolment of "+name, func() bool {
		for _, n := range s.nodes {
			if n == nil {
				continue
			}
			if !asked {
				asked = true
				if err := n.Submit(context.Background(), b); err != nil {
					s.t.Fatal(err)
				}
			}
			known := false
			n.Ledger().View(func(st *state.State) { _, known = st.Key(id) })
			if !known {
				return false
			}
		}
		return true
	})
	return s.gateway(name)
}

// lines passes a node's log on to the test's.
type lines struct {
	t      *testing.T
	prefix string
	mu     sync.Mutex // guards nothing but the order of lines
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Logf("%s: %s", l.prefix, p)
	return len(p), nil
}

// gateway sends statements until receipts for them verify, as gateways do.
type gateway struct {
	s    *street
	name string
	conn *nats.Conn
	// waiting are frames that were published once and may have no receipts yet.
	waiting [][]byte

	// guarded by the street's mu
	sent      map[uint64][]byte // statements by their counts
	places    map[uint64]uint64 // leaf by count, of receipts that verified
	receipts  map[uint64]int    // how many came
	refusals  []wire.Refusal
	handed    []uint64 // heights of the handovers that were sent
	certified [][]byte // certificates that were sent
}

func (s *street) gateway(name string) *gateway {
	s.t.Helper()
	g := &gateway{s: s, name: name, conn: s.connect(), sent: make(map[uint64][]byte), places: make(map[uint64]uint64), receipts: make(map[uint64]int)}
	if _, err := g.conn.Subscribe(s.subjects.Receipt(name), g.receipt); err != nil {
		s.t.Fatal(err)
	}
	if _, err := g.conn.Subscribe(s.subjects.Refusal(name), g.refusal); err != nil {
		s.t.Fatal(err)
	}
	if err := g.conn.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return g
}

// again is the same gateway on another connection, after its broker was away.
func (g *gateway) again() *gateway {
	next := g.s.gateway(g.name)
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	next.sent, next.places, next.receipts = g.sent, g.places, g.receipts
	return next
}

func (g *gateway) receipt(m *nats.Msg) {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if wire.IsHandover(m.Data) {
		h, err := wire.ParseHandover(m.Data)
		if err != nil {
			g.s.t.Errorf("handover for %s: %v", g.name, err)
			return
		}
		g.handed = append(g.handed, h.Height())
		return
	}
	if wire.IsCertificate(m.Data) {
		g.certified = append(g.certified, m.Data)
		return
	}
	r, err := wire.ParseReceipts(m.Data)
	if err != nil {
		g.s.t.Errorf("receipts for %s: %v", g.name, err)
		return
	}
	a, err := r.Accept(g.s.Policy)
	for i := 0; err != nil && i < len(g.s.later); i++ {
		a, err = r.Accept(g.s.later[i])
	}
	if err != nil {
		g.s.t.Errorf("receipts for %s: %v", g.name, err)
		return
	}
	for i := range r.Items {
		it := &r.Items[i]
		if err := a.Check(it, g.sent[it.Count]); err != nil {
			g.s.t.Errorf("receipt for %s, statement %d-%d: %v", g.name, it.Boot, it.Count, err)
			continue
		}
		if at, ok := g.places[it.Count]; ok && at != it.Index {
			g.s.t.Errorf("statement %d-%d of %s has receipts for leaves %d and %d", it.Boot, it.Count, g.name, at, it.Index)
		}
		g.places[it.Count] = it.Index
		g.receipts[it.Count]++
	}
	g.s.tell()
}

func (g *gateway) refusal(m *nats.Msg) {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	r, err := wire.OpenRefusal(m.Data, ledgertest.Origin, func(id signer.KeyID) (signer.PublicKey, bool) {
		for i := range g.s.Oracles {
			if k := g.s.Oracles[i].Statement.Public(); k.ID() == id {
				return k, true
			}
		}
		return signer.PublicKey{}, false
	})
	if err != nil {
		g.s.t.Errorf("refusal for %s: %v", g.name, err)
		return
	}
	g.refusals = append(g.refusals, *r)
	g.s.tell()
}

// read signs n new readings and returns their frames.
func (g *gateway) read(n int) (frames [][]byte) {
	g.s.t.Helper()
	for range n {
		s := g.s.Reading(g.name, ledgertest.Record(g.name, "energy", 1000, g.s.now().UnixMilli()))
		statement, pack := s.Sign(g.s.t)
		g.s.mu.Lock()
		g.sent[s.Claims.Sequence.Count] = statement
		g.s.mu.Unlock()
		frames = append(frames, wire.Frame{Statement: statement, Pack: pack}.Encode())
	}
	return frames
}

func (g *gateway) publish(frames ...[]byte) {
	g.s.t.Helper()
	for _, f := range frames {
		if err := g.conn.Publish(g.s.subjects.Up(g.name), f); err != nil {
			g.s.t.Fatal(err)
		}
	}
}

// deliver sends frames until all that this gateway ever signed has receipts.
func (g *gateway) deliver(frames ...[]byte) {
	g.s.t.Helper()
	again := time.NewTicker(resend)
	defer again.Stop()
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			for _, f := range frames {
				g.conn.Publish(g.s.subjects.Up(g.name), f) // what is lost is sent again
			}
			select {
			case <-again.C:
			case <-ended:
				return
			}
		}
	})
	defer wg.Wait()
	defer close(ended)
	g.s.until("receipts for "+g.name, func() bool {
		g.s.mu.Lock()
		defer g.s.mu.Unlock()
		return len(g.places) == len(g.sent)
	})
}

// once checks that every statement is on the ledger of a node once, where its
// receipt says, and never among the refused.
func (g *gateway) once(n *node) {
	g.s.t.Helper()
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	leaves := make(map[block.Hash]int)
	refused := make(map[[32]byte]bool)
	err := n.Ledger().Store().Leaves(0, n.Ledger().Store().Size(), func(_ uint64, leaf []byte) error {
		leaves[block.LeafHash(leaf)]++
		if o, err := entry.ParseOutcome(leaf); err == nil && o.Kind == entry.OutcomeRefused {
			refused[o.Hash] = true
		}
		return nil
	})
	if err != nil {
		g.s.t.Fatal(err)
	}
	for count, statement := range g.sent {
		if k := leaves[block.LeafHash(statement)]; k != 1 {
			g.s.t.Errorf("statement %d of %s is on the ledger %d times", count, g.name, k)
		}
		leaf, err := n.Ledger().Store().Leaf(g.places[count])
		if err != nil || string(leaf) != string(statement) {
			g.s.t.Errorf("statement %d of %s: leaf %d is not it; error %v", count, g.name, g.places[count], err)
		}
		m, err := signer.Parse(statement)
		if err != nil {
			g.s.t.Fatal(err)
		}
		if refused[m.Hash()] {
			g.s.t.Errorf("statement %d of %s was refused on the ledger, too", count, g.name)
		}
	}
}

// digests returns the digests of the committed packs that a gateway sent.
func (g *gateway) digests() (out [][32]byte) {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	for _, statement := range g.sent {
		m, err := signer.Parse(statement)
		if err != nil {
			g.s.t.Fatal(err)
		}
		out = append(out, [32]byte(m.Payload))
	}
	return out
}

// inVault checks that a node holds the packs of what a gateway sent.
func (g *gateway) inVault(n *node) {
	g.s.t.Helper()
	for _, d := range g.digests() {
		if p := n.Ledger().Pack(d[:]); sha256.Sum256(p) != d {
			g.s.t.Errorf("the vault holds %d bytes under %x, which are not the pack", len(p), d)
		}
	}
}

// rests is the message of the order on which a store's last block rests.
func rests(t testing.TB, dir string) uint64 {
	t.Helper()
	r, _, err := store.OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, _ := r.Last()
	return c.Order
}

func copyDir(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// lastOf returns the height and the checkpoint that a store ends with.
func lastOf(t testing.TB, dir string) (uint64, block.Checkpoint) {
	t.Helper()
	r, _, err := store.OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, ok := r.Last()
	if !ok {
		t.Fatalf("%s holds no block", dir)
	}
	return c.Height, block.Checkpoint{Origin: ledgertest.Origin, Size: c.Size, Root: c.Root}
}
