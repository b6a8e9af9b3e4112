package broker

import (
	"fmt"
	"time"
	_ "unsafe" // for go:linkname
)

// The timing of elections stands in nats-server as variables without a setting. They are
// reached by their names: where a release of the library has others, linking fails, and
// TestElections where they mean something else.
//
//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElectionTimeout time.Duration

//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElectionTimeout time.Duration

//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var hbInterval time.Duration

// Bounds of a failover time: below the least a server that waits for its disk or for the
// processor is taken for dead, and the most is what nats-server does by itself.
const (
	LeastFailover = time.Second
	MostFailover  = 10 * time.Second
)

// SetFailover sets, for all servers of this process and before the first starts, after
// what time the others of a cluster have a leader again when one was killed, about: a
// leader says each tenth of it that it lives, and the others begin to vote 0.45 to 0.75
// of it after they heard it last. All servers of a cluster need the same.
func SetFailover(d time.Duration) error {
	if d < LeastFailover || d > MostFailover {
		return fmt.Errorf("a failover time of %v is not between %v and %v", d, LeastFailover, MostFailover)
	}
	hbInterval, minElectionTimeout, maxElectionTimeout = d/10, d*45/100, d*75/100
	return nil
}
