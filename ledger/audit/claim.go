package audit

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// verifyEvidence checks every leaf of the file against the one checkpoint, and
// then answers for the leaf that is claimed.
func verifyEvidence(name string, b []byte, t Trust) *Report {
	r := newReport(name, "evidence")
	e, err := ParseEvidence(b)
	if err != nil {
		return r.malformed(err)
	}
	t = t.under(e.Checkpoint)
	s := r.checkpoint(e.Checkpoint, t.Policy)
	if s == nil {
		r.leaf(e.leaf(e.Claim), e.Claim, t, nil)
		return r
	}
	included := true
	for i := range e.Leaves {
		l := &e.Leaves[i]
		if included = r.inclusion(&block.Proof{Index: l.Index, Size: s.Size, Path: l.Path}, l.Leaf, s.Root); !included {
			break
		}
	}
	switch {
	case included:
		r.set(CheckInclusion, Holds, "leaf %d and %d leaves it rests on, of a tree of %d", e.Claim, len(e.Leaves)-1, s.Size)
	case e.carbonClaim() == nil:
		return r
	}
	r.leaf(e.leaf(e.Claim), e.Claim, t, e)
	r.chain(e)
	r.disclosures(e)
	r.needed(e)
	return r
}

// needed refuses leaves that the claim does not rest on. What a file is about
// stands in it unsigned; as it holds nothing else, it cannot be made to be about
// another leaf of the same file.
func (r *Report) needed(e *Evidence) {
	if e.carbonClaim() != nil {
		return // tonne has asked
	}
	if s := e.settledClaim(); s != nil {
		needed := e.neededForBill(s)
		for i := range e.Leaves {
			if !needed(&e.Leaves[i]) {
				r.set(CheckInclusion, False, "leaf %d is in the file and the line that is shown does not rest on it", e.Leaves[i].Index)
				return
			}
		}
		return
	}
	at := e.Claim
	if o, err := entry.ParseOutcome(e.leaf(at)); err == nil && o.Kind == entry.OutcomeFlagged {
		at = o.Leaf
	}
	m, err := signer.Parse(e.leaf(at))
	stated := err == nil
	var named [][32]byte // calibrations
	if stated {
		if p := e.Pack(m); p != nil {
			named = Calibrations(p)
		}
	}
	agreed := make(map[[32]byte]bool) // payloads that enrol or revoke the key
	for i := range e.Leaves {
		l := &e.Leaves[i]
		ok := l.Index == e.Claim || l.Index == at
		switch entry.KindOf(l.Leaf) {
		case entry.LeafHeader:
			ok = true
		case entry.LeafCharter:
			ok = ok || stated
		case entry.LeafStatement:
			s, err := signer.Parse(l.Leaf)
			if err != nil || !stated {
				break
			}
			if c, err := ReadKeyChange(s); err == nil && c.concerns(m.KeyID) {
				ok, agreed[sha256.Sum256(s.Payload)] = true, true
			}
			ok = ok || s.Type == entry.TypeCalibration && slices.Contains(named, s.Hash()) || releases(s, m) || e.rests(l.Leaf, s, m)
		case entry.LeafOutcome:
			if o, err := entry.ParseOutcome(l.Leaf); err == nil && o.Kind == entry.OutcomeAdopted {
				ok = ok || agreed[o.Hash] // those whose payload it is stand before it
				ok = ok || stated && (o.Code == entry.MotionOracles && e.stated(o.Hash) || e.forgets(o, m))
			}
		}
		if !ok {
			r.set(CheckInclusion, False, "leaf %d is in the file and the claim, leaf %d, does not rest on it", l.Index, e.Claim)
			return
		}
	}
}

