package gateway

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/spi"

	"wattmark/gateway/settings"
	"wattmark/hardware"
	"wattmark/hardware/atm90e32"
	"wattmark/hardware/bme280"
	"wattmark/hardware/board"
	"wattmark/hardware/bus"
	"wattmark/hardware/dsmr"
	"wattmark/hardware/generic"
	"wattmark/hardware/iec62056"
	"wattmark/hardware/ina2xx"
	"wattmark/hardware/mhz19"
	"wattmark/hardware/modbus"
	"wattmark/hardware/pms"
	"wattmark/hardware/pulse"
	"wattmark/hardware/pzem"
	"wattmark/hardware/s8"
	"wattmark/hardware/scd30"
	"wattmark/hardware/scd4x"
	"wattmark/hardware/sdm"
	"wattmark/hardware/sml"
	"wattmark/hardware/sps30"
	"wattmark/hardware/sunspec"
)

// BusKind is a kind of bus, by its name in configurations.
type BusKind string

// The kinds of buses.
const (
	BusSerial     BusKind = "serial"       // a serial port: RS-485, an optical head, P1
	BusI2C        BusKind = "i2c"          //
	BusSPI        BusKind = "spi"          // a port with its chip select
	BusModbusTCP  BusKind = "modbus-tcp"   // Modbus with MBAP headers
	BusRTUOverTCP BusKind = "rtu-over-tcp" // RTU frames through a converter of serial lines
	BusGPIO       BusKind = "gpio"         // a chip of pins
)

// BusKinds are all kinds of buses.
var BusKinds = []BusKind{BusSerial, BusI2C, BusSPI, BusModbusTCP, BusRTUOverTCP, BusGPIO}

// What a line of bytes, and one of Modbus, may run over.
var (
	serialLine = []BusKind{BusSerial}
	modbusLine = []BusKind{BusSerial, BusModbusTCP, BusRTUOverTCP}
	i2cBus     = []BusKind{BusI2C}
)

// Addressing says what tells the parts on one bus apart.
type Addressing byte

// The ways to address a part.
const (
	// Alone: the part has its bus for itself, and no address.
	Alone Addressing = iota
	// ByUnit: a Modbus unit, 1 to 247.
	ByUnit
	// ByI2C: an I2C address, 0x08 to 0x77.
	ByI2C
	// ByPin: a pin of the header, among the settings.
	ByPin
)

// Model is a part that a gateway can read.
type Model struct {
	Name       string // in configurations and on the command line: "sdm630"
	Part       string // on the label: "Eastron SDM630"
	Buses      []BusKind
	Addressing Addressing
	// Address is the one that the part has unless it was set to another.
	Address uint16
	// Mode is how a serial line is set for it, empty for "9600 8N1".
	Mode string
	// Capture is the usual form of a recording of it, for decode.
	Capture Capture

	// settings makes the struct that the keys of this model go to, with their
	// defaults, nil if it has none; open takes it back.
	settings func() any
	open     func(at site, settings any) (hardware.Device, error)
}

// Capture is a form of a recording of what a part sent.
type Capture string

// The forms of recordings.
const (
	CaptureHex       Capture = "hex"       // pairs of hex digits; see hardware.ParseTranscript
	CaptureText      Capture = "text"      // the bytes untouched
	CaptureRegisters Capture = "registers" // see hardware.ParseRegisters
)

// site is where a part is: at an address of a bus. A driver on no bus only decodes.
type site struct {
	model   string
	bus     *bus.Bus
	kind    BusKind
	address uint16
	board   *board.Board // nil where it is not known
	now     hardware.Clock
	// recorded: the driver decodes recordings, which may hold what Sense does not read.
	recorded bool
}

// unit is the address of a Modbus unit.
func (s site) unit() byte { return byte(s.address) }

// What drivers take of a bus; nil where there is none.

func (s site) modbus() modbus.Requester {
	if s.bus == nil {
		return nil
	}
	return s.bus.Modbus()
}

func (s site) stream() hardware.Stream {
	if s.bus == nil {
		return nil
	}
	return s.bus.Stream()
}

func (s site) i2c() i2c.Bus {
	if s.bus == nil {
		return nil
	}
	return s.bus.I2C()
}

func (s site) spi() spi.Port {
	if s.bus == nil {
		return nil
	}
	return s.bus.SPI()
}

