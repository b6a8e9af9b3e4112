package carbon

import (
	"errors"
	"math/big"

	"wattmark/ledger/unit"
)

// What an emissions file comes to, in the order of its fields.
type (
	emissionsResult struct {
		OK    bool   `json:"ok"`
		Set   string `json:"gwp_set"`
		Items []any  `json:"items"`
		Total total  `json:"total"`
	}
	gasResult struct {
		Gas string    `json:"gas"`
		T   massInTon `json:"t"`
	}
	stackResult struct {
		ID       string      `json:"id"`
		Kind     string      `json:"kind"`
		Equation string      `json:"equation"`
		Value    string      `json:"value"`
		Unit     string      `json:"unit"`
		Flags    []string    `json:"flags"`
		Gases    []gasResult `json:"gases"`
		CO2e     massInTon   `json:"co2e_t"`
	}
	fuelResult struct {
		ID       string      `json:"id"`
		Kind     string      `json:"kind"`
		Source   string      `json:"source"`
		Energy   *string     `json:"energy_mmbtu"`
		Gases    []gasResult `json:"gases"`
		CO2e     massInTon   `json:"co2e_t"`
		Biogenic massInTon   `json:"biogenic_co2_t"`
	}
	scope2Figure struct {
		Gas  string    `json:"gas"`
		T    massInTon `json:"t"`
		CO2e massInTon `json:"co2e_t"`
	}
	marketFigure struct {
		scope2Figure
		Matched unit.Energy `json:"matched_wh"`
	}
	hourlyFigure struct {
		marketFigure
		Score *string `json:"score"`
	}
	useResult struct {
		ID     string      `json:"id"`
		Market unit.Energy `json:"market_wh"`
		Hourly unit.Energy `json:"hourly_wh"`
	}
	electricityResult struct {
		ID       string        `json:"id"`
		Kind     string        `json:"kind"`
		Load     unit.Energy   `json:"load_wh"`
		Location scope2Figure  `json:"location"`
		Market   marketFigure  `json:"market"`
		Hourly   *hourlyFigure `json:"hourly"`
		Used     []useResult   `json:"used"`
		Flags    []string      `json:"flags"`
	}
	substituteResult struct {
		ID     string `json:"id"`
		Kind   string `json:"kind"`
		Value  string `json:"value"`
		Chosen string `json:"chosen"`
		Method string `json:"method"`
	}
	sumResult struct {
		ID        string      `json:"id"`
		Kind      string      `json:"kind"`
		Op        string      `json:"op"`
		X         string      `json:"x"`
		HalfWidth string      `json:"half_width"`
		Percent   *string     `json:"u_pct"`
		Lower     string      `json:"lower"`
		Issuable  unit.Amount `json:"issuable"`
	}
	productResult struct {
		ID      string `json:"id"`
		Kind    string `json:"kind"`
		Op      string `json:"op"`
		Percent string `json:"u_pct"`
	}
	total struct {
		Gases    []gasResult `json:"gases"`
		CO2e     massInTon   `json:"co2e_t"`
		Biogenic massInTon   `json:"biogenic_co2_t"`
		Scope2   scope2Total `json:"scope2"`
	}
	scope2Total struct {
		Location massInTon  `json:"location_t"`
		Market   massInTon  `json:"market_t"`
		Hourly   *massInTon `json:"hourly_t"`
	}
)

// massInTon is a mass that results print in tonnes.
type massInTon unit.Mass

// MarshalText writes tonnes with nine decimals.
func (m massInTon) MarshalText() ([]byte, error) { return []byte(unit.Mass(m).String()), nil }

// Emissions computes an emissions file, one JSON object, and returns the result as
// one line, or a [Fault] for the first thing that is wrong.
func Emissions(file []byte) ([]byte, error) {
	f, top := readForm(file)
	o := top.object("gwp_set", "items")
	e := emissions{form: f, ids: map[string]bool{}, hasHourly: true}
	var err error
	if e.set, err = ParseSet(o.get("gwp_set").text()); err != nil {
		o.get("gwp_set").fail("%v", err)
	}
	items := []any{}
	for v := range o.get("items").array() {
		items = append(items, e.item(v))
	}
	if !f.ok() {
		return nil, f.fault
	}
	return encode(emissionsResult{true, e.set.String(), items, e.total()}), nil
}

