package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"wattmark/signer"
)

// Roles of a key in a key set.
const (
	RoleGateway  = "gateway"  // signs readings
	RoleOracle   = "oracle"   // signs what an oracle states
	RoleLog      = "log"      // signs checkpoints
	RoleCosigner = "cosigner" // cosigns checkpoints and signs receipts, and no statements
)

// KeySet holds the public keys that a verifier was given.
type KeySet struct{ keys map[signer.KeyID]KnownKey }

// KnownKey is one key of a set and what is known of its life.
type KnownKey struct {
	Public signer.PublicKey
	Name   string
	// Role is one of the Role constants, or empty where the set does not say.
	Role string
	// Enrolled and Revoked are leaf indices, 0 where unknown or not revoked.
	Enrolled uint64
	Revoked  uint64
}

// Add puts a key into the set.
func (s *KeySet) Add(k KnownKey) {
	if s.keys == nil {
		s.keys = make(map[signer.KeyID]KnownKey)
	}
	s.keys[k.Public.ID()] = k
}

// Find returns the key with the given id. A nil set is empty.
func (s *KeySet) Find(id signer.KeyID) (KnownKey, bool) {
	if s == nil {
		return KnownKey{}, false
	}
	k, ok := s.keys[id]
	return k, ok
}

// All returns the keys of the set in order of their ids.
func (s *KeySet) All() []KnownKey {
	var out []KnownKey
	if s == nil {
		return out
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.keys), func(a, b signer.KeyID) int { return bytes.Compare(a[:], b[:]) }) {
		out = append(out, s.keys[id])
	}
	return out
}

// jwk is a JSON Web Key (RFC 7517, RFC 8037, RFC 7518 section 6.2) with members
// of ours behind a prefix.
type jwk struct {
	Type     string `json:"kty"`
	Curve    string `json:"crv"`
	X        string `json:"x"`
	Y        string `json:"y,omitempty"`
	ID       string `json:"kid"`
	Alg      string `json:"alg"`
	Use      string `json:"use,omitempty"`
	Name     string `json:"wattmark_name,omitempty"`
	Role     string `json:"wattmark_role,omitempty"`
	Enrolled uint64 `json:"wattmark_enrolled_leaf,omitempty"`
	Revoked  uint64 `json:"wattmark_revoked_leaf,omitempty"`
}

// EncodeKeys writes keys as a JWK set, in the order given.
func EncodeKeys(keys []KnownKey) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	b64 := base64.RawURLEncoding.EncodeToString
	for _, k := range keys {
		raw := k.Public.Bytes()
		j := jwk{
			ID: k.Public.ID().String(), Alg: k.Public.Algorithm().String(), Use: "sig",
			Name: k.Name, Role: k.Role, Enrolled: k.Enrolled, Revoked: k.Revoked,
		}
		switch k.Public.Algorithm() {
		case signer.EdDSA:
			j.Type, j.Curve, j.X = "OKP", "Ed25519", b64(raw)
		case signer.ES256:
			j.Type, j.Curve, j.X, j.Y = "EC", "P-256", b64(raw[1:33]), b64(raw[33:])
		default:
			return nil, fmt.Errorf("key %v has no JWK form", k.Public.ID())
		}
		set.Keys = append(set.Keys, j)
	}
	return json.MarshalIndent(set, "", "  ")
}

// maxKeySet bounds a key set in bytes.
const maxKeySet = 16 << 20

// ParseKeys reads a JWK set. Keys of other types are passed over; a kid that
// does not belong to its key is an error.
func ParseKeys(b []byte) (*KeySet, error) {
	if len(b) > maxKeySet {
		return nil, fmt.Errorf("key set: %d bytes, over the limit of %d", len(b), maxKeySet)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New(`key set: there is no member "keys"`)
	}
	s := &KeySet{}
	for i, j := range set.Keys {
		k, ok, err := j.key()
		if err != nil {
			return nil, fmt.Errorf("key set: key %d: %w", i, err)
		}
		if !ok {
			continue
		}
		if j.ID != "" && j.ID != k.ID().String() {
			return nil, fmt.Errorf("key set: key %d: kid %q does not belong to it, %v does", i, j.ID, k.ID())
		}
		if _, ok := s.Find(k.ID()); ok {
			return nil, fmt.Errorf("key set: key %d: key %v stands twice", i, k.ID())
		}
		s.Add(KnownKey{k, j.Name, j.Role, j.Enrolled, j.Revoked})
	}
	return s, nil
}

func (j *jwk) key() (k signer.PublicKey, ok bool, err error) {
	b64 := base64.RawURLEncoding.Strict()
	x, err := b64.DecodeString(j.X)
	if err != nil {
		return k, false, fmt.Errorf("x: %w", err)
	}
	switch {
	case j.Type == "OKP" && j.Curve == "Ed25519":
		k, err = signer.NewPublicKey(signer.EdDSA, x)
	case j.Type == "EC" && j.Curve == "P-256":
		y, yerr := b64.DecodeString(j.Y)
		if yerr != nil || len(x) != 32 || len(y) != 32 {
			return k, false, errors.New("coordinates are not 32 bytes each")
		}
		k, err = signer.NewPublicKey(signer.ES256, append(append([]byte{4}, x...), y...))
	default:
		return k, false, nil
	}
	return k, err == nil, err
}