// with gives a model its settings, S, and the way to open it with them.
func with[S any](m Model, defaults S, open func(at site, set *S) (hardware.Device, error)) Model {
	m.settings = func() any {
		s := defaults
		return &s
	}
	m.open = func(at site, settings any) (hardware.Device, error) { return open(at, settings.(*S)) }
	return m
}

// catalog is every model that a gateway can read. A new part is a line here.
var catalog = index(
	sdmModel("sdm72", "Eastron SDM72"),
	sdmModel("sdm120", "Eastron SDM120"),
	sdmModel("sdm230", "Eastron SDM230"),
	sdmModel("sdm630", "Eastron SDM630"),
	with(Model{Name: "pzem004t", Part: "Peacefair PZEM-004T v3", Buses: modbusLine, Addressing: ByUnit, Address: pzem.AnyAddress}, struct{}{}, openPZEM),
	with(Model{Name: "s8", Part: "Senseair S8", Buses: modbusLine, Addressing: ByUnit, Address: s8.AnyAddress}, struct{}{}, openS8),
	with(Model{Name: "sunspec", Part: "SunSpec device", Buses: modbusLine, Addressing: ByUnit, Address: 1}, sunspecSettings{}, openSunSpec),
	with(Model{Name: "modbus", Part: "Modbus meter", Buses: modbusLine, Addressing: ByUnit, Address: 1}, genericSettings{}, openGeneric),
	with(Model{Name: "dsmr", Part: "DSMR P1 port", Buses: serialLine, Mode: "115200 8N1", Capture: CaptureText}, struct{}{}, openDSMR),
	with(Model{Name: "sml", Part: "SML meter", Buses: serialLine}, struct{}{}, openSML),
	with(Model{Name: "iec62056", Part: "IEC 62056-21 meter", Buses: serialLine, Mode: "300 7E1", Capture: CaptureText}, iecSettings{}, openIEC),
	with(Model{Name: "s0", Part: "S0 pulse output", Buses: []BusKind{BusGPIO}, Addressing: ByPin}, pulseSettings{}, openPulse),
	inaModel("ina219", "Texas Instruments INA219"),
	inaModel("ina226", "Texas Instruments INA226"),
	inaModel("ina228", "Texas Instruments INA228"),
	with(Model{Name: "atm90e32", Part: "Microchip ATM90E32AS", Buses: []BusKind{BusSPI}}, atmSettings{LineHz: 50}, openATM),
	with(Model{Name: "sps30", Part: "Sensirion SPS30", Buses: []BusKind{BusSerial, BusI2C}, Addressing: ByI2C, Address: sps30.Address, Mode: "115200 8N1"}, struct{}{}, openSPS30),
	pmsModel("pms5003", "Plantower PMS5003"),
	pmsModel("pms7003", "Plantower PMS7003"),
	with(Model{Name: "mhz19b", Part: "Winsen MH-Z19B", Buses: serialLine}, mhzSettings{}, openMHZ19),
	with(Model{Name: "bme280", Part: "Bosch Sensortec BME280", Buses: i2cBus, Addressing: ByI2C, Address: bme280.Address}, struct{}{}, openBME280),
	with(Model{Name: "scd30", Part: "Sensirion SCD30", Buses: i2cBus, Addressing: ByI2C, Address: scd30.Address}, struct{}{}, openSCD30),
	scd4xModel("scd40", "Sensirion SCD40"),
	scd4xModel("scd41", "Sensirion SCD41"),
)

// index makes the table of models, each with what its zero fields stand for.
func index(models ...Model) map[string]Model {
	table := make(map[string]Model, len(models))
	for _, m := range models {
		if m.Capture == "" {
			m.Capture = CaptureHex
		}
		table[m.Name] = m
	}
	return table
}

// lined are settings on which it depends how a serial line is set.
type lined interface {
	// usualMode returns the mode, empty for the model's.
	usualMode() string
}

// channelSettings are the keys of parts that can read less than everything.
type channelSettings struct {
	Channels []string `toml:"channels"` // what to read; empty is all
}

func sdmModel(name, part string) Model {
	return with(Model{Name: name, Part: part, Buses: modbusLine, Addressing: ByUnit, Address: 1}, channelSettings{},
		func(at site, set *channelSettings) (hardware.Device, error) {
			return sdm.NewModbus(at.modbus(), at.unit(), &sdm.Opts{Model: name, Channels: set.Channels, Now: at.now})
		})
}

