package entry

import (
	"errors"
	"fmt"
)

// Statement types (COSE typ, label 16), one for each kind of signed entry.
const (
	TypeReading    = "application/vnd.wattmark.reading+cose"
	TypeEnrolment  = "application/vnd.wattmark.enrolment+cose"
	TypeRevocation = "application/vnd.wattmark.revocation+cose"
	TypeClock      = "application/vnd.wattmark.clock+cose"
	TypeVote       = "application/vnd.wattmark.vote+cose"
	// TypeRequest is a new key's wish to be enrolled, and TypeRotation the consent of
	// the key that it replaces. Both are carried in a TypeProvenEnrolment and are no
	// leaves by themselves.
	TypeRequest         = "application/vnd.wattmark.enrolment-request+cose"
	TypeRotation        = "application/vnd.wattmark.rotation+cose"
	TypeProvenEnrolment = "application/vnd.wattmark.proven-enrolment+cose"
	TypeCalibration     = "application/vnd.wattmark.calibration+cose"
	TypeClockMap        = "application/vnd.wattmark.clock-map+cose"
	TypeMotion          = "application/vnd.wattmark.motion+cose"
	TypeConsent         = "application/vnd.wattmark.consent+cose"
	// TypeMemberRequest is a new member's wish to be admitted. It is carried in a
	// TypeMember and is no leaf by itself.
	TypeMemberRequest = "application/vnd.wattmark.member-request+cose"
	TypeMember        = "application/vnd.wattmark.member+cose"
	// TypePromise is an oracle's word that it signs one checkpoint at a height. It goes
	// with its vote for that, and is carried in a TypeConflict where two contradict one
	// another; it is no leaf by itself.
	TypePromise  = "application/vnd.wattmark.promise+cose"
	TypeConflict = "application/vnd.wattmark.conflict+cose"
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
	// Uncertainty is the expanded uncertainty (k = 2) in nanoseconds, 0 for none
	// stated (RFC 9581 key -7).
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
	Previous []byte       // -65538: identity of the signer's previous statement (SHA-256 of its Sig_structure), or nil
	Time     *TimeQuality // -65539
	Skipped  *Range       // -65540: sequence counts of this boot that were never signed
	Firmware []byte       // -65541: SHA-256 of the root file system that the signer runs from, or nil
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
	LabelFirmware = -65541
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
	Firmware []byte    `cbor:"-65541,keyasint,omitempty"`
}

// wireTime has the negative keys of RFC 9581 as integers and its elective text
// keys beside them; a struct can hold only one sort, so it is encoded by hand.
type wireTime TimeQuality

type wireDuration struct {
	Seconds uint64 `cbor:"1,keyasint"`
	Nanos   uint64 `cbor:"-9,keyasint,omitempty"`
}

const (
	nanosPerSecond = 1_000_000_000
	maxUncertainty = 1 << 62 // nanoseconds, 146 years
)

// MarshalCBOR writes {-7: uncertainty, "quality": text, "monotonic": ns}.
func (t wireTime) MarshalCBOR() ([]byte, error) {
	m := map[any]any{"quality": t.Quality, "monotonic": t.Monotonic}
	if t.Uncertainty > 0 {
		m[int64(-7)] = wireDuration{t.Uncertainty / nanosPerSecond, t.Uncertainty % nanosPerSecond}
	}
	return encMode.Marshal(m)
}

// Encode writes the claims as the CBOR map that a statement's header carries.
func (c *Claims) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return encode(wireClaims{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, IssuedAt: c.IssuedAt, Uptime: c.Uptime,
		Boot: c.Sequence.Boot, Count: c.Sequence.Count, Previous: c.Previous,
		Time: (*wireTime)(c.Time), Skipped: c.Skipped, Firmware: c.Firmware,
	}), nil
}

