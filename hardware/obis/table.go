package obis

import (
	"fmt"
	"strings"

	"wattmark/hardware"
)

// slots is how many sub-meters a P1 port may have.
const slots = 9

// The media: element A of a code.
const (
	abstract    = 0
	electricity = 1
)

// key is what the table goes by.
type key struct{ c, d, e uint16 }

// table holds the channels in order, and which code is which of them.
type table struct {
	channels []hardware.Channel
	byName   map[string]uint8
	codes    map[key]uint8
	// general are codes of no medium, which meters send below 0 or 1.
	general map[key]bool
}

var known = newTable()

// Channels returns all channels of the table, in the order of a batch's values. The
// caller must not change them.
func Channels() []hardware.Channel { return known.channels }

// add gives a channel its place, and the codes it has.
func (t *table) add(name string, codes ...key) {
	var limits hardware.Limits
	if strings.HasPrefix(name, "power_factor") {
		limits = hardware.Limits{Low: -1, High: 1}
	}
	i := uint8(len(t.channels))
	t.channels = append(t.channels, hardware.NewChannel(name, limits))
	t.byName[name] = i
	for _, k := range codes {
		t.codes[k] = i
	}
}

// phased adds a channel for each phase: the codes of the second and third are 20 and 40
// above the first's.
func (t *table) phased(name string, first key) {
	for i := range uint16(3) {
		t.add(fmt.Sprintf("%s_l%d", name, i+1), key{first.c + 20*i, first.d, first.e})
	}
}

func newTable() *table {
	t := &table{byName: map[string]uint8{}, codes: map[key]uint8{}, general: map[key]bool{}}
	for c, name := range []string{1: "active_energy_import", 2: "active_energy_export", 3: "reactive_energy_import", 4: "reactive_energy_export"} {
		if name == "" {
			continue
		}
		t.add(name, key{uint16(c), 8, 0})
		for tariff := range uint16(4) {
			t.add(fmt.Sprintf("%s_t%d", name, tariff+1), key{uint16(c), 8, tariff + 1})
		}
	}
	t.add("active_energy_absolute", key{15, 8, 0})
	for q := range uint16(4) {
		t.add(fmt.Sprintf("reactive_energy_q%d", q+1), key{5 + q, 8, 0})
	}
	t.add("active_power", key{16, 7, 0})
	// Some EMH meters write 1.7.1 for 1.7.0.
	t.add("active_power_import", key{1, 7, 0}, key{1, 7, 1})
	t.add("active_power_export", key{2, 7, 0})
	t.add("active_power_absolute", key{15, 7, 0})
	t.phased("active_power", key{36, 7, 0})
	t.phased("active_power_import", key{21, 7, 0})
	t.phased("active_power_export", key{22, 7, 0})
	t.add("active_demand_import", key{1, 4, 0})
	t.add("active_demand_import_peak", key{1, 6, 0})
	for c, name := range []string{"import", "export", "q1", "q2", "q3", "q4"} {
		t.add("reactive_power_"+name, key{3 + uint16(c), 7, 0})
	}
	t.phased("voltage", key{32, 7, 0})
	t.phased("current", key{31, 7, 0})
	t.add("current_n", key{91, 7, 0})
	t.add("power_factor", key{13, 7, 0})
	t.phased("power_factor", key{33, 7, 0})
	t.add("frequency", key{14, 7, 0})
	t.add("power_limit", key{17, 0, 0})
	t.phased("current_limit", key{31, 4, 0})
	t.add("tariff", key{96, 14, 0})
	t.add("power_failures", key{96, 7, 21})
	t.add("long_power_failures", key{96, 7, 9})
	for _, k := range []key{{17, 0, 0}, {96, 14, 0}, {96, 7, 21}, {96, 7, 9}} {
		t.general[k] = true
	}
	t.phased("voltage_sags", key{32, 32, 0})
	t.phased("voltage_swells", key{32, 36, 0})
	for n := range slots {
		for _, name := range []string{"active_energy_import", "gas_volume", "water_volume", "heat_energy", "cooling_energy"} {
			t.add(fmt.Sprintf("mbus%d_%s", n+1, name))
		}
	}
	return t
}

// index returns the channel of a code, -1 if it has none.
func (t *table) index(c Code) int {
	e := c.E
	if e == Unsaid {
		e = 0
	}
	k := key{c.C, c.D, e}
	i, ok := t.codes[k]
	if !ok || c.A != electricity && c.A != Unsaid && (c.A != abstract || !t.general[k]) {
		return -1
	}
	return int(i)
}

// Known reports whether c is the code of one of our channels.
func Known(c Code) bool { return known.index(c) >= 0 }

// named returns the channel of that name, which is in the table.
func (t *table) named(name string) int {
	i, ok := t.byName[name]
	if !ok {
		panic("internal error: no OBIS channel is named " + name)
	}
	return int(i)
}