// emissions is a file that is being computed, with its totals so far.
type emissions struct {
	form      *form
	set       Set
	ids       map[string]bool
	gases     Gases
	co2e      unit.Mass
	biogenic  unit.Mass
	location  unit.Mass
	market    unit.Mass
	hourly    unit.Mass
	hasHourly bool
}

func (e *emissions) total() total {
	t := total{
		Gases: gasResults(e.gases), CO2e: massInTon(e.co2e), Biogenic: massInTon(e.biogenic),
		Scope2: scope2Total{Location: massInTon(e.location), Market: massInTon(e.market)},
	}
	if e.hasHourly {
		h := massInTon(e.hourly)
		t.Scope2.Hourly = &h
	}
	return t
}

func gasResults(gases Gases) []gasResult {
	r := make([]gasResult, len(gases))
	for i, g := range gases {
		r[i] = gasResult{g.Gas, massInTon(g.Mass)}
	}
	return r
}

// kindFields are an item's fields beside id and kind.
var kindFields = map[string][]string{
	"stack":       {"equation", "in", "op_time_h", "places", "diluent_cap", "gas"},
	"fuel":        {"quantity", "fuel", "hhv", "factors", "biogenic", "phase", "carbon", "mw", "mvc_state"},
	"electricity": {"boundary", "load", "grid", "grid_hourly", "residual", "instruments"},
	"substitute":  {"rule", "pma_pct", "missing_hours", "in"},
	"uncertainty": {"op", "terms"},
}

func (e *emissions) item(v *value) any {
	kind := v.peek("kind").text()
	fields, ok := kindFields[kind]
	if !ok {
		v.peek("kind").fail("%s is not one of stack, fuel, electricity, substitute, uncertainty", quote(kind))
		return nil
	}
	o := v.object(append([]string{"id", "kind"}, fields...)...)
	id := o.get("id").id(e.ids)
	switch kind {
	case "stack":
		return e.stack(v, o, id)
	case "fuel":
		return e.fuel(v, o, id)
	case "electricity":
		return e.electricity(v, o, id)
	case "substitute":
		return e.substitute(v, o, id)
	}
	return e.uncertainty(o, id)
}

// peek returns a field of an object that has not been read yet: the one that says
// which other fields there may be.
func (v *value) peek(name string) *value {
	field := &value{form: v.form, up: v, key: name}
	if v.is("{", "an object") {
		for key, raw := range members(v.raw) {
			if key == name && field.raw == nil {
				field.raw = raw
			}
		}
	}
	return field
}

func (e *emissions) stack(v *value, o object, id string) any {
	s := Stack{Equation: o.get("equation").text(), Places: -1}
	inputs, ok := StackInputs(s.Equation)
	if !ok {
		o.get("equation").fail("%s is not one that is known", quote(s.Equation))
		return nil
	}
	in := o.get("in").object(inputs...)
	for _, name := range inputs {
		r, _ := in.get(name).decimal()
		s.In = append(s.In, r)
	}
	if o.has("places") {
		s.Places = int(o.get("places").integer(0, 12))
	}
	if o.has("diluent_cap") {
		s.DiluentCap = o.get("diluent_cap").name()
	}
	if o.has("gas") {
		s.Gas = o.get("gas").name()
	}
	if !e.form.ok() {
		return nil
	}
	r, err := s.Rate()
	if err != nil {
		v.failAt(err)
		return nil
	}
	var gases Gases
	if t := o.get("op_time_h"); t.raw != nil {
		operating, _ := t.decimal()
		if new(big.Rat).Mul(operating, hundred).IsInt() {
			var m GasMass
			if m, err = r.Mass(operating); err == nil {
				gases = Gases{m}
			}
		} else {
			t.fail("more than two places")
		}
		e.failAt(v, err)
	}
	return stackResult{
		ID: id, Kind: "stack", Equation: s.Equation, Value: r.String(), Unit: r.Unit, Flags: r.Flags,
		Gases: gasResults(gases), CO2e: e.book(v, gases, 0),
	}
}

