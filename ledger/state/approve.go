package state

import (
	"crypto/sha256"
	"slices"

	"wattmark/ledger/entry"
)

// Who may change which key:
//
//   - One oracle admits a gateway that is new in all it has: its name, its
//     metering points, its key.
//   - A gateway ends its own key, and so does a party.
//   - One oracle admits a member that is new in all it has: its id, its metering
//     points, its key, which has signed for itself.
//   - One oracle and the key of a gateway that lives together put another key into
//     its place, for all that it has and nothing else.
//   - Everything else takes as many oracles as the charter asks for to change
//     the rules: to end another's key, and to give to another key a name or a
//     metering point that had one. They state the very same payload, each by
//     itself, and the statement that completes them takes effect. Could one oracle
//     do it, that one could put itself into the place of any home's meter.

// approval is a change of keys that oracles have stated and that waits for more
// of them.
type approval struct {
	Type   string   `cbor:"1,keyasint"` // of the statements
	Hash   [32]byte `cbor:"2,keyasint"` // SHA-256 of the payload that they have in common
	Voters []uint64 `cbor:"3,keyasint"` // positions in the set in force, in order of stating
	Since  int64    `cbor:"4,keyasint"` // time of the first one's block in Unix milliseconds
}

const (
	// maxApprovals bounds those that each oracle has begun and that wait for others:
	// one of them alone cannot fill the state.
	maxApprovals = 16
	// approvalLasts is how long one waits, in milliseconds: what two oracles found
	// right in a year that is past the third must not complete.
	approvalLasts = 30 * 24 * 3600 * 1000
)

// judgeApproval says whether the oracle may join, or begin, what waits for others.
func (s *State) judgeApproval(p *plan) entry.Reason {
	p.shared = sha256.Sum256(p.opened.Message().Payload)
	switch i := s.findApproval(p); {
	case i < 0 && s.begun(p.oracle) >= maxApprovals:
		return entry.ReasonAlreadyKnown
	case i >= 0 && slices.Contains(s.meta.Approvals[i].Voters, uint64(p.oracle)):
		return entry.ReasonAlreadyKnown
	}
	p.governed = true
	return ""
}

// approve counts a judged statement. It returns whether the change takes effect
// and, where others had to agree, the outcome that says so.
func (s *State) approve(p *plan, whose string) (effective bool, outcomes [][]byte) {
	if !p.governed {
		return true, nil
	}
	i := s.findApproval(p)
	if i < 0 {
		i = len(s.meta.Approvals)
		s.meta.Approvals = append(s.meta.Approvals, approval{Type: p.kind, Hash: p.shared, Since: s.meta.Time})
	}
	a := &s.meta.Approvals[i]
	a.Voters = append(a.Voters, uint64(p.oracle))
	if uint64(len(a.Voters)) < s.current().Set.Governance {
		return false, nil
	}
	s.meta.Approvals = slices.Delete(s.meta.Approvals, i, i+1)
	o := entry.Outcome{Kind: entry.OutcomeAdopted, Hash: p.shared, Code: entry.AdoptedRevocation, Detail: whose}
	switch p.kind {
	case entry.TypeRevocation:
	case entry.TypeMember:
		o.Code = entry.AdoptedMember
	case entry.TypeAppointment:
		o.Code = entry.AdoptedAppointment
	case entry.TypeFactorPack:
		o.Code = entry.AdoptedFactorPack
	default:
		o.Code = entry.AdoptedEnrolment
	}
	return true, [][]byte{o.Encode()}
}

func (s *State) findApproval(p *plan) int {
	return slices.IndexFunc(s.meta.Approvals, func(a approval) bool { return a.Type == p.kind && a.Hash == p.shared })
}

// begun counts what waits for others and the oracle stated first.
func (s *State) begun(oracle int) (n int) {
	for i := range s.meta.Approvals {
		if s.meta.Approvals[i].Voters[0] == uint64(oracle) {
			n++
		}
	}
	return n
}

// lapse forgets what has waited for too long.
func (s *State) lapse() {
	s.meta.Approvals = slices.DeleteFunc(s.meta.Approvals, func(a approval) bool { return s.meta.Time-a.Since > approvalLasts })
}
