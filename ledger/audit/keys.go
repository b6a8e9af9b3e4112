package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"wattmark/signer"
)

// Roles of a key in a key set.
const (
	RoleGateway  = "gateway"  // signs readings
	RoleOracle   = "oracle"   // signs what an oracle states
	RoleLog      = "log"      // signs checkpoints
	RoleCosigner = "cosigner" // cosigns checkpoints and signs receipts, and no statements
	RoleMember   = "member"   // signs orders, standing entries, disputes and its part of carbon accounts
	RoleVerifier = "verifier" // signs that a closed period is right
	RoleRegistry = "registry" // signs sources, projects, issues of units and reversals
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
		if !knownRole(k.Role) {
			return nil, fmt.Errorf("key %v: role %q is not known", k.Public.ID(), k.Role)
		}
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

// ParseKeys reads a JWK set. Keys of other types are passed over. What says two
// things of one key is an error, as some readers would take the one and some the
// other: a member twice or in other letters, a kid, alg or use that does not belong
// to the key. So are roles that are not known, and private keys.
func ParseKeys(b []byte) (*KeySet, error) {
	if len(b) > maxKeySet {
		return nil, fmt.Errorf("key set: %d bytes, over the limit of %d", len(b), maxKeySet)
	}
	members, err := membersOf(b, "keys")
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	var list []json.RawMessage
	if raw, ok := members["keys"]; ok {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("key set: %w", err)
		}
	}
	if list == nil {
		return nil, errors.New(`key set: there is no member "keys"`)
	}
	s := &KeySet{}
	for i, raw := range list {
		k, ok, err := parseJWK(raw)
		if err != nil {
			return nil, fmt.Errorf("key set: key %d: %w", i, err)
		}
		if !ok {
			continue
		}
		if _, ok := s.Find(k.Public.ID()); ok {
			return nil, fmt.Errorf("key set: key %d: key %v stands twice", i, k.Public.ID())
		}
		s.Add(k)
	}
	return s, nil
}

// jwkMembers are the members of a key that mean something here. d is in every
// private key (RFC 7518 section 6, RFC 8037 section 2).
var jwkMembers = []string{"kty", "crv", "x", "y", "d", "kid", "alg", "use",
	"wattmark_name", "wattmark_role", "wattmark_enrolled_leaf", "wattmark_revoked_leaf"}

// parseJWK reads one key of a set; ok is false for one of another type.
func parseJWK(raw []byte) (known KnownKey, ok bool, err error) {
	members, err := membersOf(raw, jwkMembers...)
	if err != nil {
		return known, false, err
	}
	if _, private := members["d"]; private {
		return known, false, errors.New("it is a private key: it must be kept out of every file that is given away, and is public now if this one was")
	}
	var j jwk
	if err := json.Unmarshal(raw, &j); err != nil {
		return known, false, err
	}
	k, ok, err := j.key()
	if !ok || err != nil {
		return known, false, err
	}
	switch {
	case j.ID != "" && j.ID != k.ID().String():
		err = fmt.Errorf("kid %q does not belong to it, %v does", j.ID, k.ID())
	case j.Alg != "" && j.Alg != k.Algorithm().String():
		err = fmt.Errorf("alg %q is not that of the key, %v is", j.Alg, k.Algorithm())
	case j.Use != "" && j.Use != "sig":
		err = fmt.Errorf("use %q is not that of a key that signs", j.Use)
	case !knownRole(j.Role):
		err = fmt.Errorf("wattmark_role %q is not known", j.Role)
	}
	return KnownKey{k, j.Name, j.Role, j.Enrolled, j.Revoked}, err == nil, err
}

func knownRole(role string) bool {
	return slices.Contains([]string{"", RoleGateway, RoleOracle, RoleLog, RoleCosigner, RoleMember, RoleVerifier, RoleRegistry}, role)
}

// membersOf splits a JSON object. Names of two members may not be equal but for
// case, and what is one of known but for case is refused: encoding/json takes such
// members for each other, where other readers do not.
func membersOf(object []byte, known ...string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('{') {
		return nil, fmt.Errorf("it starts with %v and is no object", t)
	}
	members := make(map[string]json.RawMessage)
	seen := make(map[string]string) // names by how they read in any case
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("%v stands where a member's name should", t)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		folded := strings.ToLower(strings.ToUpper(name))
		if other, twice := seen[folded]; twice {
			return nil, fmt.Errorf("member %q stands twice: as %q before", name, other)
		}
		if folded != name && slices.Contains(known, folded) {
			return nil, fmt.Errorf("member %q is to be written %q", name, folded)
		}
		seen[folded], members[name] = name, value
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	return members, nil
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
