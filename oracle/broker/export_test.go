package broker

import "time"

// Elections returns how often a leader says that it lives, and when the others vote at
// the earliest and at the latest.
func Elections() (heartbeat, earliest, latest time.Duration) {
	return hbInterval, minElectionTimeout, maxElectionTimeout
}
