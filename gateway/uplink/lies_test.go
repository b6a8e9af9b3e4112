package uplink_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/gateway/outbox"
	"wattmark/gateway/uplink"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// liar is a broker that acknowledges everything and does with it, and with the
// answers, as it likes.
type liar struct {
	t       *testing.T
	ledger  *ledger
	mu      sync.Mutex // guards the fields below
	rng     *rand.Rand
	honest  bool
	sent    map[outbox.Number]bool
	waiting [][]byte // answers that it holds back
	deliver func(string, []byte)
}

type liarConn struct {
	*liar
	ending chan struct{}
	once   sync.Once
}

func (l *liar) String() string { return "liar" }

func (l *liar) Connect(_ context.Context, _ []string, deliver func(string, []byte)) (uplink.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deliver = deliver
	return &liarConn{liar: l, ending: make(chan struct{})}, nil
}

func (c *liarConn) Done() <-chan struct{} { return c.ending }
func (c *liarConn) Err() error            { return errCut }
func (c *liarConn) Close()                { c.once.Do(func() { close(c.ending) }) }

// Publish acknowledges the frame; some it drops, some it answers once or twice.
func (c *liarConn) Publish(_ context.Context, _ string, b []byte) error {
	f, err := wire.ParseFrame(b)
	if err != nil {
		c.t.Error(err)
		return err
	}
	q := sequenceOf(c.t, f.Statement)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[outbox.Number{Boot: q.Boot, Seq: q.Count}] = true
	times := 1
	if !c.honest {
		times = c.rng.IntN(3)
	}
	for range times {
		c.waiting = append(c.waiting, c.ledger.receipts(c.t, f.Statement).Encode())
	}
	return nil
}

// pass delivers some of the answers, in any order, some with a bit changed, and
// keeps some to tell them again.
func (l *liar) pass() {
	l.mu.Lock()
	l.rng.Shuffle(len(l.waiting), func(i, j int) { l.waiting[i], l.waiting[j] = l.waiting[j], l.waiting[i] })
	n := len(l.waiting)
	if !l.honest {
		n = l.rng.IntN(n + 1)
	}
	now := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	deliver := l.deliver
	for i, b := range now {
		if l.honest {
			continue
		}
		switch l.rng.IntN(4) {
		case 0:
			changed := bytes.Clone(b)
			changed[l.rng.IntN(len(b))] ^= 1 << l.rng.IntN(8)
			now[i] = changed
		case 1:
			l.waiting = append(l.waiting, b)
		}
	}
	l.mu.Unlock()
	for _, b := range now {
		deliver(wire.For(ledgertest.Origin).Receipt(gatewayName), b)
	}
	synctest.Wait()
}

// TestLyingBroker holds the uplink to this: whatever a broker does with frames and
// answers, nothing is forgotten without a receipt that verifies over the very bytes,
// and everything is once the broker is honest.
func TestLyingBroker(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := &liar{t: t, ledger: newLedger(t), rng: rand.New(rand.NewPCG(seed, 2)), sent: make(map[outbox.Number]bool)}
		statements := make(map[outbox.Number][]byte)
		proved := make(map[outbox.Number]int)
		r := newRig(t, func(c *uplink.Config) {
			c.Transport, c.Policy, c.OracleKeys = l, l.ledger.Policy, l.ledger.keys()
			c.OnReceipt = func(x uplink.Receipt) {
				proved[x.Number]++
				if !bytes.Equal(x.Statement, statements[x.Number]) {
					t.Errorf("the receipt of %s is for other bytes", x.Number)
				}
				if _, err := x.Proof.Verify(l.ledger.Policy); err != nil {
					t.Errorf("the receipt of %s proves nothing: %v", x.Number, err)
				}
			}
		})
		r.start()
		defer r.end()
		for i := range 60 {
			for _, s := range r.box.add(t, rng.IntN(3)) {
				q := sequenceOf(t, s)
				statements[outbox.Number{Boot: q.Boot, Seq: q.Count}] = s
			}
			time.Sleep(time.Duration(rng.IntN(60)) * time.Second)
			l.pass()
			if i == 45 {
				l.mu.Lock()
				l.honest = true
				l.mu.Unlock()
			}
			if waits := r.box.Stats().Pending; waits+len(proved) != len(statements) {
				t.Fatalf("seed %d: %d statements wait and %d are proved, of %d", seed, waits, len(proved), len(statements))
			}
		}
		for range 3 {
			time.Sleep(31 * time.Minute) // twice the longest step, and it is sent again
			l.pass()
		}
		r.waits(0)
		for n := range statements {
			if proved[n] != 1 || !l.sent[n] {
				t.Errorf("seed %d: %s was proved %d times, sent: %v", seed, n, proved[n], l.sent[n])
			}
		}
	})
}

