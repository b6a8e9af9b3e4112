package broker_test

import (
	"testing"
	"time"

	"wattmark/oracle/broker"
)

// What is set is nats-server's own, and means there what it is taken for here.
func TestElections(t *testing.T) {
	heartbeat, earliest, latest := broker.Elections()
	if heartbeat != time.Second || earliest != 4*time.Second || latest != 9*time.Second {
		t.Fatalf("nats-server's own elections: %v, %v, %v: has the library changed what they mean?", heartbeat, earliest, latest)
	}
	defer func() {
		if err := broker.SetFailover(broker.MostFailover); err != nil {
			t.Error(err)
		}
	}()
	if err := broker.SetFailover(2 * time.Second); err != nil {
		t.Fatal(err)
	}
	heartbeat, earliest, latest = broker.Elections()
	if heartbeat != 200*time.Millisecond || earliest != 900*time.Millisecond || latest != 1500*time.Millisecond {
		t.Errorf("a failover of 2 s: %v, %v, %v", heartbeat, earliest, latest)
	}
	if earliest < 4*heartbeat {
		t.Errorf("who misses the heartbeats of %v votes already", earliest)
	}
	for _, d := range []time.Duration{0, broker.LeastFailover - 1, broker.MostFailover + 1} {
		if broker.SetFailover(d) == nil {
			t.Errorf("a failover time of %v was taken", d)
		}
	}
}
