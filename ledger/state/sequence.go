package state

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// maxRanges bounds the holes that one key may leave open in one boot.
const maxRanges = 4096

type seenID struct {
	key  signer.KeyID
	boot uint64
}

func compareSeenIDs(a, b seenID) int {
	if c := bytes.Compare(a.key[:], b.key[:]); c != 0 {
		return c
	}
	return compare(a.boot, b.boot)
}

// ranges are the sequence counts that one key has used in one boot. A hole
// stays open for a backlog that is sent later; a count once used is used.
type ranges struct {
	Key  []byte        `cbor:"1,keyasint"`
	Boot uint64        `cbor:"2,keyasint"`
	Used []entry.Range `cbor:"3,keyasint"` // ascending, not touching

	id seenID
}

func (r *ranges) storeKey() string {
	b := append([]byte{'q'}, r.id.key[:]...)
	return string(binary.BigEndian.AppendUint64(b, r.id.boot))
}

// find returns the position of the first range that ends at n or later.
func (r *ranges) find(n uint64) int {
	i, _ := slices.BinarySearchFunc(r.Used, n, func(u entry.Range, n uint64) int { return compare(u.Last, n) })
	return i
}

func (r *ranges) used(n uint64) bool {
	if r == nil {
		return false
	}
	i := r.find(n)
	return i < len(r.Used) && r.Used[i].First <= n
}

// full reports whether adding n would open more holes than allowed.
func (r *ranges) full(n uint64) bool {
	if r == nil || len(r.Used) < maxRanges {
		return false
	}
	i := r.find(n)
	touchesNext := i < len(r.Used) && r.Used[i].First == n+1
	touchesLast := i > 0 && r.Used[i-1].Last == n-1
	return !touchesNext && !touchesLast
}

// add marks n as used. It must not be used already.
func (r *ranges) add(n uint64) {
	i := r.find(n)
	switch {
	case i > 0 && r.Used[i-1].Last == n-1:
		r.Used[i-1].Last = n
		if i < len(r.Used) && r.Used[i].First == n+1 {
			r.Used[i-1].Last = r.Used[i].Last
			r.Used = slices.Delete(r.Used, i, i+1)
		}
	case i < len(r.Used) && r.Used[i].First == n+1:
		r.Used[i].First = n
	default:
		r.Used = slices.Insert(r.Used, i, entry.Range{First: n, Last: n})
	}
}

func (s *State) use(id signer.KeyID, q entry.Sequence) {
	sid := seenID{id, q.Boot}
	r := s.seen[sid]
	if r == nil {
		r = &ranges{Key: id[:], Boot: q.Boot, id: sid}
		s.seen[sid] = r
	}
	r.add(q.Count)
	s.touch(r)
}

// Used reports whether the key has used the sequence number.
func (s *State) Used(id signer.KeyID, q entry.Sequence) bool {
	return s.seen[seenID{id, q.Boot}].used(q.Count)
}

// LastSequence returns the highest sequence number of a key's newest boot.
func (s *State) LastSequence(id signer.KeyID) (last entry.Sequence, ok bool) {
	for _, sid := range slices.SortedFunc(maps.Keys(s.seen), compareSeenIDs) { // boots ascend
		if r := s.seen[sid]; sid.key == id && len(r.Used) > 0 {
			last, ok = entry.Sequence{Boot: sid.boot, Count: r.Used[len(r.Used)-1].Last}, true
		}
	}
	return last, ok
}