// failAt refuses the item for an error of a rule.
func (e *emissions) failAt(v *value, err error) {
	if errors.Is(err, unit.ErrOverflow) {
		v.fail("a mass beyond %s t", unit.Mass(1<<63-1))
		return
	}
	v.failAt(err)
}

// book adds an item's masses to the totals, and returns their CO2e.
func (e *emissions) book(v *value, gases Gases, biogenic unit.Mass) massInTon {
	if !e.form.ok() {
		return 0
	}
	co2e, err := gases.Equivalence(e.set)
	if err == nil {
		e.co2e, err = unit.Add(e.co2e, co2e.Mass)
	}
	for _, g := range gases {
		if err == nil {
			err = e.gases.Add(g.Gas, g.Mass)
		}
	}
	if err == nil {
		e.biogenic, err = unit.Add(e.biogenic, biogenic)
	}
	e.failAt(v, err)
	return massInTon(co2e.Mass)
}

func (e *emissions) fuel(v *value, o object, id string) any {
	r := fuelResult{ID: id, Kind: "fuel", Source: "input"}
	quantity := amount(o.get("quantity"))
	var biogenic bool
	if o.has("biogenic") {
		biogenic = o.get("biogenic").boolean()
	}
	var b Burned
	var err error
	if o.has("phase") {
		o.without("does not belong to carbon content", "fuel", "hhv", "factors")
		c := Carbon{Phase: o.get("phase").oneOf("solid", "liquid", "gas"), Quantity: quantity, Biogenic: biogenic}
		c.Content, _ = o.get("carbon").decimal()
		if c.Phase == "gas" {
			c.MolarMass, _ = o.get("mw").decimal()
			c.State = o.get("mvc_state").oneOf("68F", "60F")
		} else {
			o.without("belongs to a gas", "mw", "mvc_state")
		}
		if e.form.ok() {
			b, err = c.Burn()
		}
	} else {
		o.without("belongs to carbon content, which has a phase", "carbon", "mw", "mvc_state")
		f := Fuel{Quantity: quantity, Biogenic: biogenic}
		r.Source = e.fuelFactors(o, &f)
		if e.form.ok() {
			b, err = f.Burn()
		}
	}
	e.failAt(v, err)
	if b.EnergyMMBtu != nil {
		s := unit.FormatRat(b.EnergyMMBtu, 6, unit.Half)
		r.Energy = &s
	}
	r.Gases, r.Biogenic = gasResults(b.Gases), massInTon(b.BiogenicCO2)
	r.CO2e = e.book(v, b.Gases, b.BiogenicCO2)
	return r
}

// fuelFactors reads heating value and factors of a fuel, and takes what is absent
// from the pack if the fuel is named. It returns the source.
func (e *emissions) fuelFactors(o object, f *Fuel) string {
	source := "input"
	if o.has("hhv") {
		hhv := amount(o.get("hhv"))
		f.HHV = &hhv
	}
	if o.has("factors") {
		gases := map[string]bool{}
		for v := range o.get("factors").array() {
			factor := e.factor(v)
			if gases[factor.Gas] {
				v.fail("a second factor for %s", quote(factor.Gas))
			}
			gases[factor.Gas] = true
			f.Factors = append(f.Factors, factor)
		}
	}
	if o.has("fuel") {
		hhv, factors, ok := BuiltinFuel(o.get("fuel").name())
		if !ok {
			o.get("fuel").fail("%s is not in the pack %s", quote(o.get("fuel").text()), BuiltinPack)
		}
		if !o.has("hhv") {
			source = BuiltinPack
			if f.Quantity.Unit.of.dimension != energy {
				f.HHV = &hhv
			}
		}
		if !o.has("factors") {
			source, f.Factors = BuiltinPack, factors
		}
	}
	if !o.has("factors") && !o.has("fuel") {
		o.get("factors").fail("missing")
	}
	if e.form.ok() && f.HHV == nil && f.Quantity.Unit.of.dimension != energy {
		for _, factor := range f.Factors {
			if factor.Unit.per.dimension == energy {
				o.get("hhv").fail("missing: a factor in %s needs one", factor.Unit)
			}
		}
	}
	return source
}

