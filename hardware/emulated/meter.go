package emulated

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
)

// Phase is what one phase of a supply does. Power is positive from the grid.
type Phase struct {
	Voltage  float64 // V
	Current  float64 // A, without sign
	Power    float64 // W
	Reactive float64 // var
}

// Supply is what a meter measures at an instant. Single-phase meters look at the
// first phase only.
type Supply struct {
	Phases    [3]Phase
	Frequency float64 // Hz

	// The totals since the meter was made, as the world has them. The meter keeps
	// them as float32 kWh, so it loses digits as the real one does.
	ImportWh, ExportWh     int64
	ImportVarh, ExportVarh int64
}

// Meter is the register model of an Eastron SDM energy meter, after "Eastron
// SDM630-Modbus V2, Modbus Protocol Implementation V1.1" and its sisters for SDM72,
// SDM120 and SDM230: float32 values in pairs of registers, high word first, at most
// 80 registers a request. All methods may be called from any goroutine.
type Meter struct {
	model    string
	phases   int
	maximum  int // registers in one request
	meterID  uint16
	serialNo uint32

	mu sync.Mutex // guards the fields below
	// now is what was set last, base what a reset of the counters took off.
	now, base Supply
	frozen    bool
	input     [inputRegisters]uint16
	holding   [holdingRegisters]uint16
}

// Where the registers are (protocol document, tables of input and holding registers).
const (
	inputRegisters   = 0x015A
	holdingRegisters = 0x0020
	identityBase     = 0xFC00 // serial number (2), meter code (1)
	identityCount    = 3
)

// NewMeter returns a meter of one of the models sdm72, sdm120, sdm230 and sdm630,
// on a dead supply. It panics on any other name.
func NewMeter(model string, serial uint32) *Meter {
	m := &Meter{model: model, phases: 3, maximum: 80, serialNo: serial}
	switch model {
	case "sdm72":
		m.meterID, m.maximum = 0x0089, 60 // SDM72D-M: 30 parameters a request
	case "sdm120":
		m.meterID, m.phases = 0x0020, 1
	case "sdm230":
		m.meterID, m.phases = 0x002B, 1
	case "sdm630":
		m.meterID = 0x0070
	default:
		panic("internal error: no such meter: " + model)
	}
	m.putHolding(0x000C, 100) // pulse 1 width, ms
	m.putHolding(0x0014, 1)   // network node
	m.putHolding(0x001C, 2)   // speed: code 2 is 9600
	return m
}

// String returns the model's name and the serial number.
func (m *Meter) String() string { return fmt.Sprintf("%s serial %d", m.model, m.serialNo) }

// Set makes the meter measure s from now on.
func (m *Meter) Set(s Supply) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = s
	m.refresh()
}

// SetPower is Set for a simulation that knows watts only: 230 V and 50 Hz, the power
// spread evenly over the phases. Totals stay as they are.
func (m *Meter) SetPower(watts float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Frequency = 50
	for i := range m.phases {
		p := watts / float64(m.phases)
		m.now.Phases[i] = Phase{Voltage: 230, Current: math.Abs(p) / 230, Power: p}
	}
	m.refresh()
}

// SetEnergy sets the totals, in Wh, and leaves the rest as it is.
func (m *Meter) SetEnergy(importWh, exportWh int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.ImportWh, m.now.ExportWh = importWh, exportWh
	m.refresh()
}

// ResetCounters makes the registers of energy start again at zero, whatever totals
// are set later.
func (m *Meter) ResetCounters() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.base = m.now
	m.refresh()
}

// Freeze stops all registers as they are, until it is called with false.
func (m *Meter) Freeze(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen = on
	m.refresh()
}

// refresh writes the registers; the mutex is held.
func (m *Meter) refresh() {
	if m.frozen {
		return
	}
	var total Phase // Voltage holds the apparent power
	for i := range m.phases {
		p, at := m.now.Phases[i], uint16(2*i)
		apparent := p.Voltage * p.Current
		m.put(0x0000+at, p.Voltage)
		m.put(0x0006+at, p.Current)
		m.put(0x000C+at, p.Power)
		m.put(0x0012+at, apparent)
		m.put(0x0018+at, p.Reactive)
		m.put(0x001E+at, factor(p.Power, apparent))
		total.Current += p.Current
		total.Power += p.Power
		total.Reactive += p.Reactive
		total.Voltage += apparent
	}
	if m.phases == 3 {
		m.put(0x0030, total.Current)
		m.put(0x0034, total.Power)
		m.put(0x0038, total.Voltage)
		m.put(0x003C, total.Reactive)
		m.put(0x003E, factor(total.Power, total.Voltage))
	}
	m.put(0x0046, m.now.Frequency)
	imported, exported := m.now.ImportWh-m.base.ImportWh, m.now.ExportWh-m.base.ExportWh
	m.put(0x0048, float64(imported)/1000)
	m.put(0x004A, float64(exported)/1000)
	m.put(0x004C, float64(m.now.ImportVarh-m.base.ImportVarh)/1000)
	m.put(0x004E, float64(m.now.ExportVarh-m.base.ExportVarh)/1000)
	m.put(0x0156, float64(imported+exported)/1000)
	m.put(0x0158, float64(m.now.ImportVarh-m.base.ImportVarh+m.now.ExportVarh-m.base.ExportVarh)/1000)
}

// factor is the power factor, 1 where nothing flows.
func factor(active, apparent float64) float64 {
	if apparent == 0 {
		return 1
	}
	return max(-1, min(1, active/apparent))
}

func (m *Meter) put(address uint16, v float64) { putFloat(m.input[address:], v) }

func (m *Meter) putHolding(address uint16, v float64) { putFloat(m.holding[address:], v) }

// putFloat writes v as two registers, high word first.
func putFloat(registers []uint16, v float64) {
	bits := math.Float32bits(float32(v))
	registers[0], registers[1] = uint16(bits>>16), uint16(bits)
}

// Exception codes (MODBUS Application Protocol V1.1b3 section 7).
const (
	illegalFunction = 1
	illegalAddress  = 2
	illegalValue    = 3
)

// answer appends the reply's function code and data to out, as a PDU, for the PDU of
// a request. Registers in the gaps of the map read as zero.
func (m *Meter) answer(pdu, out []byte) []byte {
	function := pdu[0]
	if function != 0x03 && function != 0x04 || len(pdu) != 5 {
		return append(out, function|0x80, illegalFunction)
	}
	address, count := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	if count == 0 || count > m.maximum {
		return append(out, function|0x80, illegalValue)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	registers, from := m.input[:], address
	if function == 0x03 {
		registers = m.holding[:]
	}
	identity := [identityCount]uint16{uint16(m.serialNo >> 16), uint16(m.serialNo), m.meterID}
	if function == 0x03 && address >= identityBase {
		registers, from = identity[:], address-identityBase
	}
	if from+count > len(registers) {
		return append(out, function|0x80, illegalAddress)
	}
	out = append(out, function, byte(2*count))
	for _, r := range registers[from : from+count] {
		out = binary.BigEndian.AppendUint16(out, r)
	}
	return out
}
