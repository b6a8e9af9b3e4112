package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// maxGap bounds the intervals over which an estimate is spread: a week, as long as it
// takes to the invoice.
const maxGap = 7 * unit.IntervalsPerDay

// day is the registers of one metering point at the starts of the intervals of one UTC
// day.
type day struct {
	Subject string        `cbor:"1,keyasint"`
	Day     unit.Interval `cbor:"2,keyasint"`
	Slots   []slot        `cbor:"3,keyasint"` // in order, none twice
}

// slot is the registers at the start of one interval.
type slot struct {
	_      struct{} `cbor:",toarray"`
	At     unit.Interval
	Import *register
	Export *register
	// Secret is what the salts of settled lines are made of: of the preimages of the
	// committed packs. Who has forgotten the packs cannot make it again.
	Secret []byte
}

// register is one register's value at a boundary.
type register struct {
	_     struct{} `cbor:",toarray"`
	Value int64    // Wh
	Time  int64    // when it was read, Unix milliseconds
	By    []byte   // identity of the statement, 32 bytes
}

type dayID struct {
	subject string
	day     unit.Interval
}

func (d *day) id() dayID { return dayID{d.Subject, d.Day} }

func (d *day) storeKey() string {
	return "y" + d.Subject + "\x00" + string(binary.BigEndian.AppendUint64(nil, uint64(d.Day)))
}

func compareDayIDs(a, b dayID) int {
	if c := strings.Compare(a.subject, b.subject); c != 0 {
		return c
	}
	return compare(uint64(a.day), uint64(b.day))
}

func (s *State) loadDay(v []byte) error {
	var d day
	if err := decMode.Unmarshal(v, &d); err != nil {
		return err
	}
	s.days[d.id()] = &d
	return nil
}

func (d *day) find(at unit.Interval) (int, bool) {
	return slices.BinarySearchFunc(d.Slots, at, func(k slot, at unit.Interval) int { return compareIntervals(k.At, at) })
}

func compareIntervals(a, b unit.Interval) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// slotAt returns the registers at the start of an interval, nil for none.
func (s *State) slotAt(subject string, at unit.Interval) *slot {
	d := s.days[dayID{subject, at.Day()}]
	if d == nil {
		return nil
	}
	if i, ok := d.find(at); ok {
		return &d.Slots[i]
	}
	return nil
}

// meter takes the registers of a pack that settle a member: those read at the start of
// an interval, or as soon behind it as the community allows. The earliest such reading
// counts, and takes the place of a later one; any other changes what is there only if
// its pack names the statement that it replaces. doubted are channels whose values are
// flagged, and do not count.
func (s *State) meter(p *plan, leaf uint64, doubted []flag) {
	var use entry.Connection
	var zone string
	if c, ok := s.connections[p.claims.Subject]; ok {
		m := &c.member.Metered[c.index]
		use, zone = entry.Connection{Import: m.Import, Export: m.Export}, c.member.Zone
	} else if z, f := s.feederOf(p.claims.Subject); f != nil {
		use, zone = entry.Connection{Import: f.Import, Export: f.Export}, z.Zone
	} else {
		return
	}
	replaces := replaced(p.pack)
	identity := p.opened.Message().Hash()
	within := s.Setting(entry.ParamMarketRegister) * 1000
	for i := range p.pack.Records {
		r := &p.pack.Records[i]
		channel := r.Name[len(p.pack.Base):]
		if r.Text != "" || channel != use.Import && (channel != use.Export || channel == "") {
			continue
		}
		at, err := unit.IntervalAt(r.Time / 1000)
		value, whole := r.Value.Whole()
		if err != nil || r.Time-at.StartMilli() > within || !whole || r.Time > s.meta.Time+s.Setting(entry.ParamFutureLimit)*1000 ||
			slices.ContainsFunc(doubted, func(f flag) bool {
				return f.channel == channel && (f.code == entry.FlagRange || f.code == entry.FlagRate)
			}) {
			continue
		}
		s.place(p, zone, at, channel == use.Export, &register{Value: value, Time: r.Time, By: identity[:]}, replaces, leaf)
	}
}

// replaced returns the identity of the statement that a pack says it replaces, nil for
// none.
func replaced(p *entry.Pack) []byte {
	for i := range p.Records {
		if r := &p.Records[i]; r.Text != "" && r.Name[len(p.Base):] == entry.ReplacesName {
			if b, err := hex.DecodeString(r.Text); err == nil && len(b) == sha256.Size {
				return b
			}
		}
	}
	return nil
}

// place puts a register's value at a boundary, if it counts.
func (s *State) place(p *plan, zone string, at unit.Interval, export bool, r *register, replaces []byte, leaf uint64) {
	subject := p.claims.Subject
	id := dayID{subject, at.Day()}
	d := s.days[id]
	if d == nil {
		if z := s.zones[zone]; z != nil && z.Runs[market.RF] != 0 && at.Day() < s.keptFrom(z) {
			return // nothing is settled by it any more
		}
		d = &day{Subject: subject, Day: at.Day()}
		s.days[id] = d
	}
	i, ok := d.find(at)
	if !ok {
		d.Slots = slices.Insert(d.Slots, i, slot{At: at})
	}
	k := &d.Slots[i]
	old := &k.Import
	if export {
		old = &k.Export
	}
	if *old != nil && r.Time >= (*old).Time && !bytes.Equal(replaces, (*old).By) {
		return
	}
	*old = r
	if len(p.preimage) > 0 {
		h := sha256.New()
		h.Write([]byte("wattmark registers\x00"))
		h.Write(k.Secret)
		h.Write(p.preimage)
		k.Secret = h.Sum(nil)
	}
	s.touch(d)
	s.answered(subject, at, leaf)
}

