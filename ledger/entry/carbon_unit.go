package entry

import "fmt"

// UnitIssue issues the units of a project for a verified period. A registry signs it; how
// many that are, the period's lines say.
type UnitIssue struct {
	Project string `cbor:"1,keyasint"`
	Period  string `cbor:"2,keyasint"`
	Version uint64 `cbor:"3,keyasint"`
	Vintage int64  `cbor:"4,keyasint"` // a year
}

// Type returns [TypeUnitIssue].
func (*UnitIssue) Type() string { return TypeUnitIssue }

func (u *UnitIssue) check() error {
	if u.Version == 0 || u.Vintage < 1970 || u.Vintage > 9999 {
		return fmt.Errorf("%w: version %d and vintage %d", ErrForm, u.Version, u.Vintage)
	}
	return checkIDs("project", u.Project, "period", u.Period)
}

// UnitSplit divides a block into parts, in the order of serials. Its owner signs it.
type UnitSplit struct {
	Block string  `cbor:"1,keyasint"`
	Sizes []int64 `cbor:"2,keyasint"`
}

// Type returns [TypeUnitSplit].
func (*UnitSplit) Type() string { return TypeUnitSplit }

func (u *UnitSplit) check() error {
	if err := CheckID("block", u.Block); err != nil {
		return err
	}
	return checkSizes(u.Sizes)
}

// UnitTransfer passes a block on. Its owner signs it; a registry, where it releases a
// block from the buffer.
type UnitTransfer struct {
	Block string `cbor:"1,keyasint"`
	To    string `cbor:"2,keyasint"` // a member
}

// Type returns [TypeUnitTransfer].
func (*UnitTransfer) Type() string { return TypeUnitTransfer }

func (u *UnitTransfer) check() error { return checkIDs("block", u.Block, "to", u.To) }

// UnitRetire ends a block for somebody's claim. Its owner signs it.
type UnitRetire struct {
	Block       string `cbor:"1,keyasint"`
	Beneficiary string `cbor:"2,keyasint"`
	Reason      string `cbor:"3,keyasint"`
	// From and To are the time that it is claimed for, in Unix seconds.
	From int64 `cbor:"4,keyasint"`
	To   int64 `cbor:"5,keyasint"`
}

// Type returns [TypeUnitRetire].
func (*UnitRetire) Type() string { return TypeUnitRetire }

func (u *UnitRetire) check() error {
	if u.From < 0 || u.To <= u.From || u.To > maxTime/1000 {
		return fmt.Errorf("%w: a retirement for %d to %d", ErrForm, u.From, u.To)
	}
	if err := text("beneficiary", u.Beneficiary, maxPerson); err != nil {
		return err
	}
	if err := text("reason", u.Reason, maxReason); err != nil {
		return err
	}
	return CheckID("block", u.Block)
}

// UnitCancel ends a block without a claim. Its owner signs it.
type UnitCancel struct {
	Block  string `cbor:"1,keyasint"`
	Reason string `cbor:"2,keyasint"`
	// Settles is the project or registry whose debt the block pays, empty for none.
	Settles string `cbor:"3,keyasint,omitempty"`
}

// Type returns [TypeUnitCancel].
func (*UnitCancel) Type() string { return TypeUnitCancel }

func (u *UnitCancel) check() error {
	if err := text("reason", u.Reason, maxReason); err != nil {
		return err
	}
	if u.Settles != "" {
		if err := CheckID("debtor", u.Settles); err != nil {
			return err
		}
	}
	return CheckID("block", u.Block)
}

// Reversal says that tonnes of a project were emitted after all. The registry signs it.
type Reversal struct {
	Project string `cbor:"1,keyasint"`
	Tonnes  int64  `cbor:"2,keyasint"`
	Reason  string `cbor:"3,keyasint"`
}

// Type returns [TypeReversal].
func (*Reversal) Type() string { return TypeReversal }

func (r *Reversal) check() error {
	if r.Tonnes < 1 || r.Tonnes > 1<<53 {
		return fmt.Errorf("%w: a reversal of %d tonnes", ErrForm, r.Tonnes)
	}
	if err := text("reason", r.Reason, maxReason); err != nil {
		return err
	}
	return CheckID("project", r.Project)
}

// Authorization lets units of an issuance go abroad: the host country's letter, which
// the registry signs on to the ledger.
type Authorization struct {
	Issuance  string `cbor:"1,keyasint"`
	Host      string `cbor:"2,keyasint"` // the project's country
	Reference string `cbor:"3,keyasint"` // of the letter
	Digest    []byte `cbor:"4,keyasint"` // SHA-256 of the letter
}

// Type returns [TypeAuthorization].
func (*Authorization) Type() string { return TypeAuthorization }

func (a *Authorization) check() error {
	if len(a.Digest) != 32 {
		return fmt.Errorf("%w: the digest of an authorization has %d bytes instead of 32", ErrForm, len(a.Digest))
	}
	if err := text("reference", a.Reference, maxReason); err != nil {
		return err
	}
	if err := checkCountry(a.Host); err != nil {
		return err
	}
	return CheckID("issuance", a.Issuance)
}

// FirstTransfer passes a block on to somebody in another country, for the first time.
// Its owner signs it; both countries' adjustments follow from it.
type FirstTransfer struct {
	Block    string `cbor:"1,keyasint"`
	To       string `cbor:"2,keyasint"` // a member
	Acquirer string `cbor:"3,keyasint"` // the country
}

// Type returns [TypeFirstTransfer].
func (*FirstTransfer) Type() string { return TypeFirstTransfer }

func (f *FirstTransfer) check() error {
	if err := checkCountry(f.Acquirer); err != nil {
		return err
	}
	return checkIDs("block", f.Block, "to", f.To)
}

// CADTCommit writes one record of CAD Trust's data model. A registry signs it, and from
// then on it alone changes the record.
type CADTCommit struct {
	Table string `cbor:"1,keyasint"`
	Key   string `cbor:"2,keyasint"`
	// Record is the record as JSON, in the form that export takes: its "refs" with
	// "fields" or "block", without spaces.
	Record  []byte `cbor:"3,keyasint"`
	Author  string `cbor:"4,keyasint"`
	Comment string `cbor:"5,keyasint,omitempty"`
	// Before is the SHA-256 of the record that this one replaces, nil for a new one.
	Before []byte `cbor:"6,keyasint,omitempty"`
}

// maxRecord bounds a record of CAD Trust: it has to fit a statement.
const maxRecord = 60_000

// Type returns [TypeCADTCommit].
func (*CADTCommit) Type() string { return TypeCADTCommit }

func (c *CADTCommit) check() error {
	switch {
	case len(c.Record) == 0 || len(c.Record) > maxRecord:
		return fmt.Errorf("%w: a record of %d bytes instead of 1 to %d", ErrForm, len(c.Record), maxRecord)
	case len(c.Before) != 0 && len(c.Before) != 32:
		return fmt.Errorf("%w: the digest of a record has %d bytes instead of 32", ErrForm, len(c.Before))
	}
	if err := CheckID("table", c.Table); err != nil {
		return err
	}
	for _, f := range []struct{ what, value string }{{"key", c.Key}, {"author", c.Author}} {
		if err := text(f.what, f.value, maxPerson); err != nil {
			return err
		}
	}
	return optional("comment", c.Comment, maxReason)
}
