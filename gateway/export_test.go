package gateway

import "time"

// AliveAt is Alive at another time.
func (g *Gateway) AliveAt(now time.Time) error { return g.alive(now) }

// Freeing is what frees the I2C bus at a port of a board.
var Freeing = freeing