func openPZEM(at site, _ *struct{}) (hardware.Device, error) {
	return pzem.NewModbus(at.modbus(), at.unit(), &pzem.Opts{Now: at.now})
}

func openS8(at site, _ *struct{}) (hardware.Device, error) {
	return s8.NewModbus(at.modbus(), at.unit(), &s8.Opts{Now: at.now})
}

// inaSettings are the keys of a shunt monitor.
type inaSettings struct {
	Shunt Positive `toml:"shunt_ohm"` // resistance of the shunt; without it there is no current
}

func inaModel(name, part string) Model {
	return with(Model{Name: name, Part: part, Buses: i2cBus, Addressing: ByI2C, Address: ina2xx.Address}, inaSettings{},
		func(at site, set *inaSettings) (hardware.Device, error) {
			opts := &ina2xx.Opts{Model: name, Now: at.now}
			if set.Shunt != (Positive{}) {
				shunt, err := ina2xx.ParseShunt(set.Shunt.String())
				if err != nil {
					return nil, fmt.Errorf("shunt_ohm: %w", err)
				}
				opts.Shunt = shunt
			}
			return ina2xx.NewI2C(at.i2c(), at.address, opts)
		})
}

func openBME280(at site, _ *struct{}) (hardware.Device, error) {
	return bme280.NewI2C(at.i2c(), at.address, &bme280.Opts{Now: at.now})
}

// sunspecSettings are the keys of a SunSpec device.
type sunspecSettings struct {
	Models []uint16 `toml:"models"` // those to read; empty is all that are known
}

func openSunSpec(at site, set *sunspecSettings) (hardware.Device, error) {
	return sunspec.NewModbus(at.modbus(), at.unit(), &sunspec.Opts{Models: set.Models, Now: at.now})
}

// genericSettings are the keys of a meter that the configuration describes.
type genericSettings struct {
	Part     string          `toml:"part"` // what the meter is, for people
	Channels []modbusChannel `toml:"channel"`
	Block    int             `toml:"block"` // the most registers in one request
	Exact    bool            `toml:"exact"` // ask for no register that no channel names
}

// modbusChannel is [[device.channel]]; on the command line
// NAME:UNIT:KIND:TABLE:ADDRESS:TYPE[:EXPONENT].
type modbusChannel struct {
	Name     string `toml:"name"`
	Unit     string `toml:"unit"`
	Kind     string `toml:"kind"`
	Table    string `toml:"table"`
	Address  uint16 `toml:"address"` // of the first register
	Type     string `toml:"type"`
	Exponent int8   `toml:"exponent"` // one step is 10^exponent units
}

// UnmarshalText reads the form of the command line.
func (c *modbusChannel) UnmarshalText(text []byte) error {
	p, err := generic.ParseChannel(string(text))
	if err != nil {
		return err
	}
	*c = modbusChannel{p.Name, string(p.Unit), p.Kind.String(), p.Table.String(), p.Address, string(p.Type), p.Exponent}
	return nil
}

func openGeneric(at site, set *genericSettings) (hardware.Device, error) {
	opts := &generic.Opts{Part: set.Part, Block: set.Block, Exact: set.Exact, Now: at.now}
	for _, c := range set.Channels {
		kind, err := generic.ParseKind(c.Kind)
		if err != nil {
			return nil, fmt.Errorf("channel %q: %w", c.Name, err)
		}
		table, err := generic.ParseTable(c.Table)
		if err != nil {
			return nil, fmt.Errorf("channel %q: %w", c.Name, err)
		}
		opts.Channels = append(opts.Channels, generic.Channel{
			Name: c.Name, Unit: hardware.Unit(c.Unit), Kind: kind, Table: table, Address: c.Address, Type: generic.Type(c.Type), Exponent: c.Exponent,
		})
	}
	return generic.NewModbus(at.modbus(), at.unit(), opts)
}

func openDSMR(at site, _ *struct{}) (hardware.Device, error) {
	return dsmr.NewSerial(at.stream(), &dsmr.Opts{Now: at.now})
}

func openSML(at site, _ *struct{}) (hardware.Device, error) {
	return sml.NewSerial(at.stream(), &sml.Opts{Now: at.now})
}

