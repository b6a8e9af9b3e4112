package unit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"math/bits"
	"slices"
)

// Key decides between equals: keys compare as bytes, the smaller first.
type Key [sha256.Size]byte

// Compare returns -1, 0 or +1 as k is less than, equal to or more than other.
func (k Key) Compare(other Key) int { return bytes.Compare(k[:], other[:]) }

// TieKey returns SHA-256(beacon || id): an order among ids that nobody knows, and
// nobody can choose an id for, before the beacon is known.
func TieKey(beacon [32]byte, id string) Key {
	h := sha256.New()
	h.Write(beacon[:])
	h.Write([]byte(id))
	var k Key
	h.Sum(k[:0])
	return k
}

// ErrNegative is returned where a total or a weight to split by is below zero.
var ErrNegative = errors.New("unit: negative share")

// LargestRemainder splits total over weights: each gets the whole part of its
// proportional share, and the units that remain go one each to the largest
// remainders, equal ones to the smaller key. The parts add up to total, or are all
// zero if the weights are; none exceeds its weight if total does not exceed their
// sum. With distinct keys the order of the weights does not matter.
//
// It asks for key(i) only where a tie must be broken, as keys are costly. It
// returns [ErrNegative], or [ErrOverflow] if the weights do not add up.
func LargestRemainder[N, W Quantity](total N, weights []W, key func(i int) Key) ([]N, error) {
	sum, err := Sum(weights...)
	if err != nil {
		return nil, err
	}
	if total < 0 || len(weights) > 0 && slices.Min(weights) < 0 {
		return nil, ErrNegative
	}
	parts := make([]N, len(weights))
	if sum == 0 {
		return parts, nil
	}
	remainders := make([]uint64, len(weights))
	left := total
	for i, w := range weights {
		// total * w / sum is at most total, so the quotient fits.
		hi, lo := bits.Mul64(uint64(total), uint64(w))
		quotient, rest := bits.Div64(hi, lo, uint64(sum))
		parts[i], remainders[i] = N(quotient), rest
		left -= parts[i]
	}
	for _, i := range largest(remainders, int(left), key) {
		parts[i]++
	}
	return parts, nil
}

// largest returns the n indices with the largest values, of equal values those
// with the smaller keys, in no particular order.
func largest(values []uint64, n int, key func(i int) Key) []int {
	if n == 0 {
		return nil
	}
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(values[b], values[a]), cmp.Compare(a, b))
	})
	// Keys matter only if the level of the last one chosen reaches past n.
	level := values[order[n-1]]
	from, to := n-1, n
	for from > 0 && values[order[from-1]] == level {
		from--
	}
	for to < len(order) && values[order[to]] == level {
		to++
	}
	if to > n {
		breakTie(order[from:to], key)
	}
	return order[:n]
}

// breakTie sorts indices by their keys, each asked for once.
func breakTie(indices []int, key func(i int) Key) {
	type keyed struct {
		index int
		key   Key
	}
	tied := make([]keyed, len(indices))
	for n, i := range indices {
		tied[n] = keyed{i, key(i)}
	}
	slices.SortFunc(tied, func(a, b keyed) int {
		return cmp.Or(a.key.Compare(b.key), cmp.Compare(a.index, b.index))
	})
	for n := range tied {
		indices[n] = tied[n].index
	}
}
