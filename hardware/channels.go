package hardware

import "strings"

// The suffixes that a channel's name may take: a phase, a tariff, a direction.
var (
	phases   = []string{"_l1", "_l2", "_l3"}
	tariffs  = []string{"_t1", "_t2", "_t3", "_t4"}
	flows    = []string{"_import", "_export", "_absolute", "_generated"}
	reactive = []string{"_import", "_export", "_q1", "_q2", "_q3", "_q4"}
)

// family is a group of channels with one unit and kind: each stem alone, or with
// one of each of the groups of suffixes in turn. A group that must be there has no
// empty string in it.
type family struct {
	unit     Unit
	kind     Kind
	prefixes string // "mbus" or "mppt": the stem needs that prefix and a digit from 1
	stems    []string
	suffixes [][]string
}

func optional(groups ...[]string) []string {
	all := []string{""}
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// families is the table of all channels: a name is never reused for another
// meaning.
var families = []family{
	{WattHour, Counter, "", []string{"active_energy"}, [][]string{flows, optional(tariffs, phases)}},
	{WattHour, Counter, "mbus", []string{"active_energy_import"}, nil},
	{VarHour, Counter, "", []string{"reactive_energy"}, [][]string{reactive, optional(tariffs)}},
	{Watt, Gauge, "", []string{"active_power"}, [][]string{optional(flows), optional(phases)}},
	{Watt, Gauge, "", []string{"active_demand_import", "active_demand_import_peak", "power_limit", "power_dc"}, nil},
	{Watt, Gauge, "mppt", []string{"power_dc"}, nil},
	{Var, Gauge, "", []string{"reactive_power"}, [][]string{optional(reactive), optional(phases)}},
	{VoltAmpere, Gauge, "", []string{"apparent_power"}, [][]string{optional(phases)}},
	{Volt, Gauge, "", []string{"voltage"}, [][]string{phases}},
	{Volt, Gauge, "", []string{"voltage_dc", "shunt_voltage"}, nil},
	{Volt, Gauge, "mppt", []string{"voltage_dc"}, nil},
	{Ampere, Gauge, "", []string{"current"}, [][]string{optional(phases)}},
	{Ampere, Gauge, "", []string{"current_n", "current_dc"}, nil},
	{Ampere, Gauge, "", []string{"current_limit"}, [][]string{phases}},
	{Ampere, Gauge, "mppt", []string{"current_dc"}, nil},
	{Hertz, Gauge, "", []string{"frequency"}, nil},
	{Ratio, Gauge, "", []string{"power_factor"}, [][]string{optional(phases)}},
	{Ratio, Gauge, "", []string{"alarm", "tariff"}, nil},
	{Percent, Gauge, "", []string{"state_of_charge"}, nil},
	{Millisecond, Gauge, "", []string{"pulse1_width"}, nil},
	{Count, Counter, "", []string{"power_failures", "long_power_failures", "pulses"}, nil},
	{Count, Counter, "", []string{"voltage_sags", "voltage_swells"}, [][]string{phases}},
	{CubicMetre, Counter, "mbus", []string{"gas_volume", "water_volume"}, nil},
	{Joule, Counter, "mbus", []string{"heat_energy", "cooling_energy"}, nil},
	{PartsPerMillion, Gauge, "", []string{"co2", "eco2", "frc_correction"}, nil},
	{Celsius, Gauge, "", []string{"temperature"}, nil},
	{Kelvin, Gauge, "", []string{"temperature_offset"}, nil},
	{RelativeHumidity, Gauge, "", []string{"relative_humidity"}, nil},
	{Pascal, Gauge, "", []string{"pressure"}, nil},
	{MicrogramPerCubicMetre, Gauge, "", []string{"pm1_0", "pm2_5", "pm10"}, [][]string{{"", "_std"}}},
	{MicrogramPerCubicMetre, Gauge, "", []string{"pm4_0"}, nil},
	{Micrometre, Gauge, "", []string{"typical_size"}, nil},
	{PerCubicCentimetre, Gauge, "", []string{"particles"}, [][]string{{"_0_5", "_1_0", "_2_5", "_4_0", "_10"}}},
	{PerCubicCentimetre, Gauge, "", []string{"particles_gt"}, [][]string{{"_0_3", "_0_5", "_1_0", "_2_5", "_5_0", "_10"}}},
	{KilogramPerSecond, Gauge, "", []string{"co2_mass_flow"}, nil},
	{CubicMetrePerSecond, Gauge, "", []string{"volume_flow"}, nil},
	{MetrePerSecond, Gauge, "", []string{"gas_velocity"}, nil},
	{Kilogram, Counter, "", []string{"co2_mass"}, nil},
}

// Lookup returns unit and kind of the named channel, and whether there is such a
// channel at all. Sub-meters and strings of panels are numbered from 1 to 9.
func Lookup(name string) (Unit, Kind, bool) {
	for i := range families {
		if f := &families[i]; f.has(name) {
			return f.unit, f.kind, true
		}
	}
	return "", 0, false
}

// NewChannel returns the named channel with the unit and kind that Lookup gives.
// It panics on a name that is not in the table: drivers name channels in code.
func NewChannel(name string, limits Limits) Channel {
	unit, kind, ok := Lookup(name)
	if !ok {
		panic("internal error: no channel is named " + name)
	}
	return Channel{Name: name, Unit: unit, Kind: kind, Limits: limits}
}

func (f *family) has(name string) bool {
	if f.prefixes != "" {
		rest, ok := strings.CutPrefix(name, f.prefixes)
		if !ok || len(rest) < 2 || rest[0] < '1' || rest[0] > '9' || rest[1] != '_' {
			return false
		}
		name = rest[2:]
	}
	for _, stem := range f.stems {
		if rest, ok := strings.CutPrefix(name, stem); ok && suffixed(rest, f.suffixes) {
			return true
		}
	}
	return false
}

func suffixed(rest string, groups [][]string) bool {
	if len(groups) == 0 {
		return rest == ""
	}
	for _, suffix := range groups[0] {
		if after, ok := strings.CutPrefix(rest, suffix); ok && suffixed(after, groups[1:]) {
			return true
		}
	}
	return false
}
