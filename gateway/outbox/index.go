package outbox

import "sort"

// place says where a statement's record lies and what became of it. There is
// one for each statement of a backlog, hence the care about its size: 24 bytes.
type place struct {
	seq  uint64
	boot uint32
	seg  uint32 // ordinal of the segment, 0 while it is in memory only
	off  uint32
	len  uint32 // length of the record in the low bits, flags above
}

// Flags in place.len; records are shorter than 1<<24.
const (
	receipted  = 1 << 31
	refused    = 1 << 30
	thinned    = 1 << 28 // it replaced others, and is not replaced itself
	gone       = 1 << 29 // to be forgotten; Pending and find pass it over
	lengthBits = 1<<24 - 1
)

func (p *place) number() Number   { return Number{uint64(p.boot), p.seq} }
func (p *place) size() int        { return int(p.len & lengthBits) }
func (p *place) is(f uint32) bool { return p.len&f != 0 }
func (p *place) waits() bool      { return p.len&(receipted|gone) == 0 }

// index holds the places in the order of their numbers.
type index struct {
	places []place
	gone   int
}

// after returns the position of the first place behind n.
func (x *index) after(n Number) int {
	return sort.Search(len(x.places), func(i int) bool { return x.places[i].number().Compare(n) > 0 })
}

// find returns the place of n, or nil. It is valid until the next add or compact.
func (x *index) find(n Number) *place {
	i := x.after(n) - 1
	if i < 0 || x.places[i].number() != n || x.places[i].is(gone) {
		return nil
	}
	return &x.places[i]
}

// add inserts a place whose number is not there, nearly always at the end.
func (x *index) add(p place) {
	i := x.after(p.number())
	if i > 0 && x.places[i-1].number() == p.number() {
		x.places[i-1] = p // it was gone
		x.gone--
		return
	}
	x.places = append(x.places, place{})
	copy(x.places[i+1:], x.places[i:])
	x.places[i] = p
}

// forget takes a place out. The slice stays as it is until compact, so that
// loops may forget what they stand on.
func (x *index) forget(p *place) {
	p.len |= gone
	x.gone++
}

// compact gives the memory of forgotten places back once it is worth it.
func (x *index) compact() {
	if x.gone < 64 || x.gone*2 < len(x.places) {
		return
	}
	kept := make([]place, 0, len(x.places)-x.gone+64)
	for _, p := range x.places {
		if !p.is(gone) {
			kept = append(kept, p)
		}
	}
	x.places, x.gone = kept, 0
}
