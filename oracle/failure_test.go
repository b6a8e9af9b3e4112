package oracle_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/oracle"
	"wattmark/oracle/finality"
	"wattmark/oracle/orderer"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// An oracle that was away while the others went on catches up, with a quorum's
// signatures, though the packs it missed are gone from where they waited. All
// others can be away and come back, too.
func TestRestartedOracleCatchesUp(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	open, hidden := s.enrol("home-1", entry.ModeOpen), s.enrol("home-2", entry.ModeCommitted)
	open.deliver(open.read(5)...)
	s.stop(3)
	for range 5 { // several blocks
		open.deliver(open.read(5)...)
		hidden.deliver(hidden.read(3)...)
	}
	packs, err := jetstream.OpenPacks(context.Background(), s.connect(), jetstream.Config{Ledger: wire.ShortName(ledgertest.Origin)})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range hidden.digests() {
		if err := packs.Delete(context.Background(), d); err != nil {
			t.Fatal(err)
		}
	}
	s.start(3)
	s.level(0, 3)
	open.once(s.nodes[3])
	hidden.once(s.nodes[3])
	hidden.inVault(s.nodes[3])
	if _, err := s.Policy.Verify(s.nodes[3].Final().Note); err != nil {
		t.Errorf("its final checkpoint: %v", err)
	}

	s.stop(0, 1, 2)
	s.start(1, 0)
	open.deliver(open.read(5)...)
	s.level(3, 0, 1)
	s.start(2)
	s.level(3, 0, 1, 2)
	open.once(s.nodes[2])
}

// While a quorum is away nothing becomes final and nothing is lost: when it is back,
// what was taken in is answered without being sent again.
func TestQuorumAway(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	s.level(0, 1, 2, 3)
	s.stop(2, 3)
	g.publish(g.read(8)...)
	s.until("the readings in the order", func() bool {
		return s.nodes[0].Ingest().Stats().Accepted+s.nodes[1].Ingest().Stats().Accepted == 8
	})
	s.mu.Lock()
	early := len(g.places)
	s.mu.Unlock()
	if early > 0 {
		t.Errorf("%d receipts by two oracles of four", early)
	}
	s.start(3)
	s.until("the receipts", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(g.places) == 8
	})
	s.start(2)
	s.level(0, 1, 2, 3)
	g.once(s.nodes[2])
}

// What a kill at the worst moment leaves, a block that is durable and a vote that
// was not sent, is taken up as it was. The street itself checks that no oracle
// ever votes for two checkpoints of a height.
func TestKilledBetweenBlockAndVote(t *testing.T) {
	s := newStreet(t, 4)
	left := filepath.Join(t.TempDir(), "left")
	var at atomic.Uint64
	var once sync.Once
	s.saw = func(i int, e oracle.Event) {
		// Execute tells of a block before it hands it on to be voted for.
		if i == 3 && e.Block != nil && len(e.Block.Result.Sequences) > 0 {
			once.Do(func() {
				s.mu.Lock()
				_, voted := s.votes[promise{s.Oracles[3].Cosigner.Public().ID(), e.Block.Header.Height}]
				s.mu.Unlock()
				if voted {
					t.Errorf("the vote for height %d left before the block was durable", e.Block.Header.Height)
				}
				copyDir(t, s.oracleDir(3), left)
				at.Store(e.Block.Header.Height)
			})
		}
	}
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	g.deliver(g.read(3)...)
	g.deliver(g.read(3)...)
	s.level(0, 1, 2, 3)
	s.stop(3)
	if err := os.RemoveAll(s.oracleDir(3)); err != nil {
		t.Fatal(err)
	}
	copyDir(t, left, s.oracleDir(3))
	height, onDisk := lastOf(t, s.oracleDir(3))
	if height != at.Load() {
		t.Fatalf("the copy ends at height %d, the block observed was %d", height, at.Load())
	}
	p := promise{s.Oracles[3].Cosigner.Public().ID(), height}
	s.mu.Lock()
	before := s.votes[p]
	delete(s.votes, p)
	s.mu.Unlock()
	s.start(3)
	s.until("its vote for that block", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, ok := s.votes[p]
		return ok
	})
	s.mu.Lock()
	after := s.votes[p]
	s.mu.Unlock()
	if after != before || after != onDisk {
		t.Errorf("voted for %v before and for %v after, and has %v on the disk", before, after, onDisk)
	}
	s.level(0, 3)
	g.once(s.nodes[3])
}

