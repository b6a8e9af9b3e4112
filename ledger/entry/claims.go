package entry

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Statement types (COSE typ, label 16), one for each kind of signed entry.
const (
	TypeReading    = "application/vnd.wattmark.reading+cose"
	TypeEnrolment  = "application/vnd.wattmark.enrolment+cose"
	TypeRevocation = "application/vnd.wattmark.revocation+cose"
	TypeClock      = "application/vnd.wattmark.clock+cose"
	TypeVote       = "application/vnd.wattmark.vote+cose"
	// TypeRefusal is an oracle's answer to a gateway and is never logged.
	TypeRefusal = "application/vnd.wattmark.refusal+cose"
)

// Content types of payloads.
const (
	ContentSenML  = "application/senml+cbor"                     // an open pack (RFC 8428)
	ContentSalted = "application/vnd.wattmark.salted-senml+cbor" // the preimage of a committed pack
	ContentCBOR   = "application/cbor"                           // every other payload
)

// Sequence numbers a signer's statements: Count from 1 within each Boot. The
// pair strictly increases for each key.
type Sequence struct {
	Boot  uint64 // EAT boot count, claim 267
	Count uint64
}

// Less reports whether s comes before t.
func (s Sequence) Less(t Sequence) bool {
	return s.Boot < t.Boot || s.Boot == t.Boot && s.Count < t.Count
}

// String returns "boot-count", as receipts' file names have it.
func (s Sequence) String() string { return fmt.Sprintf("%d-%d", s.Boot, s.Count) }

// Clock qualities, best last but for simulated, which is the demonstration's.
const (
	ClockUnsynced  = "unsynced"
	ClockRTC       = "rtc"
	ClockHoldover  = "holdover"
	ClockNTP       = "ntp"
	ClockSimulated = "simulated"
)

// TimeQuality says how far a statement's times can be trusted.
type TimeQuality struct {
	// Quality is one of the Clock constants.
	Quality string
	// Uncertainty is the claimed bound of the error in nanoseconds, 0 for none
	// claimed (RFC 9581 key -7).
	Uncertainty uint64
	// Monotonic is the time since boot in nanoseconds at signing.
	Monotonic uint64
}

// Claims are the CWT claims (RFC 8392) in a statement's protected header.
type Claims struct {
	Issuer   string       // 1 iss: the signer, as a URI
	Subject  string       // 2 sub: the metering point's pseudonym, where there is one
	Audience string       // 3 aud: the ledger's origin; the statement is good for no other
	IssuedAt int64        // 6 iat: Unix seconds UTC of signing
	Uptime   uint64       // 261 uptime: seconds since boot (RFC 9711)
	Sequence Sequence     // 267 bootcount (RFC 9711) and -65537
	Previous []byte       // -65538: SHA-256 of the signer's previous statement, or nil
	Time     *TimeQuality // -65539
	Skipped  *Range       // -65540: sequence counts of this boot that were never signed
}

// Range is first to last, both included.
type Range struct {
	_     struct{} `cbor:",toarray"`
	First uint64
	Last  uint64
}

// Labels of private use (below -65536, RFC 8392 section 9.1.1).
const (
	LabelSequence = -65537
	LabelPrevious = -65538
	LabelTime     = -65539
	LabelSkipped  = -65540
)

type wireClaims struct {
	Issuer   string    `cbor:"1,keyasint"`
	Subject  string    `cbor:"2,keyasint,omitempty"`
	Audience string    `cbor:"3,keyasint"`
	IssuedAt int64     `cbor:"6,keyasint"`
	Uptime   uint64    `cbor:"261,keyasint,omitempty"`
	Boot     uint64    `cbor:"267,keyasint,omitempty"`
	Count    uint64    `cbor:"-65537,keyasint,omitempty"`
	Previous []byte    `cbor:"-65538,keyasint,omitempty"`
	Time     *wireTime `cbor:"-65539,keyasint,omitempty"`
	Skipped  *Range    `cbor:"-65540,keyasint,omitempty"`
}

// wireTime has the negative keys of RFC 9581 as integers and its elective text
// keys beside them; a struct can hold only one sort, so it is encoded by hand.
type wireTime TimeQuality

type wireDuration struct {
	Seconds uint64 `cbor:"1,keyasint"`
	Nanos   uint64 `cbor:"-9,keyasint,omitempty"`
}

