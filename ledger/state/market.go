package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// checkMarket checks what the rules rely on between the market's records.
func (s *State) checkMarket() error {
	for _, z := range s.sortedZones() {
		if len(z.Tariffs) == 0 {
			return fmt.Errorf("zone %q has no tariff", z.Zone)
		}
		for i := range z.Tariffs {
			if _, err := z.Tariffs[i].Encode(); err != nil || z.Tariffs[i].Zone != z.Zone || i > 0 && z.Tariffs[i].From <= z.Tariffs[i-1].From {
				return fmt.Errorf("tariff %d of zone %q is none: %w", i, z.Zone, err)
			}
		}
		for _, at := range append(z.Runs[:], z.Next) {
			if at.Check() != nil || at > z.Next {
				return fmt.Errorf("the calendar of zone %q stands at %d", z.Zone, int64(at))
			}
		}
	}
	if err := s.checkSeals(); err != nil {
		return err
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.intervals), compareSpotIDs) {
		v := s.intervals[id]
		z := s.zones[id.zone]
		if id.at.Check() != nil || z == nil || z.tariff(id.at) == nil || id.at >= z.Next {
			return fmt.Errorf("interval %d of zone %q is none of a market", int64(id.at), id.zone)
		}
		rows := v.rows()
		for i := range rows {
			if entry.CheckID("a member", rows[i].Line.Member) != nil || i > 0 && rows[i-1].Line.Member >= rows[i].Line.Member {
				return fmt.Errorf("row %d of interval %s of zone %q is out of order", i, id.at, id.zone)
			}
			if h := rows[i].Hash; h != nil && len(h) != len(block.Hash{}) {
				return fmt.Errorf("row %d of interval %s of zone %q has a hash of %d bytes", i, id.at, id.zone, len(h))
			}
		}
		if v.Version > 0 && !v.Opaque && v.Totals == nil {
			return fmt.Errorf("interval %s of zone %q is settled without totals", id.at, id.zone)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.days), compareDayIDs) {
		if id.day.Check() != nil || id.day.Day() != id.day {
			return fmt.Errorf("registers of %q at %d, which is no day", id.subject, int64(id.day))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.standings)) {
		if s.members[id] == nil {
			return fmt.Errorf("a standing entry of %q, who is no member", id)
		}
	}
	return nil
}

// ZoneInfo is what the ledger knows of a zone.
type ZoneInfo struct {
	Zone    string
	Tariffs []entry.Tariff   // by From
	Next    unit.Interval    // to be cleared
	Runs    [3]unit.Interval // next to be settled by R0, R1 and RF
	// Opaque says that members' balances cannot be told, as packs are not at hand.
	Opaque bool
}

// Zones returns the zones that have a tariff, by name.
func (s *State) Zones() []ZoneInfo {
	var out []ZoneInfo
	for _, z := range s.sortedZones() {
		out = append(out, ZoneInfo{z.Zone, slices.Clone(z.Tariffs), z.Next, z.Runs, z.Opaque})
	}
	return out
}

// Calendar returns when what happens to an interval, as the community has it.
func (s *State) Calendar() market.Calendar { return s.calendar() }

// Standing returns which of a member's standing entries holds in an interval, nil for
// none.
func (s *State) Standing(member string, at unit.Interval) *entry.Standing {
	return s.standingAt(member, at)
}

// SpotInfo is an interval of a zone whose gate has closed.
type SpotInfo struct {
	// Settled says what it was settled to last; Version is 0 where it was not yet, and the
	// totals are there however few members have readings.
	entry.Settled
	Cleared  uint64 // height of the block with the clearing
	Height   uint64 // of the block with the newest settlement
	Invoiced int64  // time of the block of R1, Unix milliseconds, 0 before it
	Auction  []market.Line
	// Closed says that a reading was forgotten, and that it is settled no more; Opaque
	// that packs are not at hand.
	Closed, Opaque bool
}

// Spots returns the intervals of a zone that the state has, from one to another that is
// not included, in order.
func (s *State) Spots(zone string, from, to unit.Interval) []SpotInfo {
	var out []SpotInfo
	for _, id := range slices.SortedFunc(maps.Keys(s.intervals), compareSpotIDs) {
		if id.zone == zone && from <= id.at && id.at < to {
			out = append(out, s.spot(s.intervals[id]))
		}
	}
	return out
}

func (s *State) spot(v *interval) SpotInfo {
	rows := v.rows()
	o := SpotInfo{Settled: *s.settled(v, len(rows)), Cleared: v.Cleared, Height: v.Height, Invoiced: v.Invoiced, Closed: v.Closed, Opaque: v.Opaque}
	o.Totals = v.Totals
	if v.Version > 0 && v.Totals != nil {
		o.Root = rootOf(v.tree(rows))
	}
	for i := range v.Auction {
		l := &v.Auction[i]
		o.Auction = append(o.Auction, market.Line{
			Member: l.Member, Interval: v.At, Run: market.Run(v.Run), Kind: market.LineKind(l.Kind), Energy: l.Energy, Price: l.Price, Amount: l.Amount, Block: v.Cleared,
		})
	}
	return o
}

