package entry

import (
	"crypto/sha256"
	"fmt"
)

// Modes of a metering point.
const (
	ModeOpen      = "open"      // packs are in the log
	ModeCommitted = "committed" // the log holds hashes; packs are in the oracles' vaults
)

// Kinds of a channel.
const (
	KindCounter = "counter" // a register: a total that only grows
	KindGauge   = "gauge"   // a state at one instant
)

// Channel is what a metering point's registration promises of one channel: the
// range and rate against which its readings are judged plausible.
type Channel struct {
	Name    string  `cbor:"1,keyasint"`
	Unit    string  `cbor:"2,keyasint"`
	Kind    string  `cbor:"3,keyasint"`
	Least   Decimal `cbor:"4,keyasint"`
	Most    Decimal `cbor:"5,keyasint"`
	PerHour Decimal `cbor:"6,keyasint"` // largest change in an hour; 0 for no limit
}

// Point is a metering point as registered with a gateway's key.
type Point struct {
	Subject  string    `cbor:"1,keyasint"` // a random pseudonym, never an address
	Mode     string    `cbor:"2,keyasint"`
	Channels []Channel `cbor:"3,keyasint"`
}

// Enrolment admits a gateway's key. It is signed by an oracle of the charter.
type Enrolment struct {
	Algorithm int     `cbor:"1,keyasint"` // COSE algorithm of the key
	Key       []byte  `cbor:"2,keyasint"` // raw public key
	Gateway   string  `cbor:"3,keyasint"` // the gateway's name in subjects, [a-z0-9-]
	Points    []Point `cbor:"4,keyasint"`
}

// Revocation ends a key: statements of it in later blocks are refused.
type Revocation struct {
	KeyID  []byte `cbor:"1,keyasint"`
	Reason string `cbor:"2,keyasint"`
}

// Clock is an oracle's clock, and its wish to close the block being collected.
type Clock struct {
	Height uint64 `cbor:"1,keyasint"` // of the block to be closed
	Time   int64  `cbor:"2,keyasint"` // Unix milliseconds UTC
}

// Proposal is a change of the ledger's parameters that takes effect at a stated
// later height once enough oracles have voted for the very same bytes.
type Proposal struct {
	Parameter string `cbor:"1,keyasint"`
	Value     int64  `cbor:"2,keyasint"`
	Height    uint64 `cbor:"3,keyasint"`
}

// Vote is one oracle's consent to a proposal.
type Vote struct {
	Proposal Proposal `cbor:"1,keyasint"`
}

// Hash identifies a proposal: the SHA-256 of its encoding.
func (p Proposal) Hash() [32]byte { return sha256.Sum256(encode(p)) }

// Encode writes the payload of an enrolment.
func (e *Enrolment) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(e)
}

// ParseEnrolment reads the payload of an enrolment.
func ParseEnrolment(b []byte) (*Enrolment, error) {
	var e Enrolment
	if err := decode("enrolment", b, &e); err != nil {
		return nil, err
	}
	return &e, e.check()
}

func (e *Enrolment) check() error {
	if err := CheckGateway(e.Gateway); err != nil {
		return err
	}
	if len(e.Key) > maxKey { // whether it is a key of its algorithm is for who knows keys (signer)
		return fmt.Errorf("%w: a key of %d bytes, over the limit of %d", ErrForm, len(e.Key), maxKey)
	}
	if len(e.Points) == 0 || len(e.Points) > 64 {
		return fmt.Errorf("%w: an enrolment has %d metering points instead of 1 to 64", ErrForm, len(e.Points))
	}
	for i := range e.Points {
		if err := e.Points[i].check(); err != nil {
			return err
		}
		for k := range i {
			if e.Points[k].Subject == e.Points[i].Subject {
				return fmt.Errorf("%w: metering point %q stands twice in one enrolment", ErrForm, e.Points[i].Subject)
			}
		}
	}
	return nil
}

func (p *Point) check() error {
	if err := text("metering point", p.Subject, 128); err != nil {
		return err
	}
	if p.Mode != ModeOpen && p.Mode != ModeCommitted {
		return fmt.Errorf("%w: metering point %q has mode %q instead of open or committed", ErrForm, p.Subject, p.Mode)
	}
	if len(p.Channels) > 256 {
		return fmt.Errorf("%w: metering point %q has %d channels, more than 256", ErrForm, p.Subject, len(p.Channels))
	}
	last := ""
	for _, c := range p.Channels {
		if c.Name <= last {
			return fmt.Errorf("%w: channels of %q are not in order of their names", ErrForm, p.Subject)
		}
		last = c.Name
		if err := text("channel", c.Name, 255); err != nil {
			return err
		}
		if c.Unit != "" {
			if err := text("unit", c.Unit, maxUnit); err != nil {
				return err
			}
		}
		if c.Kind != KindCounter && c.Kind != KindGauge {
			return fmt.Errorf("%w: channel %q has kind %q instead of counter or gauge", ErrForm, c.Name, c.Kind)
		}
		if c.Least.Cmp(c.Most) > 0 {
			return fmt.Errorf("%w: channel %q has an empty range", ErrForm, c.Name)
		}
		if c.PerHour.Mantissa < 0 {
			return fmt.Errorf("%w: channel %q may change by %v an hour, which is less than nothing", ErrForm, c.Name, c.PerHour)
		}
	}
	return nil
}

// CheckGateway checks a gateway's name: it becomes a subject and a file name.
func CheckGateway(name string) error {
	if name == "" || len(name) > 63 {
		return fmt.Errorf("%w: a gateway's name has %d bytes instead of 1 to 63", ErrForm, len(name))
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return fmt.Errorf("%w: a gateway's name is lower-case letters, digits and hyphens, not %q", ErrForm, name)
		}
	}
	return nil
}

// Encode writes the payload of a revocation.
func (r *Revocation) Encode() []byte { return encode(r) }

// ParseRevocation reads the payload of a revocation.
func ParseRevocation(b []byte) (*Revocation, error) {
	var r Revocation
	if err := decode("revocation", b, &r); err != nil {
		return nil, err
	}
	if err := checkKeyID(r.KeyID); err != nil {
		return nil, err
	}
	return &r, text("reason", r.Reason, 255)
}

func checkKeyID(id []byte) error {
	if len(id) != 16 {
		return fmt.Errorf("%w: a key id of %d bytes instead of 16", ErrForm, len(id))
	}
	return nil
}

// Encode writes the payload of a clock.
func (c *Clock) Encode() []byte { return encode(c) }

// ParseClock reads the payload of a clock.
func ParseClock(b []byte) (*Clock, error) {
	var c Clock
	if err := decode("clock", b, &c); err != nil {
		return nil, err
	}
	if c.Time < 0 || c.Time > 1<<50 {
		return nil, fmt.Errorf("%w: clock %d ms is out of range", ErrForm, c.Time)
	}
	return &c, nil
}

// Encode writes the payload of a vote.
func (v *Vote) Encode() []byte { return encode(v) }

// ParseVote reads the payload of a vote.
func ParseVote(b []byte) (*Vote, error) {
	var v Vote
	if err := decode("vote", b, &v); err != nil {
		return nil, err
	}
	return &v, text("parameter", v.Proposal.Parameter, 64)
}
