package state

import (
	"cmp"
	"fmt"
	"slices"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// Channels of a storage, in the order of its registration.
const (
	storageGave = 0
	storageTook = 1
)

// carbonOrigin is where stored energy came from: the issue of its certificates, and what
// they say.
type carbonOrigin struct {
	Issue  string `cbor:"1,keyasint"`
	Source string `cbor:"2,keyasint"`
	From   int64  `cbor:"3,keyasint"`
	To     int64  `cbor:"4,keyasint"`
}

// carbonCharge is a bundle that went into a storage, of which some is left.
type carbonCharge struct {
	Bundle  string       `cbor:"1,keyasint"`
	Storage string       `cbor:"2,keyasint"`
	Origin  carbonOrigin `cbor:"3,keyasint"`
	From    int64        `cbor:"4,keyasint"` // of the charging
	To      int64        `cbor:"5,keyasint"`
	Leaf    uint64       `cbor:"6,keyasint"`
	Place   uint64       `cbor:"7,keyasint"` // in what the statement at Leaf names
	Left    int64        `cbor:"8,keyasint"` // Wh
}

func (c *carbonCharge) storeKey() string { return "cg" + c.Bundle }

// compareCharges orders by age, the order in which a discharge draws on them.
func compareCharges(a, b *carbonCharge) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Leaf, b.Leaf), cmp.Compare(a.Place, b.Place))
}

// judgeStorage returns a storage that a member owns.
func (s *State) judgeStorage(id, who string) (*carbonSource, verdict) {
	src := s.carbon.sources[id]
	switch {
	case src == nil:
		return nil, refusedFor(entry.ReasonUnknownID, "%s", id)
	case src.Source.Kind != entry.SourceStorage:
		return nil, refusedFor(entry.ReasonNotClaimable, "%s", id)
	case src.Source.Owner != who:
		return nil, refusedFor(entry.ReasonNotAuthorised, "%s", id)
	}
	return src, verdict{}
}

// judgeStorageCharge lets certificates that were cancelled for a storage's owner stand for
// what the storage took: in one statement for an interval, and for no more than it took.
func (s *State) judgeStorageCharge(p *plan, c *entry.StorageCharge, who string, replay bool) verdict {
	src, v := s.judgeStorage(c.Storage, who)
	if src == nil {
		return v
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
		took, _, ok := s.bookedSpan(src, storageTook, c.From, c.To)
		switch {
		case !ok:
			return refusedFor(entry.ReasonNotMeasured, "%s", c.Storage)
		case claimed.sum > took:
			return refusedFor(entry.ReasonTooMuch, "%s", c.Storage)
		}
	}
	return allowed(func(leaf uint64) [][]byte {
		claim.ID = numbered("charge", leaf)
		s.enterClaims(claim)
		for i, b := range claimed.bundles {
			b.Load = c.Storage
			s.putCharge(&carbonCharge{
				Bundle: b.ID, Storage: c.Storage, Origin: b.origin(), From: c.From, To: c.To, Leaf: leaf, Place: uint64(i), Left: b.End - b.Start + 1,
			})
		}
		return s.become(leaf, claimed.bundles, claimed.after, claimed.legs)
	})
}

// origin is where a bundle's energy came from in the first place.
func (c *carbonBundle) origin() carbonOrigin {
	if c.Origin != nil {
		return *c.Origin
	}
	return carbonOrigin{c.Issue, c.Source, c.From, c.To}
}

// putCharge keeps a charge among those of its storage, or drops it once nothing can be
// drawn from it: what is left then are losses.
func (s *State) putCharge(c *carbonCharge) {
	list := s.carbon.charges[c.Storage]
	at, found := slices.BinarySearchFunc(list, c, compareCharges)
	most, err := unit.MulDiv(unit.Energy(c.Left), s.carbon.sources[c.Storage].Source.EfficiencyBP, 10_000, unit.Down)
	must(0, err)
	switch {
	case most <= 0:
		if found {
			s.carbon.charges[c.Storage] = slices.Delete(list, at, at+1)
		}
		s.erase(c)
		return
	case found:
		list[at] = c
	default:
		s.carbon.charges[c.Storage] = slices.Insert(list, at, c)
	}
	s.touch(c)
}

