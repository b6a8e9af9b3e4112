package carbon

import (
	"math/big"
	"slices"
	"strings"

	"wattmark/ledger/unit"
)

// equation is a formula for what a stack monitor measured. Names of inputs carry
// unit and basis, so that a wet value cannot slip into a dry formula.
type equation struct {
	name   string
	inputs []string
	unit   string
	places int
	// gas is what a mass rate is a mass of; byGas where the caller says which, whose K
	// is then passed to the formula.
	gas     string
	mass    bool // a rate of mass, which operating time turns into a mass
	diluent bool // a diluent cap may be given
	formula func(in []*big.Rat, k *big.Rat) *big.Rat
}

const byGas = "by gas"

// Conversion factors K, in lb per scf per ppm, by gas: 40 CFR 75 appendix F, for SO2
// section 2.1 and for NOx section 3; CO is its molar mass over 385.3 scf/lb-mol.
var gasFactors = []struct {
	gas string
	k   *big.Rat
}{
	{"SO2", rat("0.0000001660")},
	{"NOx", rat("0.0000001194")},
	{"CO", div(rat("28.01"), rat("385300000"))},
}

func gasFactor(gas string) *big.Rat {
	for _, f := range gasFactors {
		if f.gas == gas {
			return f.k
		}
	}
	return nil
}

// Constants of the formulas.
var (
	zero       = new(big.Rat)
	one        = rat("1")
	hundred    = rat("100")
	air        = rat("20.9") // O2 in air, percent, as the methods round it
	kCO2       = rat("0.00000057")
	g4Divisor  = rat("770000") // 385 scf/lb-mol as G-4 prints it, times 2000 lb
	carbonToCO = div(rat("44"), rat("12"))
)

// dryShare is (100-m)/100, the dry part of a wet flow.
func dryShare(m *big.Rat) *big.Rat { return div(sub(hundred, m), hundred) }

