package entry

import "fmt"

// Edition names a factor pack.
type Edition struct {
	_       struct{} `cbor:",toarray"`
	Pack    string
	Edition string
}

// PeriodOpen begins the accounts of a site for a time. Its owner or a registry signs it.
type PeriodOpen struct {
	ID   string `cbor:"1,keyasint"`
	Site string `cbor:"2,keyasint"`
	// From and To are the period, [From, To), in Unix seconds: starts of intervals.
	From int64 `cbor:"3,keyasint"`
	To   int64 `cbor:"4,keyasint"`
	// Set is the set of potentials of everything in CO2e.
	Set   string    `cbor:"5,keyasint"`
	Packs []Edition `cbor:"6,keyasint"` // the first that has a factor gives it
	// Zone is the time zone that the period is shown in, as the IANA names it.
	Zone string `cbor:"7,keyasint"`
}

const (
	maxEditions = 16
	maxDeclared = 64
	// MaxPeriod is two years in seconds: what is closed by one statement is read at once.
	MaxPeriod = 2 * 366 * 24 * 3600
)

// Type returns [TypePeriodOpen].
func (*PeriodOpen) Type() string { return TypePeriodOpen }

func (p *PeriodOpen) check() error {
	if err := checkIDs("period", p.ID, "site", p.Site); err != nil {
		return err
	}
	if err := checkSpan(p.From, p.To); err != nil {
		return err
	}
	if p.To-p.From > MaxPeriod {
		return fmt.Errorf("%w: a period of %d s, over the limit of %d", ErrForm, p.To-p.From, MaxPeriod)
	}
	if err := checkSet(p.Set, false); err != nil {
		return err
	}
	if err := text("time zone", p.Zone, MaxID); err != nil {
		return err
	}
	return checkEditions(p.Packs)
}

func checkEditions(list []Edition) error {
	if len(list) > maxEditions {
		return fmt.Errorf("%w: %d factor packs, more than %d", ErrForm, len(list), maxEditions)
	}
	for i, e := range list {
		if err := checkIDs("factor pack", e.Pack, "edition", e.Edition); err != nil {
			return err
		}
		for _, o := range list[:i] {
			if o.Pack == e.Pack && o.Edition == e.Edition {
				return fmt.Errorf("%w: edition %q of %q stands twice", ErrForm, e.Edition, e.Pack)
			}
		}
	}
	return nil
}

// Declared is what a person says was emitted, and nobody measured.
type Declared struct {
	_     struct{} `cbor:",toarray"`
	Label string
	Gas   string
	Mass  int64 // mg, 0 or more
}

// PeriodClose ends a period: its lines are computed. Who may open it signs it.
type PeriodClose struct {
	Period   string     `cbor:"1,keyasint"`
	Declared []Declared `cbor:"2,keyasint"`
}

// Type returns [TypePeriodClose].
func (*PeriodClose) Type() string { return TypePeriodClose }

func (p *PeriodClose) check() error {
	if err := CheckID("period", p.Period); err != nil {
		return err
	}
	if len(p.Declared) > maxDeclared {
		return fmt.Errorf("%w: %d declared lines, more than %d", ErrForm, len(p.Declared), maxDeclared)
	}
	for _, d := range p.Declared {
		if err := text("label", d.Label, maxLabel); err != nil {
			return err
		}
		if err := text("gas", d.Gas, maxGas); err != nil {
			return err
		}
		if d.Mass < 0 {
			return fmt.Errorf("%w: %d mg are declared, less than nothing", ErrForm, d.Mass)
		}
	}
	return nil
}

// Levels of assurance.
const (
	AssuranceReasonable = "reasonable"
	AssuranceLimited    = "limited"
)

// Verification says that a verifier found a version of a closed period right.
type Verification struct {
	Period  string `cbor:"1,keyasint"`
	Version uint64 `cbor:"2,keyasint"`
	// Digest is the SHA-256 of what the version's outcome says: the body of its leaf.
	Digest []byte `cbor:"3,keyasint"`
	Level  string `cbor:"4,keyasint"`
	Note   string `cbor:"5,keyasint,omitempty"`
}

// Type returns [TypeVerification].
func (*Verification) Type() string { return TypeVerification }

func (v *Verification) check() error {
	switch {
	case v.Version == 0:
		return fmt.Errorf("%w: versions of a period count from 1", ErrForm)
	case len(v.Digest) != 32:
		return fmt.Errorf("%w: the digest of a period has %d bytes instead of 32", ErrForm, len(v.Digest))
	case v.Level != AssuranceReasonable && v.Level != AssuranceLimited:
		return fmt.Errorf("%w: assurance %q instead of reasonable or limited", ErrForm, v.Level)
	}
	if err := optional("note", v.Note, maxReason); err != nil {
		return err
	}
	return CheckID("period", v.Period)
}

// Restatement computes a closed period again from the same readings, and from what came
// late, by other factors or potentials. Who may close it signs it.
type Restatement struct {
	Period  string    `cbor:"1,keyasint"`
	Version uint64    `cbor:"2,keyasint"` // the new one
	Reason  string    `cbor:"3,keyasint"`
	Set     string    `cbor:"4,keyasint"`
	Packs   []Edition `cbor:"5,keyasint"`
	// Declared replaces what was declared.
	Declared []Declared `cbor:"6,keyasint"`
}

// Type returns [TypeRestatement].
func (*Restatement) Type() string { return TypeRestatement }

func (r *Restatement) check() error {
	if r.Version < 2 {
		return fmt.Errorf("%w: a restatement makes version 2 or a later one", ErrForm)
	}
	if err := text("reason", r.Reason, maxReason); err != nil {
		return err
	}
	if err := checkSet(r.Set, false); err != nil {
		return err
	}
	if err := checkEditions(r.Packs); err != nil {
		return err
	}
	again := PeriodClose{r.Period, r.Declared}
	return again.check()
}
