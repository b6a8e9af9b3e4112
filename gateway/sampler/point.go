package sampler

import (
	"errors"
	"strings"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/ledger/entry"
)

// point is a metering point with its devices and the window at hand. The sampler's
// mutex guards it.
type point struct {
	subject    string
	members    []*member
	start, end time.Time // end is zero when no window is open
	remarks    []entry.Record
}

// member is a device of a point.
type member struct {
	device   *Device
	about    hardware.Descriptor
	channels []channel

	last    time.Time // the newest due time that is accounted for
	since   time.Time // the newest time of a process before this one
	stepped bool      // the clock was moved since last

	derived *derived            // nil for a device that is read
	serial  string              // what the part said of itself last
	changed bool                // it said something else since then: registers are another part's
	sayer   hardware.Persistent // nil for a part that keeps no total

	samples, failed uint64
	lastAt          time.Time
	err             error
}

func (p *point) base() string { return p.subject + "/" }

// nameAll puts the devices' names before the channels' where a point has several.
func (p *point) nameAll() {
	if len(p.members) < 2 {
		return
	}
	for _, m := range p.members {
		for i := range m.channels {
			m.channels[i].name = m.device.Name + "." + m.channels[i].name
		}
	}
}

// check tries the names that records will have.
func (p *point) check() error {
	for _, m := range p.members {
		for _, c := range m.channels {
			trial := entry.Pack{Base: p.base(), Records: []entry.Record{{Name: entry.CalibrationName(p.base() + c.name), Unit: c.unit}}}
			if _, err := trial.Encode(); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete reports whether nothing more is due in the window.
func (p *point) complete() bool {
	for _, m := range p.members {
		if m.last.IsZero() || m.last.Add(m.device.Period).Before(p.end) {
			return false
		}
	}
	return true
}

func (m *member) period() int64 { return m.device.Period.Milliseconds() }

// missed notes the due times before due at which nothing was tried.
func (m *member) missed(due time.Time) {
	last, why := m.last, "missed"
	switch {
	case m.stepped:
		why = "clock"
	case last.IsZero() && !m.since.IsZero():
		last, why = floor(m.since.Add(-m.device.Offset), m.device.Period).Add(m.device.Offset), "power_off"
	}
	m.last, m.stepped = due, false
	if last.IsZero() {
		return
	}
	if count := due.Sub(last).Milliseconds()/m.period() - 1; count > 0 {
		m.lose(run{span{last.UnixMilli() + m.period(), due.UnixMilli() - m.period(), count}, why})
	}
}

func (m *member) lose(r run) {
	for i := range m.channels {
		m.channels[i].gap(r, m.period())
	}
}

func (m *member) fail(due time.Time, why string) {
	m.failed++
	ms := due.UnixMilli()
	m.lose(run{span{ms, ms, 1}, why})
}

// take adds values; late says that a register among them is to be marked late.
func (m *member) take(due, at time.Time, values []hardware.Value, late bool) {
	m.samples++
	m.lastAt = at
	ms, dueMS := max(at.UnixMilli(), 0), due.UnixMilli()
	next := 0
	none := func(to int, why string) {
		for ; next < to; next++ {
			m.channels[next].gap(run{span{dueMS, dueMS, 1}, why}, m.period())
		}
	}
	for _, v := range values { // in the order of channels
		i := int(v.Channel)
		if i < next || i >= len(m.channels) {
			continue
		}
		none(i, "no_data")
		if m.channels[i].take(v, ms, dueMS, late, m.changed) {
			next = i + 1
		} else {
			none(i+1, "malformed")
		}
	}
	none(len(m.channels), "no_data")
	m.changed = false
}

// identify notes what a part said of itself: another serial number than before is
// another part.
func (m *member) identify(id hardware.Identity) {
	if id.Serial == "" || id.Serial == m.serial {
		return
	}
	m.changed, m.serial = m.serial != "", id.Serial
}

// reason is the word for a failure in a gap.
func reason(err error) string {
	if errors.Is(err, bus.ErrBusy) {
		return "full"
	}
	switch class := hardware.Class(err); class {
	case nil:
		return "device"
	case hardware.ErrChecksum:
		return "checksum"
	case hardware.ErrStale:
		return "stale"
	case hardware.ErrDevice:
		return "device"
	default:
		return strings.ReplaceAll(class.Error(), " ", "_")
	}
}

// maxPackBytes is where a pack ends: well below what a statement can hold, as the
// gaps of the outbox may be added.
const maxPackBytes = 48_000

// recordBytes bounds a record's encoding besides its texts: labels, heads, a value
// and a time.
const recordBytes = 40

// close empties the window into packs, none if nothing was said.
func (p *point) close() []*Pack {
	var packs []*Pack
	var records []entry.Record
	var spans []lost
	size := 0
	flush := func() {
		if len(records) == 0 {
			return
		}
		packs = append(packs, &Pack{
			Pack: entry.Pack{Base: p.base(), Records: records}, Subject: p.subject, End: p.end, size: size, spans: spans,
		})
		records, spans, size = nil, nil, 0
	}
	add := func(more []entry.Record, of []lost) {
		bytes := 0
		for _, r := range more {
			bytes += recordBytes + len(r.Name) - len(p.base()) + len(r.Unit) + len(r.Text)
		}
		if len(records)+len(more) > entry.MaxRecords-gapRecords || size+bytes > maxPackBytes {
			flush()
		}
		records, spans, size = append(records, more...), append(spans, of...), size+bytes
	}
	add(p.remarks, nil)
	p.remarks = nil
	for _, m := range p.members {
		for i := range m.channels {
			c := &m.channels[i]
			var of []lost
			if c.due.count > 0 {
				of = append(of, lost{c, m.period(), run{c.due, "full"}})
			}
			for _, g := range c.gaps {
				of = append(of, lost{c, m.period(), g})
			}
			more := c.records(p.base(), nil)
			if m.derived != nil && c.due.count > 0 {
				more = m.derived.remarks(p.base()+c.name, c.due.first, more)
			}
			add(more, of)
			c.clear()
		}
	}
	flush()
	if len(packs) > 0 {
		packs[len(packs)-1].Facts = p.facts()
	}
	return packs
}

// gapRecords is how many records a pack has room for besides its own: what the
// outbox has to say is added when it is signed.
const gapRecords = 16
