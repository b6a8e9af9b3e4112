package oracle

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wattmark/ledger/entry"
	"wattmark/oracle/api"
)

// counts are what a node has seen since it was opened, for metrics and readiness.
type counts struct {
	wait prometheus.Histogram // from durable to final

	mu           sync.Mutex // guards the fields below
	blocks       uint64
	statements   uint64 // accepted by the rules
	receipts     uint64
	refused      map[string]uint64            // answers to gateways, by reason
	lastRefused  map[string][]api.RefusedLast // of each, the oldest first
	equivocated  uint64                       // conflicts within one oracle
	differed     uint64                       // conflicts between oracles
	durable      map[uint64]time.Time
	finalHeight  uint64
	finalAny     bool
	finalSince   time.Time // when the newest final block became it
	pendingSince time.Time // since when there is a durable block that is not final; zero for none
}

// waits bounds the blocks whose time to finality is being measured.
const waits = 1024

func (c *counts) init() {
	c.wait = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "wattmark_final_seconds", Help: "Time from a block's being durable here to its being final.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	})
	c.refused, c.lastRefused, c.durable = make(map[string]uint64), make(map[string][]api.RefusedLast), make(map[uint64]time.Time)
}

// note counts an event at the time now.
func (c *counts) note(e *Event, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case e.Block != nil:
		c.blocks++
		c.statements += uint64(len(e.Block.Result.Accepted))
		if len(c.durable) < waits {
			c.durable[e.Block.Header.Height] = now
		}
		if c.pendingSince.IsZero() {
			c.pendingSince = now
		}
	case e.Final != nil:
		c.final(e.Final.Height, now)
	case e.Refusal != nil:
		reason := string(e.Refusal.Reason)
		c.refused[reason]++
		last := append(c.lastRefused[reason], api.RefusedLast{Gateway: e.Gateway, Boot: e.Refusal.Boot, Count: e.Refusal.Count, At: now.UnixMilli()})
		c.lastRefused[reason] = last[max(len(last)-api.LastRefused, 0):]
	case e.Answered > 0:
		c.receipts += uint64(e.Answered)
	case e.Conflict != nil && e.Conflict.Equivocation():
		c.equivocated++
	case e.Conflict != nil:
		c.differed++
	}
}

// refusals returns what was refused, by reason.
func (c *counts) refusals() (out []api.Refused) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for reason, n := range c.refused {
		last := slices.Clone(c.lastRefused[reason])
		slices.Reverse(last)
		out = append(out, api.Refused{Reason: reason, Count: n, Remedy: entry.Reason(reason).Remedy(), Last: last})
	}
	return out
}

func (c *counts) final(height uint64, now time.Time) {
	c.finalHeight, c.finalAny, c.finalSince = height, true, now
	c.pendingSince = time.Time{}
	for h, since := range c.durable {
		if h <= height {
			c.wait.Observe(now.Sub(since).Seconds())
			delete(c.durable, h)
		} else if c.pendingSince.IsZero() || since.Before(c.pendingSince) {
			c.pendingSince = since
		}
	}
}
