package state

import (
	"encoding/binary"
	"maps"
	"math/big"
	"slices"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// carbonDay is what a source's readings say of one UTC day, slot by slot: a slot is one
// of the day's intervals.
type carbonDay struct {
	Source string         `cbor:"1,keyasint"`
	Day    int64          `cbor:"2,keyasint"` // since 1 January 1970
	Marks  [][]carbonMark `cbor:"3,keyasint"` // of each channel, by slot
	Barred []byte         `cbor:"4,keyasint"` // a bit for each slot with a reading that backs no claim
}

// carbonMark is a register where a slot begins.
type carbonMark struct {
	_      struct{} `cbor:",toarray"`
	Slot   uint8
	Millis int64 // behind the slot's beginning
	Value  int64 // in the smallest unit, rounded down
	Leaf   uint64
}

type carbonDayID struct {
	source string
	day    int64
}

func compareCarbonDays(a, b carbonDayID) int {
	if c := compareText(a.source, b.source); c != 0 {
		return c
	}
	return int(min(1, max(-1, a.day-b.day)))
}

const (
	carbonSlots  = int64(unit.IntervalsPerDay)
	slotMilli    = unit.IntervalSeconds * 1000
	secondsOfDay = carbonSlots * unit.IntervalSeconds
	// edgeMilli is how far behind the beginning of an interval a register may be read and
	// still tell what it was there. Gateways read within two seconds of it.
	edgeMilli = 60_000
)

func (d *carbonDay) id() carbonDayID { return carbonDayID{d.Source, d.Day} }

func (d *carbonDay) storeKey() string {
	return "cd" + d.Source + "\x00" + string(binary.BigEndian.AppendUint64(nil, uint64(d.Day)))
}

// whole reports whether a loaded day has the form that meterCarbon gives it.
func (d *carbonDay) whole(channels int) bool {
	if len(d.Marks) != channels || len(d.Barred) != int(carbonSlots)/8 || d.Day < 0 {
		return false
	}
	for _, marks := range d.Marks {
		for i, m := range marks {
			if int64(m.Slot) >= carbonSlots || i > 0 && m.Slot <= marks[i-1].Slot {
				return false
			}
		}
	}
	return true
}

func (d *carbonDay) barred(slot int64) bool { return d.Barred[slot/8]&(1<<(slot%8)) != 0 }

// dayOf returns the day of a source, made where there is none.
func (s *State) carbonDayOf(src *carbonSource, day int64) *carbonDay {
	id := carbonDayID{src.Source.ID, day}
	d := s.carbon.days[id]
	if d == nil {
		d = &carbonDay{Source: id.source, Day: day, Marks: make([][]carbonMark, len(src.Source.Channels)), Barred: make([]byte, carbonSlots/8)}
		s.carbon.days[id] = d
	}
	return d
}

// meterCarbon books what a pack says of the registers of sources on its metering point.
// What is flagged, what a part calls doubtful and what was signed by no clock books
// nothing, and bars its interval.
func (s *State) meterCarbon(p *plan, leaf uint64, flags []flag) {
	sources := s.carbon.on[p.point.Subject]
	if len(sources) == 0 {
		return
	}
	ahead := s.meta.Time + s.Setting(entry.ParamFutureLimit)*1000
	all := len(flags) >= entry.MaxFlags || slices.Contains(flags, flag{entry.FlagLate, ""}) || !s.knowsTime(p.claims.Time)
	for _, src := range sources {
		for i := range p.pack.Records {
			r := &p.pack.Records[i]
			if r.Time > ahead || r.Time < 0 {
				continue
			}
			name := r.Name[len(p.pack.Base):]
			if r.Text != "" {
				channel, ok := strings.CutSuffix(name, ".quality")
				if ok && slices.Contains(src.Source.Channels, channel) && barring(r.Text) {
					s.bar(src, r.Time)
				}
				continue
			}
			channel := slices.Index(src.Source.Channels, name)
			if channel < 0 {
				continue
			}
			if all || slices.ContainsFunc(flags, func(f flag) bool { return f.channel == name }) {
				s.bar(src, r.Time)
				continue
			}
			s.mark(src, channel, r, leaf)
		}
	}
}

// knowsTime reports whether a clock stood behind the times of a pack.
func (s *State) knowsTime(q *entry.TimeQuality) bool {
	switch {
	case q == nil || q.Quality == entry.ClockUnsynced:
		return false
	case q.Quality == entry.ClockSimulated:
		return s.charter.Simulated
	}
	return true
}

// barringWords are the doubts of a part about a value that keep it out of a claim, and
// why registers did not go on.
var barringWords = []string{"saturated", "stale", "estimated", "overflow", "replaced", "implausible", "reset", "rollover"}

func barring(quality string) bool {
	for word := range strings.SplitSeq(quality, ",") {
		if slices.Contains(barringWords, word) {
			return true
		}
	}
	return false
}

// bar keeps the interval of a time out of all claims; also the one before, where the
// time tells its end.
func (s *State) bar(src *carbonSource, ms int64) {
	s.barSlot(src, ms/slotMilli)
	if ms%slotMilli < edgeMilli && ms >= slotMilli {
		s.barSlot(src, ms/slotMilli-1)
	}
}

func (s *State) barSlot(src *carbonSource, n int64) {
	d := s.carbonDayOf(src, n/carbonSlots)
	slot := n % carbonSlots
	d.Barred[slot/8] |= 1 << (slot % 8)
	s.touch(d)
}

// mark takes a register that was read where an interval begins: the first one that was.
func (s *State) mark(src *carbonSource, channel int, r *entry.Record, leaf uint64) {
	behind := r.Time % slotMilli
	if behind >= edgeMilli {
		return
	}
	value, ok := smallest(&src.Source, r.Value)
	if !ok {
		s.bar(src, r.Time)
		return
	}
	n := r.Time / slotMilli
	d := s.carbonDayOf(src, n/carbonSlots)
	m := carbonMark{Slot: uint8(n % carbonSlots), Millis: behind, Value: value, Leaf: leaf}
	i, found := slices.BinarySearchFunc(d.Marks[channel], m.Slot, func(a carbonMark, slot uint8) int { return int(a.Slot) - int(slot) })
	switch {
	case !found:
		d.Marks[channel] = slices.Insert(d.Marks[channel], i, m)
	case d.Marks[channel][i].Millis > behind:
		d.Marks[channel][i] = m
	default:
		return
	}
	s.touch(d)
}

// smallest returns a register in whole Wh, mg or millionths of its unit, rounded down.
func smallest(src *entry.CarbonSource, v entry.Decimal) (int64, bool) {
	places := 6
	if src.Kind != entry.SourceMass && src.Kind != entry.SourceFuel {
		places = 0
	}
	n := unit.Down.Scaled(ratOf(v), places)
	return n.Int64(), n.IsInt64()
}

// ratOf returns a decimal as a fraction.
func ratOf(v entry.Decimal) *big.Rat {
	n := big.NewInt(v.Mantissa)
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(v.Exponent, -v.Exponent))), nil)
	if v.Exponent >= 0 {
		return new(big.Rat).SetInt(n.Mul(n, ten))
	}
	return new(big.Rat).SetFrac(n, ten)
}