// equations are those of 40 CFR 75 appendices D, F and G and of method 19 (40 CFR 60
// appendix A-7), by the names the regulations give them. "F-2" is the regulator's
// code for CO2 on a dry basis too, hence F-2/CO2.
var equations = []equation{
	{name: "F-1", inputs: []string{"so2_ppm_wet", "flow_scfh_wet"}, unit: "lb/h", places: 1, gas: "SO2", mass: true, formula: wetMass},
	{name: "F-26A", inputs: []string{"nox_ppm_wet", "flow_scfh_wet"}, unit: "lb/h", places: 1, gas: "NOx", mass: true, formula: wetMass},
	{name: "F-2", inputs: []string{"so2_ppm_dry", "flow_scfh_wet", "h2o_pct"}, unit: "lb/h", places: 1, gas: "SO2", mass: true, formula: dryMass},
	{name: "F-26B", inputs: []string{"nox_ppm_dry", "flow_scfh_wet", "h2o_pct"}, unit: "lb/h", places: 1, gas: "NOx", mass: true, formula: dryMass},
	{name: "F-11", inputs: []string{"co2_pct_wet", "flow_scfh_wet"}, unit: "short_ton/h", places: 1, gas: "CO2", mass: true,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat { return mul(kCO2, in[0], in[1]) }},
	{name: "F-2/CO2", inputs: []string{"co2_pct_dry", "flow_scfh_wet", "h2o_pct"}, unit: "short_ton/h", places: 1, gas: "CO2", mass: true,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat { return mul(kCO2, in[0], in[1], dryShare(in[2])) }},
	{name: "F-24A", inputs: []string{"nox_lb_mmbtu", "heat_input_mmbtu_h"}, unit: "lb/h", places: 1, gas: "NOx", mass: true,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat { return mul(in[0], in[1]) }},
	{name: "F-14A", inputs: []string{"o2_pct_dry", "fc", "fd"}, unit: "pct", places: 1,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat {
			return atLeast(mul(hundred, div(in[1], in[2]), div(sub(air, in[0]), air)), zero)
		}},
	{name: "F-14B", inputs: []string{"o2_pct_wet", "h2o_pct", "fc", "fd"}, unit: "pct", places: 1,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat {
			return atLeast(mul(div(hundred, air), div(in[2], in[3]), sub(mul(air, dryShare(in[1])), in[0])), zero)
		}},
	{name: "F-15", inputs: []string{"flow_scfh_wet", "co2_pct_wet", "fc"}, unit: "mmBtu/h", places: 1,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat { return div(mul(in[0], in[1]), mul(hundred, in[2])) }},
	{name: "F-16", inputs: []string{"flow_scfh_wet", "co2_pct_dry", "h2o_pct", "fc"}, unit: "mmBtu/h", places: 1,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat {
			return div(mul(in[0], sub(hundred, in[2]), in[1]), mul(rat("10000"), in[3]))
		}},
	{name: "F-17", inputs: []string{"flow_scfh_wet", "o2_pct_wet", "h2o_pct", "fd"}, unit: "mmBtu/h", places: 1,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat {
			return mul(div(in[0], in[3]), div(sub(mul(rat("0.209"), sub(hundred, in[2])), in[1]), air))
		}},
	{name: "F-18", inputs: []string{"flow_scfh_wet", "o2_pct_dry", "h2o_pct", "fd"}, unit: "mmBtu/h", places: 1,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat {
			return div(mul(in[0], sub(hundred, in[2]), sub(air, in[1])), mul(rat("2090"), in[3]))
		}},
	{name: "F-31", inputs: []string{"o2_pct_dry", "o2_pct_wet"}, unit: "pct", places: 1,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat { return div(mul(hundred, sub(in[0], in[1])), in[0]) }},
	{name: "G-4", inputs: []string{"heat_input_mmbtu_h", "fc"}, unit: "short_ton/h", places: 1, gas: "CO2", mass: true,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat { return div(mul(in[0], in[1], rat("44")), g4Divisor) }},
	{name: "D-2", inputs: []string{"oil_lb_h", "sulfur_pct"}, unit: "lb/h", places: 1, gas: "SO2", mass: true,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat { return mul(rat("2"), in[0], div(in[1], hundred)) }},
	{name: "D-4", inputs: []string{"sulfur_gr_per_100scf", "gas_100scf_h"}, unit: "lb/h", places: 5, gas: "SO2", mass: true,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat { return div(mul(rat("2"), in[0], in[1]), rat("7000")) }},
	{name: "M19-FD", inputs: []string{"c_pct", "h_pct", "n_pct", "s_pct", "o_pct", "gcv_btu_lb"}, unit: "dscf/mmBtu",
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat {
			sum := add(mul(rat("3.64"), in[1]), mul(rat("1.53"), in[0]), mul(rat("0.57"), in[3]), mul(rat("0.14"), in[2]), mul(rat("-0.46"), in[4]))
			return div(mul(rat("1000000"), sum), in[5])
		}},
	{name: "M19-O2", inputs: []string{"ppm_dry", "o2_pct_dry", "o2_ref_pct"}, unit: "ppm", places: 1,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat {
			return div(mul(in[0], sub(air, in[2])), sub(air, in[1]))
		}},
	{name: "M19-DRY", inputs: []string{"ppm_wet", "h2o_pct"}, unit: "ppm", places: 1,
		formula: func(in []*big.Rat, _ *big.Rat) *big.Rat { return div(mul(hundred, in[0]), sub(hundred, in[1])) }},
	{name: "M19-MASS", inputs: []string{"ppm_dry", "flow_scfh_dry"}, unit: "lb/h", places: 1, gas: byGas, mass: true, formula: wetMass},
	{name: "M19-1", inputs: []string{"ppm_dry", "o2_pct_dry", "fd"}, unit: "lb/mmBtu", places: 3, gas: byGas, diluent: true,
		formula: func(in []*big.Rat, k *big.Rat) *big.Rat { return div(mul(k, in[0], in[2], air), sub(air, in[1])) }},
	{name: "M19-3", inputs: []string{"ppm_wet", "o2_pct_wet", "h2o_pct", "fd"}, unit: "lb/mmBtu", places: 3, gas: byGas,
		formula: func(in []*big.Rat, k *big.Rat) *big.Rat {
			return div(mul(k, in[0], in[3], air), sub(mul(air, dryShare(in[2])), in[1]))
		}},
	{name: "M19-6", inputs: []string{"ppm", "co2_pct", "fc"}, unit: "lb/mmBtu", places: 3, gas: byGas, diluent: true,
		formula: func(in []*big.Rat, k *big.Rat) *big.Rat { return div(mul(k, in[0], in[2], hundred), in[1]) }},
}

// wetMass is K C Q, where C and Q have one basis.
func wetMass(in []*big.Rat, k *big.Rat) *big.Rat { return mul(k, in[0], in[1]) }

// dryMass is K C Q (100-m)/100, with a dry C and a wet Q.
func dryMass(in []*big.Rat, k *big.Rat) *big.Rat { return mul(k, in[0], in[1], dryShare(in[2])) }

func equationNamed(name string) (*equation, bool) {
	i := slices.IndexFunc(equations, func(e equation) bool { return e.name == name })
	if i < 0 {
		return nil, false
	}
	return &equations[i], true
}

// StackInputs returns the names of what an equation reads, in the order [Stack] has
// them in, or false if there is no such equation.
func StackInputs(equation string) ([]string, bool) {
	e, ok := equationNamed(equation)
	if !ok {
		return nil, false
	}
	return slices.Clone(e.inputs), true
}

// Diluent caps hold a diluent in hours of start and stop, when little of the gas is
// flue gas: O2 at most, CO2 at least, in percent. Those of a turbine are from
// general knowledge.
var diluentCaps = []struct {
	name    string
	o2, co2 *big.Rat
}{
	{"boiler", rat("14.0"), rat("5.0")},
	{"turbine", rat("19.0"), rat("1.0")},
}