// switched is an order that a test can take away from one oracle.
type switched struct {
	orderer.Orderer
	deaf    chan struct{} // closed: delivery hangs
	broken  chan error    // an error here ends a delivery
	submits atomic.Int64
}

func (o *switched) Submit(ctx context.Context, msg []byte) error {
	o.submits.Add(1)
	return o.Orderer.Submit(ctx, msg)
}

func (o *switched) Deliver(ctx context.Context, from uint64, fn func(uint64, [][]byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case err := <-o.broken:
			cancel(err)
		case <-ended:
		}
	}()
	err := o.Orderer.Deliver(ctx, from, func(first uint64, msgs [][]byte) error {
		select {
		case <-o.deaf:
			<-ctx.Done()
			return ctx.Err()
		default:
			return fn(first, msgs)
		}
	})
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

// switchable puts a switched order between one oracle and the broker.
func (s *street) switchable(who int) *switched {
	sw := &switched{deaf: make(chan struct{}), broken: make(chan error)}
	s.order = func(i int, o orderer.Orderer) orderer.Orderer {
		if i != who {
			return o
		}
		sw.Orderer = o
		return sw
	}
	return sw
}

// An oracle takes statements in, orders them and is gone. Another one answers
// when the gateway sends them again.
func TestAnotherAnswersForACrashedOracle(t *testing.T) {
	s := newStreet(t, 4)
	sw := s.switchable(0)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	close(sw.deaf) // it can order, and sees nothing come back
	before := sw.submits.Load()
	frames := g.read(5)
	for _, f := range frames {
		if !s.nodes[0].Ingest().Offer("home-1", f) {
			t.Fatal("the queue is full")
		}
	}
	s.until("the readings in the order", func() bool {
		used := 0
		s.nodes[1].Ledger().View(func(st *state.State) {
			for count := range uint64(5) {
				if st.Used(s.GatewayKey("home-1").Public().ID(), entry.Sequence{Boot: 1, Count: count + 1}) {
					used++
				}
			}
		})
		return used == 5 && sw.submits.Load() > before
	})
	s.stop(0)
	s.mu.Lock()
	early := len(g.places)
	s.mu.Unlock()
	if early > 0 {
		t.Fatal("somebody answered before the gateway sent again")
	}
	g.deliver(frames...)
	s.level(1, 2, 3)
	g.once(s.nodes[1])
}

// When the order turns out to be another one, the oracle says so, writes nothing
// more, and leaves gateways to the others; what it holds can be read.
func TestDivergedOrderHalts(t *testing.T) {
	s := newStreet(t, 4)
	sw := s.switchable(0)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	g.deliver(g.read(5)...)
	s.level(0, 1, 2, 3)
	sw.broken <- fmt.Errorf("%w: for this test", orderer.ErrDiverged)
	s.until("the halt", func() bool {
		return s.seen(0, func(e oracle.Event) bool { return e.Halted != nil }) == 1
	})
	n := s.nodes[0]
	if !errors.Is(n.Halted(), oracle.ErrHalted) || !errors.Is(n.Halted(), orderer.ErrDiverged) {
		t.Errorf("halted with %v", n.Halted())
	}
	height, checkpoint, _ := n.Ledger().Last()
	submits := sw.submits.Load()
	for range 3 {
		g.deliver(g.read(5)...)
	}
	s.level(1, 2, 3)
	if h, c, _ := n.Ledger().Last(); h.Height != height.Height || c != checkpoint {
		t.Errorf("it wrote on from height %d to %d", height.Height, h.Height)
	}
	if got := sw.submits.Load(); got != submits {
		t.Errorf("it put %d messages into the order", got-submits)
	}
	leaf, err := n.Ledger().Store().Leaf(0)
	if err != nil || n.Final() == nil {
		t.Errorf("reading from it: %d bytes, error %v, final %v", len(leaf), err, n.Final())
	}
	if got := s.seen(0, func(e oracle.Event) bool { return e.Halted != nil }); got != 1 {
		t.Errorf("it said so %d times", got)
	}
}

