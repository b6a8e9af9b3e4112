package state

import (
	"maps"
	"math/big"
	"slices"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// CarbonSourceInfo is a source as registered.
type CarbonSourceInfo struct {
	entry.CarbonSource
	Registry string
	Leaf     uint64 // of the registration
}

// CarbonSources returns all sources by id.
func (s *State) CarbonSources() []CarbonSourceInfo {
	var out []CarbonSourceInfo
	for _, id := range slices.Sorted(maps.Keys(s.carbon.sources)) {
		k := s.carbon.sources[id]
		out = append(out, CarbonSourceInfo{k.Source, k.Registry, k.Leaf})
	}
	return out
}

// GridInfo is what a kWh from the grid emits.
type GridInfo struct {
	entry.Edition           // of the factor pack
	Gas           string    // CO2e, or one gas
	PerKWh        unit.Mass // rounded half up
	Leaf          uint64    // of the pack
}

// Grid returns the grid's factor of the pack that was put in force last, false where none
// has one.
func (s *State) Grid() (info GridInfo, ok bool) {
	for _, id := range slices.SortedFunc(maps.Keys(s.carbon.packs), compareEditions) {
		k := s.carbon.packs[id]
		if ok && k.Leaf < info.Leaf {
			continue
		}
		factor, gas := s.perJoule([]entry.Edition{id}, entry.FactorGrid, "", k.Pack.Set)
		if factor == nil {
			continue
		}
		// From kg a J to mg a kWh.
		factor.Mul(factor, big.NewRat(3_600_000*1_000_000, 1))
		if mg, err := unit.Half.Quo(factor.Num(), factor.Denom()); err == nil && mg.IsInt64() {
			info, ok = GridInfo{id, gas, unit.Mass(mg.Int64()), k.Leaf}, true
		}
	}
	return info, ok
}

// RateInfo is what a stack gave off in the last quarter hour that was measured.
type RateInfo struct {
	Source, Site, Gas string
	At                int64     // start of the interval in Unix seconds
	Mass              unit.Mass // of the interval
	// HalfWidth is of its 95 % interval, rounded up, by the uncertainty that the source was
	// registered with.
	HalfWidth unit.Mass
	Leaf      uint64 // of the reading that ended it
}

// Rates returns the newest rate of each stack that has one, by source.
func (s *State) Rates() []RateInfo {
	newest := make(map[string]int64) // day by source
	for _, id := range slices.SortedFunc(maps.Keys(s.carbon.days), compareCarbonDays) {
		newest[id.source] = max(newest[id.source], id.day)
	}
	var out []RateInfo
	for _, id := range slices.Sorted(maps.Keys(s.carbon.sources)) {
		src := s.carbon.sources[id]
		day, ok := newest[id]
		if !ok || src.Source.Kind != entry.SourceMass {
			continue
		}
		// The newest mark may be the first of its day: then the interval began the day before.
		for at := (day+1)*secondsOfDay - unit.IntervalSeconds; at >= (day-1)*secondsOfDay; at -= unit.IntervalSeconds {
			b, ok := s.booked(src, 0, at)
			if !ok {
				continue
			}
			d := carbon.SumDoubt([]carbon.Term{{X: big.NewRat(b.amount, 1), Percent: ratOf(src.Source.Random), Bias: id, BiasPercent: ratOf(src.Source.Bias)}})
			half, err := unit.Up.Quo(d.HalfWidth.Num(), d.HalfWidth.Denom())
			if err == nil && half.IsInt64() {
				out = append(out, RateInfo{id, src.Source.Site, src.Source.Gas, at, unit.Mass(b.amount), unit.Mass(half.Int64()), b.to})
			}
			break
		}
	}
	return out
}

// PeriodInfo is a period with its newest version.
type PeriodInfo struct {
	entry.PeriodOpen
	Owner  string
	Status carbon.PeriodStatus
	// Stated is the newest version, nil while the period is open, and Digest the SHA-256
	// of its outcome's body.
	Stated          *entry.Stated
	Digest          []byte
	Verifier, Level string // empty unless verified
}

// Periods returns all periods by id.
func (s *State) Periods() []PeriodInfo {
	var out []PeriodInfo
	for _, id := range slices.Sorted(maps.Keys(s.carbon.periods)) {
		k := s.carbon.periods[id]
		out = append(out, PeriodInfo{k.Open, s.siteOwner(k.Open.Site), carbon.PeriodStatus(k.Status), k.Stated, k.Digest, k.Verifier, k.Level})
	}
	return out
}

// BundleInfo is a bundle of certificates.
type BundleInfo struct {
	carbon.Bundle
	Member             string // who has it
	Source             string
	EnergyFrom         int64 // of the energy, in Unix seconds
	EnergyTo           int64
	Load               string // that a claim covers, or the storage that it went into, empty for none
	ClaimFrom, ClaimTo int64
	// Origin is where the energy came from of what a storage gave, nil for others.
	Origin *Origin
}

// Origin is an issue of certificates whose energy was stored.
type Origin struct {
	Issue, Source string
	From, To      int64 // of the energy, in Unix seconds
}

// Bundles returns all bundles by id.
func (s *State) Bundles() []BundleInfo {
	var out []BundleInfo
	for _, id := range slices.Sorted(maps.Keys(s.carbon.bundles)) {
		k := s.carbon.bundles[id]
		info := BundleInfo{k.rules(), ownerOf(k.Owner), k.Source, k.From, k.To, k.Load, k.ClaimFrom, k.ClaimTo, nil}
		if o := k.Origin; o != nil {
			info.Origin = &Origin{o.Issue, o.Source, o.From, o.To}
		}
		out = append(out, info)
	}
	return out
}

// BlockInfo is a block of units.
type BlockInfo struct {
	carbon.Block
	Holder              string // a member, or of the buffer its registry
	Project             string
	Beneficiary, Reason string // of a retirement or cancellation
	From, To            int64  // that a retirement is for
	Leaf                uint64 // of the newest statement about it
	// Acquirer is the country that it went to from its host, empty for none.
	Acquirer string
}

// Blocks returns all blocks of units by id.
func (s *State) Blocks() []BlockInfo {
	var out []BlockInfo
	for _, id := range slices.Sorted(maps.Keys(s.carbon.blocks)) {
		k := s.carbon.blocks[id]
		out = append(out, BlockInfo{k.rules().Block, ownerOf(k.Owner), k.Project, k.Beneficiary, k.Reason, k.From, k.To, k.Leaf, k.Acquirer})
	}
	return out
}

// Issuances returns all issuances of units by id.
func (s *State) Issuances() []entry.Issued {
	var out []entry.Issued
	for _, id := range slices.Sorted(maps.Keys(s.carbon.issues)) {
		out = append(out, s.carbon.issues[id].Issued)
	}
	return out
}

// Projects returns all projects by id.
func (s *State) Projects() []entry.CarbonProject {
	var out []entry.CarbonProject
	for _, id := range slices.Sorted(maps.Keys(s.carbon.projects)) {
		out = append(out, s.carbon.projects[id].Project)
	}
	return out
}

// Claimed returns the id of the claim of a kind that has any of a device's time
// [from, to) in Unix seconds.
func (s *State) Claimed(device string, kind carbon.ClaimKind, from, to int64) (claim string, ok bool) {
	return s.carbon.claims.Standing(device, kind, from, to)
}
