package entry

import "fmt"

// GCIssue asks for the certificates of what a generator gave in one interval of at most
// an hour. Its owner signs it; how much that is, its register says.
type GCIssue struct {
	Source string `cbor:"1,keyasint"`
	From   int64  `cbor:"2,keyasint"`
	To     int64  `cbor:"3,keyasint"`
}

// Type returns [TypeGCIssue].
func (*GCIssue) Type() string { return TypeGCIssue }

func (g *GCIssue) check() error { return checkHour(g.Source, g.From, g.To) }

func checkHour(source string, from, to int64) error {
	if err := CheckID("source", source); err != nil {
		return err
	}
	if err := checkSpan(from, to); err != nil {
		return err
	}
	if to-from > 3600 {
		return fmt.Errorf("%w: an interval of %d s, more than an hour", ErrForm, to-from)
	}
	return nil
}

// GCSplit divides a bundle into parts, in the order of serials. Its owner signs it.
type GCSplit struct {
	Bundle string  `cbor:"1,keyasint"`
	Sizes  []int64 `cbor:"2,keyasint"` // Wh
}

// Type returns [TypeGCSplit].
func (*GCSplit) Type() string { return TypeGCSplit }

func (g *GCSplit) check() error {
	if err := CheckID("bundle", g.Bundle); err != nil {
		return err
	}
	return checkSizes(g.Sizes)
}

// GCTransfer passes a bundle on. Its owner signs it.
type GCTransfer struct {
	Bundle string `cbor:"1,keyasint"`
	To     string `cbor:"2,keyasint"` // a member
}

// Type returns [TypeGCTransfer].
func (*GCTransfer) Type() string { return TypeGCTransfer }

func (g *GCTransfer) check() error { return checkIDs("bundle", g.Bundle, "to", g.To) }

// GCCancel takes a bundle out of circulation for a beneficiary. Its owner signs it.
type GCCancel struct {
	Bundle      string `cbor:"1,keyasint"`
	Beneficiary string `cbor:"2,keyasint"` // a member
}

// Type returns [TypeGCCancel].
func (*GCCancel) Type() string { return TypeGCCancel }

func (g *GCCancel) check() error { return checkIDs("bundle", g.Bundle, "beneficiary", g.Beneficiary) }

// GCClaim says that cancelled bundles stand for a load in one interval: all that do. The
// owner of the load signs it.
type GCClaim struct {
	Load    string   `cbor:"1,keyasint"` // a source
	From    int64    `cbor:"2,keyasint"`
	To      int64    `cbor:"3,keyasint"`
	Bundles []string `cbor:"4,keyasint"`
}

// Type returns [TypeGCClaim].
func (*GCClaim) Type() string { return TypeGCClaim }

func (g *GCClaim) check() error {
	if err := checkHour(g.Load, g.From, g.To); err != nil {
		return err
	}
	return checkList("bundles", g.Bundles, 64)
}

// StorageCharge says whose certificates went into a storage in one interval: they were
// cancelled for its owner, who signs it.
type StorageCharge struct {
	Storage string   `cbor:"1,keyasint"`
	From    int64    `cbor:"2,keyasint"`
	To      int64    `cbor:"3,keyasint"`
	Bundles []string `cbor:"4,keyasint"`
}

// Type returns [TypeStorageCharge].
func (*StorageCharge) Type() string { return TypeStorageCharge }

func (g *StorageCharge) check() error {
	if err := checkHour(g.Storage, g.From, g.To); err != nil {
		return err
	}
	return checkList("bundles", g.Bundles, 64)
}

// StorageDischarge asks for the certificates of what a storage gave in one interval, as
// far as its charges cover it. Its owner signs it.
type StorageDischarge struct {
	Storage string `cbor:"1,keyasint"`
	From    int64  `cbor:"2,keyasint"`
	To      int64  `cbor:"3,keyasint"`
}

// Type returns [TypeStorageDischarge].
func (*StorageDischarge) Type() string { return TypeStorageDischarge }

func (g *StorageDischarge) check() error { return checkHour(g.Storage, g.From, g.To) }
