package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// storedSeal is an order that waits behind its seal for its gate.
type storedSeal struct {
	Seal entry.SealedOrder `cbor:"1,keyasint"`
}

// sealID is whose seal it is, and on which side.
type sealID struct {
	member string
	side   int
}

const sealPrefix = "h"

func (o *storedSeal) spot() spotID { return spotID{o.Seal.Zone, o.Seal.Interval} }
func (o *storedSeal) id() sealID   { return sealID{o.Seal.Member, o.Seal.Side} }
func (o *storedSeal) storeKey() string {
	return o.spot().key(sealPrefix) + o.Seal.Member + "\x00" + string(rune(o.Seal.Side))
}

func compareSealIDs(a, b sealID) int {
	if c := strings.Compare(a.member, b.member); c != 0 {
		return c
	}
	return a.side - b.side
}

func (s *State) loadSeal(v []byte) error {
	var o storedSeal
	if err := decMode.Unmarshal(v, &o); err != nil {
		return err
	}
	if _, err := o.Seal.Encode(); err != nil {
		return err
	}
	s.keepSeal(&o)
	return nil
}

func (s *State) keepSeal(o *storedSeal) {
	all := s.seals[o.spot()]
	if all == nil {
		all = make(map[sealID]*storedSeal)
		s.seals[o.spot()] = all
	}
	all[o.id()] = o
}

// judgeSeal lets a member seal an order for an interval whose gate is open.
func (s *State) judgeSeal(p *plan, now int64) entry.Reason {
	if reason := s.judgeParty(p, RoleMember, now); reason != "" {
		return reason
	}
	o, err := entry.ParseSealedOrder(p.opened.Message().Payload)
	if err != nil {
		return entry.ReasonBadPayload
	}
	about := entry.Order{Zone: o.Zone, Interval: o.Interval, Member: o.Member}
	if reason := s.judgePlace(p, &about); reason != "" {
		return reason
	}
	c := s.calendar()
	if !c.Sealed {
		return entry.ReasonSealing
	}
	if reason := s.judgeTaken(p, &about, c.Takes(o.Interval, now)); reason != "" {
		return reason
	}
	p.seal = &storedSeal{*o}
	if had := s.seals[p.seal.spot()][p.seal.id()]; had != nil && o.Nonce <= had.Seal.Nonce {
		p.fault = "nonce"
		return entry.ReasonBadOrder
	}
	return ""
}

// judgeOpened lets a member show the order that it sealed, after its gate and before the
// beacon.
func (s *State) judgeOpened(p *plan, now int64) entry.Reason {
	if reason := s.judgeParty(p, RoleMember, now); reason != "" {
		return reason
	}
	opened, o, err := entry.ParseOpenedOrder(p.opened.Message().Payload)
	if err != nil {
		return entry.ReasonBadPayload
	}
	if reason := s.judgePlace(p, o); reason != "" {
		return reason
	}
	c := s.calendar()
	if !c.Sealed {
		return entry.ReasonSealing
	}
	if reason := s.judgeTaken(p, o, c.TakesOpened(o.Interval, now)); reason != "" {
		return reason
	}
	seal := s.seals[spotID{o.Zone, o.Interval}][sealID{o.Member, o.Side}]
	if seal == nil || !seal.Seal.Opens(opened, o) {
		p.fault = "seal"
		return entry.ReasonBadOrder
	}
	p.seal = seal
	return s.judgeBook(p, o)
}

// openSeal places the order that a seal has hidden, which is opened once.
func (s *State) openSeal(p *plan) {
	s.dropSeal(p.seal)
	s.placeOrder(p)
}

func (s *State) dropSeal(o *storedSeal) {
	delete(s.seals[o.spot()], o.id())
	if len(s.seals[o.spot()]) == 0 {
		delete(s.seals, o.spot())
	}
	s.erase(o)
}

// dropSeals lets go what nobody opened in time.
func (s *State) dropSeals(id spotID) {
	for _, o := range s.sealsOf(id) {
		s.dropSeal(o)
	}
}

func (s *State) sealsOf(id spotID) (out []*storedSeal) {
	if len(s.seals[id]) == 0 {
		return nil
	}
	for _, who := range slices.SortedFunc(maps.Keys(s.seals[id]), compareSealIDs) {
		out = append(out, s.seals[id][who])
	}
	return out
}

// Seals returns the orders for an interval that wait behind their seals, by member as
// bytes and buyers before sellers.
func (s *State) Seals(zone string, at unit.Interval) (out []entry.SealedOrder) {
	for _, o := range s.sealsOf(spotID{zone, at}) {
		out = append(out, o.Seal)
	}
	return out
}

// checkSeals checks that seals are those of intervals that are not cleared.
func (s *State) checkSeals() error {
	for _, id := range slices.SortedFunc(maps.Keys(s.seals), compareSpotIDs) {
		z := s.zones[id.zone]
		if id.at.Check() != nil || z == nil || z.tariff(id.at) == nil || id.at < z.Next {
			return fmt.Errorf("seals of interval %d of zone %q, which is none of a market", int64(id.at), id.zone)
		}
	}
	return nil
}