// FlagDiluentCapped marks a result whose diluent was held at a cap.
const FlagDiluentCapped = "diluent-capped"

// Stack is one operating hour of a stack's monitors.
type Stack struct {
	// Equation is its name in the regulation, such as F-11.
	Equation string
	// In is its inputs, as [StackInputs] names them; none may be below zero, and no
	// percentage above 100.
	In []*big.Rat
	// Gas is SO2, NOx or CO for the equations that say so, else empty.
	Gas string
	// DiluentCap is boiler, turbine or empty, for M19-1 and M19-6.
	DiluentCap string
	// Places is the number of decimals, 0 to 12, or -1 for the equation's own.
	Places int
}

// Rate is what a [Stack] comes to, rounded half.
type Rate struct {
	// Scaled is the value times 10^Places.
	Scaled *big.Int
	Places int
	Unit   string
	// Gas is what a mass rate is a mass of; empty for anything else.
	Gas   string
	Flags []string
}

// String returns the value as a decimal.
func (r Rate) String() string { return unit.FormatScaled(r.Scaled, r.Places) }

// Rate evaluates the equation. Its errors are a [Fault] with the field of the
// [Stack] in lower case; inputs are named as in.fd.
func (s Stack) Rate() (Rate, error) {
	e, ok := equationNamed(s.Equation)
	if !ok {
		return Rate{}, faultf("equation", "%s is not one that is known", quote(s.Equation))
	}
	k := gasFactor(e.gas)
	switch {
	case e.gas != byGas && s.Gas != "":
		return Rate{}, faultf("gas", "does not belong to equation %s", e.name)
	case e.gas == byGas && s.Gas == "":
		return Rate{}, faultf("gas", "missing")
	case e.gas == byGas:
		if k = gasFactor(s.Gas); k == nil {
			return Rate{}, faultf("gas", "%s is not one of SO2, NOx, CO", quote(s.Gas))
		}
	}
	if len(s.In) != len(e.inputs) {
		return Rate{}, faultf("in", "want %d values", len(e.inputs))
	}
	for i, v := range s.In {
		switch {
		case v.Sign() < 0:
			return Rate{}, faultf("in."+e.inputs[i], "below zero")
		case strings.Contains(e.inputs[i], "_pct") && v.Cmp(hundred) > 0:
			return Rate{}, faultf("in."+e.inputs[i], "more than 100 percent")
		}
	}
	r := Rate{Unit: e.unit, Places: s.Places, Flags: []string{}}
	if r.Places < 0 {
		r.Places = e.places
	}
	if e.mass {
		if r.Gas = e.gas; r.Gas == byGas {
			r.Gas = s.Gas
		}
	}
	in := s.In
	if s.DiluentCap != "" {
		var err error
		if in, err = e.cap(in, s.DiluentCap); err != nil {
			return Rate{}, err
		}
		if !slices.Equal(in, s.In) {
			r.Flags = append(r.Flags, FlagDiluentCapped)
		}
	}
	v := e.formula(in, k)
	if v == nil {
		return Rate{}, faultf("in", "division by zero in equation %s", e.name)
	}
	r.Scaled = unit.Half.Scaled(v, r.Places)
	return r, nil
}

// cap returns the inputs with the diluent, the second of them, held at its cap.
func (e *equation) cap(in []*big.Rat, name string) ([]*big.Rat, error) {
	if !e.diluent {
		return nil, faultf("diluent_cap", "does not belong to equation %s", e.name)
	}
	for _, c := range diluentCaps {
		if c.name != name {
			continue
		}
		switch {
		case e.inputs[1] == "o2_pct_dry" && in[1].Cmp(c.o2) > 0:
			return []*big.Rat{in[0], c.o2, in[2]}, nil
		case e.inputs[1] == "co2_pct" && in[1].Cmp(c.co2) < 0:
			return []*big.Rat{in[0], c.co2, in[2]}, nil
		}
		return in, nil
	}
	return nil, faultf("diluent_cap", "%s is not one of boiler, turbine", quote(name))
}

// Mass returns what a mass rate comes to in an operating time of 0 to 1 h: the
// rounded rate times the time, rounded half to mg.
func (r Rate) Mass(operating *big.Rat) (GasMass, error) {
	var kg *big.Rat
	switch r.Unit {
	case "lb/h":
		kg = kgPerLb
	case "short_ton/h":
		kg = kgPerShortTon
	}
	if kg == nil || r.Gas == "" {
		return GasMass{}, faultf("op_time_h", "does not belong to an equation that gives %s", r.Unit)
	}
	if operating.Sign() < 0 || operating.Cmp(one) > 0 {
		return GasMass{}, faultf("op_time_h", "outside 0 to 1 h")
	}
	rate := new(big.Rat).SetFrac(r.Scaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(r.Places)), nil))
	m, err := bookMass(mul(rate, operating, kg))
	return GasMass{r.Gas, m}, err
}