// chain checks that the headers in the file chain where they touch, and that
// the claim lies in the block of one of them.
func (r *Report) chain(e *Evidence) {
	var prev *block.Header
	var prevHash block.Hash
	closed := false
	for i := range e.Leaves {
		l := &e.Leaves[i]
		if entry.KindOf(l.Leaf) != entry.LeafHeader {
			continue
		}
		h, err := block.ParseHeader(l.Leaf)
		if err != nil {
			r.fail(CheckChain, err)
			return
		}
		if h.Size != l.Index {
			r.set(CheckChain, False, "the header of block %d says it is leaf %d and is leaf %d", h.Height, h.Size, l.Index)
			return
		}
		if prev != nil && prev.Height+1 == h.Height {
			if err := h.Follows(prev, prevHash); err != nil {
				r.fail(CheckChain, err)
				return
			}
		}
		if h.First <= e.Claim && e.Claim <= h.Size {
			closed = true
			r.set(CheckChain, Holds, "in block %d, closed by leaf %d", h.Height, h.Size)
		}
		prev, prevHash = h, block.LeafHash(l.Leaf)
	}
	if !closed {
		r.set(CheckChain, Unchecked, "the file does not hold the header of the claim's block")
	}
}

// disclosures checks that every pack disclosed belongs to a statement here.
func (r *Report) disclosures(e *Evidence) {
	hidden := make(map[string]bool)
	for i := range e.Leaves {
		if m, err := signer.Parse(e.Leaves[i].Leaf); err == nil && m.Hidden() {
			hidden[string(m.Payload)] = true
		}
	}
	for _, d := range e.Disclosures {
		if sum := sha256.Sum256(d); !hidden[string(sum[:])] {
			r.set(CheckDisclosure, False, "a pack in the file is not the one whose hash was signed")
			return
		}
	}
}

// revocations returns the outcomes in the file that say of a revocation that
// enough oracles stated it: their indices, by the SHA-256 of its payload.
func (e *Evidence) revocations() map[[32]byte]uint64 {
	out := make(map[[32]byte]uint64)
	for i := range e.Leaves {
		if entry.KindOf(e.Leaves[i].Leaf) != entry.LeafOutcome {
			continue
		}
		o, err := entry.ParseOutcome(e.Leaves[i].Leaf)
		if err == nil && o.Kind == entry.OutcomeAdopted && o.Code == entry.AdoptedRevocation {
			out[o.Hash] = e.Leaves[i].Index
		}
	}
	return out
}

// key finds a key in the key history that the evidence holds: the charter's
// oracles, and enrolments whose own signature verifies under one of them. What the
// file says of the key's end is returned also where it is not found.
//
// A key's own revocation ends it; an oracle's does where an outcome says that others
// stated the same, and then the last one before that outcome did. A rotation is logged
// only where the key that ends has consented.
func (e *Evidence) key(id signer.KeyID) (KnownKey, bool) {
	if e == nil {
		return KnownKey{}, false
	}
	oracles := make(map[signer.KeyID]KnownKey)
	adopted := e.revocations()
	e.laterOracles(oracles)
	var found KnownKey
	for i := range e.Leaves {
		l := &e.Leaves[i]
		switch entry.KindOf(l.Leaf) {
		case entry.LeafCharter:
			c, err := entry.ParseCharter(l.Leaf)
			if err != nil || l.Index != 0 {
				continue
			}
			for _, o := range c.Oracles {
				if k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key); err == nil {
					oracles[k.ID()] = KnownKey{Public: k, Name: o.Name, Role: RoleOracle}
				}
			}
		case entry.LeafStatement:
			m, err := signer.Parse(l.Leaf)
			if err != nil {
				continue
			}
			c, err := ReadKeyChange(m)
			if err != nil {
				continue
			}
			if k, ok := enrolled(m, c, oracles); ok && k.Public.ID() == id {
				k.Enrolled, k.Revoked = l.Index, found.Revoked
				found = k
			}
			if c.Ends == id && (c.Proven || m.KeyID == id || l.Index < adopted[sha256.Sum256(m.Payload)]) {
				found.Revoked = l.Index
			}
		}
	}
	if k, ok := oracles[id]; ok {
		return k, true
	}
	return found, !found.Public.IsZero()
}

func enrolled(m *signer.Message, c *KeyChange, oracles map[signer.KeyID]KnownKey) (KnownKey, bool) {
	o, ok := oracles[m.KeyID]
	if !ok || c.Begins.IsZero() {
		return KnownKey{}, false
	}
	if _, err := signer.Verify(m, o.Public); err != nil {
		return KnownKey{}, false
	}
	return KnownKey{Public: c.Begins, Name: c.Gateway, Role: RoleGateway}, true
}

// String describes the answer in a line.
func (v Verdict) String() string { return fmt.Sprintf("%-12s %-15s %s", v.Check, v.Verdict, v.Detail) }
