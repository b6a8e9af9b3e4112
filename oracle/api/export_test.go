package api

import "time"

// For fuzzing.
var (
	ParseTile = parseTile
	TilePath  = tilePath
	EndOf     = endOf
)

// Pins are lists kept for who reads them in parts.
type Pins struct{ p pins }

// Limits of pins.
const (
	MaxPinned      = maxPinned
	MaxPinnedItems = maxPinnedItems
	PinnedFor      = pinnedFor
)

func (p *Pins) Keep(list string, height uint64, items any, count int, now time.Time) {
	p.p.keep(pinID{list, height}, items, count, now)
}
func (p *Pins) Find(list string, height uint64, now time.Time) any {
	return p.p.find(pinID{list, height}, now)
}
func (p *Pins) Size() (lists, items int) { return len(p.p.lists), p.p.items }
