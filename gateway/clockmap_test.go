package gateway_test

import (
	"sync"
	"testing"
	"time"

	"wattmark/gateway"
	"wattmark/gateway/sampler"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// toldClock is the machine's clock with a quality that a test tells.
type toldClock struct {
	*sampler.MachineClock
	mu      sync.Mutex // guards the fields below
	quality string
	shift   time.Duration
}

func (c *toldClock) tell(quality string, shift time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quality, c.shift = quality, shift
}

func (c *toldClock) Quality() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.quality
}

func (c *toldClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.MachineClock.Now().Add(c.shift)
}

func (c *toldClock) Uncertainty() time.Duration {
	if c.Quality() == entry.ClockUnsynced {
		return 0
	}
	return 10 * time.Millisecond
}

// TestTimeArrivesLate signs readings without a time, then time comes, and then the
// clock is set.
func TestTimeArrivesLate(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := newKey(t, signer.EdDSA)
	cfg := config(t, t.TempDir(), port, key)
	cfg.BootID = "one boot"
	clock := &toldClock{MachineClock: sampler.NewMachineClock(), quality: entry.ClockUnsynced, shift: -5 * time.Minute}
	cfg.Clock = clock

	// The process ends before there is a time, and the next one finds one.
	first := signFor(t, cfg, 2)
	for _, s := range first {
		if s.Type != entry.TypeReading {
			t.Fatalf("without a time a statement of type %q was signed", s.Type)
		}
	}
	clock.tell(entry.ClockNTP, 0)
	var maps []*entry.ClockMap
	var claims []entry.Claims
	readings := 0
	cfg.OnSigned = func(s gateway.Signed) {
		if s.Type == entry.TypeReading {
			if readings++; readings == 2 {
				clock.tell(entry.ClockHoldover, 5*time.Second)
			}
			return
		}
		m, err := signer.Parse(s.Statement)
		if err != nil {
			t.Error(err)
			return
		}
		c, err := entry.ParseClaims(m.Claims)
		if err != nil || s.Type != entry.TypeClockMap || s.Subject != "" {
			t.Errorf("a statement of type %q about %q: %v", s.Type, s.Subject, err)
			return
		}
		p, err := entry.ParseClockMap(m.Payload)
		if err != nil {
			t.Error(err)
			return
		}
		maps, claims = append(maps, p), append(claims, c)
	}
	runUntil(t, cfg, func() bool { return len(maps) == 2 })
	if len(maps) != 2 {
		t.Fatalf("%d maps, want one as time arrived and one as the clock was set", len(maps))
	}
	if m := maps[0]; m.Boot != 1 || m.Quality != entry.ClockNTP || m.Step != 0 || m.Uncertainty != 10_000_000 || claims[0].Subject != "" {
		t.Errorf("first map %+v", m)
	}
	if m := maps[1]; m.Boot != 1 || m.Quality != entry.ClockHoldover || m.Step < 4_900 || m.Step > 5_100 {
		t.Errorf("second map %+v, want a step of 5 s", m)
	}
	// The first one tells when the readings before it were signed.
	_, c, _ := opened(t, key, first[0])
	at, ok := maps[0].UTC(c.Time.Monotonic)
	if late := time.UnixMilli(at).Sub(time.Unix(c.IssuedAt, 0)); !ok || late < 299*time.Second || late > 301*time.Second {
		t.Errorf("a reading signed at %d by a clock 5 minutes slow is mapped %s later", c.IssuedAt, late)
	}
}
