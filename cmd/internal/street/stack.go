package street

import "wattmark/hardware/emulated"

// The stack model: the flue of a bakery's oven, diluted with air to what the two
// sensors can measure. The burner runs once in each cycle of 20 minutes, for 5 to
// 12 minutes; CO2 rises when it starts and falls when it stops.
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
	}
}

// Addresses of the stack's sensors, which cannot be changed.
const (
	scd41Address = 0x62
	scd30Address = 0x61
)

// stack is the I2C bus with the two sensors on it.
type stack struct {
	bus   *emulated.Bus
	scd41 *emulated.SCD4x
	scd30 *emulated.SCD30
}

func newStack(seed uint64, c *Clock) *stack {
	k := &stack{
		bus:   emulated.NewBus(stackName),
		scd41: emulated.NewSCD4x(hash(seed, drawSerial, stackMeter), c.Monotonic),
		scd30: emulated.NewSCD30(c.Monotonic),
	}
	k.bus.Attach(scd41Address, k.scd41)
	k.bus.Attach(scd30Address, k.scd30)
	return k
}

// show makes the sensors measure a. The SCD30 sits further up, where it is a
// little cooler and more diluted.
func (k *stack) show(a Air) {
	k.scd41.Set(a.emulated())
	a.CO2 -= a.CO2 / 60
	a.Temperature -= 80
	a.Humidity += 120
	k.scd30.Set(a.emulated())
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