// An order that lost its end, or is another one, stops an oracle as it starts.
func TestRewoundOrderHaltsAtStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		others int // messages in the order that is there instead
		want   string
	}{{"rewound", 0, "rewound"}, {"other messages", 40, "diverged"}} {
		t.Run(c.name, func(t *testing.T) {
			s := newStreet(t, 4)
			s.start(0, 1, 2, 3)
			g := s.enrol("home-1", entry.ModeOpen)
			g.deliver(g.read(5)...)
			s.level(0, 1, 2, 3)
			s.stop(0, 1, 2, 3)
			height, _ := lastOf(t, s.oracleDir(0))
			for _, conn := range s.conns {
				conn.Close()
			}
			s.broker.Close()
			if err := os.RemoveAll(filepath.Join(s.dir, "broker", "jetstream")); err != nil {
				t.Fatal(err)
			}
			s.startBroker()
			order, err := jetstream.Open(context.Background(), s.connect(), jetstream.Config{Ledger: wire.ShortName(ledgertest.Origin)})
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.others {
				if err := order.Submit(context.Background(), fmt.Append(nil, "another message ", i)); err != nil {
					t.Fatal(err)
				}
			}
			s.start(0, 1, 2, 3)
			s.until("four halts", func() bool {
				n := 0
				for i := range s.nodes {
					n += s.seen(i, func(e oracle.Event) bool { return e.Halted != nil })
				}
				return n == 4
			})
			for i, n := range s.nodes {
				if err := n.Halted(); !errors.Is(err, oracle.ErrHalted) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("oracle %d halted with %v, want %q", i+1, err, c.want)
				}
				if h, _, _ := n.Ledger().Last(); h.Height != height {
					t.Errorf("oracle %d is at height %d, want %d", i+1, h.Height, height)
				}
				if _, leaf, ok := n.Ledger().Logged(s.GatewayKey("home-1").Public().ID(), entry.Sequence{Boot: 1, Count: 1}); !ok || string(leaf) != string(g.sent[1]) {
					t.Errorf("oracle %d does not give a reading that it holds", i+1)
				}
			}
			if _, last, err := order.Bounds(context.Background()); err != nil || last != uint64(c.others) {
				t.Errorf("the order ends at %d and error %v, want %d: halted oracles must not write", last, err, c.others)
			}
		})
	}
}

// liar is where packs wait, and gives wrong ones.
type liar struct {
	oracle.Packs
	given atomic.Int64
}

func (l *liar) Get(ctx context.Context, digest [32]byte) ([]byte, error) {
	l.given.Add(1)
	return []byte("not the pack"), nil
}

// A wrong pack under a digest must not make an oracle differ from the others.
func TestWrongPackIsNotTaken(t *testing.T) {
	s := newStreet(t, 4)
	wrong := &liar{}
	s.packs = func(i int, p oracle.Packs) oracle.Packs {
		if i != 3 {
			return p
		}
		wrong.Packs = p
		return wrong
	}
	s.start(0, 1, 2)
	g := s.enrol("home-2", entry.ModeCommitted)
	g.deliver(g.read(5)...)
	s.start(3)
	g.deliver(g.read(5)...)
	s.level(0, 1, 2, 3)
	if wrong.given.Load() == 0 {
		t.Fatal("it never asked where packs wait")
	}
	g.once(s.nodes[3])
	g.inVault(s.nodes[3])
}

// An oracle that votes for something else, and for two things, leaves evidence
// and stops nobody; so does rubbish.
// One oracle orders a reading that it signed itself, with a pack that nobody has: the
// rules refuse it in any case, and nobody waits.
func TestPackThatMakesNoDifference(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2)
	g := s.enrol("home-1", entry.ModeOpen)
	g.deliver(g.read(1)...)
	c := entry.Claims{Issuer: "urn:x", Audience: s.Charter.Origin, IssuedAt: s.now().Unix(), Sequence: entry.Sequence{Boot: 1, Count: 1}}
	claims, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	header := signer.Header{Type: entry.TypeReading, PreimageType: entry.ContentSalted, Claims: claims}
	poison, err := signer.Sign(s.Oracles[3].Statement, header, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.nodes[0].Submit(t.Context(), poison); err != nil {
		t.Fatal(err)
	}
	g.deliver(g.read(5)...)
	s.level(0, 1, 2)
	refused := false
	for i := range s.nodes[0].Ledger().Store().Size() {
		leaf, err := s.nodes[0].Ledger().Store().Leaf(i)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := entry.ParseOutcome(leaf); err == nil {
			refused = refused || o.Code == string(entry.ReasonNotAuthorised)
		}
	}
	if !refused {
		t.Error("what the oracle ordered left no refusal")
	}
}

