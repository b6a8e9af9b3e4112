package street

import (
	"slices"
	"strings"

	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// channelsOf names what the drivers of the street's models deliver.
var channelsOf = map[string][]string{
	"sdm120": {
		"voltage_l1", "current_l1", "active_power", "apparent_power", "reactive_power", "power_factor", "frequency",
		"active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export",
		"active_energy_absolute",
	},
	"sdm630": {
		"voltage_l1", "voltage_l2", "voltage_l3", "current_l1", "current_l2", "current_l3",
		"active_power_l1", "active_power_l2", "active_power_l3",
		"apparent_power_l1", "apparent_power_l2", "apparent_power_l3",
		"reactive_power_l1", "reactive_power_l2", "reactive_power_l3",
		"power_factor_l1", "power_factor_l2", "power_factor_l3", "active_power", "frequency",
		"active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export",
		"active_energy_absolute",
	},
	"scd41": {"co2", "temperature", "relative_humidity"},
	"scd30": {"co2", "temperature", "relative_humidity"},
	// Of the stack's flow meter, and what the gateway makes of it and the CO2.
	"modbus":  {"gas_velocity", "temperature", "pressure"},
	"derived": {"co2_mass_flow", "co2_mass"},
}

// ampere is the largest current of each meter's phases (data sheets: SDM120-Modbus
// 45 A, SDM630-Modbus V2 100 A).
var ampere = map[string]int64{"sdm120": 45, "sdm630": 100}

// mostVolt is the highest voltage at which readings are plausible: 230 V and 20 %.
const mostVolt = 276

// channels registers what a model delivers, each with the range and rate beyond
// which a reading is not plausible: of a meter times as large as the model.
func channels(model string, times int64) []entry.Channel {
	phase := ampere[model] * mostVolt * times // W
	whole := phase
	if model == "sdm630" {
		whole *= 3
	}
	var out []entry.Channel
	for _, name := range channelsOf[model] {
		unit, kind, ok := hardware.Lookup(name)
		if !ok {
			panic("internal error: no channel is named " + name)
		}
		c := entry.Channel{Name: name, Unit: string(unit), Kind: kind.String()}
		stem, power := name, whole
		if n := len(name) - len("_l1"); n > 0 && name[n:n+2] == "_l" {
			stem, power = name[:n], phase
		}
		c.Least, c.Most, c.PerHour = plausible(model, stem, power, ampere[model]*times)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b entry.Channel) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// counted is the highest total a meter shows before it starts again, 99,999,999.9
// kWh or kvarh, in Wh or varh (SDM630-Modbus V2 user manual).
const counted = 99_999_999_900

// plausible returns the range of a channel, and its largest change in an hour, 0
// for any, where power is the most W and amps the most A.
func plausible(model, stem string, power, amps int64) (least, most, perHour entry.Decimal) {
	whole := func(least, most, perHour int64) (a, b, c entry.Decimal) {
		return entry.Int(least), entry.Int(most), entry.Int(perHour)
	}
	switch stem {
	case "voltage":
		return whole(0, mostVolt, 0)
	case "current":
		return whole(0, amps, 0)
	case "active_power", "reactive_power":
		return whole(-power, power, 0)
	case "apparent_power":
		return whole(0, power, 0)
	case "power_factor":
		return whole(-1, 1, 0)
	case "frequency":
		return whole(45, 66, 0)
	case "co2":
		if model == "scd30" {
			return whole(0, 10_000, 0) // data sheet of May 2020, section 1.1
		}
		return whole(0, 40_000, 0) // data sheet version 1.1, section 1.1: output range
	case "temperature":
		return whole(-10, 60, 0)
	case "relative_humidity":
		return whole(0, 100, 0)
	case "gas_velocity":
		return whole(0, 40, 0)
	case "pressure":
		return whole(80_000, 110_000, 0)
	case "co2_mass_flow":
		return whole(0, 1, 0) // 20 m3/s of gas with 2.5 % of CO2
	case "co2_mass":
		return whole(0, 1_000_000_000, 3600)
	}
	// What is left are registers, of energy.
	return whole(0, counted, power)
}