// TestRefusedByAll: the oracles beyond the one that decided say nothing new, and
// none of it looks like a statement of somebody else's.
func TestRefusedByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		s := r.box.add(t, 2)
		r.start()
		defer r.end()
		for i := range 4 {
			r.refuse(r.ledger.refusal(t, i, s[0], entry.Sequence{Boot: 1, Count: 1}, entry.ReasonWrongMode))
		}
		if st := r.Stats(); st.Foreign != 0 || st.Refusals[entry.ReasonWrongMode] != 4 {
			t.Errorf("stats %+v", st)
		}
		for i, x := range r.refusals {
			if !x.Ours || x.Lasting != (i >= 1) {
				t.Errorf("refusal %d: %+v", i, x)
			}
		}
		if got := len(r.box.Refusals()); got != 1 {
			t.Errorf("%d statements are refused, want 1", got)
		}
		// One that comes after the receipt changes nothing, and is none of somebody else's.
		r.answer(r.ledger.receipts(t, s[1]))
		r.refuse(r.ledger.refusal(t, 0, s[1], entry.Sequence{Boot: 1, Count: 2}, entry.ReasonSequenceUsed))
		if st := r.Stats(); st.Foreign != 0 || st.Repeated != 1 {
			t.Errorf("after the receipt: %+v", st)
		}
		// Other bytes under that number are.
		other := statement(t, ledgertest.Key(t, signer.EdDSA, "a stolen name"), 1, 2)
		r.refuse(r.ledger.refusal(t, 0, other, entry.Sequence{Boot: 1, Count: 2}, entry.ReasonSequenceUsed))
		if st := r.Stats(); st.Foreign != 1 {
			t.Errorf("other bytes: %+v", st)
		}
	})
}

// TestLargeBacklogLeavesTheLine: with large statements a batch is a second of the
// line and not 64 of them, so that a fresh one is on its way soon.
func TestLargeBacklogLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *uplink.Config) { c.MaxRate = 1000 })
		size := len(r.box.add(t, 200)[0])
		r.start()
		defer r.end()
		if got, want := len(r.air.published()), (1000+size-1)/size; got != want {
			t.Errorf("%d statements of %d bytes at once on a line of 1000 B/s, want %d", got, size, want)
		}
		time.Sleep(30 * time.Second)
		if got := len(r.air.published()) * size; got < 12_000 || got > 18_000 {
			t.Errorf("%d bytes of backlog in 30 s, want about half of what the line carries", got)
		}
	})
}

