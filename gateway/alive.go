package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of silence, in real time.
const (
	// signingStops is longer than the goroutine that signs waits for anything: it looks
	// at the outbox each retryOutbox.
	signingStops = 2*retryOutbox + 5*time.Second
	// samplingStops is added to the shortest period: an attempt ends before it.
	samplingStops = 20 * time.Second
)

// progress is what Alive saw last.
type progress struct {
	attempts uint64 // to read any device
	at       time.Time
}

// Alive returns nil while sampling, signing and the outbox make progress, else what
// stands still. A device or a bus that hangs is no standstill: attempts to read it
// still end. ctx bounds the look, as what is stuck may not answer.
func (g *Gateway) Alive(ctx context.Context) error {
	answered := make(chan error, 1)
	go func() { answered <- g.alive(time.Now()) }()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return errors.New("the sampler or the outbox does not answer")
	}
}

func (g *Gateway) alive(now time.Time) error {
	stats := g.Stats() // waits for the locks of each
	var attempts uint64
	for _, d := range stats.Sampler.Devices {
		attempts += d.Samples + d.Failed
	}
	shortest := time.Duration(0)
	for i := range g.cfg.Devices {
		if p := g.cfg.Devices[i].Period; shortest == 0 || p < shortest {
			shortest = p
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen.at.IsZero() || attempts != g.seen.attempts {
		g.seen = progress{attempts, now}
	}
	switch {
	case !g.beat.IsZero() && now.Sub(g.beat) > signingStops:
		return fmt.Errorf("nothing was signed or tried for %s", now.Sub(g.beat).Round(time.Second))
	case now.Sub(g.seen.at) > shortest+samplingStops:
		return fmt.Errorf("no device was tried for %s", now.Sub(g.seen.at).Round(time.Second))
	}
	return nil
}
