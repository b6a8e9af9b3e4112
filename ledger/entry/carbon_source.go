package entry

import (
	"cmp"
	"fmt"
	"strings"
)

// Roles that oracles appoint parties to.
const (
	RoleVerifier = "verifier" // states that a closed period is right
	RoleRegistry = "registry" // registers sources and projects, and issues units
)

// PartyRequest asks for a key to be appointed to a role. It is signed with the very key
// that it names, which proves that whoever asks holds the private part. By itself it
// does nothing: oracles state it again in an [Appointment].
type PartyRequest struct {
	Algorithm int    `cbor:"1,keyasint"` // COSE algorithm of the key
	Key       []byte `cbor:"2,keyasint"` // raw public key
	Name      string `cbor:"3,keyasint"` // of the party, an id
	Role      string `cbor:"4,keyasint"` // RoleVerifier or RoleRegistry
	// Title is what people call it, public for ever.
	Title string `cbor:"5,keyasint"`
}

// EncodePartyRequest writes the payload of a party's request.
func EncodePartyRequest(r *PartyRequest) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(r)
}

// ParsePartyRequest reads the payload of a party's request.
func ParsePartyRequest(b []byte) (*PartyRequest, error) {
	var r PartyRequest
	if err := decode("party request", b, &r); err != nil {
		return nil, err
	}
	return &r, r.check()
}

func (r *PartyRequest) check() error {
	switch {
	case len(r.Key) > maxKey: // whether it is a key of its algorithm is for who knows keys (signer)
		return fmt.Errorf("%w: a key of %d bytes, over the limit of %d", ErrForm, len(r.Key), maxKey)
	case r.Role != RoleVerifier && r.Role != RoleRegistry:
		return fmt.Errorf("%w: role %q instead of verifier or registry", ErrForm, r.Role)
	}
	if err := text("title", r.Title, maxPerson); err != nil {
		return err
	}
	return CheckID("party", r.Name)
}

// Appointment gives a party its role. As many oracles state it as must vote for a change.
type Appointment struct {
	Request []byte `cbor:"1,keyasint"` // the statement of a PartyRequest
}

// Type returns [TypeAppointment].
func (*Appointment) Type() string { return TypeAppointment }

func (a *Appointment) check() error { return checkCarried("appointment", a.Request) }

// FactorPack is one edition of published factors. As many oracles state it as must vote
// for a change, and an edition is never replaced.
type FactorPack struct {
	ID      string `cbor:"1,keyasint"`
	Edition string `cbor:"2,keyasint"`
	Source  string `cbor:"3,keyasint"` // address of the document
	Digest  []byte `cbor:"4,keyasint"` // SHA-256 of the document
	// From and To are when it is valid, [From, To), in Unix seconds.
	From   int64  `cbor:"5,keyasint"`
	To     int64  `cbor:"6,keyasint"`
	Region string `cbor:"7,keyasint"`
	// Set is the set of potentials of the rows whose gas is CO2e; empty where none is.
	Set  string      `cbor:"8,keyasint,omitempty"`
	Rows []FactorRow `cbor:"9,keyasint"` // rising by key and gas, none twice
}

// FactorRow is one factor: mass of Gas, per energy or per unit of a fuel; or the heating
// value of a fuel, which has no gas.
type FactorRow struct {
	// Key is "grid", "residual", "fuel/" and a fuel, or "hhv/" and a fuel.
	Key   string  `cbor:"1,keyasint"`
	Gas   string  `cbor:"2,keyasint,omitempty"`
	Value Decimal `cbor:"3,keyasint"`
	Unit  string  `cbor:"4,keyasint"` // as carbon.ParseMeasure reads it
}

// Keys of factor rows.
const (
	FactorGrid     = "grid"
	FactorResidual = "residual"
	FactorFuel     = "fuel/"
	FactorHHV      = "hhv/"
)

const (
	maxFactorRows = 1000
	maxGas        = 32
)

// Type returns [TypeFactorPack].
func (*FactorPack) Type() string { return TypeFactorPack }

func (p *FactorPack) check() error {
	if err := checkIDs("factor pack", p.ID, "edition", p.Edition); err != nil {
		return err
	}
	for _, f := range []struct{ what, value string }{{"source", p.Source}, {"region", p.Region}} {
		if err := text(f.what, f.value, maxReason); err != nil {
			return err
		}
	}
	switch {
	case len(p.Digest) != 32:
		return fmt.Errorf("%w: the digest of the source has %d bytes instead of 32", ErrForm, len(p.Digest))
	case p.From < 0 || p.To <= p.From || p.To > maxTime/1000:
		return fmt.Errorf("%w: a factor pack from %d to %d", ErrForm, p.From, p.To)
	case len(p.Rows) == 0 || len(p.Rows) > maxFactorRows:
		return fmt.Errorf("%w: a factor pack of %d rows instead of 1 to %d", ErrForm, len(p.Rows), maxFactorRows)
	}
	equivalent := false
	for i := range p.Rows {
		r := &p.Rows[i]
		if err := r.check(); err != nil {
			return err
		}
		if i > 0 && cmp.Or(strings.Compare(p.Rows[i-1].Key, r.Key), strings.Compare(p.Rows[i-1].Gas, r.Gas)) >= 0 {
			return fmt.Errorf("%w: rows of a factor pack are not in order of key and gas", ErrForm)
		}
		equivalent = equivalent || r.Gas == gasEquivalent
	}
	if equivalent != (p.Set != "") {
		return fmt.Errorf("%w: a set of potentials goes with rows of CO2e", ErrForm)
	}
	return checkSet(p.Set, true)
}

