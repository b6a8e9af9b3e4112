package state

import (
	"fmt"

	"wattmark/ledger/account"
	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// judgeGCIssue issues certificates for what a generator's register says, and no more.
func (s *State) judgeGCIssue(p *plan, c *entry.GCIssue, who string, replay bool) verdict {
	src := s.carbon.sources[c.Source]
	switch {
	case src == nil:
		return refusedFor(entry.ReasonUnknownID, "%s", c.Source)
	case src.Source.Kind != entry.SourceExport:
		return refusedFor(entry.ReasonNotClaimable, "%s", c.Source)
	case src.Source.Owner != who:
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Source)
	}
	claim := carbon.Claim{ID: refusedID(p), Kind: carbon.ClaimCertificate, Device: deviceOf(&src.Source), From: c.From, To: c.To}
	if v, is := s.twice(claim); is {
		return v
	}
	opaque := replay && s.opaqueSource(src)
	wh, readings, ok := s.bookedSpan(src, 0, c.From, c.To)
	if !opaque {
		if !ok || wh < 1 {
			return refusedFor(entry.ReasonNotMeasured, "%s", c.Source)
		}
		if _, err := carbon.IssueCertificates("x", c.Source, c.From, c.To, unit.Energy(wh), src.Source.CapacityW, src.Serial); err != nil {
			return refusedFor(entry.ReasonTooMuch, "%s", c.Source)
		}
	}
	return allowed(func(leaf uint64) [][]byte {
		if opaque {
			if r, ok := recordedOutcome(s, func(b *entry.Certified) uint64 { return b.Leaf }, leaf); ok {
				wh, readings = unit.Amount(r.Wh), r.Readings
			}
		}
		id := numbered("gc", leaf)
		issue, err := carbon.IssueCertificates(id, c.Source, c.From, c.To, unit.Energy(wh), src.Source.CapacityW, src.Serial)
		if err != nil {
			s.carbon.broken = fmt.Errorf("internal error: an issue that was judged: %w", err)
			return nil
		}
		bundle, legs := issue.Whole(memberAccount(who))
		s.postCarbon(legs)
		claim.ID = id
		s.enterClaims(claim)
		src.Serial = issue.Serials.End
		s.touch(src)
		b := &carbonBundle{Issue: id, Source: c.Source, From: c.From, To: c.To}
		b.set(bundle)
		s.putBundle(b)
		return s.said(&entry.Certified{Leaf: leaf, ID: id, Source: c.Source, From: c.From, To: c.To, Wh: int64(wh), First: issue.Start, Owner: who, Readings: readings})
	})
}

func (s *State) putBundle(b *carbonBundle) {
	s.carbon.bundles[b.ID] = b
	s.touch(b)
}

// ownBundle returns a bundle that a member has.
func (s *State) ownBundle(id, who string) (*carbonBundle, verdict) {
	b := s.carbon.bundles[id]
	switch {
	case b == nil:
		return nil, refusedFor(entry.ReasonUnknownID, "%s", id)
	case b.Owner != memberAccount(who):
		return nil, refusedFor(entry.ReasonNotAuthorised, "%s", id)
	}
	return b, verdict{}
}

func movedBundle(b *carbonBundle) entry.Move {
	return entry.Move{ID: b.ID, Status: carbon.CertificateStatus(b.Status).String(), Owner: ownerOf(b.Owner), First: b.Start, Last: b.End}
}

// become makes bundles what the rules have made of them, all at once.
func (s *State) become(leaf uint64, bundles []*carbonBundle, after []carbon.Bundle, legs []account.Leg) [][]byte {
	s.postCarbon(legs)
	m := &entry.Moved{Leaf: leaf, What: entry.MovedBundle}
	for i, b := range bundles {
		b.set(after[i])
		s.putBundle(b)
		m.Moves = append(m.Moves, movedBundle(b))
	}
	return s.said(m)
}

func (s *State) judgeGCSplit(c *entry.GCSplit, who string) verdict {
	b, v := s.ownBundle(c.Bundle, who)
	if b == nil {
		return v
	}
	sizes := amounts(c.Sizes)
	if _, _, err := b.rules().Divide(make([]string, len(sizes)), sizes); err != nil {
		return refusedFor(entry.ReasonWrongStatus, "%s", c.Bundle)
	}
	return allowed(func(leaf uint64) [][]byte {
		parent, children, err := b.rules().Divide(parts("gc", leaf, len(sizes)), sizes)
		must(0, err)
		all, after := []*carbonBundle{b}, []carbon.Bundle{parent}
		for _, child := range children {
			k := *b
			all, after = append(all, &k), append(after, child)
		}
		return s.become(leaf, all, after, nil)
	})
}