// booked is what a register of a source advanced in one interval.
type booked struct {
	amount   int64
	from, to uint64 // leaves of the readings
}

// booked returns what a channel says of the interval that begins at a time in Unix
// seconds, and false where it is not measured.
func (s *State) booked(src *carbonSource, channel int, at int64) (booked, bool) {
	a, ok := s.edge(src, channel, at)
	if !ok || s.carbon.days[carbonDayID{src.Source.ID, at / secondsOfDay}].barred(at%secondsOfDay/unit.IntervalSeconds) {
		return booked{}, false
	}
	b, ok := s.edge(src, channel, at+unit.IntervalSeconds)
	if !ok {
		return booked{}, false
	}
	n, err := unit.Sub(unit.Amount(b.Value), unit.Amount(a.Value))
	return booked{int64(n), a.Leaf, b.Leaf}, err == nil && n >= 0
}

func (s *State) edge(src *carbonSource, channel int, at int64) (carbonMark, bool) {
	d := s.carbon.days[carbonDayID{src.Source.ID, at / secondsOfDay}]
	if d == nil {
		return carbonMark{}, false
	}
	slot := uint8(at % secondsOfDay / unit.IntervalSeconds)
	i, found := slices.BinarySearchFunc(d.Marks[channel], slot, func(a carbonMark, slot uint8) int { return int(a.Slot) - int(slot) })
	if !found {
		return carbonMark{}, false
	}
	return d.Marks[channel][i], true
}

// bookedSpan adds up the intervals of a time, all of which must be measured.
func (s *State) bookedSpan(src *carbonSource, channel int, from, to int64) (total unit.Amount, readings []uint64, ok bool) {
	for at := from; at < to; at += unit.IntervalSeconds {
		b, measured := s.booked(src, channel, at)
		if !measured {
			return 0, nil, false
		}
		var err error
		if total, err = unit.Add(total, unit.Amount(b.amount)); err != nil {
			return 0, nil, false
		}
		readings = append(readings, b.from, b.to)
	}
	slices.Sort(readings)
	return total, slices.Compact(readings), true
}

// noteSkips keeps what a gateway says it has never signed: a gap that is explained does
// not keep a period open.
func (s *State) noteSkips(p *plan) {
	r := p.claims.Skipped
	if r == nil {
		return
	}
	id := seenID{p.opened.Key().ID(), p.claims.Sequence.Boot}
	k := s.carbon.skips[id]
	if k == nil {
		k = &carbonSkips{Key: id.key[:], Boot: id.boot, id: id}
		s.carbon.skips[id] = k
	}
	if len(k.Ranges) < maxRanges && !slices.Contains(k.Ranges, *r) {
		k.Ranges = append(k.Ranges, *r)
		s.touch(k)
	}
}

// forgetCarbon erases what is booked of a metering point. What was issued for it stands.
func (s *State) forgetCarbon(subject string) {
	for _, src := range s.carbon.on[subject] {
		for _, id := range slices.SortedFunc(maps.Keys(s.carbon.days), compareCarbonDays) {
			if id.source == src.Source.ID {
				s.erase(s.carbon.days[id])
				delete(s.carbon.days, id)
			}
		}
	}
}
