package street

import "math"

// Electrical is what a meter shows beside its registers.
type Electrical struct {
	Phases    int      // 1 or 3
	Voltage   [3]int64 // mV, of each phase to neutral
	Current   [3]int64 // mA
	Power     [3]int64 // mW, positive from the grid
	Apparent  [3]int64 // mVA
	Reactive  [3]int64 // mvar
	Factor    [3]int64 // power factor in thousandths, with the sign of Power
	Frequency int64    // mHz
}

// TotalPower returns the power of all phases in mW, positive from the grid.
func (e *Electrical) TotalPower() int64 { return e.Power[0] + e.Power[1] + e.Power[2] }

// electrical invents what belongs to a power of mW: voltages that wander and
// sag, or rise, with the current; unequal phases; one frequency for all.
func electrical(seed, meter uint64, phases int, power, ms int64) Electrical {
	e := Electrical{Phases: phases, Frequency: 50_000 + wander(35, ms, 20_000, seed, drawFrequency)}
	share := [3]int64{1000}
	if phases == 3 {
		a := within(350, 500, hash(seed, drawPhase, meter))
		b := within(250, 350, hash(seed, drawPhase, meter, 1))
		share = [3]int64{a, b, 1000 - a - b}
	}
	left := power
	for i := range phases {
		p := power * share[i] / 1000
		if i == phases-1 {
			p = left // the phases' sum is the whole
		}
		left -= p
		e.phase(i, p, within(940, 995, hash(seed, drawPhase, meter, 2)))
		v := 230_000 + wander(2_500, ms, 30_000, seed, drawVoltage, uint64(i)) // the street's
		v += wander(350, ms, 2_000, seed, drawFlicker, meter, uint64(i))       // the home's own
		v -= min(max(p/1530, -6_000), 6_000)                                   // 0.15 ohm of cable at 230 V; at most 6 V
		e.Voltage[i] = v
		e.Current[i] = e.Apparent[i] * 1000 / v
	}
	return e
}

// phase fills in what follows from a phase's power and its power factor, in
// thousandths.
func (e *Electrical) phase(i int, power, factor int64) {
	e.Power[i] = power
	e.Apparent[i] = max(power, -power) * 1000 / factor
	e.Reactive[i] = e.Apparent[i] * sine(factor) / 1000
	e.Factor[i] = factor
	if power < 0 {
		e.Factor[i] = -factor
	}
}

// sine turns the cosine of an angle into its sine, both in thousandths. The square
// root of a whole number is the same on every machine.
func sine(cosine int64) int64 {
	return int64(math.Sqrt(float64(1_000_000 - cosine*cosine)))
}