// ParseClaims reads what Encode wrote. Previous and Firmware refer to b.
func ParseClaims(b []byte) (Claims, error) {
	var c Claims
	in := cursor{rest: b}
	var boot, sequence, signed bool
	for k := (keys{pairs: in.count(majorMap, 16)}); ; {
		key, ok := k.next(&in)
		if !ok {
			break
		}
		switch key {
		case 1:
			c.Issuer = in.text()
		case 2:
			c.Subject = in.text()
			in.present(c.Subject != "")
		case 3:
			c.Audience = in.text()
		case 6:
			c.IssuedAt, signed = in.integer(), true
		case 261:
			c.Uptime = in.unsigned()
			in.present(c.Uptime != 0)
		case 267:
			c.Sequence.Boot, boot = in.unsigned(), true
		case LabelSequence:
			c.Sequence.Count, sequence = in.unsigned(), true
		case LabelPrevious:
			c.Previous = in.str(majorBytes)
			in.present(len(c.Previous) == 32)
		case LabelTime:
			c.Time = in.timeQuality()
		case LabelSkipped:
			in.present(in.count(majorArray, 2) == 2)
			c.Skipped = &Range{First: in.unsigned(), Last: in.unsigned()}
		case LabelFirmware:
			c.Firmware = in.str(majorBytes)
			in.present(len(c.Firmware) == 32)
		default:
			in.fail(errKey)
		}
	}
	if in.err == nil && !signed {
		in.fail(errUnsigned)
	}
	in.present(boot == (c.Sequence.Boot != 0) && sequence == (c.Sequence.Count != 0))
	if err := in.end(); err != nil {
		return Claims{}, fmt.Errorf("%w: claims: %w", ErrForm, err)
	}
	return c, c.check()
}

var (
	errAbsent   = errors.New("a claim that is empty is left out")
	errUnsigned = errors.New("the time of signing (6) is missing")
)

// present fails unless a claim that is there says something: left out and zero
// must not be two encodings of one thing.
func (c *cursor) present(ok bool) {
	if c.err == nil && !ok {
		c.fail(errAbsent)
	}
}

// timeQuality reads what wireTime.MarshalCBOR writes.
func (c *cursor) timeQuality() *TimeQuality {
	t := &TimeQuality{}
	pairs := c.count(majorMap, 3)
	if pairs < 2 {
		c.fail(errKey)
	}
	if pairs == 3 {
		if c.integer() != -7 {
			c.fail(errKey)
		}
		t.Uncertainty = c.duration()
		c.present(t.Uncertainty > 0)
	}
	// In deterministic order "quality" comes before "monotonic", which is longer.
	if string(c.str(majorText)) != "quality" {
		c.fail(errKey)
	}
	t.Quality = clockQuality(c.str(majorText))
	if string(c.str(majorText)) != "monotonic" {
		c.fail(errKey)
	}
	t.Monotonic = c.unsigned()
	if c.err == nil && t.Quality == "" {
		c.fail(errKey)
	}
	return t
}

// duration reads an RFC 9581 duration of seconds and nanoseconds.
func (c *cursor) duration() uint64 {
	var seconds, nanos uint64
	n := c.count(majorMap, 2)
	if n == 0 || c.integer() != 1 {
		c.fail(errKey)
	}
	seconds = c.unsigned()
	if n == 2 {
		if c.integer() != -9 {
			c.fail(errKey)
		}
		nanos = c.unsigned()
		c.present(nanos > 0)
	}
	if c.err == nil && (seconds > maxUncertainty/nanosPerSecond || nanos >= nanosPerSecond) {
		c.fail(errRange)
	}
	return seconds*nanosPerSecond + nanos
}

func clockQuality(s []byte) string {
	switch string(s) {
	case ClockUnsynced:
		return ClockUnsynced
	case ClockRTC:
		return ClockRTC
	case ClockHoldover:
		return ClockHoldover
	case ClockNTP:
		return ClockNTP
	case ClockSimulated:
		return ClockSimulated
	}
	return ""
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
	case len(c.Firmware) != 0 && len(c.Firmware) != 32:
		return fmt.Errorf("%w: the digest of the firmware has %d bytes instead of 32", ErrForm, len(c.Firmware))
	case c.Sequence.Boot > 1<<53 || c.Sequence.Count > 1<<53:
		return fmt.Errorf("%w: sequence %v is out of range", ErrForm, c.Sequence)
	case (c.Sequence.Boot == 0) != (c.Sequence.Count == 0):
		return fmt.Errorf("%w: boot count and sequence number go together and start at 1", ErrForm)
	case c.Time != nil && clockQuality([]byte(c.Time.Quality)) == "":
		return fmt.Errorf("%w: clock quality %q is not known", ErrForm, c.Time.Quality)
	case c.Time != nil && c.Time.Uncertainty > maxUncertainty:
		return fmt.Errorf("%w: a clock uncertain by %d ns is out of range", ErrForm, c.Time.Uncertainty)
	case c.Skipped != nil && (c.Skipped.First == 0 || c.Skipped.Last < c.Skipped.First || c.Skipped.Last >= c.Sequence.Count):
		return fmt.Errorf("%w: skipped numbers %d to %d do not lie before %d", ErrForm, c.Skipped.First, c.Skipped.Last, c.Sequence.Count)
	}
	return nil
}
