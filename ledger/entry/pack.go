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

// Limits of a pack.
const (
	maxSalt = 64
	maxName = 255
	maxUnit = 16
	maxTime = 1 << 50 // Unix milliseconds
)

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
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
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
	in := cursor{rest: b}
	n := in.count(majorArray, MaxRecords)
	if in.err != nil || n == 0 {
		return nil, fmt.Errorf("%w: a pack is an array of 1 to %d records", ErrForm, MaxRecords)
	}
	if n > len(b)/3 { // no record is shorter: a map of one pair
		return nil, fmt.Errorf("%w: a pack of %d records in %d bytes", ErrForm, n, len(b))
	}
	p := &Pack{Records: make([]Record, n)}
	var base int64
	var names strings.Builder // all names in one allocation
	for i := range p.Records {
		w := in.record()
		if in.err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", ErrForm, i, in.err)
		}
		if i == 0 {
			if w.baseTime == nil {
				return nil, fmt.Errorf("%w: a pack without base time", ErrForm)
			}
			var err error
			if base, err = w.baseTime.Milli(); err != nil || base < 0 || base > maxTime {
				return nil, fmt.Errorf("%w: base time %v is no time in whole milliseconds", ErrForm, w.baseTime)
			}
			if len(w.base) > maxName { // before memory is taken for it in every name
				return nil, fmt.Errorf("%w: a base name of %d bytes, over the limit of %d", ErrForm, len(w.base), maxName)
			}
			p.Base = string(w.base)
			names.Grow(n*len(p.Base) + len(b))
		}
		if err := p.resolve(i, &w, base, &names); err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", ErrForm, i, err)
		}
	}
	if err := in.end(); err != nil {
		return nil, fmt.Errorf("%w: pack: %w", ErrForm, err)
	}
	return p, nil
}

// rawRecord is a record as it stands in the pack.
type rawRecord struct {
	base, name, unit, text []byte
	baseTime               *Decimal
	value, time            Decimal
	hasValue, hasTime      bool
}

func (c *cursor) record() (w rawRecord) {
	c.keys(c.count(majorMap, 7), func(key int64) {
		switch key {
		case 0:
			w.name = c.str(majorText)
			c.present(len(w.name) > 0)
		case 1:
			w.unit = c.str(majorText)
			c.present(len(w.unit) > 0)
		case 2:
			w.value, w.hasValue = c.decimal(), true
		case 3:
			w.text = c.str(majorText)
			c.present(len(w.text) > 0)
		case 6:
			w.time, w.hasTime = c.decimal(), true
		case -2:
			w.base = c.str(majorText)
			c.present(len(w.base) > 0)
		case -3:
			d := c.decimal()
			w.baseTime = &d
		default:
			c.fail(errKey)
		}
	})
	return w
}

func (p *Pack) resolve(i int, w *rawRecord, base int64, names *strings.Builder) error {
	if i > 0 && (w.base != nil || w.baseTime != nil) {
		return errors.New("base fields stand in the first record alone")
	}
	if w.hasValue == (w.text != nil) {
		return errors.New("has either a value or a text")
	}
	at := names.Len()
	names.WriteString(p.Base)
	names.Write(w.name)
	r := Record{Name: names.String()[at:], Unit: unitText(w.unit), Time: base, Value: w.value, Text: string(w.text)}
	if w.hasTime {
		dt, err := w.time.Milli()
		if err != nil || dt < -maxTime || dt > maxTime {
			return fmt.Errorf("time %v is not in whole milliseconds", w.time)
		}
		r.Time += dt
	}
	if err := r.check(); err != nil {
		return err
	}
	p.Records[i] = r
	return nil
}

// check holds for every record, written or read.
func (r *Record) check() error {
	if err := checkName(r.Name); err != nil {
		return err
	}
	if r.Time < 0 || r.Time > maxTime {
		return fmt.Errorf("time %d ms is not between 1970 and the year 37000", r.Time)
	}
	if r.Unit != "" {
		if err := text("unit", r.Unit, maxUnit); err != nil {
			return err
		}
	}
	if r.Text != "" {
		return text("text", r.Text, 255)
	}
	return nil
}

// unitText returns a unit as a string, without allocating for the usual ones.
func unitText(s []byte) string {
	switch string(s) {
	case "":
		return ""
	case "Wh":
		return "Wh"
	case "W":
		return "W"
	case "V":
		return "V"
	case "A":
		return "A"
	case "Hz":
		return "Hz"
	case "ppm":
		return "ppm"
	}
	return string(s)
}

// checkName checks a SenML name (RFC 8428 section 4.5.1).
func checkName(s string) error {
	if s == "" || len(s) > maxName {
		return fmt.Errorf("a name has %d bytes instead of 1 to %d", len(s), maxName)
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		mark := c == '-' || c == ':' || c == '.' || c == '/' || c == '_'
		if !alnum && (i == 0 || !mark) {
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
	if len(c.Salt) < MinSalt || len(c.Salt) > maxSalt {
		return nil, fmt.Errorf("a salt of %d bytes instead of %d to %d", len(c.Salt), MinSalt, maxSalt)
	}
	if len(c.Pack) == 0 {
		return nil, errors.New("a committed pack without a pack")
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
	if len(c.Salt) < MinSalt || len(c.Salt) > maxSalt {
		return nil, fmt.Errorf("%w: a salt of %d bytes instead of %d to %d", ErrForm, len(c.Salt), MinSalt, maxSalt)
	}
	return &c, nil
}
