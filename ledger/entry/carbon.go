package entry

import (
	"fmt"
	"slices"

	"wattmark/ledger/unit"
)

// TypePartyRequest is the wish of a verifier's or a registry's key to be appointed. It is
// carried in a TypeAppointment and is no leaf by itself.
const TypePartyRequest = "application/vnd.wattmark.party-request+cose"

// Statement types of carbon accounting.
const (
	TypeAppointment      = "application/vnd.wattmark.appointment+cose"
	TypeFactorPack       = "application/vnd.wattmark.factor-pack+cose"
	TypeCarbonSource     = "application/vnd.wattmark.carbon-source+cose"
	TypeCarbonProject    = "application/vnd.wattmark.carbon-project+cose"
	TypePeriodOpen       = "application/vnd.wattmark.period-open+cose"
	TypePeriodClose      = "application/vnd.wattmark.period-close+cose"
	TypeVerification     = "application/vnd.wattmark.verification+cose"
	TypeRestatement      = "application/vnd.wattmark.restatement+cose"
	TypeGCIssue          = "application/vnd.wattmark.gc-issue+cose"
	TypeGCSplit          = "application/vnd.wattmark.gc-split+cose"
	TypeGCTransfer       = "application/vnd.wattmark.gc-transfer+cose"
	TypeGCCancel         = "application/vnd.wattmark.gc-cancel+cose"
	TypeGCClaim          = "application/vnd.wattmark.gc-claim+cose"
	TypeStorageCharge    = "application/vnd.wattmark.storage-charge+cose"
	TypeStorageDischarge = "application/vnd.wattmark.storage-discharge+cose"
	TypeUnitIssue        = "application/vnd.wattmark.unit-issue+cose"
	TypeUnitSplit        = "application/vnd.wattmark.unit-split+cose"
	TypeUnitTransfer     = "application/vnd.wattmark.unit-transfer+cose"
	TypeUnitRetire       = "application/vnd.wattmark.unit-retire+cose"
	TypeUnitCancel       = "application/vnd.wattmark.unit-cancel+cose"
	TypeReversal         = "application/vnd.wattmark.reversal+cose"
	TypeAuthorization    = "application/vnd.wattmark.authorization+cose"
	TypeFirstTransfer    = "application/vnd.wattmark.first-transfer+cose"
	TypeCADTCommit       = "application/vnd.wattmark.cadt-commit+cose"
)

// Carbon is the payload of one of the statements of carbon accounting.
type Carbon interface {
	// Type is the typ of its statement.
	Type() string
	check() error
}

// carbonKinds makes an empty payload of each type.
var carbonKinds = []struct {
	typ   string
	empty func() Carbon
}{
	{TypeAppointment, func() Carbon { return new(Appointment) }},
	{TypeFactorPack, func() Carbon { return new(FactorPack) }},
	{TypeCarbonSource, func() Carbon { return new(CarbonSource) }},
	{TypeCarbonProject, func() Carbon { return new(CarbonProject) }},
	{TypePeriodOpen, func() Carbon { return new(PeriodOpen) }},
	{TypePeriodClose, func() Carbon { return new(PeriodClose) }},
	{TypeVerification, func() Carbon { return new(Verification) }},
	{TypeRestatement, func() Carbon { return new(Restatement) }},
	{TypeGCIssue, func() Carbon { return new(GCIssue) }},
	{TypeGCSplit, func() Carbon { return new(GCSplit) }},
	{TypeGCTransfer, func() Carbon { return new(GCTransfer) }},
	{TypeGCCancel, func() Carbon { return new(GCCancel) }},
	{TypeGCClaim, func() Carbon { return new(GCClaim) }},
	{TypeStorageCharge, func() Carbon { return new(StorageCharge) }},
	{TypeStorageDischarge, func() Carbon { return new(StorageDischarge) }},
	{TypeUnitIssue, func() Carbon { return new(UnitIssue) }},
	{TypeUnitSplit, func() Carbon { return new(UnitSplit) }},
	{TypeUnitTransfer, func() Carbon { return new(UnitTransfer) }},
	{TypeUnitRetire, func() Carbon { return new(UnitRetire) }},
	{TypeUnitCancel, func() Carbon { return new(UnitCancel) }},
	{TypeReversal, func() Carbon { return new(Reversal) }},
	{TypeAuthorization, func() Carbon { return new(Authorization) }},
	{TypeFirstTransfer, func() Carbon { return new(FirstTransfer) }},
	{TypeCADTCommit, func() Carbon { return new(CADTCommit) }},
}

// IsCarbon reports whether a typ is one of carbon accounting.
func IsCarbon(typ string) bool {
	for i := range carbonKinds {
		if carbonKinds[i].typ == typ {
			return true
		}
	}
	return false
}

// CarbonTypes returns the types of carbon accounting, in order of this package.
func CarbonTypes() (out []string) {
	for i := range carbonKinds {
		out = append(out, carbonKinds[i].typ)
	}
	return out
}

// EmptyCarbon returns an empty payload of a type, nil for one that is none of carbon
// accounting.
func EmptyCarbon(typ string) Carbon {
	for i := range carbonKinds {
		if carbonKinds[i].typ == typ {
			return carbonKinds[i].empty()
		}
	}
	return nil
}

// EncodeCarbon writes a payload.
func EncodeCarbon(c Carbon) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(c)
}

// ParseCarbon reads the payload of a statement with a typ of carbon accounting.
func ParseCarbon(typ string, b []byte) (Carbon, error) {
	for i := range carbonKinds {
		if carbonKinds[i].typ != typ {
			continue
		}
		c := carbonKinds[i].empty()
		if err := decode(typ, b, c); err != nil {
			return nil, err
		}
		return c, c.check()
	}
	return nil, fmt.Errorf("%w: %q is no type of carbon accounting", ErrForm, typ)
}

// checkIDs checks several ids, as what: value.
func checkIDs(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := CheckID(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// checkList checks a list of 1 to most ids, none twice.
func checkList(what string, ids []string, most int) error {
	if len(ids) == 0 || len(ids) > most {
		return fmt.Errorf("%w: %d of %s instead of 1 to %d", ErrForm, len(ids), what, most)
	}
	for i, id := range ids {
		if err := CheckID(what, id); err != nil {
			return err
		}
		if slices.Contains(ids[:i], id) {
			return fmt.Errorf("%w: %s %q stands twice", ErrForm, what, id)
		}
	}
	return nil
}

// checkSpan checks times in Unix seconds: both starts of intervals, one after the other.
func checkSpan(from, to int64) error {
	if err := unit.Interval(from).Check(); err != nil {
		return fmt.Errorf("%w: from: %w", ErrForm, err)
	}
	if err := unit.Interval(to).Check(); err != nil {
		return fmt.Errorf("%w: to: %w", ErrForm, err)
	}
	if to <= from {
		return fmt.Errorf("%w: from %d to %d is no time", ErrForm, from, to)
	}
	return nil
}

// checkSizes checks the sizes of a split.
func checkSizes(sizes []int64) error {
	if len(sizes) < 2 || len(sizes) > 64 {
		return fmt.Errorf("%w: a split into %d parts instead of 2 to 64", ErrForm, len(sizes))
	}
	for _, n := range sizes {
		if n < 1 {
			return fmt.Errorf("%w: a part of %d", ErrForm, n)
		}
	}
	return nil
}

// maxReason bounds what people write for people.
const maxReason = 255