// An oracle's clocks for another ledger close no block: each block holds a quorum of
// clocks that count, or its time would be one that the others never showed.
func TestClockThatDoesNotCount(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2)
	g := s.enrol("home-1", entry.ModeOpen)
	for i := range 10 {
		header, _, _ := s.nodes[0].Ledger().Last()
		height := header.Height
		for ahead := range uint64(3) {
			c := entry.Claims{Issuer: "urn:x", Audience: "other.example/ledger", IssuedAt: s.now().Unix()}
			claims, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			clock := entry.Clock{Height: height + 1 + ahead, Time: s.now().UnixMilli() + int64(i)}
			about := signer.Header{Type: entry.TypeClock, ContentType: entry.ContentCBOR, Claims: claims}
			lie, err := signer.Sign(s.Oracles[3].Statement, about, clock.Encode())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.nodes[0].Submit(t.Context(), lie); err != nil {
				t.Fatal(err)
			}
		}
		g.deliver(g.read(2)...)
	}
	s.level(0, 1, 2)
	counted := make(map[uint64]int)
	ledger := s.nodes[0].Ledger().Store()
	last, _ := ledger.Last()
	for i := range ledger.Size() {
		leaf, err := ledger.Leaf(i)
		if err != nil {
			t.Fatal(err)
		}
		m, err := signer.Parse(leaf)
		if err != nil || m.Type != entry.TypeClock {
			continue
		}
		if c, err := entry.ParseClock(m.Payload); err == nil {
			counted[c.Height]++
		}
	}
	for h := uint64(1); h <= last.Height; h++ {
		if counted[h] < 3 {
			t.Errorf("block %d was closed with %d clocks for it", h, counted[h])
		}
	}
}

func TestLyingOracleStopsNobody(t *testing.T) {
	s := newStreet(t, 4)
	s.liars[s.Oracles[3].Cosigner.Public().ID()] = true
	s.start(0, 1, 2)
	g := s.enrol("home-1", entry.ModeOpen)
	s.level(0, 1, 2)
	height, checkpoint, _ := s.nodes[0].Ledger().Last()
	conn := s.connect()
	say := func(b []byte) {
		if err := conn.Publish(s.subjects.Vote(), b); err != nil {
			t.Fatal(err)
		}
	}
	for h := height.Height; h < height.Height+6; h++ {
		for variant := range byte(2) {
			cp := checkpoint
			cp.Root[0] ^= 1 + variant
			v := s.vote(3, h, cp)
			say(v.Encode())
			v.Log, v.Cosigned = v.Cosigned, v.Log
			say(v.Encode())
			v.KeyID = s.Oracles[1].Cosigner.Public().ID()
			say(v.Encode())
		}
		say([]byte("rubbish"))
	}
	for range 3 {
		g.deliver(g.read(3)...)
	}
	s.level(0, 1, 2)
	for i := range 3 {
		lies := s.seen(i, func(e oracle.Event) bool { return e.Conflict != nil && e.Conflict.Equivocation() })
		differ := s.seen(i, func(e oracle.Event) bool { return e.Conflict != nil && !e.Conflict.Equivocation() })
		if lies == 0 || differ == 0 {
			t.Errorf("oracle %d tells of %d lies and %d differences", i+1, lies, differ)
		}
	}
	g.once(s.nodes[2])
	s.stop(0, 1, 2)
	for i := range 3 {
		dir := os.DirFS(filepath.Join(s.oracleDir(i), oracle.ConflictsDir))
		names, err := fs.Glob(dir, fmt.Sprintf("%d/*.note", height.Height))
		if err != nil || len(names) != 3 { // this oracle's vote, and two lies
			t.Errorf("oracle %d keeps %v and error %v, want three votes", i+1, names, err)
		}
		for _, name := range names {
			note, err := fs.ReadFile(dir, name)
			if err != nil {
				t.Fatal(err)
			}
			if signed, err := s.Policy.Open(note); err != nil || len(signed.Logs) != 1 || len(signed.Witnesses) != 1 {
				t.Errorf("%s: got %+v and error %v, want a signed checkpoint", name, signed, err)
			}
		}
	}
}

func (s *street) vote(i int, height uint64, cp block.Checkpoint) *finality.Vote {
	s.t.Helper()
	o := &s.Oracles[i]
	t := finality.NewTally(finality.Always(s.Policy), finality.Keys{Name: o.Name, Log: o.Log, Cosigner: o.Cosigner})
	v, _, err := t.Cast(height, cp, ledgertest.Start/1000)
	if err != nil {
		s.t.Fatal(err)
	}
	p := entry.Promise{Height: height, Size: cp.Size, Root: cp.Root}
	claims, err := (&entry.Claims{Issuer: o.Name, Audience: ledgertest.Origin, IssuedAt: ledgertest.Start / 1000}).Encode()
	if err == nil {
		v.Promise, err = signer.Sign(o.Statement, signer.Header{Type: entry.TypePromise, ContentType: entry.ContentCBOR, Claims: claims}, p.Encode())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}
