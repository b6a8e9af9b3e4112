package ingest

// Sizes that tests must know.
const (
	QueueSize  = queueSize
	QueueBytes = queueBytes
	FlightTime = flightTime
	BundleMost = maxStatements
	Pace       = pace
)

// SetMost bounds what may be on its way, in statements and in bytes of frames.
func (g *Ingest) SetMost(flights, bytes int) { g.most, g.mostBytes = flights, bytes }

// Held returns the bytes of the frames that are remembered.
func (g *Ingest) Held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}
