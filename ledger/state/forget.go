package state

import (
	"maps"
	"slices"

	"wattmark/ledger/entry"
)

// judgeForget is for motions of the kind MotionForget.
func (s *State) judgeForget(m *entry.Motion) (string, entry.Reason) {
	f, err := entry.ParseForgetting(m.Body)
	if err != nil {
		return "", entry.ReasonBadPayload
	}
	switch pt := s.points[f.Subject]; {
	case pt == nil:
		return "", entry.ReasonUnknownPoint
	case pt.Forgotten != 0:
		return "", entry.ReasonForgotten
	case pt.Mode != entry.ModeCommitted: // its packs are leaves, which nobody can delete
		return "", entry.ReasonWrongMode
	}
	return f.Subject, ""
}

// enactForget closes a metering point and forgets the values that the state has of
// it. The packs are the vaults' to delete: Result.Forgotten names the point.
func (s *State) enactForget(m *entry.Motion, leaf uint64) {
	f, err := entry.ParseForgetting(m.Body)
	must(0, err)
	pt := s.points[f.Subject]
	pt.Forgotten, pt.Opaque = leaf, false
	for i := range pt.Series {
		pt.Series[i] = series{Channel: pt.Series[i].Channel}
	}
	s.touch(pt)
	s.forgetMetered(f.Subject)
	s.forgetCarbon(f.Subject)
	s.forgotten = append(s.forgotten, f.Subject)
}

// ForgottenPoint is a metering point whose packs nobody has any more.
type ForgottenPoint struct {
	Subject string
	Leaf    uint64 // of the entry by which it was forgotten
}

// Forgotten returns the metering points that were forgotten, in order of names.
func (s *State) Forgotten() []ForgottenPoint {
	var out []ForgottenPoint
	for _, subject := range slices.Sorted(maps.Keys(s.points)) {
		if l := s.points[subject].Forgotten; l != 0 {
			out = append(out, ForgottenPoint{subject, l})
		}
	}
	return out
}
