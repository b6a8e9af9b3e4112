package sdm

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// register is where a channel is: two registers from address on, in a table.
type register struct {
	name    string
	table   modbus.Function
	address uint16
	scale   int8 // 3 where the meter counts in thousands of the channel's unit
}

// identity registers (protocol documents, table of holding registers).
const (
	addressSerial = 0xFC00 // two registers
	addressCode   = 0xFC02 // one register: the meter's kind
)

// maker is who made them.
const maker = "Eastron"

// model is what tells the four meters apart.
type model struct {
	part    string
	code    uint16 // holding register 0xFC02
	phases  int
	maximum int   // registers in one request
	current int64 // A, highest of the specification in the user manual
}

var models = map[string]model{
	"sdm72":  {"Eastron SDM72", 0x0089, 3, 60, 100},
	"sdm120": {"Eastron SDM120", 0x0020, 1, 80, 45},
	"sdm230": {"Eastron SDM230", 0x002B, 1, 80, 100},
	"sdm630": {"Eastron SDM630", 0x0070, 3, 80, 100},
}

// contradicted returns an error if the code is another known model's. Unknown ones
// are let pass: a model's variants have codes of their own.
func (m model) contradicted(code uint16) error {
	for _, other := range models {
		if other.code == code && code != m.code {
			return &hardware.Error{Class: hardware.ErrWrongDevice, Op: "identifying the meter",
				Err: fmt.Errorf("it is an %s, not an %s", other.part, m.part), Remedy: "correct the model or the unit's address"}
		}
	}
	return nil
}

// optionalChannel is read only when it is asked for: it is a setting. A recording or a
// dump that holds it gives it.
const optionalChannel = "pulse1_width"

// registers returns the map of a model in the order of its channels.
func (m model) registers() []register {
	var all []register
	phases := func(name string, address uint16) {
		for i := range m.phases {
			all = append(all, register{fmt.Sprintf("%s_l%d", name, i+1), modbus.ReadInput, address + uint16(2*i), 0})
		}
	}
	phases("voltage", 0x0000)
	phases("current", 0x0006)
	if m.phases == 1 {
		all = append(all,
			register{"active_power", modbus.ReadInput, 0x000C, 0},
			register{"apparent_power", modbus.ReadInput, 0x0012, 0},
			register{"reactive_power", modbus.ReadInput, 0x0018, 0},
			register{"power_factor", modbus.ReadInput, 0x001E, 0})
	} else {
		phases("active_power", 0x000C)
		phases("apparent_power", 0x0012)
		phases("reactive_power", 0x0018)
		phases("power_factor", 0x001E)
		all = append(all, register{"active_power", modbus.ReadInput, 0x0034, 0})
	}
	return append(all,
		register{"frequency", modbus.ReadInput, 0x0046, 0},
		register{"active_energy_import", modbus.ReadInput, 0x0048, 3},
		register{"active_energy_export", modbus.ReadInput, 0x004A, 3},
		register{"reactive_energy_import", modbus.ReadInput, 0x004C, 3},
		register{"reactive_energy_export", modbus.ReadInput, 0x004E, 3},
		register{"active_energy_absolute", modbus.ReadInput, 0x0156, 3},
		register{optionalChannel, modbus.ReadHolding, 0x000C, 0})
}

// choose returns the registers of the named channels, in the model's order; no names
// are all, or all but the optional one of a meter that is to be read.
func (m model) choose(names []string, decoding bool) ([]register, error) {
	all := m.registers()
	switch {
	case len(names) == 0 && decoding:
		return all, nil
	case len(names) == 0:
		return all[:len(all)-1], nil
	}
	for i, name := range names {
		if !slices.ContainsFunc(all, func(r register) bool { return r.name == name }) {
			return nil, fmt.Errorf("%s has no channel %q", m.part, name)
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("channel %q is named twice", name)
		}
	}
	return slices.DeleteFunc(all, func(r register) bool { return !slices.Contains(names, r.name) }), nil
}

// limits returns the range the maker states for a channel: 276 V, 45 to 66 Hz and
// the model's highest current (user manuals, specifications).
func (m model) limits(name string) hardware.Limits {
	const volts = 276
	watts := int64(m.phases) * volts * m.current
	switch {
	case strings.HasPrefix(name, "voltage"):
		return hardware.Limits{High: volts}
	case strings.HasPrefix(name, "current"):
		return hardware.Limits{High: m.current}
	case strings.HasPrefix(name, "apparent_power"):
		return hardware.Limits{High: watts}
	case strings.HasPrefix(name, "active_power"), strings.HasPrefix(name, "reactive_power"):
		return hardware.Limits{Low: -watts, High: watts}
	case strings.HasPrefix(name, "power_factor"):
		return hardware.Limits{Low: -1, High: 1}
	case strings.Contains(name, "_energy_"): // totals are never negative
		return hardware.Limits{High: math.MaxInt64}
	case name == "frequency":
		return hardware.Limits{Low: 45, High: 66}
	}
	return hardware.Limits{}
}

// requests returns the requests that read all of registers. A gap is read along when
// that is shorter than another request, which costs about 36 characters at 9600 baud with
// its silences and the meter's thinking.
func (m model) requests(unit byte, registers []register) []modbus.Request {
	const gap = 18
	spans := make([]modbus.Span, len(registers))
	for i, r := range registers {
		spans[i] = modbus.Span{Function: r.table, Address: r.address, Count: 2}
	}
	return modbus.Requests(unit, spans, m.maximum, gap)
}
