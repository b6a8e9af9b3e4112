package carbon

import (
	"fmt"
	"math/big"
	"strings"

	"wattmark/ledger/unit"
)

// state is a reference state of gas volumes, and part of the unit: two states never
// add up.
type state struct {
	name     string
	kelvin   *big.Rat
	pascal   *big.Rat
	perKmole *big.Rat // m3 of this state in a kmol of gas
}

// The U.S. state is 68 F and 29.92 inHg, with 385.3 scf in a lb-mol (40 CFR 60
// appendix A-7, 40 CFR 75 appendix F); an inHg is 3386.389 Pa. The European one is
// 0 C and 101,325 Pa (Directive 2010/75/EU), with 22.414 m3 in a kmol.
var states = []state{
	{"US", rat("293.15"), mul(rat("29.92"), rat("3386.389")), div(mul(rat("385.3"), m3PerSCF), kgPerLb)},
	{"EU", rat("273.15"), rat("101325"), rat("22.414")},
}

func stateNamed(name string) (state, bool) {
	for _, s := range states {
		if s.name == name {
			return s, true
		}
	}
	return state{}, false
}

// ConvertGas converts a volume of gas, in scf or m3 at a state, to another: a volume
// is as its temperature and against its pressure. Units are written scf@US or m3@EU.
func ConvertGas(v *big.Rat, from, to string) (*big.Rat, error) {
	f, fs, err := gasVolume(from)
	if err != nil {
		return nil, err
	}
	t, ts, err := gasVolume(to)
	if err != nil {
		return nil, err
	}
	return mul(v, div(f, t), div(fs.pascal, ts.pascal), div(ts.kelvin, fs.kelvin)), nil
}

// gasVolume reads a unit of gas volume: how many m3 of its state, and which.
func gasVolume(s string) (m3 *big.Rat, at state, err error) {
	name, stateName, _ := strings.Cut(s, "@")
	at, ok := stateNamed(stateName)
	switch {
	case !ok:
	case name == "scf":
		return m3PerSCF, at, nil
	case name == "m3":
		return one, at, nil
	}
	return nil, at, fmt.Errorf("%s is not one of scf@US, scf@EU, m3@US, m3@EU", quote(s))
}

// ConvertPPM converts parts per million by volume of a gas, whose molar mass is in
// kg/kmol, to a mass per volume of gas at a state, such as mg/m3@EU or lb/scf@US.
func ConvertPPM(ppm, molarMass *big.Rat, to string) (*big.Rat, error) {
	over, under, _ := strings.Cut(to, "/")
	of, ok := measureNamed(over)
	if !ok || of.dimension != mass {
		return nil, fmt.Errorf("%s is no mass per volume of gas like mg/m3@EU", quote(to))
	}
	m3, at, err := gasVolume(under)
	if err != nil {
		return nil, fmt.Errorf("%s is no mass per volume of gas like mg/m3@EU", quote(to))
	}
	kgPerM3 := div(mul(ppm, rat("0.000001"), molarMass), at.perKmole)
	return div(mul(kgPerM3, m3), of.size), nil
}

type convertResult struct {
	OK      bool         `json:"ok"`
	Results []conversion `json:"results"`
}

type conversion struct {
	ID    string `json:"id"`
	Value string `json:"value"`
	Unit  string `json:"unit"`
}

// conversionFields are a conversion's fields beside id, kind, value and places.
var conversionFields = map[string][]string{
	"unit":       {"from", "to"},
	"co2e":       {"gas", "set"},
	"gas_volume": {"from", "to"},
	"ppm":        {"mw", "to"},
}

// Convert computes a file of conversions, one JSON object, and returns the result as
// one line, or a [Fault] for the first thing that is wrong.
func Convert(file []byte) ([]byte, error) {
	f, top := readForm(file)
	r := convertResult{true, []conversion{}}
	ids := map[string]bool{}
	for v := range top.object("conversions").get("conversions").array() {
		r.Results = append(r.Results, convert(v, ids))
	}
	if !f.ok() {
		return nil, f.fault
	}
	return encode(r), nil
}

func convert(v *value, ids map[string]bool) (c conversion) {
	kind := v.peek("kind").text()
	fields, ok := conversionFields[kind]
	if !ok {
		v.peek("kind").fail("%s is not one of unit, co2e, gas_volume, ppm", quote(kind))
		return c
	}
	o := v.object(append([]string{"id", "kind", "value", "places"}, fields...)...)
	c.ID = o.get("id").id(ids)
	x, _ := o.get("value").decimal()
	places := int(o.get("places").integer(0, 12))
	switch kind {
	case "unit":
		from, to := o.get("from"), o.get("to")
		f, t := measureAt(from), measureAt(to)
		if v.form.ok() {
			var err error
			x, err = ConvertMeasure(x, f, t)
			to.failWith(err)
		}
		c.Unit = to.text()
	case "co2e":
		gas := o.get("gas").name()
		set, err := ParseSet(o.get("set").text())
		o.get("set").failWith(err)
		if v.form.ok() {
			p, err := set.Potential(gas)
			o.get("gas").failWith(err)
			x = mul(x, p)
		}
		c.Unit = Equivalent + ":" + set.String()
	case "gas_volume":
		for _, name := range []string{"from", "to"} {
			_, _, err := gasVolume(o.get(name).text())
			o.get(name).failWith(err)
		}
		c.Unit = o.get("to").text()
		if v.form.ok() {
			x, _ = ConvertGas(x, o.get("from").text(), c.Unit)
		}
	case "ppm":
		mw := o.get("mw").positive()
		c.Unit = o.get("to").text()
		var err error
		if v.form.ok() {
			x, err = ConvertPPM(x, mw, c.Unit)
			o.get("to").failWith(err)
		}
	}
	if v.form.ok() {
		c.Value = unit.FormatRat(x, places, unit.Half)
	}
	return c
}

func measureAt(v *value) Measure {
	m, err := ParseMeasure(v.text())
	v.failWith(err)
	return m
}

// failWith refuses the file for this value if there is an error.
func (v *value) failWith(err error) {
	if err != nil {
		v.fail("%v", err)
	}
}