// iecSettings are the keys of a meter of IEC 62056-21.
type iecSettings struct {
	Push         bool   `toml:"push"`          // it speaks unasked (mode D), else it is asked (mode C)
	MeterAddress string `toml:"meter_address"` // in mode C; empty asks whatever meter is there
}

// usualMode is how the line is set to a meter that pushes: at the 9600 baud of those that
// are met, which scan listens at. The 2400 baud that IEC 62056-21 has for mode D must be
// said. In mode C a line starts as the model says.
func (s *iecSettings) usualMode() string {
	if s.Push {
		return "9600 7E1"
	}
	return ""
}

func openIEC(at site, set *iecSettings) (hardware.Device, error) {
	return iec62056.NewSerial(at.stream(), &iec62056.Opts{Push: set.Push, Address: set.MeterAddress, Now: at.now})
}

// atmSettings are the keys of an ATM90E32.
type atmSettings struct {
	LineHz        int      `toml:"line_hz"`
	VoltageGain   []uint16 `toml:"voltage_gain"` // words of the gain registers of the three phases
	CurrentGain   []uint16 `toml:"current_gain"`
	Amplification int      `toml:"amplification"` // of the current inputs: 1, 2 or 4
}

func openATM(at site, set *atmSettings) (hardware.Device, error) {
	opts := &atm90e32.Opts{LineHz: set.LineHz, Amplification: set.Amplification, Now: at.now}
	for _, gain := range []struct {
		key  string
		from []uint16
		to   *[3]uint16
	}{{"voltage_gain", set.VoltageGain, &opts.VoltageGain}, {"current_gain", set.CurrentGain, &opts.CurrentGain}} {
		if len(gain.from) != 0 && len(gain.from) != len(gain.to) {
			return nil, fmt.Errorf("%s: %d words, where the part has three phases", gain.key, len(gain.from))
		}
		copy(gain.to[:], gain.from)
	}
	return atm90e32.NewSPI(at.spi(), opts)
}

func openSPS30(at site, _ *struct{}) (hardware.Device, error) {
	if at.kind == BusI2C {
		return sps30.NewI2C(at.i2c(), at.address, &sps30.Opts{Now: at.now})
	}
	return sps30.NewSerial(at.stream(), &sps30.Opts{Now: at.now})
}

func pmsModel(name, part string) Model {
	return with(Model{Name: name, Part: part, Buses: serialLine}, struct{}{}, func(at site, _ *struct{}) (hardware.Device, error) {
		return pms.NewSerial(at.stream(), &pms.Opts{Model: name, Now: at.now})
	})
}

// mhzSettings are the keys of an MH-Z19B.
type mhzSettings struct {
	Range int `toml:"range_ppm"` // 2000 or 5000, as it was ordered
}

func openMHZ19(at site, set *mhzSettings) (hardware.Device, error) {
	return mhz19.NewSerial(at.stream(), &mhz19.Opts{Range: set.Range, Now: at.now})
}

// pulseSettings are the keys of a pulse input.
type pulseSettings struct {
	Pin          string   `toml:"pin"`            // "GPIO17", or "pin 11" of the header
	PulsesPerKWh Positive `toml:"pulses_per_kwh"` // as on the meter's label; without it pulses are counted
	Energy       string   `toml:"energy"`         // the channel that the energy belongs to
	ActiveHigh   bool     `toml:"active_high"`    // the output drives the line up when it closes
	ExternalBias bool     `toml:"external_bias"`  // the circuit has a resistor of its own
}

// pinned are settings that name pins of the header.
type pinned interface {
	// lines returns the GPIO lines of the pins.
	lines(b *board.Board) ([]int, error)
}

func (s *pulseSettings) lines(b *board.Board) ([]int, error) {
	pin, err := b.ParsePin(s.Pin)
	if err != nil {
		return nil, err
	}
	return []int{pin.Line}, nil
}

func openPulse(at site, set *pulseSettings) (hardware.Device, error) {
	if at.recorded {
		return nil, errors.New("s0 sends pulses: it has no frames to decode")
	}
	if at.board == nil {
		return nil, errors.New("this machine is no board that is known: set gateway.board")
	}
	pin, err := at.board.ParsePin(set.Pin)
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	opts := &pulse.Opts{Energy: set.Energy, Now: at.now}
	if set.PulsesPerKWh != (Positive{}) {
		opts.PulsesPerKWh = set.PulsesPerKWh.String()
	}
	return pulse.New(pulse.NewGPIO(pulse.GPIO{Chip: at.board.GPIOChip, Line: pin.Line, ActiveHigh: set.ActiveHigh, ExternalBias: set.ExternalBias}), opts)
}

