package street

import (
	"errors"
	"fmt"

	"wattmark/hardware/emulated"
	"wattmark/ledger/entry"
)

// The stack model: the flue of a bakery's oven, diluted with air to what the two
// sensors can measure. The burner runs once in each cycle of 20 minutes, for 5 to
// 12 minutes; CO2 rises when it starts and falls when it stops. A fan draws at all times,
// and harder while the burner runs.
const (
	cycleMilli   = 20 * 60_000
	riseMilli    = 3 * 60_000
	fallMilli    = 5 * 60_000
	coolMilli    = 7 * 60_000 // ends within the cycle
	ambientPPM   = 430
	ambientCenti = 2200 // hundredths of a degree
)

// Air is what the stack's sensors are in.
type Air struct {
	CO2         int64 // ppm
	Temperature int64 // hundredths of a degree Celsius
	Humidity    int64 // hundredths of a per cent, relative
	Velocity    int64 // mm/s, in the duct
	Pressure    int64 // Pa, in the duct
}

// air is the stack at a time, a pure function of it.
func air(seed uint64, ms int64) Air {
	cycle := floorDiv(ms, cycleMilli)
	in := ms - cycle*cycleMilli
	draw := hash(seed, drawBurner, uint64(cycle))
	burns := within(5*60_000, 12*60_000, draw)
	height := within(1200, 2600, draw>>20)

	// Heat comes a minute after smoke and stays longer.
	smoke := hump(in, burns, riseMilli, fallMilli)
	heat := hump(in-60_000, burns-60_000, riseMilli, coolMilli)
	co2 := ambientPPM + height*smoke/1000 + wander(15, ms, 20_000, seed, drawSmoke)
	return Air{
		CO2:         co2,
		Temperature: ambientCenti + 2300*heat/1000 + wander(20, ms, 60_000, seed, drawAir),
		Humidity:    4500 - 2200*heat/1000 + wander(60, ms, 60_000, seed, drawAir, 1),
		Velocity:    3200 + 4600*smoke/1000 + wander(180, ms, 15_000, seed, drawDraught),
		Pressure:    100_900 - 120*smoke/1000 + wander(300, ms, 3600_000, seed, drawDraught, 1) + wander(12, ms, 15_000, seed, drawDraught, 2),
	}
}

// Addresses of the stack's parts. Those of the sensors cannot be changed.
const (
	scd41Address = 0x62
	scd30Address = 0x61
	flowUnit     = 1
)

// stack is the I2C bus with the two sensors on it, and the line with the flow meter.
type stack struct {
	bus      *emulated.Bus
	scd41    *emulated.SCD4x
	scd30    *emulated.SCD30
	terminal *emulated.Terminal
	flow     *emulated.Map
}

func newStack(seed uint64, c *Clock) (*stack, error) {
	terminal, err := emulated.OpenLine()
	if err != nil {
		return nil, fmt.Errorf("opening the line of %s: %w", stackName, err)
	}
	k := &stack{
		bus:      emulated.NewBus(stackName),
		scd41:    emulated.NewSCD4x(hash(seed, drawSerial, stackMeter), c.Monotonic),
		scd30:    emulated.NewSCD30(c.Monotonic),
		terminal: terminal,
		flow:     emulated.NewMap(flowRegisters, true),
	}
	k.bus.Attach(scd41Address, k.scd41)
	k.bus.Attach(scd30Address, k.scd30)
	terminal.Attach(flowUnit, k.flow)
	return k, nil
}

// The flow meter is an insertion meter of the usual sort, read as any Modbus part whose
// registers its maker lists: three integers among the input registers.
const (
	flowVelocity    = 0 // u16, mm/s
	flowTemperature = 1 // i16, hundredths of a degree Celsius
	flowPressure    = 2 // u32, Pa
	flowRegisters   = 4
)

// flowChannels are the flow meter's registers, as NAME:UNIT:KIND:TABLE:ADDRESS:TYPE[:EXPONENT].
var flowChannels = []string{
	"gas_velocity:m/s:gauge:input:0:u16:-3",
	"temperature:Cel:gauge:input:1:i16:-2",
	"pressure:Pa:gauge:input:2:u32",
}

// Mass is how a gateway makes a mass of CO2 of what parts in a duct say: by concentration,
// velocity, temperature and pressure, each as "device.channel". Concentration and velocity
// are both of the gas as it flows, moist and at its own temperature and pressure: the mole
// fraction that a sensor in the duct measures is the wet one, and so no moisture is needed.
type Mass struct {
	Name, Subject                        string // of the derived device, and its metering point
	CO2, Velocity, Temperature, Pressure string
	Area                                 entry.Decimal // of the duct, in m2
	Background                           entry.Decimal // of the air around, in ppm
	Uncertainty                          entry.Decimal // of the flow, as a share of it (k = 2)
}

// StackMass is the channel of the stack's mass of CO2, a register in kg.
const StackMass = massDevice + ".co2_mass"

const massDevice = "flue"

// mass is the bakery's duct: 0.8 m across.
func mass(subject string) *Mass {
	return &Mass{
		Name: massDevice, Subject: subject,
		CO2: "scd41.co2", Velocity: "flow.gas_velocity", Temperature: "flow.temperature", Pressure: "flow.pressure",
		Area:        entry.Decimal{Mantissa: 5, Exponent: -1},
		Background:  entry.Int(ambientPPM + 20), // the air around wanders by 15
		Uncertainty: entry.Decimal{Mantissa: 6, Exponent: -2},
	}
}

// show makes the sensors measure a. The SCD30 sits further up, where it is a
// little cooler and more diluted.
func (k *stack) show(a Air) {
	k.scd41.Set(a.emulated())
	k.flow.SetInput(flowVelocity, uint16(a.Velocity), uint16(int16(a.Temperature)), uint16(a.Pressure>>16), uint16(a.Pressure))
	a.CO2 -= a.CO2 / 60
	a.Temperature -= 80
	a.Humidity += 120
	k.scd30.Set(a.emulated())
}

func (k *stack) close() error {
	return errors.Join(k.bus.Close(), k.terminal.Close())
}

func (a Air) emulated() emulated.Air {
	return emulated.Air{CO2: float64(a.CO2), Temperature: float64(a.Temperature) / 100, Humidity: float64(a.Humidity) / 100}
}

// hump is in thousandths: it rises from 0 during rise, which is shorter than burns, stays
// until burns, and is back at 0 after fall.
func hump(in, burns, rise, fall int64) int64 {
	switch {
	case in <= 0:
		return 0
	case in < rise:
		return smooth(in, rise)
	case in < burns:
		return 1000
	case in < burns+fall:
		return 1000 - smooth(in-burns, fall)
	}
	return 0
}

// smooth goes from 0 at x = 0 to 1000 at x = of, level at both ends.
func smooth(x, of int64) int64 {
	u := 1000 * x / of
	return u * u * (3000 - 2*u) / 1_000_000
}
