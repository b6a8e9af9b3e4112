package entry

import (
	"crypto/sha256"
	"fmt"
)

// Motion is what is put to the oracles' vote: a change of one kind that takes
// effect with the block of a stated height, once as many oracles as the governance
// threshold asks for agree to the very same bytes. It is the second form of a
// [Proposal], for changes of every kind. The oracle that states it agrees to it.
type Motion struct {
	Kind   string `cbor:"1,keyasint"` // one of the Motion constants
	Height uint64 `cbor:"2,keyasint"` // of the first block that it holds for
	Body   []byte `cbor:"3,keyasint"` // what the kind says, deterministic CBOR
}

// Kinds of motion.
const (
	MotionOracles   = "oracles"   // Body an OracleSet
	MotionParameter = "parameter" // Body a Parameter
	MotionRules     = "rules"     // Body a RuleVersion
	MotionForget    = "forget"    // Body a Forgetting
	MotionRestore   = "restore"   // Body a Restoration
)

// Consent is one more oracle's agreement to a motion that is on the ledger.
type Consent struct {
	Motion [32]byte `cbor:"1,keyasint"` // its Hash
}

// RuleVersion says which version of some rules holds.
type RuleVersion struct {
	Rules   string `cbor:"1,keyasint"`
	Version uint64 `cbor:"2,keyasint"`
}

// Forgetting has every oracle delete the packs, salts and all, of a metering point,
// which is closed by it.
type Forgetting struct {
	Subject string `cbor:"1,keyasint"`
	Reason  string `cbor:"2,keyasint"` // for people; public for ever
}

// maxBody bounds a motion's body in bytes: it goes into one statement.
const maxBody = 60_000

// Hash identifies a motion: the SHA-256 of its encoding.
func (m *Motion) Hash() [32]byte { return sha256.Sum256(encode(m)) }

// Encode writes the payload of a motion.
func (m *Motion) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return encode(m), nil
}

// ParseMotion reads the payload of a motion. Whether its body is what its kind
// says, the kind's own parser finds out.
func ParseMotion(b []byte) (*Motion, error) {
	var m Motion
	if err := decode("motion", b, &m); err != nil {
		return nil, err
	}
	return &m, m.check()
}

func (m *Motion) check() error {
	if err := text("kind of a motion", m.Kind, 64); err != nil {
		return err
	}
	if len(m.Body) == 0 || len(m.Body) > maxBody {
		return fmt.Errorf("%w: a motion has a body of %d bytes instead of 1 to %d", ErrForm, len(m.Body), maxBody)
	}
	return nil
}

// Encode writes the payload of a consent.
func (c *Consent) Encode() []byte { return encode(c) }

// ParseConsent reads the payload of a consent.
func ParseConsent(b []byte) (*Consent, error) {
	var c Consent
	return &c, decode("consent", b, &c)
}

// Encode writes the body of a motion of the kind MotionParameter.
func (p *Parameter) Encode() []byte { return encode(p) }

// ParseParameter reads the body of a motion of the kind MotionParameter.
func ParseParameter(b []byte) (*Parameter, error) {
	var p Parameter
	if err := decode("parameter", b, &p); err != nil {
		return nil, err
	}
	return &p, text("parameter", p.Name, 64)
}

// Encode writes the body of a motion of the kind MotionRules.
func (r *RuleVersion) Encode() []byte { return encode(r) }

// ParseRuleVersion reads the body of a motion of the kind MotionRules.
func ParseRuleVersion(b []byte) (*RuleVersion, error) {
	var r RuleVersion
	if err := decode("version of rules", b, &r); err != nil {
		return nil, err
	}
	return &r, text("name of rules", r.Rules, 64)
}

// Encode writes the body of a motion of the kind MotionForget.
func (f *Forgetting) Encode() ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return encode(f), nil
}

// ParseForgetting reads the body of a motion of the kind MotionForget.
func ParseForgetting(b []byte) (*Forgetting, error) {
	var f Forgetting
	if err := decode("forgetting", b, &f); err != nil {
		return nil, err
	}
	return &f, f.check()
}

func (f *Forgetting) check() error {
	if err := text("metering point", f.Subject, 128); err != nil {
		return err
	}
	return text("reason", f.Reason, 255)
}