func openSCD30(at site, _ *struct{}) (hardware.Device, error) {
	return scd30.NewI2C(at.i2c(), at.address, &scd30.Opts{Now: at.now})
}

// scd4xSettings are the keys of an SCD40 or SCD41.
type scd4xSettings struct {
	SelfCalibration bool `toml:"self_calibration"` // only where the air is fresh once a week
}

func scd4xModel(name, part string) Model {
	return with(Model{Name: name, Part: part, Buses: i2cBus, Addressing: ByI2C, Address: scd4x.Address}, scd4xSettings{},
		func(at site, set *scd4xSettings) (hardware.Device, error) {
			return scd4x.NewI2C(at.i2c(), at.address, &scd4x.Opts{
				Model: name, SelfCalibration: set.SelfCalibration, Settings: at.recorded, Now: at.now,
			})
		})
}

// Models returns the names of the models that a gateway can read, sorted.
func Models() []string { return slices.Sorted(maps.Keys(catalog)) }

// LookupModel returns the named model, or an error that names the nearest.
func LookupModel(name string) (Model, error) {
	m, ok := catalog[name]
	if ok {
		return m, nil
	}
	if near := Nearest(name, Models()); near != "" {
		return m, fmt.Errorf("unknown model %q; did you mean %q?", name, near)
	}
	return m, fmt.Errorf("unknown model %q: the models are %s", name, strings.Join(Models(), ", "))
}

// On reports whether the model can be on a bus of that kind.
func (m Model) On(kind BusKind) bool { return slices.Contains(m.Buses, kind) }

// Keys returns the keys of [[device]] that are this model's own, sorted.
func (m Model) Keys() []string { return settings.KeysOf(m.settings()) }

// Settings returns what keys of [[device]] come to, with their values as text, in the form
// that a [Device] takes. A key may stand more than once if it is a list.
func (m Model) Settings(given []Setting) (any, error) {
	s := m.settings()
	return s, settings.SetAll(s, given)
}

// Decoder returns the model's driver on no bus: it is a hardware.Decoder, and a
// hardware.RegisterDecoder where the part has registers. The settings are keys of
// [[device]] with their values as text; a key may stand more than once if it is a
// list.
func (m Model) Decoder(given []Setting) (hardware.Device, error) {
	s, err := m.Settings(given)
	if err != nil {
		return nil, err
	}
	d, err := m.open(site{model: m.Name, address: m.Address, recorded: true}, s)
	if err != nil {
		return nil, err
	}
	if _, ok := d.(hardware.Decoder); !ok {
		return nil, fmt.Errorf("%s has no frames to decode", m.Name)
	}
	return d, nil
}

// on returns the model as it is on a bus of that kind: what has an address on I2C has
// a serial line for itself.
func (m Model) on(kind BusKind) Model {
	if kind == BusSerial && m.On(kind) && m.Addressing == ByI2C {
		m.Addressing, m.Address = Alone, 0
	}
	return m
}

// checkAddress refuses an address that the model cannot have.
func (m Model) checkAddress(address uint16) error {
	switch {
	case m.Addressing == ByUnit && (address < 1 || address > 247) && address != m.Address:
		return fmt.Errorf("unit %d is not within 1 to 247", address)
	case m.Addressing == ByI2C && (address < 0x08 || address > 0x77):
		return fmt.Errorf("I2C address %#02x is not within 0x08 to 0x77", address)
	case (m.Addressing == Alone || m.Addressing == ByPin) && address != 0:
		return errors.New("the model has no address")
	}
	return nil
}

// Open returns the driver of d on its bus, which it does not touch yet.
func (d *Device) Open(b *bus.Bus, now hardware.Clock) (hardware.Device, error) {
	m, err := LookupModel(d.Model)
	if err != nil {
		return nil, err
	}
	m = m.on(d.BusKind)
	address := d.Address
	if address == 0 {
		address = m.Address
	}
	if err := m.checkAddress(address); err != nil {
		return nil, err
	}
	settings := d.Settings
	if settings == nil {
		settings = m.settings()
	}
	return m.open(site{model: m.Name, bus: b, kind: d.BusKind, address: address, board: d.Board, now: now}, settings)
}
