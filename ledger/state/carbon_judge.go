package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"wattmark/ledger/account"
	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/request"
)

// Roles of parties of carbon accounting.
const (
	RoleVerifier = entry.RoleVerifier
	RoleRegistry = entry.RoleRegistry
)

// effect carries out a carbon entry that was judged, and returns its outcomes. All that
// can fail was tried before.
type effect func(leaf uint64) [][]byte

// verdict is what judging a carbon entry comes to: its effect, or a reason and what it is
// about.
type verdict struct {
	effect effect
	reason entry.Reason
	detail string
}

func allowed(e effect) verdict { return verdict{effect: e} }

func refusedFor(reason entry.Reason, format string, args ...any) verdict {
	detail := fmt.Sprintf(format, args...)
	return verdict{reason: reason, detail: detail[:min(len(detail), 255)]}
}

// judgeCarbon judges an entry of carbon accounting. Who may sign what:
//
//	oracles, enough of them   appointment, factor-pack
//	registry                  carbon-source, carbon-project, unit-issue, reversal,
//	                          authorization, cadt-commit
//	verifier                  verification
//	member                    everything else, of what is its own
//
// Types that are not here are not known to this ledger.
func (s *State) judgeCarbon(p *plan, now int64, replay bool) entry.Reason {
	c, err := entry.ParseCarbon(p.kind, p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	role := RoleMember
	switch c := c.(type) {
	case *entry.Appointment:
		return s.judgeAppointment(p, c)
	case *entry.FactorPack:
		return s.judgeFactorPack(p, c)
	case *entry.CarbonSource, *entry.CarbonProject, *entry.UnitIssue, *entry.Reversal, *entry.Authorization, *entry.CADTCommit:
		role = RoleRegistry
	case *entry.Verification:
		role = RoleVerifier
	}
	if reason := s.judgeParty(p, role, now); reason != "" {
		return reason
	}
	v := s.verdictOn(p, c, replay)
	p.effect, p.fault = v.effect, v.detail
	return v.reason
}

func (s *State) verdictOn(p *plan, c entry.Carbon, replay bool) verdict {
	who := p.party.Name
	switch c := c.(type) {
	case *entry.CarbonSource:
		return s.judgeSource(c, who)
	case *entry.CarbonProject:
		return s.judgeProject(c, who)
	case *entry.PeriodOpen:
		return s.judgePeriodOpen(c, who)
	case *entry.PeriodClose:
		return s.judgePeriodClose(c, who, replay)
	case *entry.Restatement:
		return s.judgeRestatement(c, who, replay)
	case *entry.Verification:
		return s.judgeVerification(c, who)
	case *entry.GCIssue:
		return s.judgeGCIssue(p, c, who, replay)
	case *entry.GCSplit:
		return s.judgeGCSplit(c, who)
	case *entry.GCTransfer:
		return s.judgeGCTransfer(c, who)
	case *entry.GCCancel:
		return s.judgeGCCancel(c, who)
	case *entry.GCClaim:
		return s.judgeGCClaim(p, c, who, replay)
	case *entry.StorageCharge:
		return s.judgeStorageCharge(p, c, who, replay)
	case *entry.StorageDischarge:
		return s.judgeStorageDischarge(p, c, who, replay)
	case *entry.UnitIssue:
		return s.judgeUnitIssue(p, c, who, replay)
	case *entry.UnitSplit:
		return s.judgeUnitSplit(c, who)
	case *entry.UnitTransfer:
		return s.judgeUnitTransfer(c, who)
	case *entry.UnitRetire:
		return s.judgeUnitRetire(c, who)
	case *entry.UnitCancel:
		return s.judgeUnitCancel(c, who)
	case *entry.Reversal:
		return s.judgeReversal(c, who)
	case *entry.Authorization:
		return s.judgeAuthorization(c, who)
	case *entry.FirstTransfer:
		return s.judgeFirstTransfer(c, who)
	case *entry.CADTCommit:
		return s.judgeCADTCommit(c, who)
	}
	return verdict{reason: entry.ReasonWrongType}
}

// applyCarbon carries out a judged entry of carbon accounting.
func (s *State) applyCarbon(p *plan, leaf uint64, r *Result) [][]byte {
	switch {
	case p.appointment != nil:
		effective, out := s.approve(p, p.appointment.Name)
		if effective {
			s.admitParty(p.appointment.Role, p.appointment.Name, p.appointment.Public, leaf)
		}
		return out
	case p.factors != nil:
		effective, out := s.approve(p, p.factors.ID+" "+p.factors.Edition)
		if effective {
			k := &carbonPack{*p.factors, leaf}
			s.carbon.packs[k.edition()] = k
			s.touch(k)
		}
		return out
	}
	s.number(p, leaf, r)
	return p.effect(leaf)
}

// judgeAppointment lets oracles give a party its role, where no other key of that role
// and name is alive.
func (s *State) judgeAppointment(p *plan, a *entry.Appointment) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	r, err := request.OpenParty(a.Request, s.charter.Origin)
	switch {
	case errors.Is(err, request.ErrLedger):
		return entry.ReasonWrongLedger
	case err != nil:
		return entry.ReasonBadPayload
	}
	if reason := s.judgeNewKey(r.Public.ID()); reason != "" {
		return reason
	}
	if old := s.partyNow(r.Role, r.Name); old != nil && old.Revoked == 0 {
		return entry.ReasonAlreadyKnown
	}
	p.appointment = r
	return s.judgeApproval(p)
}

