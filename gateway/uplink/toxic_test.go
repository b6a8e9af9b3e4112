package uplink_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/gateway/uplink"
)

// toxic is a proxy between a gateway and its broker, which sees TLS as bytes and does
// to them what networks do.
type toxic struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	conns map[net.Conn]bool
	ill   illness
	rng   *rand.Rand
	count int // connections so far
}

// illness is what the proxy does to bytes.
type illness struct {
	refuse bool          // connections are closed as they come
	hole   bool          // bytes are taken and not passed on
	delay  time.Duration // each piece waits so long, up to
	cut    int           // a connection ends after about so many pieces; 0 for never
}

func openToxic(t *testing.T, to string) *toxic {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	x := &toxic{listener: l, to: to, conns: make(map[net.Conn]bool), rng: rand.New(rand.NewPCG(seed, 1))}
	x.running.Go(x.accept)
	t.Cleanup(func() {
		l.Close()
		x.set(illness{refuse: true})
		x.running.Wait()
	})
	return x
}

// at returns a broker's URL with the proxy's address in it.
func (x *toxic) at(url string) string {
	scheme, _, _ := strings.Cut(url, "://")
	return fmt.Sprintf("%s://%s", scheme, x.listener.Addr())
}

// set changes the illness, and ends all connections where it is to refuse them.
func (x *toxic) set(i illness) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ill = i
	if i.refuse {
		for c := range x.conns {
			c.Close()
		}
	}
}

func (x *toxic) connections() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.count
}

func (x *toxic) accept() {
	for {
		in, err := x.listener.Accept()
		if err != nil {
			return
		}
		x.mu.Lock()
		x.count++
		if x.ill.refuse {
			x.mu.Unlock()
			in.Close()
			continue
		}
		out, err := net.Dial("tcp", x.to)
		if err != nil {
			x.mu.Unlock()
			in.Close()
			continue
		}
		x.conns[in], x.conns[out] = true, true
		x.mu.Unlock()
		x.running.Go(func() { x.pass(in, out) })
		x.running.Go(func() { x.pass(out, in) })
	}
}

// pass carries bytes one way until either side ends.
func (x *toxic) pass(from, to net.Conn) {
	defer func() {
		from.Close()
		to.Close()
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.conns, from)
		delete(x.conns, to)
	}()
	buf := make([]byte, 2048)
	for {
		n, err := from.Read(buf)
		x.mu.Lock()
		i := x.ill
		wait := time.Duration(x.rng.Int64N(int64(i.delay) + 1))
		end := i.cut > 0 && x.rng.IntN(i.cut) == 0
		x.mu.Unlock()
		if i.hole {
			n = 0
		}
		if wait > 0 {
			<-time.After(wait)
		}
		if end && n > 0 { // in the middle of what it has
			n = n/2 + 1
		}
		if _, e := to.Write(buf[:n]); e != nil || end || err != nil {
			return
		}
	}
}

// TestThroughASickNetwork sends over TLS through delays and cuts in the midst of
// records, a line that swallows everything, and one that is gone: in the end each
// statement has its receipt.
func TestThroughASickNetwork(t *testing.T) {
	s := openSite(t)
	for _, c := range []struct {
		name, url string
		open      func(uplink.Link) (uplink.Transport, error)
	}{{"mqtt", s.MQTTURL(), uplink.MQTT}, {"nats", s.NATSURL(), uplink.NATS}} {
		t.Run(c.name, func(t *testing.T) {
			_, address, _ := strings.Cut(c.url, "://")
			x := openToxic(t, address)
			via, err := c.open(uplink.Link{URL: x.at(c.url), TLS: s.TLS(t, gatewayName), ClientID: gatewayName, Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			b := openBox(t, t.TempDir())
			u, _ := s.serve(t, b, via, nil)
			until(t, "a connection", func() bool { return u.Stats().Connected })

			x.set(illness{delay: 10 * time.Millisecond, cut: 60})
			for range 10 {
				b.add(t, 20)
				until(t, "receipts through delays and cuts", b.empty)
			}

			x.set(illness{hole: true})
			b.add(t, 70) // more than may be in flight
			until(t, "the silent line to be given up", func() bool { return !u.Stats().Connected })
			if b.empty() {
				t.Error("receipted through a line that swallows everything")
			}

			before := x.connections()
			x.set(illness{refuse: true})
			until(t, "several attempts", func() bool { return x.connections() >= before+3 })
			x.set(illness{})
			until(t, "receipts for all", b.empty)
		})
	}
}
