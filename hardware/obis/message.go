package obis

import (
	"fmt"

	"wattmark/hardware"
)

// Message collects what one message of a meter says. The zero value is empty.
type Message struct {
	readings [256]reading
	slots    [slots]slot

	clock struct{ date, time string } // of 0.9.2 and 0.9.1
	local hardware.MeterTime

	// Serial and Version are what a text said of the meter.
	Serial, Version string
}

// reading is what is known of a channel.
type reading struct {
	has    bool
	stored bool // of a storage number, not the present value
	value  hardware.Value
}

// slot is a sub-meter on a P1 port.
type slot struct {
	kind  int64 // device type (EN 13757-3), 0 while it is unsaid
	has   bool
	value Quantity
}

// Add puts a value into m. It is false when the code is none of ours, or the value
// cannot be in its unit.
func (m *Message) Add(c Code, q Quantity, quality hardware.Quality) bool {
	i := known.index(c)
	if i < 0 {
		return false
	}
	// The limit of the supply is a power, or the current that a fuse takes.
	if c.C == 17 && q.Unit == hardware.Ampere {
		i = known.named("current_limit_l1")
	}
	return m.put(i, q, quality, c.F != Unsaid && c.F != present)
}

// put gives channel i a value.
func (m *Message) put(i int, q Quantity, quality hardware.Quality, stored bool) bool {
	want := known.channels[i].Unit
	bare := want == hardware.Ratio || want == hardware.Count
	if q.Unit != want && (q.Unit != "" || !bare) {
		return false
	}
	if r := &m.readings[i]; !r.has || r.stored && !stored {
		*r = reading{true, stored, hardware.Value{Channel: uint8(i), Mantissa: q.Mantissa, Exponent: q.Exponent, Quality: quality | coarse(q)}}
	}
	return true
}

// coarse marks energies in steps above 100 Wh, and above 100 varh.
func coarse(q Quantity) hardware.Quality {
	if q.Exponent > 2 && (q.Unit == hardware.WattHour || q.Unit == hardware.VarHour) {
		return hardware.Coarse
	}
	return 0
}

// SubMeter tells what kind of sub-meter is in slot n: 0-n:24.1.0.
func (m *Message) SubMeter(n uint16, kind int64) {
	if n >= 1 && n <= slots {
		m.slots[n-1].kind = kind
	}
}

// SubMeterValue puts the total of the sub-meter in slot n into m, where the first counts.
func (m *Message) SubMeterValue(n uint16, q Quantity) {
	if n >= 1 && n <= slots && !m.slots[n-1].has {
		m.slots[n-1].has, m.slots[n-1].value = true, q
	}
}

// subMeters says what the device types of sub-meters are (EN 13757-3, as DSMR uses
// them).
var subMeters = map[int64]string{2: "active_energy_import", 3: "gas_volume", 4: "heat_energy", 7: "water_volume", 12: "cooling_energy"}

// Fill puts the values and the clock of m into dst, whose values it is the first to fill,
// with quality added to each. It applies the 1.7.0 rule: where a message has no export, the import is
// signed and therefore the power.
func (m *Message) Fill(dst *hardware.Batch, quality hardware.Quality) {
	m.signed("")
	for _, phase := range [...]string{"_l1", "_l2", "_l3"} {
		m.signed(phase)
	}
	for n := range m.slots {
		m.fillSlot(n, dst)
	}
	for i := range known.channels {
		if r := &m.readings[i]; r.has {
			v := r.value
			v.Quality |= quality
			dst.Add(v, known.channels[i].Limits)
		}
	}
	dst.MeterTime = m.meterTime()
}

// signed applies the 1.7.0 rule to a phase, or to their sum.
func (m *Message) signed(phase string) {
	in, out := known.named("active_power_import"+phase), known.named("active_power_export"+phase)
	if !m.readings[in].has || m.readings[out].has {
		return
	}
	if net := known.named("active_power" + phase); !m.readings[net].has {
		m.readings[net] = m.readings[in]
		m.readings[net].value.Channel = uint8(net)
	}
	m.readings[in] = reading{}
}

// fillSlot turns what a slot said into its channel.
func (m *Message) fillSlot(n int, dst *hardware.Batch) {
	s := &m.slots[n]
	name, ok := subMeters[s.kind]
	if !s.has || !ok {
		return
	}
	i := known.named(fmt.Sprintf("mbus%d_%s", n+1, name))
	if !m.put(i, s.value, 0, false) {
		dst.Warn(hardware.WarnSkipped, fmt.Sprintf("mbus%d_%s: not in %s", n+1, name, known.channels[i].Unit))
	}
}

// IsClock reports whether c is a code of the meter's own clock.
func IsClock(c Code) bool {
	return c.A == abstract && (c.C == 1 && c.D == 0 && c.E == 0) ||
		(c.A == electricity || c.A == abstract || c.A == Unsaid) && c.C == 0 && c.D == 9 && (c.E == 1 || c.E == 2)
}

// Clock takes what the meter's clock says under a code of its own: YYMMDDhhmmss under
// 0-0:1.0.0, mostly with a season, hhmmss under 0.9.1 and YYMMDD under 0.9.2, which may have separators, and a
// digit of the season before them.
func (m *Message) Clock(c Code, text []byte) {
	switch {
	case c.C == 1 && (len(text) == 12 || len(text) == 13):
		m.local = timestamp(append(text[:len(text):len(text)], 0))
	case c.C == 0 && c.E == 1 && m.clock.time == "":
		m.clock.time = digitsOf(text)
	case c.C == 0 && c.E == 2 && m.clock.date == "":
		m.clock.date = digitsOf(text)
	}
}

// digitsOf returns the digits of a time or date, empty when it holds anything but
// separators beside them.
func digitsOf(text []byte) string {
	var digits []byte
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			digits = append(digits, c)
		case c != ':' && c != '-' && c != '.' && c != '/' && c != ' ':
			return ""
		}
	}
	return string(digits)
}

// meterTime returns the meter's clock, empty if it has none.
func (m *Message) meterTime() hardware.MeterTime {
	if m.local.Local != "" {
		return m.local
	}
	date, clock := m.clock.date, m.clock.time
	season := byte(0)
	if len(clock) == 7 {
		season, clock = clock[0], clock[1:]
	}
	switch len(date) {
	case 7:
		season, date = date[0], date[1:]
	case 8:
		date = date[2:]
	}
	if len(date) != 6 || len(clock) != 6 {
		return hardware.MeterTime{}
	}
	return timestamp(append([]byte(date+clock), map[byte]byte{'0': 'W', '1': 'S'}[season]))
}

// timestamp reads YYMMDDhhmmss and a season: S, W or anything else for unsaid.
func timestamp(b []byte) hardware.MeterTime {
	var part [6]int
	for i := range part {
		hi, lo := b[2*i], b[2*i+1]
		if hi < '0' || hi > '9' || lo < '0' || lo > '9' {
			return hardware.MeterTime{}
		}
		part[i] = 10*int(hi-'0') + int(lo-'0')
	}
	month, day, hour, minute, second := part[1], part[2], part[3], part[4], part[5]
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59 {
		return hardware.MeterTime{}
	}
	t := hardware.MeterTime{Local: fmt.Sprintf("20%02d-%02d-%02dT%02d:%02d:%02d", part[0], month, day, hour, minute, second)}
	switch b[12] {
	case 'S':
		t.Season = hardware.Summer
	case 'W':
		t.Season = hardware.Winter
	}
	return t
}