// judgeFactorPack lets oracles put an edition in force, once.
func (s *State) judgeFactorPack(p *plan, f *entry.FactorPack) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	if _, ok := s.carbon.packs[entry.Edition{Pack: f.ID, Edition: f.Edition}]; ok {
		return entry.ReasonAlreadyKnown
	}
	for i := range f.Rows {
		if _, err := carbon.ParseMeasure(f.Rows[i].Unit); err != nil {
			return entry.ReasonBadPayload
		}
	}
	p.factors = f
	return s.judgeApproval(p)
}

// deviceOf names the part whose intervals claims are about: the metering point and the
// device at it, so that two registers of one part are one device.
func deviceOf(src *entry.CarbonSource) string {
	device := ""
	if i := strings.LastIndexByte(src.Channels[0], '.'); i >= 0 {
		device = src.Channels[0][:i]
	}
	return src.Point + "/" + device
}

func (s *State) judgeSource(c *entry.CarbonSource, registry string) verdict {
	if s.carbon.sources[c.ID] != nil {
		return refusedFor(entry.ReasonAlreadyKnown, "%s", c.ID)
	}
	pt := s.points[c.Point]
	if pt == nil || pt.Forgotten != 0 {
		return refusedFor(entry.ReasonUnknownPoint, "%s", c.Point)
	}
	if s.members[c.Owner] == nil {
		return refusedFor(entry.ReasonUnknownID, "%s", c.Owner)
	}
	want := map[string]string{
		entry.SourceMass: "kg", entry.SourceFuel: "m3", entry.SourceLoad: "Wh", entry.SourceExport: "Wh", entry.SourceStorage: "Wh",
	}[c.Kind]
	if want == "" { // stacks by an equation are for a later version of these rules
		return refusedFor(entry.ReasonNotClaimable, "%s", c.Kind)
	}
	for _, channel := range c.Channels {
		sr, _ := pt.find(channel, 0)
		if sr == nil || sr.Channel.Kind != entry.KindCounter || sr.Channel.Unit != want {
			return refusedFor(entry.ReasonUnknownChannel, "%s", channel)
		}
	}
	if other := s.siteOwner(c.Site); other != "" && other != c.Owner {
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Site)
	}
	for _, o := range s.carbon.on[c.Point] {
		// An import and an export register of one meter are two sources; one register is
		// not two.
		if slices.ContainsFunc(c.Channels, func(name string) bool { return slices.Contains(o.Source.Channels, name) }) ||
			deviceOf(&o.Source) == deviceOf(c) && o.Source.Kind == c.Kind {
			return refusedFor(entry.ReasonAlreadyKnown, "%s", o.Source.ID)
		}
	}
	return allowed(func(leaf uint64) [][]byte {
		src := &carbonSource{Source: *c, Registry: registry, Leaf: leaf}
		s.carbon.sources[c.ID] = src
		s.carbon.on[c.Point] = insertSource(s.carbon.on[c.Point], src)
		s.touch(src)
		return nil
	})
}

// insertSource keeps the sources of a metering point in order of their ids, as loading
// makes it.
func insertSource(list []*carbonSource, src *carbonSource) []*carbonSource {
	at := 0
	for at < len(list) && list[at].Source.ID < src.Source.ID {
		at++
	}
	list = append(list, nil)
	copy(list[at+1:], list[at:])
	list[at] = src
	return list
}

// siteOwner returns whose sources a site has, empty for a site without.
func (s *State) siteOwner(site string) string {
	for _, src := range s.sourcesOf(site) {
		return src.Source.Owner
	}
	return ""
}