const nanosPerSecond = 1_000_000_000

// MarshalCBOR writes {-7: uncertainty, "quality": text, "monotonic": ns}.
func (t wireTime) MarshalCBOR() ([]byte, error) {
	m := map[any]any{"quality": t.Quality, "monotonic": t.Monotonic}
	if t.Uncertainty > 0 {
		m[int64(-7)] = wireDuration{t.Uncertainty / nanosPerSecond, t.Uncertainty % nanosPerSecond}
	}
	return encMode.Marshal(m)
}

// UnmarshalCBOR is the inverse of MarshalCBOR.
func (t *wireTime) UnmarshalCBOR(b []byte) error {
	var m map[any]cbor.RawMessage
	if err := decMode.Unmarshal(b, &m); err != nil {
		return err
	}
	known := 0
	if raw, ok := m["quality"]; ok {
		known++
		if err := decMode.Unmarshal(raw, &t.Quality); err != nil {
			return err
		}
	}
	if raw, ok := m["monotonic"]; ok {
		known++
		if err := decMode.Unmarshal(raw, &t.Monotonic); err != nil {
			return err
		}
	}
	if raw, ok := m[int64(-7)]; ok {
		known++
		var d wireDuration
		if err := decMode.Unmarshal(raw, &d); err != nil {
			return err
		}
		if d.Seconds > 1<<32 || d.Nanos >= nanosPerSecond {
			return fmt.Errorf("time uncertainty out of range")
		}
		t.Uncertainty = d.Seconds*nanosPerSecond + d.Nanos
	}
	if known != len(m) {
		return fmt.Errorf("time quality has an unknown key")
	}
	switch t.Quality {
	case ClockUnsynced, ClockRTC, ClockHoldover, ClockNTP, ClockSimulated:
		return nil
	}
	return fmt.Errorf("time quality %q is not known", t.Quality)
}

// Encode writes the claims as the CBOR map that a statement's header carries.
func (c *Claims) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return encode(wireClaims{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, IssuedAt: c.IssuedAt, Uptime: c.Uptime,
		Boot: c.Sequence.Boot, Count: c.Sequence.Count, Previous: c.Previous,
		Time: (*wireTime)(c.Time), Skipped: c.Skipped,
	}), nil
}

// ParseClaims reads what Encode wrote.
func ParseClaims(b []byte) (Claims, error) {
	var w wireClaims
	if err := decode("claims", b, &w); err != nil {
		return Claims{}, err
	}
	c := Claims{
		Issuer: w.Issuer, Subject: w.Subject, Audience: w.Audience, IssuedAt: w.IssuedAt, Uptime: w.Uptime,
		Sequence: Sequence{w.Boot, w.Count}, Previous: w.Previous,
		Time: (*TimeQuality)(w.Time), Skipped: w.Skipped,
	}
	return c, c.check()
}

func (c *Claims) check() error {
	if err := text("issuer", c.Issuer, 255); err != nil {
		return err
	}
	if err := text("ledger origin", c.Audience, 255); err != nil {
		return err
	}
	if c.Subject != "" {
		if err := text("subject", c.Subject, 255); err != nil {
			return err
		}
	}
	switch {
	case c.IssuedAt < 0 || c.IssuedAt > 1<<40:
		return fmt.Errorf("%w: time of signing %d is out of range", ErrForm, c.IssuedAt)
	case len(c.Previous) != 0 && len(c.Previous) != 32:
		return fmt.Errorf("%w: the previous statement's hash has %d bytes instead of 32", ErrForm, len(c.Previous))
	case c.Sequence.Boot > 1<<53 || c.Sequence.Count > 1<<53:
		return fmt.Errorf("%w: sequence %v is out of range", ErrForm, c.Sequence)
	case (c.Sequence.Boot == 0) != (c.Sequence.Count == 0):
		return fmt.Errorf("%w: boot count and sequence number go together and start at 1", ErrForm)
	case c.Skipped != nil && (c.Skipped.First == 0 || c.Skipped.Last < c.Skipped.First || c.Skipped.Last >= c.Sequence.Count):
		return fmt.Errorf("%w: skipped numbers %d to %d do not lie before %d", ErrForm, c.Skipped.First, c.Skipped.Last, c.Sequence.Count)
	}
	return nil
}
