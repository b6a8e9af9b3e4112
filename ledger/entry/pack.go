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
	maxText = 255
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
	r := resolver{pack: p}
	var w rawRecord
	for i := range p.Records {
		if in.record(&w); in.err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", ErrForm, i, in.err)
		}
		if i == 0 {
			if err := r.start(&w, len(b)); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrForm, err)
			}
		}
		if err := r.resolve(i, &w); err != nil {
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
	base, name, unit, text         []byte
	baseTime, value, time          Decimal
	hasBaseTime, hasValue, hasTime bool
}

// record reads one record. Names and units are checked to be ASCII later.
func (c *cursor) record(w *rawRecord) {
	*w = rawRecord{}
	for k := (keys{pairs: c.count(majorMap, 7)}); ; {
		key, ok := k.next(c)
		if !ok {
			return
		}
		switch key {
		case 0:
			w.name = c.raw(majorText)
			c.present(len(w.name) > 0)
		case 1:
			w.unit = c.raw(majorText)
			c.present(len(w.unit) > 0)
		case 2:
			w.value, w.hasValue = c.decimal(), true
		case 3:
			w.text = c.str(majorText)
			c.present(len(w.text) > 0)
		case 6:
			w.time, w.hasTime = c.decimal(), true
		case -2:
			w.base = c.raw(majorText)
			c.present(len(w.base) > 0)
		case -3:
			w.baseTime, w.hasBaseTime = c.decimal(), true
		default:
			c.fail(errKey)
		}
	}
}

// resolver adds the base name and base time to records.
type resolver struct {
	pack  *Pack
	base  int64           // base time
	names strings.Builder // all names in one allocation
}

// start takes the base fields out of the first record of a pack of size bytes.
func (r *resolver) start(w *rawRecord, size int) error {
	if !w.hasBaseTime {
		return errors.New("a pack without base time")
	}
	base, err := w.baseTime.Milli()
	if err != nil || base < 0 || base > maxTime {
		return fmt.Errorf("base time %v is no time in whole milliseconds", w.baseTime)
	}
	if len(w.base) > maxName { // before memory is taken for it in every name
		return fmt.Errorf("a base name of %d bytes, over the limit of %d", len(w.base), maxName)
	}
	if len(w.base) > 0 {
		if err := checkName(w.base, true); err != nil {
			return err
		}
	}
	r.base, r.pack.Base = base, string(w.base)
	r.names.Grow(len(r.pack.Records)*len(w.base) + size)
	return nil
}

func (r *resolver) resolve(i int, w *rawRecord) error {
	if i > 0 && (w.base != nil || w.hasBaseTime) {
		return errors.New("base fields stand in the first record alone")
	}
	if w.hasValue == (w.text != nil) {
		return errors.New("has either a value or a text")
	}
	base := r.pack.Base
	if n := len(base) + len(w.name); n == 0 || n > maxName {
		return fmt.Errorf("a name has %d bytes instead of 1 to %d", n, maxName)
	}
	if err := checkName(w.name, base == ""); err != nil {
		return err
	}
	at := r.names.Len()
	r.names.WriteString(base)
	r.names.Write(w.name)
	out := &r.pack.Records[i]
	out.Name, out.Time, out.Value = r.names.String()[at:], r.base, w.value
	if w.hasTime {
		dt, err := w.time.Milli()
		if err != nil || dt < -maxTime || dt > maxTime {
			return fmt.Errorf("time %v is not in whole milliseconds", w.time)
		}
		out.Time += dt
	}
	if out.Time < 0 || out.Time > maxTime {
		return fmt.Errorf("time %d ms %s", out.Time, notInRange)
	}
	var known bool
	if out.Unit, known = unitText(w.unit); !known {
		if err := text("unit", out.Unit, maxUnit); err != nil {
			return err
		}
	}
	if len(w.text) > 0 {
		out.Text = string(w.text)
		return text("text", out.Text, maxText)
	}
	return nil
}

const notInRange = "is not between 1970 and the year 37000"

// check is for a record that is to be written what resolve checks of one read.
func (r *Record) check() error {
	if r.Name == "" || len(r.Name) > maxName {
		return fmt.Errorf("a name has %d bytes instead of 1 to %d", len(r.Name), maxName)
	}
	if err := checkName(r.Name, true); err != nil {
		return err
	}
	if r.Time < 0 || r.Time > maxTime {
		return fmt.Errorf("time %d ms %s", r.Time, notInRange)
	}
	if r.Unit != "" {
		if err := text("unit", r.Unit, maxUnit); err != nil {
			return err
		}
	}
	if r.Text != "" {
		return text("text", r.Text, maxText)
	}
	return nil
}

// unitText returns a unit as a string, and whether it is none or one of the usual
// ones, for which it does not allocate.
func unitText(s []byte) (unit string, known bool) {
	switch string(s) {
	case "":
		return "", true
	case "Wh":
		return "Wh", true
	case "W":
		return "W", true
	case "V":
		return "V", true
	case "A":
		return "A", true
	case "Hz":
		return "Hz", true
	case "ppm":
		return "ppm", true
	}
	return string(s), false
}

// nameByte says where a byte may stand in a SenML name (RFC 8428 section 4.5.1):
// 2 anywhere, 1 anywhere but at the start, 0 nowhere.
var nameByte = func() (table [256]byte) {
	for c := range byte(26) {
		table['a'+c], table['A'+c] = 2, 2
	}
	for c := range byte(10) {
		table['0'+c] = 2
	}
	for _, c := range []byte("-:./_") {
		table[c] = 1
	}
	return table
}()

// checkName checks a SenML name, or what follows a base name.
func checkName[T string | []byte](s T, start bool) error {
	ok := true
	for i := range len(s) {
		ok = ok && nameByte[s[i]] > 0
	}
	if !ok || start && nameByte[s[0]] < 2 {
		return fmt.Errorf("name %q has a character that SenML does not allow", s)
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
	b, err := encMode.Marshal(c)
	if err == nil && len(b) > MaxPreimage {
		return nil, fmt.Errorf("a committed pack of %d bytes, over the limit of %d: put fewer records into it", len(b), MaxPreimage)
	}
	return b, err
}

// ParseCommitted reads a preimage and checks that it belongs to the digest that
// was signed.
func ParseCommitted(preimage []byte, digest []byte) (*Committed, error) {
	if len(preimage) > MaxPreimage {
		return nil, fmt.Errorf("%w: a committed pack of %d bytes, over the limit of %d", ErrForm, len(preimage), MaxPreimage)
	}
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
