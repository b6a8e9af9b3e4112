package gateway

import "time"

// AliveAt is Alive at another time.
func (g *Gateway) AliveAt(now time.Time) error { return g.alive(now) }