func (s *State) judgeProject(c *entry.CarbonProject, registry string) verdict {
	if s.carbon.projects[c.ID] != nil {
		return refusedFor(entry.ReasonAlreadyKnown, "%s", c.ID)
	}
	if s.members[c.Owner] == nil {
		return refusedFor(entry.ReasonUnknownID, "%s", c.Owner)
	}
	site := ""
	for _, id := range c.Sources {
		src := s.carbon.sources[id]
		switch {
		case src == nil:
			return refusedFor(entry.ReasonUnknownID, "%s", id)
		case src.Source.Kind != entry.SourceMass && src.Source.Kind != entry.SourceFuel:
			return refusedFor(entry.ReasonNotClaimable, "%s", id)
		case src.Source.Owner != c.Owner || site != "" && src.Source.Site != site:
			return refusedFor(entry.ReasonNotAuthorised, "%s", id)
		}
		site = src.Source.Site
	}
	return allowed(func(leaf uint64) [][]byte {
		k := &carbonProject{*c, registry, leaf}
		s.carbon.projects[c.ID] = k
		s.touch(k)
		return nil
	})
}

// memberAccount is the owner of a member's accounts, registryAccount that of a buffer.
func memberAccount(member string) string     { return market.MemberOwner(member) }
func registryAccount(registry string) string { return "registry:" + registry }

// ownerOf returns the party behind an owner of accounts.
func ownerOf(account string) string {
	_, name, _ := strings.Cut(account, ":")
	return name
}

// postCarbon moves units or certificates. Judging has shown that it can; where it cannot
// all the same, the block is not signed.
func (s *State) postCarbon(legs []account.Leg) {
	if len(legs) == 0 {
		return
	}
	if err := s.post(legs...); err != nil && s.carbon.broken == nil {
		s.carbon.broken = fmt.Errorf("internal error: a posting that was judged: %w", err)
	}
	s.posted = true
}

// said encodes an outcome, and keeps the block from being signed where that fails.
func (s *State) said(body entry.Body) [][]byte {
	o, err := entry.Bodied(body)
	if err != nil {
		if s.carbon.broken == nil {
			s.carbon.broken = fmt.Errorf("internal error: %w", err)
		}
		return nil
	}
	return [][]byte{o.Encode()}
}

// twice tries claims and returns a refusal that names both where one stands.
func (s *State) twice(claims ...carbon.Claim) (verdict, bool) {
	err := s.carbon.claims.Check(claims...)
	var t *carbon.TwiceError
	switch {
	case err == nil:
		return verdict{}, false
	case errors.As(err, &t):
		return refusedFor(entry.ReasonCountedTwice, "%s %s %s %d %d %s", t.Rule, t.Claimed, t.Refused, t.From, t.To, t.Device), true
	}
	return refusedFor(entry.ReasonTooMuch, "%v", err), true
}

// enterClaims enters claims that twice has tried.
func (s *State) enterClaims(claims ...carbon.Claim) {
	if err := s.carbon.claims.Claim(claims...); err != nil && s.carbon.broken == nil {
		s.carbon.broken = fmt.Errorf("internal error: a claim that was judged: %w", err)
	}
	s.touchClaims()
}

// recordedOutcome returns the outcome of a kind that the ledger has of a statement, while a
// block is replayed: where packs are not at hand, what was issued and stated stands.
func recordedOutcome[T entry.Body](s *State, leafOf func(T) uint64, leaf uint64) (found T, ok bool) {
	all := recordedOutcomes(s, leafOf, leaf)
	if len(all) == 0 {
		return found, false
	}
	return all[0], true
}

// recordedOutcomes returns all of them, in the ledger's order.
func recordedOutcomes[T entry.Body](s *State, leafOf func(T) uint64, leaf uint64) (found []T) {
	for _, b := range s.replayed {
		o, err := entry.ParseOutcome(b)
		if err != nil || o.Body == nil {
			continue
		}
		body, err := o.ParseBody()
		if err != nil {
			continue
		}
		if v, is := body.(T); is && leafOf(v) == leaf {
			found = append(found, v)
		}
	}
	return found
}

// opaque reports whether readings of a source's metering point were not at hand.
func (s *State) opaqueSource(src *carbonSource) bool { return s.points[src.Source.Point].Opaque }

// refusedID names an entry that is no leaf yet: by the beginning of its identity.
func refusedID(p *plan) string { return fmt.Sprintf("%x", p.opened.Message().Hash())[:16] }
