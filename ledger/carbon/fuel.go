package carbon

import (
	"math/big"

	"wattmark/ledger/unit"
)

// BuiltinPack is the pack of fuel factors that this package carries, under the name
// that results give it: 40 CFR 98 tables C-1 and C-2, as amended at 81 FR 89188.
const BuiltinPack = "builtin-1"

// builtin is HHV in mmBtu per unit, and CO2, CH4 and N2O in kg per mmBtu.
var builtin = []struct{ fuel, hhv, per, co2, ch4, n2o string }{
	{"natural_gas", "0.001026", "scf", "53.06", "0.001", "0.0001"},
	{"distillate_2", "0.138", "gal", "73.96", "0.003", "0.0006"},
	{"residual_6", "0.150", "gal", "75.10", "0.003", "0.0006"},
	{"propane", "0.091", "gal", "62.87", "0.003", "0.0006"},
	{"gasoline", "0.125", "gal", "70.22", "0.003", "0.0006"},
	{"subbituminous", "17.25", "short_ton", "97.17", "0.011", "0.0016"},
	{"lignite", "14.21", "short_ton", "97.72", "0.011", "0.0016"},
	{"anthracite", "25.09", "short_ton", "103.69", "0.011", "0.0016"},
	{"bituminous", "24.93", "short_ton", "93.28", "0.011", "0.0016"},
	{"petcoke", "30.00", "short_ton", "102.41", "0.003", "0.0006"},
}

// Factor is how much of a gas comes with a unit of energy or of fuel.
type Factor struct {
	Gas string
	Amount
}

// BuiltinFuel returns heating value and factors of a fuel of [BuiltinPack].
func BuiltinFuel(name string) (hhv Amount, factors []Factor, ok bool) {
	for _, f := range builtin {
		if f.fuel != name {
			continue
		}
		per := mustMeasure("kg/mmBtu")
		return Amount{rat(f.hhv), mustMeasure("mmBtu/" + f.per)}, []Factor{
			{"CO2", Amount{rat(f.co2), per}}, {"CH4", Amount{rat(f.ch4), per}}, {"N2O", Amount{rat(f.n2o), per}},
		}, true
	}
	return Amount{}, nil, false
}

func mustMeasure(name string) Measure {
	m, err := ParseMeasure(name)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return m
}

// Fuel is fuel that a meter or a bill says was burned.
type Fuel struct {
	// Quantity is energy, or a mass, volume or scf of fuel.
	Quantity Amount
	// HHV is the higher heating value, energy per unit of the quantity; nil where the
	// quantity is energy or no factor is per energy.
	HHV *Amount
	// Factors are masses per energy, or per unit of the quantity, one a gas.
	Factors []Factor
	// Biogenic keeps CO2 apart from all totals.
	Biogenic bool
}

// Burned is what a fuel comes to.
type Burned struct {
	// EnergyMMBtu is nil where nothing says how much energy it is.
	EnergyMMBtu *big.Rat
	Gases       Gases
	BiogenicCO2 unit.Mass
}

// Burn returns quantity x HHV x factor for each gas, rounded half to mg. Its errors
// are a [Fault] with the field of the [Fuel] in lower case, or [unit.ErrOverflow].
func (f Fuel) Burn() (Burned, error) {
	var joule *big.Rat // the energy
	of := f.Quantity.Unit.of.dimension
	switch {
	case f.Quantity.Unit.per.dimension != none:
		return Burned{}, faultf("quantity.unit", "%s is no quantity of fuel", f.Quantity.Unit)
	case f.Quantity.Value.Sign() < 0:
		return Burned{}, faultf("quantity.value", "below zero")
	case of == energy:
		joule = f.Quantity.base()
		if f.HHV != nil {
			return Burned{}, faultf("hhv", "does not belong to a quantity in %s", f.Quantity.Unit)
		}
	case f.HHV != nil:
		if !f.HHV.Unit.is(energy, of) {
			return Burned{}, faultf("hhv.unit", "%s does not go with a quantity in %s", f.HHV.Unit, f.Quantity.Unit)
		}
		if f.HHV.Value.Sign() < 0 {
			return Burned{}, faultf("hhv.value", "below zero")
		}
		joule = mul(f.Quantity.base(), f.HHV.base())
	}
	b := Burned{EnergyMMBtu: div(joule, joulePerMMBtu)}
	for i, factor := range f.Factors {
		kg, err := f.emitted(factor, joule)
		if err != nil {
			return Burned{}, inList("factors", i, err)
		}
		m, err := bookMass(kg)
		switch {
		case err != nil:
		case f.Biogenic && factor.Gas == "CO2":
			b.BiogenicCO2 = m
		default:
			err = b.Gases.Add(factor.Gas, m)
		}
		if err != nil {
			return Burned{}, err
		}
	}
	return b, nil
}