// keptFrom is the first day whose registers may still settle something in a zone.
func (s *State) keptFrom(z *zone) unit.Interval {
	const spare = (maxGap/unit.IntervalsPerDay + 1) * unit.IntervalsPerDay * unit.IntervalSeconds
	return max(z.Runs[market.RF]-spare, 0).Day()
}

// nearest returns the slot nearest to the start of an interval, itself or before it with
// step -1, behind it with step 1, that is as wanted; nil if there is none within maxGap.
// It goes by days: a zone that was silent for months has many intervals to look for.
func (s *State) nearest(subject string, from unit.Interval, step int64, wanted func(*slot) bool) *slot {
	const length = unit.IntervalsPerDay * unit.IntervalSeconds
	for n := range unit.Interval(maxGap/unit.IntervalsPerDay + 1) {
		d := s.days[dayID{subject, from.Day() + n*unit.Interval(step)*length}]
		if d == nil {
			continue
		}
		i, there := d.find(from)
		if step < 0 && !there {
			i--
		}
		for ; 0 <= i && i < len(d.Slots); i += int(step) {
			k := &d.Slots[i]
			if away := k.At.Since(from) * step; away >= maxGap {
				return nil
			}
			if wanted(k) {
				return k
			}
		}
	}
	return nil
}

// reading is what a member's meters say of an interval.
type reading struct {
	quality          market.Quality
	imported, export unit.Energy
	opaque           bool
}

// read finds out what a member used and fed in in an interval.
func (s *State) read(m *member, i unit.Interval) reading {
	var r reading
	metered := false
	for k := range m.Metered {
		c := &m.Metered[k]
		if !c.during(i) {
			continue
		}
		metered = true
		if pt := s.points[c.Subject]; pt != nil && pt.Opaque {
			r.opaque = true
		}
		imported, q1 := s.energy(c.Subject, i, false)
		r.imported += imported
		r.quality = max(r.quality, q1)
		if c.Export != "" {
			exported, q2 := s.energy(c.Subject, i, true)
			r.export += exported
			r.quality = max(r.quality, q2)
		}
	}
	if !metered || r.quality == market.Missing || r.imported > unit.MaxQuantity || r.export > unit.MaxQuantity {
		return reading{quality: market.Missing, opaque: r.opaque}
	}
	return r
}

// energy returns what one register advanced in an interval, and how that is known.
func (s *State) energy(subject string, i unit.Interval, export bool) (unit.Energy, market.Quality) {
	value := func(k *slot) *register {
		if export {
			return k.Export
		}
		return k.Import
	}
	find := func(from unit.Interval, step int64) (*register, unit.Interval) {
		k := s.nearest(subject, from, step, func(k *slot) bool { return value(k) != nil })
		if k == nil {
			return nil, 0
		}
		return value(k), k.At
	}
	next, err := i.Plus(1)
	if err != nil {
		return 0, market.Missing
	}
	before, from := find(i, -1)
	after, to := find(next, 1)
	if before == nil || after == nil {
		return 0, market.Missing
	}
	n := to.Since(from)
	total, err := market.Measure(unit.Energy(before.Value), unit.Energy(after.Value), n)
	if err != nil {
		return 0, market.Missing
	}
	if n == 1 {
		return total, market.Measured
	}
	part := market.Spread(total, n, i.Since(from))
	if part > unit.MaxQuantity {
		return 0, market.Missing
	}
	return part, market.Estimated
}

// lineSecret is what the salt of a member's line for an interval is made of.
func (s *State) lineSecret(m *member, i unit.Interval) []byte {
	h := sha256.New()
	for k := range m.Metered {
		c := &m.Metered[k]
		if !c.during(i) {
			continue
		}
		next, err := i.Plus(1)
		for _, at := range [...]unit.Interval{i, next} {
			if b := s.slotAt(c.Subject, at); err == nil && b != nil {
				h.Write(b.Secret)
			}
		}
		// Where the interval has no reading the last one before it keeps the secret.
		if b := s.nearest(c.Subject, i, -1, func(k *slot) bool { return len(k.Secret) > 0 }); b != nil {
			h.Write(b.Secret)
		}
	}
	return h.Sum(nil)
}

// dropDays lets go the registers of a zone's members that settle nothing any more.
func (s *State) dropDays(z *zone) {
	from := s.keptFrom(z)
	for _, id := range slices.SortedFunc(maps.Keys(s.days), compareDayIDs) {
		of := z
		if c, ok := s.connections[id.subject]; ok {
			of = s.zones[c.member.Zone]
		} else if f, _ := s.feederOf(id.subject); f != nil {
			of = f
		}
		if id.day < from && of == z {
			s.erase(s.days[id])
			delete(s.days, id)
		}
	}
}
