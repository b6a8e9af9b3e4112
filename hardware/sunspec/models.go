package sunspec

import (
	"fmt"
	"strings"

	"wattmark/hardware"
)

// Numbers of models that mean something to the walk.
const (
	modelCommon = 1
	modelMPPT   = 160
	modelEnd    = 0xFFFF
)

// kind is how a point is written.
type kind byte

const (
	u16   kind = iota // 0xFFFF: not implemented
	i16               // 0x8000
	acc32             // 0
	f32               // NaN
)

func (k kind) words() uint16 {
	if k == acc32 || k == f32 {
		return 2
	}
	return 1
}

// point is a channel and where it is in a model. Offsets count from the model's number
// on, as in the tables of the definitions: the first point has offset 2.
type point struct {
	channel uint8 // index into channels
	kind    kind
	offset  uint16
	factor  uint16 // offset of the scale factor; 0 when there is none
	shift   int8   // -2 for per cent that become a ratio
	phase   int    // 1 to 3; 0 for the whole
}

// model is what is read of one.
type model struct {
	phases int
	points []point
}

// maxStrings is how many strings of panels have channels, of those model 160 may have.
const maxStrings = 9

// channels are all that any model gives, in the order of values.
var channels = func() []hardware.Channel {
	names := []string{"current", "current_l1", "current_l2", "current_l3", "voltage_l1", "voltage_l2", "voltage_l3",
		"active_power", "active_power_l1", "active_power_l2", "active_power_l3", "active_power_generated", "frequency",
		"apparent_power", "apparent_power_l1", "apparent_power_l2", "apparent_power_l3",
		"reactive_power", "reactive_power_l1", "reactive_power_l2", "reactive_power_l3",
		"power_factor", "power_factor_l1", "power_factor_l2", "power_factor_l3",
		"active_energy_generated",
		"active_energy_import", "active_energy_import_l1", "active_energy_import_l2", "active_energy_import_l3",
		"active_energy_export", "active_energy_export_l1", "active_energy_export_l2", "active_energy_export_l3",
		"reactive_energy_q1", "reactive_energy_q2", "reactive_energy_q3", "reactive_energy_q4",
		"current_dc", "voltage_dc", "power_dc", "state_of_charge", "temperature"}
	for n := 1; n <= maxStrings; n++ {
		for _, what := range []string{"current_dc", "voltage_dc", "power_dc"} {
			names = append(names, fmt.Sprintf("mppt%d_%s", n, what))
		}
	}
	all := make([]hardware.Channel, len(names))
	for i, name := range names {
		all[i] = hardware.NewChannel(name, limits(name))
	}
	return all
}()

// limits are those that follow from what a quantity is: a device states none of its own.
func limits(name string) hardware.Limits {
	switch {
	case strings.HasPrefix(name, "power_factor"):
		return hardware.Limits{Low: -1, High: 1}
	case name == "state_of_charge":
		return hardware.Limits{High: 100}
	}
	return hardware.Limits{}
}

// index returns where the named channel stands in channels.
func index(name string) uint8 {
	for i := range channels {
		if channels[i].Name == name {
			return uint8(i)
		}
	}
	panic("internal error: no model has the channel " + name)
}

// models are those that are read, but for 160, whose points repeat.
var models = map[uint16]model{
	101: {1, inverter()}, 102: {2, inverter()}, 103: {3, inverter()},
	111: {1, floatInverter()}, 112: {2, floatInverter()}, 113: {3, floatInverter()},
	201: {1, meter()}, 202: {2, meter()}, 203: {3, meter()}, 204: {3, meter()},
	802: {0, battery()},
}

// read reports whether a model's points are read.
func read(number uint16) bool {
	_, ok := models[number]
	return ok || number == modelMPPT
}

// list collects points.
type list []point

func (l *list) add(name string, k kind, offset, factor uint16, shift int8) {
	*l = append(*l, point{channel: index(name), kind: k, offset: offset, factor: factor, shift: shift})
}

// phases adds a point for each phase.
func (l *list) phases(name string, k kind, offset, factor uint16, shift int8) {
	for i := range uint16(3) {
		*l = append(*l, point{index(fmt.Sprintf("%s_l%d", name, i+1)), k, offset + i*k.words(), factor, shift, int(i) + 1})
	}
}

