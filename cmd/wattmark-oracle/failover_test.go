package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
)

// TestFailover measures how long a cluster gives no receipts when an oracle or a server
// ends: from then to the first receipt of a statement that was published later. It is
// asked for, and nothing is asserted about the figures:
//
//	WATTMARK_BENCH_FAILOVER=30 go test -run '^TestFailover$' -v -timeout 30m ./cmd/wattmark-oracle
func TestFailover(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("WATTMARK_BENCH_FAILOVER"))
	if err != nil || n < 1 {
		t.Skip("a measurement: WATTMARK_BENCH_FAILOVER=30 runs it")
	}
	c := newCluster(t, "home-1")
	m := c.meters[0]
	m.publish(1)
	m.settle(len(c.nodes))
	for _, k := range []struct {
		name  string
		among int
		of    func(i int) *process
		stop  func(*process)
	}{
		{"an oracle is killed", len(c.nodes), func(i int) *process { return c.nodes[i].process }, (*process).kill},
		{"a server is ended", servers, func(i int) *process { return c.servers[i] }, (*process).end},
		{"a server is killed", servers, func(i int) *process { return c.servers[i] }, (*process).kill},
	} {
		var took []time.Duration
		for i := range n {
			p := k.of(i % k.among)
			before := m.published()
			from := time.Now()
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				k.stop(p)
			}()
			until(t, "a receipt after the failover", func() bool {
				m.publish(2)
				select {
				case <-stopped:
					return m.answeredAfter(before)
				default:
					before = m.published() // only what came later counts
					return false
				}
			})
			took = append(took, time.Since(from))
			p.start()
			m.settle(len(c.nodes))
			until(t, "all are up to date", func() bool { return c.current() })
			c.level()
		}
		slices.Sort(took)
		t.Logf("%s, %d times: median %s, 99th percentile %s, longest %s", k.name, n, round(took[n/2]), round(took[(99*n-1)/100]), round(took[n-1]))
	}
}

func round(d time.Duration) string { return fmt.Sprint(d.Round(time.Millisecond)) }

// published is how many statements the meter has published.
func (m *meter) published() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.frames)
}

// answeredAfter reports whether a statement after the first n has a receipt.
func (m *meter) answeredAfter(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for count := range m.places {
		if count > uint64(n) {
			return true
		}
	}
	return false
}

// current reports whether all replicas of the order are up to date.
func (c *cluster) current() bool {
	c.t.Helper()
	info := c.order()
	if info == nil || info.Cluster == nil || len(info.Cluster.Replicas) != servers-1 {
		return false
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current || r.Offline {
			return false
		}
	}
	return true
}

// order is what the servers say of the stream of the order, nil while they do not.
func (c *cluster) order() *natsjs.StreamInfo {
	c.t.Helper()
	r, err := broker.ReadRoute(string(c.nodes[0].state))
	if err != nil {
		c.t.Fatal(err)
	}
	conn, err := r.Connect()
	if err != nil {
		return nil
	}
	defer conn.Close()
	js, err := natsjs.New(conn)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, "ORDER-"+wire.ShortName(origin))
	if err != nil {
		return nil
	}
	return s.CachedInfo()
}