// amount reads {"value","unit"}.
func amount(v *value) Amount {
	o := v.object("value", "unit")
	return readAmount(o)
}

func readAmount(o object) (a Amount) {
	a.Value, _ = o.get("value").decimal()
	var err error
	if a.Unit, err = ParseMeasure(o.get("unit").text()); err != nil {
		o.get("unit").fail("%v", err)
	}
	return a
}

// factor reads {"gas","value","unit"}, with a set for CO2e.
func (e *emissions) factor(v *value) Factor {
	o := v.object("gas", "set", "value", "unit")
	f := Factor{Gas: o.get("gas").name()}
	switch set := o.get("set"); {
	case f.Gas == Equivalent:
		if s := set.text(); s != e.set.String() {
			set.fail("%s is not the file's gwp_set %s", quote(s), e.set)
		}
	case set.raw != nil:
		set.fail("belongs to CO2e alone")
	}
	if _, ok := greenhouse(f.Gas); ok && e.form.ok() {
		if _, err := e.set.Potential(f.Gas); err != nil {
			o.get("gas").fail("%v", err)
		}
	}
	f.Amount = readAmount(o)
	return f
}

// perJoule reads a factor for electricity, of the given gas unless that is empty.
func (e *emissions) perJoule(v *value, gas *string) *big.Rat {
	f := e.factor(v)
	if !e.form.ok() {
		return zero
	}
	if *gas == "" {
		*gas = f.Gas
	}
	if f.Gas != *gas {
		v.object("gas", "set", "value", "unit").get("gas").fail("%s beside %s: one gas throughout an item", quote(f.Gas), quote(*gas))
	}
	r, err := f.PerJoule()
	v.failAt(err)
	return r
}

func (e *emissions) electricity(v *value, o object, id string) any {
	c := Electricity{Boundary: o.get("boundary").name()}
	for v := range o.get("load").array() {
		l := v.object("t", "to", "wh")
		load := Load{From: l.get("t").time()}
		if load.To = load.From + hour; l.has("to") {
			load.To = l.get("to").time()
		}
		load.Energy = l.get("wh").energy()
		c.Load = append(c.Load, load)
	}
	var gas string
	c.Grid = e.perJoule(o.get("grid"), &gas)
	if o.has("grid_hourly") {
		e.gridHourly(o, c.Load)
	}
	if o.has("residual") {
		c.Residual = e.perJoule(o.get("residual"), &gas)
	}
	if o.has("instruments") {
		ids := map[string]bool{}
		for v := range o.get("instruments").array() {
			i := v.object("id", "t", "boundary", "wh", "factor")
			in := Instrument{ID: i.get("id").id(ids)}
			if i.has("t") {
				t := i.get("t").time()
				in.From = &t
			}
			in.Boundary = i.get("boundary").name()
			in.Energy = i.get("wh").energy()
			in.Factor = e.perJoule(i.get("factor"), &gas)
			c.Instruments = append(c.Instruments, in)
		}
	}
	if !e.form.ok() {
		return nil
	}
	s, err := c.Scope2()
	if err != nil {
		e.failAt(v, err)
		return nil
	}
	figure := func(m unit.Mass, total *unit.Mass) scope2Figure {
		co2e, err := Gases{{gas, m}}.Equivalence(e.set)
		if err == nil {
			*total, err = unit.Add(*total, co2e.Mass)
		}
		e.failAt(v, err)
		return scope2Figure{gas, massInTon(m), massInTon(co2e.Mass)}
	}
	r := electricityResult{
		ID: id, Kind: "electricity", Load: s.Load,
		Location: figure(s.Location, &e.location),
		Market:   marketFigure{figure(s.Market, &e.market), s.MarketMatched},
		Used:     make([]useResult, len(s.Used)), Flags: s.Flags,
	}
	if s.HasHourly {
		r.Hourly = &hourlyFigure{marketFigure{figure(s.Hourly, &e.hourly), s.HourlyMatched}, s.Score()}
	}
	e.hasHourly = e.hasHourly && s.HasHourly
	for i, u := range s.Used {
		r.Used[i] = useResult(u)
	}
	return r
}