// inverter is models 101 to 103.
func inverter() []point {
	var l list
	l.add("current", u16, 2, 6, 0)
	l.phases("current", u16, 3, 6, 0)
	l.phases("voltage", u16, 10, 13, 0)
	l.add("active_power_generated", i16, 14, 15, 0)
	l.add("frequency", u16, 16, 17, 0)
	l.add("apparent_power", i16, 18, 19, 0)
	l.add("reactive_power", i16, 20, 21, 0)
	l.add("power_factor", i16, 22, 23, -2)
	l.add("active_energy_generated", acc32, 24, 26, 0)
	l.add("current_dc", u16, 27, 28, 0)
	l.add("voltage_dc", u16, 29, 30, 0)
	l.add("power_dc", i16, 31, 32, 0)
	l.add("temperature", i16, 33, 37, 0)
	return l
}

// floatInverter is models 111 to 113.
func floatInverter() []point {
	var l list
	l.add("current", f32, 2, 0, 0)
	l.phases("current", f32, 4, 0, 0)
	l.phases("voltage", f32, 16, 0, 0)
	l.add("active_power_generated", f32, 22, 0, 0)
	l.add("frequency", f32, 24, 0, 0)
	l.add("apparent_power", f32, 26, 0, 0)
	l.add("reactive_power", f32, 28, 0, 0)
	l.add("power_factor", f32, 30, 0, -2)
	l.add("active_energy_generated", f32, 32, 0, 0)
	l.add("current_dc", f32, 34, 0, 0)
	l.add("voltage_dc", f32, 36, 0, 0)
	l.add("power_dc", f32, 38, 0, 0)
	l.add("temperature", f32, 40, 0, 0)
	return l
}

// meter is models 201 to 204.
func meter() []point {
	var l list
	l.add("current", i16, 2, 6, 0)
	l.phases("current", i16, 3, 6, 0)
	l.phases("voltage", i16, 8, 15, 0)
	l.add("frequency", i16, 16, 17, 0)
	l.add("active_power", i16, 18, 22, 0)
	l.phases("active_power", i16, 19, 22, 0)
	l.add("apparent_power", i16, 23, 27, 0)
	l.phases("apparent_power", i16, 24, 27, 0)
	l.add("reactive_power", i16, 28, 32, 0)
	l.phases("reactive_power", i16, 29, 32, 0)
	l.add("power_factor", i16, 33, 37, -2)
	l.phases("power_factor", i16, 34, 37, -2)
	l.add("active_energy_export", acc32, 38, 54, 0)
	l.phases("active_energy_export", acc32, 40, 54, 0)
	l.add("active_energy_import", acc32, 46, 54, 0)
	l.phases("active_energy_import", acc32, 48, 54, 0)
	for i, quadrant := range []string{"q1", "q2", "q3", "q4"} {
		l.add("reactive_energy_"+quadrant, acc32, 72+8*uint16(i), 104, 0)
	}
	return l
}

// battery is model 802.
func battery() []point {
	var l list
	l.add("state_of_charge", u16, 11, 56, 0)
	l.add("voltage_dc", u16, 34, 59, 0)
	l.add("current_dc", i16, 44, 61, 0)
	l.add("power_dc", i16, 47, 63, 0)
	return l
}

// The layout of model 160: a head and modules.
const (
	mpptCount  = 8  // offset of the number of modules
	mpptHead   = 10 // offset of the first module
	mpptModule = 20 // registers of one
)

// mppt is what is read of module n of model 160, from 0 on.
var mppt = func() (all [maxStrings][]point) {
	for n := range all {
		var l list
		at := uint16(mpptHead + n*mpptModule)
		l.add(fmt.Sprintf("mppt%d_current_dc", n+1), u16, at+9, 2, 0)
		l.add(fmt.Sprintf("mppt%d_voltage_dc", n+1), u16, at+10, 3, 0)
		l.add(fmt.Sprintf("mppt%d_power_dc", n+1), u16, at+11, 4, 0)
		all[n] = l
	}
	return all
}()
