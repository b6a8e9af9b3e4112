package state

import (
	"errors"
	"maps"
	"slices"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// storedOrder is an order that waits for its gate.
type storedOrder struct {
	Order entry.Order `cbor:"1,keyasint"`
}

func orderKey(o *entry.Order) string {
	return spotID{o.Zone, o.Interval}.key("x") + o.Member + "\x00" + string(rune(o.Side))
}

func (o *storedOrder) storeKey() string { return orderKey(&o.Order) }

func (s *State) loadOrder(v []byte) error {
	var o storedOrder
	if err := decMode.Unmarshal(v, &o); err != nil {
		return err
	}
	if _, err := o.Order.Encode(); err != nil {
		return err
	}
	s.loaded = append(s.loaded, o.Order)
	return nil
}

// restoreBooks makes the books of the orders that were loaded.
func (s *State) restoreBooks() error {
	for i := range s.loaded {
		o := &s.loaded[i]
		z := s.zones[o.Zone]
		if z == nil || z.tariff(o.Interval) == nil {
			return errors.New("an order of a zone without tariff")
		}
		s.bookOf(z, o.Interval).Restore(MarketOrder(o))
	}
	s.loaded = nil
	return nil
}

// newBook is an empty book of an interval, for which the zone has a tariff.
func (s *State) newBook(z *zone, at unit.Interval) *market.Book {
	b := &market.Book{Zone: z.Zone, Interval: at}
	tariff := market.TariffOf(z.tariff(at))
	// Every price is within its range, so the fee fits.
	b.Fee = tariff.Fee + must(tariff.LossFee())
	return b
}

func (s *State) bookOf(z *zone, at unit.Interval) *market.Book {
	id := spotID{z.Zone, at}
	b := s.books[id]
	if b == nil {
		b = s.newBook(z, at)
		s.books[id] = b
	}
	return b
}

// dropBook lets the orders of a cleared interval go.
func (s *State) dropBook(id spotID) {
	b := s.books[id]
	if b == nil {
		return
	}
	for _, o := range b.Orders() {
		s.dirty[orderKey(&entry.Order{Zone: o.Zone, Interval: o.Interval, Member: o.Member, Side: int(o.Side)})] = nil
	}
	delete(s.books, id)
}

// MarketOrder returns an order as the rules of the market take it.
func MarketOrder(o *entry.Order) market.Order {
	out := market.Order{ID: o.ID(), Zone: o.Zone, Member: o.Member, Interval: o.Interval, Side: market.Side(o.Side), Nonce: o.Nonce}
	for _, st := range o.Steps {
		out.Steps = append(out.Steps, market.Step{
			Price: st.Price, Quantity: st.Quantity, Class: market.Class(st.Class), Premium: st.Premium, Prefer: st.Prefer,
		})
	}
	return out
}

// faulty takes note of the field that a rule of the market found at fault.
func faulty(p *plan, reason entry.Reason, err error) entry.Reason {
	var fault *market.Fault
	if errors.As(err, &fault) {
		p.fault = fault.Field
	}
	return reason
}

// judgeOrder lets a member place an order for an interval whose gate is open.
func (s *State) judgeOrder(p *plan, now int64) entry.Reason {
	if reason := s.judgeParty(p, RoleMember, now); reason != "" {
		return reason
	}
	o, err := entry.ParseOrder(p.opened.Message().Payload)
	if err != nil {
		return entry.ReasonBadPayload
	}
	if reason := s.judgePlace(p, o); reason != "" {
		return reason
	}
	c := s.calendar()
	if c.Sealed {
		return entry.ReasonSealing
	}
	if reason := s.judgeTaken(p, o, c.Takes(o.Interval, now)); reason != "" {
		return reason
	}
	return s.judgeBook(p, o)
}

// judgePlace judges whose order it is, and whether there is a market for it.
func (s *State) judgePlace(p *plan, o *entry.Order) entry.Reason {
	if o.Member != p.party.Name {
		p.fault = "member"
		return entry.ReasonNotAuthorised
	}
	z := s.zones[o.Zone]
	if z == nil || s.members[o.Member].Zone != o.Zone || z.Next == 0 || z.tariff(o.Interval) == nil {
		p.fault = "zone"
		return entry.ReasonUnknownZone
	}
	return ""
}

// judgeTaken judges whether an order's interval takes it now: err is what the calendar says.
func (s *State) judgeTaken(p *plan, o *entry.Order, err error) entry.Reason {
	if err != nil {
		return faulty(p, entry.ReasonGateClosed, err)
	}
	if o.Interval < s.zones[o.Zone].Next || !s.members[o.Member].takesPart(o.Interval) {
		p.fault = "interval"
		return entry.ReasonGateClosed
	}
	return ""
}

// judgeBook judges an order beside those that its book holds.
func (s *State) judgeBook(p *plan, o *entry.Order) entry.Reason {
	m := s.members[o.Member]
	book := s.books[spotID{o.Zone, o.Interval}]
	if book == nil {
		book = s.newBook(s.zones[o.Zone], o.Interval)
	}
	placed := MarketOrder(o)
	if err := book.Check(&placed, &market.Party{Zone: m.Zone, Power: m.Power, Renewable: m.Renewable}); err != nil {
		return faulty(p, entry.ReasonBadOrder, err)
	}
	p.order = o
	return ""
}

func (s *State) placeOrder(p *plan) {
	s.bookOf(s.zones[p.order.Zone], p.order.Interval).Restore(MarketOrder(p.order))
	s.touch(&storedOrder{*p.order})
}

// standings are a member's standing entries, in the order of the ledger.
type standings struct {
	Member  string           `cbor:"1,keyasint"`
	Entries []entry.Standing `cbor:"2,keyasint"`
}

// maxStandings bounds a member's standing entries that may still hold for an interval
// that is not settled.
const maxStandings = 64

func (e *standings) storeKey() string { return "s" + e.Member }

func (s *State) loadStandings(v []byte) error {
	var e standings
	if err := decMode.Unmarshal(v, &e); err != nil {
		return err
	}
	s.standings[e.Member] = &e
	return nil
}

func marketStanding(e *entry.Standing) market.Standing {
	return market.Standing{Member: e.Member, MinSell: e.MinSell, MaxBuy: e.MaxBuy, Premium: e.Premium, Prefer: e.Prefer, From: e.From}
}

// judgeStanding lets a member say what it wants of intervals that have not begun.
func (s *State) judgeStanding(p *plan, now int64) entry.Reason {
	if reason := s.judgeParty(p, RoleMember, now); reason != "" {
		return reason
	}
	e, err := entry.ParseStanding(p.opened.Message().Payload)
	if err != nil {
		return entry.ReasonBadPayload
	}
	if e.Member != p.party.Name {
		p.fault = "member"
		return entry.ReasonNotAuthorised
	}
	rule := marketStanding(e)
	if err := rule.Check(now); err != nil {
		faulty(p, "", err)
		if p.fault == "from" {
			return entry.ReasonWrongInterval
		}
		return entry.ReasonBadOrder
	}
	if len(s.keptStandings(e.Member)) >= maxStandings {
		return entry.ReasonAlreadyKnown
	}
	p.standing = e
	return ""
}

// keptStandings are those of a member that may still hold for an interval that no run has
// settled.
func (s *State) keptStandings(member string) []entry.Standing {
	had := s.standings[member]
	if had == nil {
		return nil
	}
	var from unit.Interval
	if z := s.zones[s.members[member].Zone]; z != nil {
		from = z.Runs[market.R0]
	}
	now := standingIn(had.Entries, from)
	var out []entry.Standing
	for i := range had.Entries {
		if e := &had.Entries[i]; e == now || e.From > from {
			out = append(out, *e)
		}
	}
	return out
}

// standingIn returns which of a member's entries holds in an interval, nil for none: see
// market.InForce.
func standingIn(entries []entry.Standing, at unit.Interval) (found *entry.Standing) {
	for i := range entries {
		if e := &entries[i]; e.From <= at && (found == nil || e.From >= found.From) {
			found = e
		}
	}
	return found
}

func (s *State) standingAt(member string, at unit.Interval) *entry.Standing {
	if e := s.standings[member]; e != nil {
		return standingIn(e.Entries, at)
	}
	return nil
}

func (s *State) stand(p *plan) {
	e := &standings{Member: p.standing.Member, Entries: append(s.keptStandings(p.standing.Member), *p.standing)}
	s.standings[e.Member] = e
	s.touch(e)
}

// exportMarket adds the market's records to all.
func (s *State) exportMarket(all map[string]record) {
	add := func(r record) { all[r.storeKey()] = r }
	for _, z := range s.sortedZones() {
		add(z)
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.days), compareDayIDs) {
		add(s.days[id])
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.intervals), compareSpotIDs) {
		add(s.intervals[id])
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.books), compareSpotIDs) {
		for _, o := range s.Orders(id.zone, id.at) {
			add(&storedOrder{o})
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.seals), compareSpotIDs) {
		for _, o := range s.sealsOf(id) {
			add(o)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.standings)) {
		add(s.standings[id])
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.disputes), compareDisputeIDs) {
		add(s.disputes[id])
	}
}

// Orders returns the orders that stand for an interval whose gate is open, each the last
// of its member and side, by member as bytes and buyers before sellers.
func (s *State) Orders(zone string, at unit.Interval) []entry.Order {
	b := s.books[spotID{zone, at}]
	if b == nil {
		return nil
	}
	var out []entry.Order
	for _, o := range b.Orders() {
		e := entry.Order{Zone: o.Zone, Interval: o.Interval, Member: o.Member, Side: int(o.Side), Nonce: o.Nonce}
		for _, st := range o.Steps {
			e.Steps = append(e.Steps, entry.OrderStep{Price: st.Price, Quantity: st.Quantity, Class: int(st.Class), Premium: st.Premium, Prefer: st.Prefer})
		}
		out = append(out, e)
	}
	return out
}

// FillHashes returns the leaf hashes of a clearing's tree: the fills of bids before those
// of offers, each by id as bytes.
func FillHashes(c *market.Clearing) []block.Hash {
	var out []block.Hash
	for _, f := range market.Fills(c) {
		out = append(out, block.LeafHash(f.Encode()))
	}
	return out
}