// judgeStorageDischarge issues certificates for what a storage gave, as far as the energy
// that was stored until then covers it after its losses, oldest first. Each part that is
// of another issue is an issue of its own.
func (s *State) judgeStorageDischarge(p *plan, c *entry.StorageDischarge, who string, replay bool) verdict {
	src, v := s.judgeStorage(c.Storage, who)
	if src == nil {
		return v
	}
	claim := carbon.Claim{ID: refusedID(p), Kind: carbon.ClaimCertificate, Device: deviceOf(&src.Source), From: c.From, To: c.To}
	if v, is := s.twice(claim); is {
		return v
	}
	opaque := replay && s.opaqueSource(src)
	gave, readings, ok := s.bookedSpan(src, storageGave, c.From, c.To)
	if !opaque {
		if !ok || gave < 1 {
			return refusedFor(entry.ReasonNotMeasured, "%s", c.Storage)
		}
		if _, err := carbon.IssueCertificates("x", c.Storage, c.From, c.To, unit.Energy(gave), src.Source.CapacityW, src.Serial); err != nil {
			return refusedFor(entry.ReasonTooMuch, "%s", c.Storage)
		}
		if draws, _ := s.draw(src, gave, c.To); len(draws) == 0 {
			return refusedFor(entry.ReasonTooMuch, "%s", c.Storage)
		}
	}
	return allowed(func(leaf uint64) [][]byte {
		if opaque {
			gave = 0
			for _, r := range recordedOutcomes(s, func(b *entry.Certified) uint64 { return b.Leaf }, leaf) {
				gave, readings = gave+unit.Amount(r.Wh), r.Readings
			}
		}
		claim.ID = numbered("gc", leaf)
		s.enterClaims(claim)
		return s.discharge(leaf, src, c, gave, readings)
	})
}

// draw says what a storage's charges until a time give for an amount.
func (s *State) draw(src *carbonSource, gave unit.Amount, until int64) (draws []carbon.Draw, from []*carbonCharge) {
	var charges []carbon.Charge
	for _, c := range s.carbon.charges[src.Source.ID] {
		if c.To <= until {
			charges = append(charges, carbon.Charge{ID: c.Bundle, Issue: c.Origin.Issue, Left: unit.Energy(c.Left)})
			from = append(from, c)
		}
	}
	draws, _, err := carbon.Discharge(unit.Energy(gave), src.Source.EfficiencyBP, charges)
	must(0, err)
	// Discharge skips none that gives something, and the ones before give all that they can.
	byID := make(map[string]*carbonCharge, len(from))
	for _, c := range from {
		byID[c.Bundle] = c
	}
	drawn := make([]*carbonCharge, len(draws))
	for i, d := range draws {
		drawn[i] = byID[d.Charge]
	}
	return draws, drawn
}

// discharge issues the certificates of a discharge.
func (s *State) discharge(leaf uint64, src *carbonSource, c *entry.StorageDischarge, gave unit.Amount, readings []uint64) (out [][]byte) {
	draws, from := s.draw(src, gave, c.To)
	for i, id := range parts("gc", leaf, len(draws)) {
		d, charge := draws[i], from[i]
		issue, err := carbon.IssueCertificates(id, c.Storage, c.From, c.To, d.Discharged, src.Source.CapacityW, src.Serial)
		if err != nil {
			s.carbon.broken = fmt.Errorf("internal error: a discharge that was judged: %w", err)
			return nil
		}
		bundle, legs := issue.Whole(memberAccount(src.Source.Owner))
		s.postCarbon(legs)
		src.Serial = issue.Serials.End
		origin := charge.Origin
		b := &carbonBundle{Issue: id, Source: c.Storage, From: c.From, To: c.To, Origin: &origin}
		b.set(bundle)
		s.putBundle(b)
		left := *charge
		left.Left -= int64(d.Consumed)
		s.putCharge(&left)
		out = append(out, s.said(&entry.Certified{
			Leaf: leaf, ID: id, Source: c.Storage, From: c.From, To: c.To, Wh: int64(d.Discharged), First: issue.Start, Owner: src.Source.Owner,
			Readings: readings, Origin: origin.Issue, Consumed: int64(d.Consumed),
		})...)
	}
	s.touch(src)
	return out
}
