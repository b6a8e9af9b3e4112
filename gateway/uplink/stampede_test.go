package uplink_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/gateway/uplink"
	"wattmark/ledger/ledgertest"
)

// station is a broker that a thousand gateways share, on virtual time.
type station struct {
	mu       sync.Mutex // guards the fields below
	down     bool
	lost     chan struct{} // closed when connections end
	attempts []time.Time
	arrivals []time.Time
}

func (s *station) String() string { return "station" }

func (s *station) Connect(context.Context, []string, func(string, []byte)) (uplink.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts = append(s.attempts, time.Now())
	if s.down {
		return nil, errCut
	}
	s.arrivals = append(s.arrivals, time.Now())
	return &seat{lost: s.lost}, nil
}

// set ends all connections and refuses new ones, or takes them again.
func (s *station) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.attempts, s.arrivals = down, nil, nil
	if down {
		close(s.lost)
		s.lost = make(chan struct{})
	}
}

// seat is one connection to the station.
type seat struct{ lost chan struct{} }

func (s *seat) Publish(context.Context, string, []byte) error { return nil }
func (s *seat) Done() <-chan struct{}                         { return s.lost }
func (s *seat) Err() error                                    { return errCut }
func (s *seat) Close()                                        {}

// TestNoStampede ends the connections of a thousand gateways at once. They come back
// spread over the step that they wait, whether the broker is back at once or after an hour.
func TestNoStampede(t *testing.T) {
	const gateways, slots = 1000, 10
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		box, l := openBox(t, t.TempDir()), newLedger(t)
		s := &station{lost: make(chan struct{})}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		for i := range gateways {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			u, err := uplink.New(uplink.Config{
				Gateway: gatewayName, Origin: ledgertest.Origin, Policy: l.Policy, OracleKeys: l.keys(), Outbox: box.Outbox,
				Transport: s, Jitter: rng.Float64,
			})
			if err != nil {
				t.Fatal(err)
			}
			running.Go(func() {
				if err := u.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		even := func(what string, begin time.Time, within time.Duration) {
			t.Helper()
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.arrivals) != gateways {
				t.Fatalf("%s: %d of %d are back within %s", what, len(s.arrivals), gateways, within)
			}
			var count [slots]int
			for _, at := range s.arrivals {
				count[min(int(at.Sub(begin)*slots/within), slots-1)]++
			}
			for i, n := range count {
				if n < 50 || n > 160 { // 100 expected, with a deviation of 9.5
					t.Errorf("%s: %d gateways in tenth %d of %s", what, n, i, within)
				}
			}
		}

		time.Sleep(time.Hour) // long connected: the first step is the shortest
		begin := time.Now()
		s.set(true)
		synctest.Wait()
		s.mu.Lock()
		s.down = false
		s.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		even("back at once", begin, time.Second)

		s.set(true)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		s.mu.Lock()
		tries := len(s.attempts)
		s.mu.Unlock()
		// A step of 5 minutes is waited half on average: 48 attempts in two hours.
		if per := tries / gateways; per < 40 || per > 65 {
			t.Errorf("a gateway tries %d times in two hours without a broker", per)
		}
		begin = time.Now()
		s.set(false)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		s.mu.Lock()
		first := 0
		for _, at := range s.arrivals {
			if at.Sub(begin) < 30*time.Second {
				first++
			}
		}
		back := len(s.arrivals)
		s.mu.Unlock()
		// Each is somewhere in a wait that it drew: those of long waits are met more often,
		// so that the rest of it falls from twice the mean to nothing. None is a stampede.
		if back != gateways || first > 250 {
			t.Errorf("after two hours %d of %d come back, %d of them in the first tenth", back, gateways, first)
		}
		cancel()
		running.Wait()
	})
}