// Bill returns the lines of a member's bill over intervals from one to another that is
// not included, and what the same readings would have come to with the supplier alone.
// Lines of intervals that are not settled yet are those of the auction.
func (s *State) Bill(member string, from, to unit.Interval) (lines []market.Line, counterfactual unit.Money, err error) {
	for _, id := range slices.SortedFunc(maps.Keys(s.intervals), compareSpotIDs) {
		if id.at < from || id.at >= to {
			continue
		}
		v := s.intervals[id]
		rows := v.rows()
		i, ok := findRow(rows, member)
		if !ok || rows[i].Hash != nil {
			continue
		}
		o := s.spot(v)
		for _, l := range o.Auction {
			if l.Member == member {
				l.Quality = market.Quality(rows[i].Line.Quality)
				lines = append(lines, l)
			}
		}
		if v.Version == 0 || v.Totals == nil {
			continue
		}
		pool, err := market.BillLines(&o.Settled, v.Totals, &rows[i].Line)
		if err != nil {
			return nil, 0, err
		}
		for k := range pool {
			pool[k].Block = v.Height
		}
		lines = append(lines, pool...)
		if counterfactual, err = unit.Add(counterfactual, rows[i].Line.Counterfactual); err != nil {
			return nil, 0, err
		}
	}
	market.SortLines(lines)
	return lines, counterfactual, nil
}

// Disclosure is what shows one member's line of a settled interval to who has the
// settlement's outcome, and nobody else's line.
type Disclosure struct {
	Settled entry.Settled
	Height  uint64 // of the block with the outcome
	// Totals and Line are the bytes of entry.Disclosed, Proofs that they are leaves of the
	// tree under the outcome's root.
	Totals, Line           []byte
	TotalsProof, LineProof block.Proof
	// Readings are the identities of the statements with the registers at both ends of
	// the interval, for each metering point; a missing one is not there.
	Readings [][32]byte
}

// ErrNoLine is returned where a member has no settled line for an interval.
var ErrNoLine = errors.New("no settled line")

// Disclose shows a member's line of an interval.
func (s *State) Disclose(zone, member string, at unit.Interval) (*Disclosure, error) {
	v := s.intervals[spotID{zone, at}]
	if v == nil || v.Version == 0 || v.Totals == nil {
		return nil, fmt.Errorf("%w: interval %s of zone %q", ErrNoLine, at, zone)
	}
	rows := v.rows()
	i, ok := findRow(rows, member)
	if !ok || rows[i].Hash != nil {
		return nil, fmt.Errorf("%w: %q in interval %s of zone %q", ErrNoLine, member, at, zone)
	}
	hashes := v.tree(rows)
	totals := entry.Disclosed{Salt: v.Salt, Totals: v.Totals}
	line := entry.Disclosed{Salt: rows[i].Salt, Line: &rows[i].Line}
	d := &Disclosure{
		Settled: *s.settled(v, len(rows)), Height: v.Height, Totals: totals.Encode(), Line: line.Encode(),
		TotalsProof: proofIn(hashes, 0), LineProof: proofIn(hashes, i+1),
	}
	d.Settled.Root = rootOf(hashes)
	if m := s.members[member]; m != nil {
		for k := range m.Metered {
			if c := &m.Metered[k]; c.during(at) {
				d.Readings = append(d.Readings, s.readingsAt(c, at)...)
			}
		}
	}
	return d, nil
}

// readingsAt returns the identities of the statements that an interval of a metering
// point rests on.
func (s *State) readingsAt(c *metered, at unit.Interval) (out [][32]byte) {
	for _, i := range [...]unit.Interval{at, at + unit.IntervalSeconds} {
		k := s.slotAt(c.Subject, i)
		if k == nil {
			continue
		}
		for _, r := range [...]*register{k.Import, k.Export} {
			if r != nil && len(r.By) == 32 && !slices.Contains(out, [32]byte(r.By)) {
				out = append(out, [32]byte(r.By))
			}
		}
	}
	return out
}

// proofIn returns the inclusion proof of a leaf in the tree of a few leaf hashes (RFC
// 9162 section 2.1.3.1).
func proofIn(leaves []block.Hash, index int) block.Proof {
	p := block.Proof{Index: uint64(index), Size: uint64(len(leaves))}
	p.Path = pathIn(leaves, index)
	return p
}

func pathIn(leaves []block.Hash, index int) []block.Hash {
	if len(leaves) <= 1 {
		return nil
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	if index < k {
		return append(pathIn(leaves[:k], index), rootOf(leaves[k:]))
	}
	return append(pathIn(leaves[k:], index-k), rootOf(leaves[:k]))
}

// Parts returns the members' parts of an interval, by id, without those that were
// forgotten.
func (s *State) Parts(zone string, at unit.Interval) []entry.Line {
	v := s.intervals[spotID{zone, at}]
	if v == nil {
		return nil
	}
	var out []entry.Line
	for _, r := range v.rows() {
		if r.Hash == nil {
			out = append(out, r.Line)
		}
	}
	return out
}