// gridHourly reads the grid's factor of each interval, in the unit of its factor for
// the period.
func (e *emissions) gridHourly(o object, loads []Load) {
	unitOf, _ := ParseMeasure(o.get("grid").object("gas", "set", "value", "unit").get("unit").text())
	at := map[int64]*big.Rat{}
	for v := range o.get("grid_hourly").array() {
		h := v.object("t", "value")
		t := h.get("t").time()
		if at[t] != nil {
			h.get("t").fail("a second factor for this time")
		}
		at[t] = mul(h.get("value").positive(), unitOf.sizeOrOne())
	}
	for i := range loads {
		if loads[i].Grid = at[loads[i].From]; loads[i].Grid == nil {
			o.get("grid_hourly").fail("no factor for the interval of load[%d]", i)
		}
	}
}

// sizeOrOne is size, for a unit that has been refused too.
func (m Measure) sizeOrOne() *big.Rat {
	if m.of.size == nil {
		return one
	}
	return m.size()
}

func (e *emissions) substitute(v *value, o object, id string) any {
	m := Missing{Rule: o.get("rule").text()}
	m.PMA, _ = o.get("pma_pct").decimal()
	m.Hours = o.get("missing_hours").integer(0, maxInteger)
	in := o.get("in").object("hbha_avg", "p90_720", "p95_720", "max_720", "mpc")
	m.HourBeforeAfter, m.P90, m.P95 = in.get("hbha_avg").positive(), in.get("p90_720").positive(), in.get("p95_720").positive()
	m.Max, m.Potential = in.get("max_720").positive(), in.get("mpc").positive()
	if !e.form.ok() {
		return nil
	}
	s, err := Substitute(m)
	if err != nil {
		v.failAt(err)
		return nil
	}
	_, written := in.get(s.Chosen).decimal()
	return substituteResult{id, "substitute", written, s.Chosen, s.Method}
}

func (e *emissions) uncertainty(o object, id string) any {
	op := o.get("op").oneOf("sum", "product")
	if op == "product" {
		var percent []*big.Rat
		for v := range o.get("terms").array() {
			percent = append(percent, v.object("u_pct").get("u_pct").positive())
		}
		return productResult{id, "uncertainty", op, unit.FormatScaled(ProductDoubt(percent), doubtPlaces)}
	}
	var terms []Term
	for v := range o.get("terms").array() {
		t := v.object("x", "u_pct", "bias", "bias_pct")
		var term Term
		term.X, _ = t.get("x").decimal()
		term.Percent = t.get("u_pct").positive()
		if t.has("bias") || t.has("bias_pct") {
			term.Bias, term.BiasPercent = t.get("bias").name(), t.get("bias_pct").positive()
		}
		terms = append(terms, term)
	}
	if !e.form.ok() {
		return nil
	}
	d := SumDoubt(terms)
	issuable, err := d.Issuable()
	if err != nil {
		o.get("terms").fail("more than %d tonnes", int64(maxInteger))
		return nil
	}
	r := sumResult{
		ID: id, Kind: "uncertainty", Op: op, X: unit.FormatRat(d.X, doubtPlaces, unit.Down),
		HalfWidth: unit.FormatRat(d.HalfWidth, doubtPlaces, unit.Up), Lower: unit.FormatRat(d.Lower(), doubtPlaces, unit.Down), Issuable: issuable,
	}
	if d.Percent != nil {
		s := unit.FormatScaled(d.Percent, doubtPlaces)
		r.Percent = &s
	}
	return r
}