// gasEquivalent is how a factor of all gases together is named.
const gasEquivalent = "CO2e"

func (r *FactorRow) check() error {
	heat := strings.HasPrefix(r.Key, FactorHHV)
	switch {
	case r.Key == FactorGrid, r.Key == FactorResidual, heat && len(r.Key) > len(FactorHHV),
		strings.HasPrefix(r.Key, FactorFuel) && len(r.Key) > len(FactorFuel):
	default:
		return fmt.Errorf("%w: a factor's key %q is none of grid, residual, fuel/ and hhv/", ErrForm, r.Key)
	}
	if err := text("a factor's key", r.Key, MaxID); err != nil {
		return err
	}
	if heat != (r.Gas == "") {
		return fmt.Errorf("%w: a heating value has no gas, and everything else has one", ErrForm)
	}
	if r.Value.Mantissa < 0 {
		return fmt.Errorf("%w: a factor of %v, which is below nothing", ErrForm, r.Value)
	}
	if err := optional("a factor's gas", r.Gas, maxGas); err != nil {
		return err
	}
	return text("a factor's unit", r.Unit, maxGas)
}

func checkSet(set string, absent bool) error {
	switch set {
	case "SAR", "AR4", "AR5", "AR6":
		return nil
	case "":
		if absent {
			return nil
		}
	}
	return fmt.Errorf("%w: a set of potentials %q instead of SAR, AR4, AR5 or AR6", ErrForm, set)
}

// Kinds of source.
const (
	SourceMass    = "mass"    // a register in kg of one gas
	SourceStack   = "stack"   // gauges of a stack, by an equation
	SourceFuel    = "fuel"    // a register of burned fuel, in m3, kg or Wh
	SourceLoad    = "load"    // a register of used energy, in Wh
	SourceExport  = "export"  // a register of what a generator gave, in Wh
	SourceStorage = "storage" // what a storage gave and took, in Wh
)

// CarbonSource says which channels of a metering point measure what, for which site and
// whom. A registry signs it. The same part of a metering point is one source for ever.
type CarbonSource struct {
	ID    string `cbor:"1,keyasint"`
	Site  string `cbor:"2,keyasint"`
	Owner string `cbor:"3,keyasint"` // a member; the same for all sources of a site
	Kind  string `cbor:"4,keyasint"`
	Point string `cbor:"5,keyasint"`
	// Channels are the register; or the equation's inputs in its order; or of a storage
	// what it gave and what it took.
	Channels  []string `cbor:"6,keyasint"`
	Gas       string   `cbor:"7,keyasint,omitempty"`  // of a mass
	Equation  string   `cbor:"8,keyasint,omitempty"`  // of a stack
	Fuel      string   `cbor:"9,keyasint,omitempty"`  // as factor packs name it
	CapacityW int64    `cbor:"10,keyasint,omitempty"` // of a generator or storage, in W
	// Boundary is the grid that a load, generator or storage is on.
	Boundary string `cbor:"11,keyasint,omitempty"`
	// EfficiencyBP is of a storage, in basis points.
	EfficiencyBP int64 `cbor:"12,keyasint,omitempty"`
	// Random and Bias are 95 % half-widths in percent: of each interval by itself, and
	// of what shifts all of the source's intervals together.
	Random Decimal `cbor:"13,keyasint"`
	Bias   Decimal `cbor:"14,keyasint"`
}

// maxDeviceName bounds a metering point and a channel together, which name a device
// where claims are kept.
const maxDeviceName = 190

// Type returns [TypeCarbonSource].
func (*CarbonSource) Type() string { return TypeCarbonSource }

func (c *CarbonSource) check() error {
	if err := checkIDs("source", c.ID, "site", c.Site, "owner", c.Owner); err != nil {
		return err
	}
	if err := text("metering point", c.Point, 128); err != nil {
		return err
	}
	want, most := 1, 1
	switch c.Kind {
	case SourceMass, SourceFuel, SourceLoad, SourceExport:
	case SourceStack:
		most = 8
	case SourceStorage:
		want, most = 2, 2
	default:
		return fmt.Errorf("%w: a source of kind %q", ErrForm, c.Kind)
	}
	if len(c.Channels) < want || len(c.Channels) > most {
		return fmt.Errorf("%w: a source of kind %s with %d channels", ErrForm, c.Kind, len(c.Channels))
	}
	for i, channel := range c.Channels {
		if err := checkName(channel, true); err != nil {
			return fmt.Errorf("%w: %w", ErrForm, err)
		}
		if len(c.Point)+len(channel) > maxDeviceName {
			return fmt.Errorf("%w: metering point and channel have more than %d bytes together", ErrForm, maxDeviceName)
		}
		for _, o := range c.Channels[:i] {
			if o == channel {
				return fmt.Errorf("%w: channel %q stands twice in a source", ErrForm, channel)
			}
		}
	}
	return c.checkKind()
}

