package signer

import (
	"crypto/rand"
	"crypto/sha512"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

// batch checks many Ed25519 signatures by one equation, as ZIP-215 has it:
//
//	[8] ( Σ zᵢRᵢ + Σₖ (Σ zᵢhᵢ)Aₖ − (Σ zᵢsᵢ)B ) = 0
//
// where i counts the signatures, the inner sum of the second term is over those of key
// k, and each zᵢ is 128 random bits that were drawn when everything else of i was fixed.
// The terms of one key are one term: a gateway that comes back after an outage brings
// thousands of statements, and R alone, with its short factor, is left of each.
//
// A batch is used by one goroutine, and again after reset.
type batch struct {
	n       int // signatures
	message []byte
	random  []byte // not yet used for a z

	base    scalar.Scalar // Σ zᵢsᵢ
	points  []curve.EdwardsPoint
	factors []scalar.Scalar // z of each point

	at   map[*curve.ExpandedEdwardsPoint]int // where a key is below
	keys []*curve.ExpandedEdwardsPoint
	sums []scalar.Scalar // Σ zᵢhᵢ of each key
}

func newBatch() *batch {
	return &batch{at: make(map[*curve.ExpandedEdwardsPoint]int)}
}

func (b *batch) reset() {
	clear(b.at)
	clear(b.keys) // else they are kept from the collector
	b.n, b.base = 0, scalar.Scalar{}
	b.points, b.factors, b.keys, b.sums = b.points[:0], b.factors[:0], b.keys[:0], b.sums[:0]
}

// add takes one signature, sig, of a message that sign appends to what it is given. It
// reports false where sig has no form, in which case the batch is as before: S is not
// below the group order, or R is no point.
func (b *batch) add(key *curve.ExpandedEdwardsPoint, raw, sig []byte, sign func([]byte) []byte) bool {
	if len(sig) != 64 || !scalar.ScMinimalVartime(sig[32:]) {
		return false
	}
	var encoded curve.CompressedEdwardsY
	copy(encoded[:], sig)
	var r curve.EdwardsPoint
	if _, err := r.SetCompressedY(&encoded); err != nil {
		return false
	}
	b.message = sign(append(append(b.message[:0], sig[:32]...), raw...))
	digest := sha512.Sum512(b.message)
	var s, h scalar.Scalar
	if _, err := h.SetBytesModOrderWide(digest[:]); err != nil {
		return false
	}
	if _, err := s.SetBits(sig[32:]); err != nil { // it is below the order
		return false
	}
	z := b.draw()
	b.base.Add(&b.base, s.Mul(&z, &s))
	b.points, b.factors = append(b.points, r), append(b.factors, z)
	k, known := b.at[key]
	if !known {
		k = len(b.keys)
		b.at[key] = k
		b.keys, b.sums = append(b.keys, key), append(b.sums, scalar.Scalar{})
	}
	b.sums[k].Add(&b.sums[k], h.Mul(&z, &h))
	b.n++
	return true
}

const factorSize = 16

// draw returns a random factor of 128 bits.
func (b *batch) draw() (z scalar.Scalar) {
	if len(b.random) == 0 {
		b.random = append(b.random[:0], make([]byte, 64*factorSize)...)
		rand.Read(b.random) // ends the program rather than fail
	}
	var bits [scalar.ScalarSize]byte
	copy(bits[:], b.random[:factorSize])
	b.random = b.random[factorSize:]
	z.SetBits(bits[:]) // of the right length
	return z
}

// holds reports whether all signatures are right. One wrong one makes it false, except
// by a chance of 2⁻¹²⁸.
func (b *batch) holds() bool {
	factors := make([]*scalar.Scalar, 1, 1+b.n)
	points := make([]*curve.EdwardsPoint, 1, 1+b.n)
	var base scalar.Scalar
	factors[0], points[0] = base.Neg(&b.base), curve.ED25519_BASEPOINT_POINT
	for i := range b.points {
		factors, points = append(factors, &b.factors[i]), append(points, &b.points[i])
	}
	sums := make([]*scalar.Scalar, len(b.sums))
	for k := range sums {
		sums[k] = &b.sums[k]
	}
	var sum curve.EdwardsPoint
	return sum.ExpandedMultiscalarMulVartime(sums, b.keys, factors, points).IsSmallOrder()
}