// emitted returns kg of a factor's gas.
func (f Fuel) emitted(factor Factor, joule *big.Rat) (*big.Rat, error) {
	switch {
	case factor.Value.Sign() < 0:
		return nil, faultf("value", "below zero")
	case factor.Unit.is(mass, f.Quantity.Unit.of.dimension):
		return mul(f.Quantity.base(), factor.base()), nil
	case !factor.Unit.is(mass, energy):
		return nil, faultf("unit", "%s is no mass per energy or per %s", factor.Unit, f.Quantity.Unit)
	case joule == nil:
		return nil, faultf("unit", "%s needs a heating value (hhv)", factor.Unit)
	}
	return mul(joule, factor.base()), nil
}

// Molar volumes for carbon in gas, in scf per kg-mol: 40 CFR 98.33(a)(3)(iii),
// equation C-5; that at 68 F as in 98.163 too, that at 60 F from general knowledge.
var molarVolumes = []struct {
	state string
	mvc   *big.Rat
}{
	{"68F", rat("849.5")},
	{"60F", rat("836.6")},
}

// Carbon is fuel whose carbon content was analysed: 40 CFR 98.33(a)(3), equations
// C-3 to C-5.
type Carbon struct {
	// Phase is solid, liquid or gas, and decides what Quantity is counted in:
	// short_ton, gal or scf.
	Phase    string
	Quantity Amount
	// Content is kg of carbon per kg of a solid or gas, per gal of a liquid.
	Content *big.Rat
	// MolarMass in kg/kg-mol and State, 68F or 60F, are for gas alone.
	MolarMass *big.Rat
	State     string
	Biogenic  bool
}

// Burn returns the CO2, rounded half to mg. Its errors are a [Fault] with the field
// as emissions files name it, or [unit.ErrOverflow].
func (c Carbon) Burn() (Burned, error) {
	var in string
	var perUnit *big.Rat // tonnes of carbon in a unit of the quantity
	switch c.Phase {
	case "solid": // 0.91 metric tons are a short ton, as the equation rounds it
		in, perUnit = "short_ton", mul(c.Content, rat("0.91"))
	case "liquid":
		in, perUnit = "gal", mul(c.Content, rat("0.001"))
	case "gas":
		in = "scf"
		for _, v := range molarVolumes {
			if v.state == c.State {
				perUnit = mul(c.Content, div(c.MolarMass, v.mvc), rat("0.001"))
			}
		}
		if perUnit == nil {
			return Burned{}, faultf("mvc_state", "%s is not one of 68F, 60F", quote(c.State))
		}
		if c.MolarMass.Sign() < 0 {
			return Burned{}, faultf("mw", "below zero")
		}
	default:
		return Burned{}, faultf("phase", "%s is not one of solid, liquid, gas", quote(c.Phase))
	}
	switch {
	case c.Quantity.Unit.String() != in:
		return Burned{}, faultf("quantity.unit", "want %s for a %s", in, c.Phase)
	case c.Quantity.Value.Sign() < 0:
		return Burned{}, faultf("quantity.value", "below zero")
	case c.Content.Sign() < 0:
		return Burned{}, faultf("carbon", "below zero")
	case c.Phase != "liquid" && c.Content.Cmp(one) > 0:
		return Burned{}, faultf("carbon", "more than 1 kg in a kg")
	}
	m, err := bookMass(mul(carbonToCO, c.Quantity.Value, perUnit, rat("1000")))
	switch {
	case err != nil:
		return Burned{}, err
	case c.Biogenic:
		return Burned{BiogenicCO2: m}, nil
	}
	return Burned{Gases: Gases{{"CO2", m}}}, nil
}

// inList places a fault of an element of a list.
func inList(list string, i int, err error) error {
	if f, ok := err.(*Fault); ok {
		return faultf(list+indexText(i)+"."+f.Field, "%s", f.Reason)
	}
	return err
}
