package entry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// MaxRecords is the most records a pack may hold.
const MaxRecords = 1000

// MinSalt is the least salt of a committed pack in bytes. Without it a reading
// of four digits could be guessed from its hash in a second.
const MinSalt = 16

// Record is one reading of a pack, resolved: base name and base time are added.
type Record struct {
	// Name is the channel, with the pack's base name before it.
	Name string
	// Unit is a SenML unit (RFC 8428, RFC 8798) or one of Wattmark's own.
	Unit string
	// Time is Unix milliseconds UTC.
	Time int64
	// Value is the number, where Text is empty.
	Value Decimal
	// Text is a remark instead of a number: a quality flag or a gap.
	Text string
}

// Pack is the SenML records under one signature.
type Pack struct {
	// Base is prefixed to each record's Name on the wire, once.
	Base    string
	Records []Record
}

type wireRecord struct {
	Base     string   `cbor:"-2,keyasint,omitempty"`
	BaseTime *Decimal `cbor:"-3,keyasint,omitempty"`
	Name     string   `cbor:"0,keyasint,omitempty"`
	Unit     string   `cbor:"1,keyasint,omitempty"`
	Value    *Decimal `cbor:"2,keyasint,omitempty"`
	Text     string   `cbor:"3,keyasint,omitempty"`
	Time     *Decimal `cbor:"6,keyasint,omitempty"`
}

// Encode writes the pack as SenML CBOR. The first record carries the base name
// and, as base time, its own time.
func (p *Pack) Encode() ([]byte, error) {
	if len(p.Records) == 0 || len(p.Records) > MaxRecords {
		return nil, fmt.Errorf("a pack has %d records instead of 1 to %d", len(p.Records), MaxRecords)
	}
	base := p.Records[0].Time
	out := make([]wireRecord, len(p.Records))
	for i := range p.Records {
		r := &p.Records[i]
		name, ok := strings.CutPrefix(r.Name, p.Base)
		if !ok {
			return nil, fmt.Errorf("record name %q does not start with the base name %q", r.Name, p.Base)
		}
		if err := checkName(r.Name); err != nil {
			return nil, err
		}
		w := wireRecord{Name: name, Unit: r.Unit, Text: r.Text}
		if r.Text == "" {
			w.Value = &r.Value
		}
		if i == 0 {
			b := FromMilli(base)
			w.Base, w.BaseTime = p.Base, &b
		} else if r.Time != base {
			t := FromMilli(r.Time - base)
			w.Time = &t
		}
		out[i] = w
	}
	b, err := encMode.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encoding pack: %w", err)
	}
	return b, nil
}

// ParsePack reads a SenML pack of the form that FORMAT.md allows.
func ParsePack(b []byte) (*Pack, error) {
	var in []wireRecord
	if err := decMode.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("%w: pack: %w", ErrForm, err)
	}
	if len(in) == 0 || len(in) > MaxRecords {
		return nil, fmt.Errorf("%w: a pack has %d records instead of 1 to %d", ErrForm, len(in), MaxRecords)
	}
	if in[0].BaseTime == nil {
		return nil, fmt.Errorf("%w: a pack without base time", ErrForm)
	}
	p := &Pack{Base: in[0].Base, Records: make([]Record, len(in))}
	base, err := in[0].BaseTime.Milli()
	if err != nil || base < 0 || base > 1<<50 {
		return nil, fmt.Errorf("%w: base time %v is no time in whole milliseconds", ErrForm, in[0].BaseTime)
	}
	for i := range in {
		if err := p.resolve(i, &in[i], base); err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", ErrForm, i, err)
		}
	}
	return p, nil
}

func (p *Pack) resolve(i int, w *wireRecord, base int64) error {
	if i > 0 && (w.Base != "" || w.BaseTime != nil) {
		return errors.New("base fields stand in the first record alone")
	}
	r := Record{Name: p.Base + w.Name, Unit: w.Unit, Time: base, Text: w.Text}
	if err := checkName(r.Name); err != nil {
		return err
	}
	if (w.Value == nil) == (w.Text == "") {
		return errors.New("has either a value or a text")
	}
	if len(w.Text) > 255 || len(w.Unit) > 16 {
		return errors.New("text or unit is too long")
	}
	if w.Value != nil {
		r.Value = *w.Value
	}
	if w.Time != nil {
		dt, err := w.Time.Milli()
		if err != nil || dt < -1<<50 || dt > 1<<50 {
			return fmt.Errorf("time %v is not in whole milliseconds", w.Time)
		}
		r.Time += dt
	}
	p.Records[i] = r
	return nil
}

// checkName checks a SenML name (RFC 8428 section 4.5.1).
func checkName(s string) error {
	if s == "" || len(s) > 255 {
		return fmt.Errorf("a name has %d bytes instead of 1 to 255", len(s))
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("-:./_", rune(c))) {
			return fmt.Errorf("name %q has a character that SenML does not allow", s)
		}
	}
	return nil
}

// Committed is the preimage of a committed pack: what is hidden, and can be
// shown or forgotten.
type Committed struct {
	_ struct{} `cbor:",toarray"`
	// Salt is at least MinSalt random bytes.
	Salt []byte
	// Pack is the encoded SenML pack.
	Pack cbor.RawMessage
}

// Encode writes the preimage [salt, records].
func (c *Committed) Encode() ([]byte, error) {
	if len(c.Salt) < MinSalt {
		return nil, fmt.Errorf("a salt of %d bytes is shorter than %d", len(c.Salt), MinSalt)
	}
	return encMode.Marshal(c)
}

// ParseCommitted reads a preimage and checks that it belongs to the digest that
// was signed.
func ParseCommitted(preimage []byte, digest []byte) (*Committed, error) {
	if sum := sha256.Sum256(preimage); string(sum[:]) != string(digest) {
		return nil, fmt.Errorf("%w: the pack is not the one whose hash was signed", ErrForm)
	}
	var c Committed
	if err := decode("committed pack", preimage, &c); err != nil {
		return nil, err
	}
	if len(c.Salt) < MinSalt || len(c.Salt) > 64 {
		return nil, fmt.Errorf("%w: a salt of %d bytes instead of %d to 64", ErrForm, len(c.Salt), MinSalt)
	}
	return &c, nil
}