// checkKind checks that a source has what its kind needs and nothing else.
func (c *CarbonSource) checkKind() error {
	electric := c.Kind == SourceLoad || c.Kind == SourceExport || c.Kind == SourceStorage
	gives := c.Kind == SourceExport || c.Kind == SourceStorage
	for _, f := range []struct {
		what       string
		has, wants bool
	}{
		{"gas", c.Gas != "", c.Kind == SourceMass},
		{"equation", c.Equation != "", c.Kind == SourceStack},
		{"fuel", c.Fuel != "", c.Kind == SourceFuel},
		{"capacity", c.CapacityW != 0, gives},
		{"boundary", c.Boundary != "", electric},
		{"efficiency", c.EfficiencyBP != 0, c.Kind == SourceStorage},
	} {
		if f.has != f.wants {
			return fmt.Errorf("%w: a source of kind %s, and its %s", ErrForm, c.Kind, f.what)
		}
	}
	switch {
	case c.CapacityW < 0 || c.CapacityW > 1<<50:
		return fmt.Errorf("%w: a capacity of %d W", ErrForm, c.CapacityW)
	case c.EfficiencyBP < 0 || c.EfficiencyBP > 10_000:
		return fmt.Errorf("%w: an efficiency of %d basis points", ErrForm, c.EfficiencyBP)
	}
	hundred := Int(100)
	for _, u := range []Decimal{c.Random, c.Bias} {
		if u.Mantissa < 0 || u.Cmp(hundred) > 0 {
			return fmt.Errorf("%w: an uncertainty of %v percent", ErrForm, u)
		}
	}
	for _, f := range []struct{ what, value string }{{"gas", c.Gas}, {"equation", c.Equation}, {"fuel", c.Fuel}, {"boundary", c.Boundary}} {
		if err := optional(f.what, f.value, maxGas); err != nil {
			return err
		}
	}
	return nil
}

// What a project counts.
const (
	DirectionReduction = "reduction" // its baseline less what was emitted
	DirectionRemoval   = "removal"   // what was taken up
)

// CarbonProject is what units are issued for. A registry signs it.
type CarbonProject struct {
	ID          string   `cbor:"1,keyasint"`
	Owner       string   `cbor:"2,keyasint"` // a member, who gets the units
	Program     string   `cbor:"3,keyasint"`
	Methodology string   `cbor:"4,keyasint"`
	Direction   string   `cbor:"5,keyasint"`
	Sources     []string `cbor:"6,keyasint"` // of one site, each of a mass, a stack or a fuel
	// Baseline is what a reduction is told from, in kg of CO2e for an hour in which
	// every source was measured.
	Baseline Decimal `cbor:"7,keyasint"`
	BufferBP int64   `cbor:"8,keyasint"`  // of each issuance, in basis points
	Prefix   string  `cbor:"9,keyasint"`  // of serials
	Country  string  `cbor:"10,keyasint"` // of the host, two capital letters
}

// Type returns [TypeCarbonProject].
func (*CarbonProject) Type() string { return TypeCarbonProject }

func (p *CarbonProject) check() error {
	if err := checkIDs("project", p.ID, "owner", p.Owner, "program", p.Program, "prefix", p.Prefix); err != nil {
		return err
	}
	if err := text("methodology", p.Methodology, maxReason); err != nil {
		return err
	}
	switch {
	case p.Direction != DirectionReduction && p.Direction != DirectionRemoval:
		return fmt.Errorf("%w: direction %q instead of reduction or removal", ErrForm, p.Direction)
	case (p.Direction == DirectionReduction) != (p.Baseline.Mantissa > 0) || p.Baseline.Mantissa < 0:
		return fmt.Errorf("%w: a baseline goes with a reduction and is above nothing", ErrForm)
	case p.BufferBP < 0 || p.BufferBP > 10_000:
		return fmt.Errorf("%w: a buffer of %d basis points", ErrForm, p.BufferBP)
	}
	if err := checkCountry(p.Country); err != nil {
		return err
	}
	return checkList("sources", p.Sources, 32)
}

// checkCountry checks the form of a country's code (ISO 3166-1 alpha-2).
func checkCountry(s string) error {
	if len(s) != 2 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		return fmt.Errorf("%w: country %q is not two capital letters", ErrForm, s)
	}
	return nil
}
