package state

import (
	"maps"
	"slices"

	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// zone is a market: a tariff from an interval on, and how far its calendar has come.
type zone struct {
	Zone    string         `cbor:"1,keyasint"`
	Tariffs []entry.Tariff `cbor:"2,keyasint"` // by From
	// Next is the next interval to be cleared, 0 before the first block behind the first
	// tariff; Runs are the next that each run settles.
	Next unit.Interval    `cbor:"3,keyasint"`
	Runs [3]unit.Interval `cbor:"4,keyasint"`
	// Opaque says that something was settled by readings whose packs are not at hand:
	// what members hold since cannot be told. No oracle's state has it.
	Opaque bool `cbor:"5,keyasint,omitempty"`
}

func (z *zone) storeKey() string { return "z" + z.Zone }

func (s *State) loadZone(v []byte) error {
	var z zone
	if err := decMode.Unmarshal(v, &z); err != nil {
		return err
	}
	s.zones[z.Zone] = &z
	return nil
}

// tariff returns the one in force in an interval, nil before the first.
func (z *zone) tariff(i unit.Interval) *entry.Tariff {
	for k := len(z.Tariffs) - 1; k >= 0; k-- {
		if z.Tariffs[k].From <= i {
			return &z.Tariffs[k]
		}
	}
	return nil
}

// calendar returns the community's, the default one where what was voted makes none.
func (s *State) calendar() market.Calendar {
	c := market.Calendar{
		Ahead: s.Setting(entry.ParamMarketAhead), Lead: s.Setting(entry.ParamMarketLead), Rolling: s.Setting(entry.ParamMarketRolling) == 1,
		Sealed: s.Setting(entry.ParamMarketSealed) == 1, Reveal: s.Setting(entry.ParamMarketReveal),
		Runs: [...]int64{s.Setting(entry.ParamMarketR0), s.Setting(entry.ParamMarketR1), s.Setting(entry.ParamMarketRF)},
	}
	if c.Check() != nil {
		return market.DefaultCalendar()
	}
	return c
}

// judgeTariff is for motions of the kind MotionTariff. The first tariff of a zone may
// begin at any time, as nobody was promised another; a later one a week ahead, and
// behind every interval for which orders may stand.
func (s *State) judgeTariff(m *entry.Motion) (string, entry.Reason) {
	t, err := entry.ParseTariff(m.Body)
	if err != nil {
		return "", entry.ReasonBadPayload
	}
	if f := t.Feeder; f != nil {
		if reason := s.judgeConnection(&entry.Connection{Subject: f.Subject, Import: f.Import, Export: f.Export}); reason != "" {
			return "", reason
		}
	}
	if z := s.zones[t.Zone]; z != nil {
		c := s.calendar()
		ahead := max(s.Setting(entry.ParamMarketNotice), c.Ahead)
		if t.From.StartMilli() < s.meta.Time+ahead*1000 {
			return "", entry.ReasonWrongInterval
		}
		if t.Currency != z.Tariffs[0].Currency {
			return "", entry.ReasonBadPayload
		}
	}
	return t.Zone, ""
}

func (s *State) enactTariff(m *entry.Motion, _ uint64) {
	t, err := entry.ParseTariff(m.Body)
	must(0, err)
	z := s.zones[t.Zone]
	if z == nil {
		z = &zone{Zone: t.Zone}
		s.zones[t.Zone] = z
	}
	i, found := slices.BinarySearchFunc(z.Tariffs, t.From, func(t entry.Tariff, from unit.Interval) int { return int(min(max(int64(t.From)-int64(from), -1), 1)) })
	if found {
		z.Tariffs[i] = *t
	} else {
		z.Tariffs = slices.Insert(z.Tariffs, i, *t)
	}
	s.touch(z)
}

func (s *State) sortedZones() []*zone {
	out := make([]*zone, 0, len(s.zones))
	for _, name := range slices.Sorted(maps.Keys(s.zones)) {
		out = append(out, s.zones[name])
	}
	return out
}

// feederOf returns the zone whose feeder a metering point is by any tariff, and that
// tariff's word of it; nil for none.
func (s *State) feederOf(subject string) (*zone, *entry.Feeder) {
	for _, z := range s.sortedZones() {
		for i := len(z.Tariffs) - 1; i >= 0; i-- {
			if f := z.Tariffs[i].Feeder; f != nil && f.Subject == subject {
				return z, f
			}
		}
	}
	return nil, nil
}

// begin finds the first interval of a zone whose gate has not closed yet.
func (z *zone) begin(c *market.Calendar, now int64) {
	next, err := unit.IntervalAt(now / 1000)
	for ; err == nil && c.Gate(next) < now; next, err = next.Plus(1) {
	}
	z.Next = max(next, z.Tariffs[0].From)
	z.Runs = [...]unit.Interval{z.Next, z.Next, z.Next}
}

// member's part in a zone at an interval.
func (m *member) takesPart(i unit.Interval) bool {
	return m.From <= i && (m.Until == 0 || i < m.Until)
}

// partners returns the members of a zone who take part in an interval, by id.
func (s *State) partners(name string, i unit.Interval) []*member {
	var out []*member
	for _, id := range slices.Sorted(maps.Keys(s.members)) {
		if m := s.members[id]; m.Zone == name && m.takesPart(i) {
			out = append(out, m)
		}
	}
	return out
}