func amounts(sizes []int64) []unit.Amount {
	out := make([]unit.Amount, len(sizes))
	for i, n := range sizes {
		out[i] = unit.Amount(n)
	}
	return out
}

// parts are the ids of what a statement divides something into.
func parts(prefix string, leaf uint64, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%d", numbered(prefix, leaf), i+1)
	}
	return out
}

func (s *State) judgeGCTransfer(c *entry.GCTransfer, who string) verdict {
	b, v := s.ownBundle(c.Bundle, who)
	if b == nil {
		return v
	}
	if s.members[c.To] == nil {
		return refusedFor(entry.ReasonUnknownID, "%s", c.To)
	}
	after, legs, err := b.rules().Transfer(memberAccount(c.To))
	return s.bundleVerdict(b, after, legs, err)
}

func (s *State) bundleVerdict(b *carbonBundle, after carbon.Bundle, legs []account.Leg, err error) verdict {
	if err != nil {
		return refusedFor(entry.ReasonWrongStatus, "%s", b.ID)
	}
	return allowed(func(leaf uint64) [][]byte {
		return s.become(leaf, []*carbonBundle{b}, []carbon.Bundle{after}, legs)
	})
}

func (s *State) judgeGCCancel(c *entry.GCCancel, who string) verdict {
	b, v := s.ownBundle(c.Bundle, who)
	if b == nil {
		return v
	}
	if s.members[c.Beneficiary] == nil {
		return refusedFor(entry.ReasonUnknownID, "%s", c.Beneficiary)
	}
	after, legs, err := b.rules().Cancel(c.Beneficiary)
	return s.bundleVerdict(b, after, legs, err)
}

// judgeGCClaim lets bundles that were cancelled for a load's owner stand for the load:
// in one claim for an interval, and for no more than was used in it.
func (s *State) judgeGCClaim(p *plan, c *entry.GCClaim, who string, replay bool) verdict {
	src := s.carbon.sources[c.Load]
	switch {
	case src == nil:
		return refusedFor(entry.ReasonUnknownID, "%s", c.Load)
	case src.Source.Kind != entry.SourceLoad:
		return refusedFor(entry.ReasonNotClaimable, "%s", c.Load)
	case src.Source.Owner != who:
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Load)
	}
	claim := carbon.Claim{ID: refusedID(p), Kind: carbon.ClaimScope2, Device: deviceOf(&src.Source), From: c.From, To: c.To}
	if v, is := s.twice(claim); is {
		return v
	}
	claimed, v := s.claimBundles(claim.ID, c.Bundles, who, c.From, c.To)
	if claimed == nil {
		return v
	}
	if !(replay && s.opaqueSource(src)) {
		load, _, ok := s.bookedSpan(src, 0, c.From, c.To)
		switch {
		case !ok:
			return refusedFor(entry.ReasonNotMeasured, "%s", c.Load)
		case claimed.sum > load:
			return refusedFor(entry.ReasonTooMuch, "%s", c.Load)
		}
	}
	return allowed(func(leaf uint64) [][]byte {
		claim.ID = numbered("claim", leaf)
		s.enterClaims(claim)
		for _, b := range claimed.bundles {
			b.Load = c.Load
		}
		return s.become(leaf, claimed.bundles, claimed.after, claimed.legs)
	})
}

// claimedBundles are bundles that one claim takes, what they then are, and how much it is.
type claimedBundles struct {
	bundles []*carbonBundle
	after   []carbon.Bundle
	legs    []account.Leg
	sum     unit.Amount
}

// claimBundles tries to claim bundles that were cancelled for a member, nil and a refusal
// where one of them cannot be. claim is what the refusal calls it.
func (s *State) claimBundles(claim string, ids []string, who string, from, to int64) (*claimedBundles, verdict) {
	out := &claimedBundles{}
	var sum unit.Tally[unit.Amount]
	for _, id := range ids {
		b := s.carbon.bundles[id]
		if b == nil {
			return nil, refusedFor(entry.ReasonUnknownID, "%s", id)
		}
		if carbon.CertificateStatus(b.Status) == carbon.CertificateClaimed {
			return nil, refusedFor(entry.ReasonCountedTwice, "D1 %s %s %d %d %s", id, claim, b.ClaimFrom, b.ClaimTo, b.Load)
		}
		a, l, err := b.rules().Claim(who, from, to)
		if err != nil {
			return nil, refusedFor(entry.ReasonWrongStatus, "%s", id)
		}
		out.bundles, out.after, out.legs = append(out.bundles, b), append(out.after, a), append(out.legs, l...)
		sum.Add(a.Count())
	}
	var err error
	if out.sum, err = sum.Sum(); err != nil {
		return nil, refusedFor(entry.ReasonTooMuch, "%s", claim)
	}
	return out, verdict{}
}
