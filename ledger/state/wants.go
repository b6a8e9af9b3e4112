package state

import "wattmark/ledger/entry"

// WantsPack reports whether it may depend on its pack, which is not at hand, if the
// next block accepts the reading. It is false where the block refuses it in any case:
// nobody need wait for a pack that makes no difference, or that never comes.
//
// It looks only at what no other statement of the same block can mend: a number that
// is used stays used, but a hole may be filled and time goes on.
func (s *State) WantsPack(in *Input) bool {
	if in.Opened.IsZero() || in.Pack != nil {
		return false
	}
	m := in.Opened.Message()
	if m.Type != entry.TypeReading || !m.Hidden() || m.PreimageType != entry.ContentSalted {
		return false
	}
	p, reason := s.prepare(in)
	if reason != "" || p.key == nil || p.claims.Sequence.Count == 0 {
		return false
	}
	id := in.Opened.Key().ID()
	pt := s.points[p.claims.Subject]
	return !s.Used(id, p.claims.Sequence) && pt != nil && string(pt.Key) == string(id[:]) && pt.Mode == entry.ModeCommitted
}

// SetPack gives an input the pack that was missing, also after it was read.
func (in *Input) SetPack(pack []byte) {
	in.Pack, in.read = pack, false
	in.claims, in.pack, in.packReason = nil, nil, ""
}