// TestFleetReconnects: a thousand gateways lose one broker for an hour. They try
// again at an even rate, and its return is no stampede.
func TestFleetReconnects(t *testing.T) {
	const gateways = 1000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		fleet := &fleet{up: true}
		b, l := openBox(t, t.TempDir()), newLedger(t)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		for i := range gateways {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			u, err := uplink.New(uplink.Config{
				Gateway: gatewayName, Origin: ledgertest.Origin, Policy: l.Policy, OracleKeys: l.keys(),
				Outbox: b.Outbox, Transport: fleet, Jitter: rng.Float64,
			})
			if err != nil {
				t.Fatal(err)
			}
			running.Go(func() { u.Run(ctx) })
		}
		synctest.Wait()
		if n := len(fleet.take()); n != gateways {
			t.Fatalf("%d of %d gateways are connected", n, gateways)
		}
		time.Sleep(time.Minute)
		fleet.set(false)
		time.Sleep(30 * time.Minute)
		fleet.take()
		start := time.Now()
		time.Sleep(30 * time.Minute)
		// A wait of 0 to 5 min is 2.5 min in the mean: 12 attempts each, 2 in a minute for
		// every five gateways.
		var minute [30]int
		for _, at := range fleet.take() {
			minute[min(int(at.Sub(start)/time.Minute), 29)]++
		}
		for i, n := range minute {
			if n < 300 || n > 500 {
				t.Errorf("seed %d: %d attempts in minute %d of a long outage, want about 400", seed, n, i)
			}
		}
		start = time.Now()
		fleet.set(true)
		time.Sleep(5*time.Minute + time.Second)
		var second [302]int
		back := fleet.take()
		for _, at := range back {
			second[int(at.Sub(start)/time.Second)]++
		}
		if len(back) != gateways {
			t.Errorf("seed %d: %d of %d gateways are back after the longest wait", seed, len(back), gateways)
		}
		for i, n := range second {
			if n > 25 { // 6.7 in the mean of the first seconds
				t.Errorf("seed %d: %d gateways came back in second %d", seed, n, i)
			}
		}
		cancel()
		running.Wait()
		b.Close()
	})
}

// fleet is the transport to one broker, for any number of gateways.
type fleet struct {
	mu    sync.Mutex // guards the fields below
	up    bool
	conns []*airConn
	dials []time.Time
}

func (f *fleet) String() string { return "fleet" }

func (f *fleet) Connect(context.Context, []string, func(string, []byte)) (uplink.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, time.Now())
	if !f.up {
		return nil, errCut
	}
	c := &airConn{done: make(chan struct{})}
	f.conns = append(f.conns, c)
	return c, nil
}

func (f *fleet) set(up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up = up
	if !up {
		for _, c := range f.conns {
			c.Close()
		}
		f.conns = nil
	}
}

// take returns and forgets when connections were opened or tried.
func (f *fleet) take() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.dials
	f.dials = nil
	return out
}

// stuck is a transport whose network swallows everything and answers nothing.
type stuck struct{ dialling bool }

func (s stuck) String() string { return "stuck" }

func (s stuck) Connect(ctx context.Context, _ []string, _ func(string, []byte)) (uplink.Conn, error) {
	if s.dialling {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &stuckConn{airConn{done: make(chan struct{})}}, nil
}

type stuckConn struct{ airConn }

func (c *stuckConn) Publish(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestStuckTransport: Run ends when it is told to, wherever the network hangs, and
// nothing of it is left (synctest fails if a goroutine is).
func TestStuckTransport(t *testing.T) {
	for _, dialling := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *uplink.Config) { c.Transport = stuck{dialling} })
			r.box.add(t, 3)
			r.start()
			time.Sleep(time.Hour)
			r.waits(3)
			begin := time.Now()
			r.end()
			if took := time.Since(begin); took != 0 {
				t.Errorf("Run ended %s after its context", took)
			}
		})
	}
}

// clients counts the goroutines of the two client libraries.
func clients() int {
	buf := make([]byte, 1<<22)
	n := 0
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "eclipse/paho.mqtt") || strings.Contains(g, "nats.go.(*Conn)") || strings.Contains(g, "gateway/uplink.(") {
			n++
		}
	}
	return n
}

// TestNothingIsLeft: after Run the clients have no goroutine any more.
func TestNothingIsLeft(t *testing.T) {
	s := openSite(t)
	for name, via := range transports(t, s, nil) {
		before := clients()
		b := openBox(t, t.TempDir())
		_, end := s.serve(t, b, via, nil)
		b.add(t, 20)
		until(t, name+": receipts", b.empty)
		end()
		until(t, name+": the end of all its goroutines", func() bool { return clients() <= before })
	}
}

// TestResendOfNothing: what is not in the outbox cannot be sent again.
func TestResendOfNothing(t *testing.T) {
	r := newRig(t, nil)
	if err := r.Resend(outbox.Number{Boot: 1, Seq: 9}); !errors.Is(err, outbox.ErrUnknown) {
		t.Errorf("%v, want ErrUnknown", err)
	}
}
