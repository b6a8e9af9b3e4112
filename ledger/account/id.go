package account

import (
	"errors"
	"fmt"
	"strings"
)

// MaxName is the longest name of an asset and of an owner, in bytes.
const MaxName = 80

// ErrInvalid is wrapped by errors about names and stored pairs that are none.
var ErrInvalid = errors.New("invalid")

// Asset is what is counted: amounts of one asset add up, those of two never do.
type Asset struct {
	Class Class
	// Name tells assets of one class apart: a currency, an interval, an issue, a
	// block of units. 1 to 80 of 0-9 A-Z a-z . _ : -
	Name string
}

// ID names an account. IDs compare with ==.
type ID struct {
	Asset Asset
	Kind  Kind
	// Owner is whose account it is, in the same letters as an asset's name.
	Owner string
}

// String returns the asset as class/name.
func (a Asset) String() string { return a.Class.String() + "/" + a.Name }

// String returns the account as class/name/kind/owner, as [ParseID] reads it:
// money/EUR/running/member:anna.
func (id ID) String() string { return id.Asset.String() + "/" + id.Kind.String() + "/" + id.Owner }

// Check returns an error that wraps [ErrInvalid] unless id can name an account.
func (id ID) Check() error {
	switch {
	case !id.Asset.Class.valid():
		return fmt.Errorf("account: asset class %d: %w", id.Asset.Class, ErrInvalid)
	case !id.Kind.valid():
		return fmt.Errorf("account: kind %d: %w", id.Kind, ErrInvalid)
	case !id.Kind.holds(id.Asset.Class):
		return fmt.Errorf("account: %s has no %s accounts: %w", id.Asset.Class, id.Kind, ErrInvalid)
	}
	if err := checkName("asset", id.Asset.Name); err != nil {
		return err
	}
	return checkName("owner", id.Owner)
}

func checkName(what, name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("account: %s of %d bytes, want 1 to %d: %w", what, len(name), MaxName, ErrInvalid)
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return fmt.Errorf("account: %s %q has other letters than 0-9 A-Z a-z . _ : -: %w", what, name, ErrInvalid)
		}
	}
	return nil
}

func nameByte(b byte) bool {
	switch {
	case '0' <= b && b <= '9', 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z':
		return true
	}
	return b == '.' || b == '_' || b == ':' || b == '-'
}

// ParseID reads the text of an account.
func ParseID(s string) (ID, error) {
	if len(s) > 2*MaxName+40 {
		return ID{}, fmt.Errorf("account: a name of %d bytes: %w", len(s), ErrInvalid)
	}
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return ID{}, fmt.Errorf("account: %q, want class/name/kind/owner: %w", s, ErrInvalid)
	}
	id := ID{Asset: Asset{Name: parts[1]}, Owner: parts[3]}
	for c := Money; c.valid(); c++ {
		if c.String() == parts[0] {
			id.Asset.Class = c
		}
	}
	for k := Issuance; k.valid(); k++ {
		if k.String() == parts[2] {
			id.Kind = k
		}
	}
	if id.Asset.Class == 0 {
		return ID{}, fmt.Errorf("account: asset class %q: %w", parts[0], ErrInvalid)
	}
	if id.Kind == 0 {
		return ID{}, fmt.Errorf("account: kind %q: %w", parts[2], ErrInvalid)
	}
	return id, id.Check()
}

// appendKey appends the stored key of a checked id. Keys of one asset share a
// prefix that no other asset's keys have, as names hold no zero byte.
func (id ID) appendKey(b []byte) []byte {
	b = append(b, byte(id.Asset.Class))
	b = append(b, id.Asset.Name...)
	b = append(b, 0, byte(id.Kind))
	return append(b, id.Owner...)
}

// parseKey reads a stored key.
func parseKey(key []byte) (ID, error) {
	if len(key) < 1 || len(key) > 3+2*MaxName {
		return ID{}, fmt.Errorf("account: key of %d bytes: %w", len(key), ErrInvalid)
	}
	name, rest, ok := strings.Cut(string(key[1:]), "\x00")
	if !ok || rest == "" {
		return ID{}, fmt.Errorf("account: key %x: %w", key, ErrInvalid)
	}
	id := ID{Asset: Asset{Class: Class(key[0]), Name: name}, Kind: Kind(rest[0]), Owner: rest[1:]}
	return id, id.Check()
}
