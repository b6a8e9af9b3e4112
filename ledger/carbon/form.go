package carbon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/ledger/unit"
)

// Forms are read strictly: every field has a name that is known where it stands,
// once, and a value of its type and range. The first fault ends the reading, and
// what is read after it is zero and used by nobody.

const (
	// maxInteger bounds counts and Wh in JSON: what every reader of JSON has exactly.
	maxInteger = 1<<53 - 1
	// maxText is the longest text, in bytes.
	maxText = 65_535
	// timeLayout is RFC 3339 in UTC and whole seconds.
	timeLayout = "2006-01-02T15:04:05Z"
)

// form is a file that is being read.
type form struct {
	fault *Fault
}

// readForm checks a file's syntax and returns its top value.
func readForm(file []byte) (*form, *value) {
	f := &form{}
	top := &value{form: f}
	if at, err := checkSyntax(file); err != nil {
		line := 1 + bytes.Count(file[:at], []byte("\n"))
		f.fault = faultf("input", "%v: look at line %d", err, line)
		return f, top
	}
	top.raw = bytes.TrimFunc(file, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) })
	return f, top
}

// ok reports that nothing was wrong so far.
func (f *form) ok() bool { return f.fault == nil }

// value is one value of a file, with its place.
type value struct {
	form  *form
	raw   []byte // nil for a field that is not there
	up    *value
	key   string // in an object
	index int    // in an array: from 1
}

// path returns where the value stands, as in items[2].in.fd.
func (v *value) path() string {
	switch {
	case v.up == nil:
		return "input"
	case v.index > 0:
		return v.up.path() + "[" + strconv.Itoa(v.index-1) + "]"
	case v.up.up == nil:
		return fieldName(v.key)
	}
	return v.up.path() + "." + fieldName(v.key)
}

// fieldName is a key as it may stand in a message.
func fieldName(key string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
	}
	if len(key) > 40 {
		key = key[:40]
	}
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return !plain(r) }) {
		return strconv.QuoteToASCII(key)
	}
	return key
}

// fail refuses the file for this value, unless it has been refused already.
func (v *value) fail(format string, args ...any) {
	if v.form.ok() {
		v.form.fault = faultf(v.path(), format, args...)
	}
}

// failAt passes a rule's error on, whose field is relative to this value.
func (v *value) failAt(err error) {
	if err == nil || !v.form.ok() {
		return
	}
	fault, ok := err.(*Fault)
	if !ok {
		v.fail("%v", err)
		return
	}
	v.form.fault = &Fault{v.path() + "." + fault.Field, fault.Reason}
	if v.up == nil {
		v.form.fault.Field = fault.Field
	}
}

// is reports whether there is a value that begins with one of the bytes; where not
// it is a fault.
func (v *value) is(begin, what string) bool {
	switch {
	case !v.form.ok():
		return false
	case v.raw == nil:
		v.fail("missing")
		return false
	case strings.IndexByte(begin, v.raw[0]) < 0:
		v.fail("want %s", what)
		return false
	}
	return true
}

// object is the fields of an object by name.
type object struct {
	of     *value
	names  []string
	values []value
}

// object reads an object that may have the named fields and no others.
func (v *value) object(names ...string) object {
	o := object{v, names, make([]value, len(names))}
	for i, name := range names {
		o.values[i] = value{form: v.form, up: v, key: name}
	}
	if !v.is("{", "an object") {
		return o
	}
	for key, raw := range members(v.raw) {
		i := slices.Index(names, key)
		switch {
		case i < 0:
			(&value{form: v.form, up: v, key: key}).fail("unknown field")
			return o
		case o.values[i].raw != nil:
			o.values[i].fail("more than once")
			return o
		}
		o.values[i].raw = raw
	}
	return o
}

// get returns a field, which need not be there.
func (o object) get(name string) *value {
	i := slices.Index(o.names, name)
	if i < 0 {
		panic("internal error: no field " + name)
	}
	return &o.values[i]
}

// has reports whether an optional field is there.
func (o object) has(name string) bool { return o.get(name).raw != nil }

// without refuses fields that do not belong to what the object turned out to be.
func (o object) without(why string, names ...string) {
	for _, name := range names {
		if v := o.get(name); v.raw != nil {
			v.fail("%s", why)
		}
	}
}

// members yields keys and values of an object.
func members(raw []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		i := skipSpace(raw, 1)
		for raw[i] != '}' {
			end := skipText(raw, i)
			key := unquote(raw[i:end])
			i = skipSpace(raw, skipSpace(raw, end)+1)
			end = skip(raw, i)
			if !yield(key, raw[i:end]) {
				return
			}
			i = skipSpace(raw, end)
			if raw[i] == ',' {
				i = skipSpace(raw, i+1)
			}
		}
	}
}

// array yields the values of an array, until one is refused.
func (v *value) array() iter.Seq[*value] {
	return func(yield func(*value) bool) {
		if !v.is("[", "an array") {
			return
		}
		i := skipSpace(v.raw, 1)
		for n := 1; v.raw[i] != ']'; n++ {
			end := skip(v.raw, i)
			if !yield(&value{form: v.form, raw: v.raw[i:end], up: v, index: n}) || !v.form.ok() {
				return
			}
			i = skipSpace(v.raw, end)
			if v.raw[i] == ',' {
				i = skipSpace(v.raw, i+1)
			}
		}
	}
}

// text reads a text of any length up to maxText.
func (v *value) text() string {
	if !v.is(`"`, "a text") {
		return ""
	}
	if len(v.raw) > maxText {
		v.fail("a text of more than %d bytes", maxText)
		return ""
	}
	return unquote(v.raw)
}

// name reads a text that is not empty.
func (v *value) name() string {
	s := v.text()
	if s == "" {
		v.fail("empty")
	}
	return s
}

// oneOf reads a text that is one of the given.
func (v *value) oneOf(words ...string) string {
	s := v.text()
	if v.form.ok() && !slices.Contains(words, s) {
		v.fail("%s is not one of %s", quote(s), strings.Join(words, ", "))
	}
	return s
}

// id reads a text that no other of its kind in the file has.
func (v *value) id(seen map[string]bool) string {
	s := v.name()
	if seen[s] {
		v.fail("duplicate id %s", quote(s))
	}
	seen[s] = true
	return s
}

// quote is another party's text as it may stand in a message.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.QuoteToASCII(s)
}

// integer reads a JSON integer.
func (v *value) integer(least, most int64) int64 {
	if !v.is("-0123456789", "an integer") {
		return 0
	}
	n, err := strconv.ParseInt(string(v.raw), 10, 64)
	switch {
	case err != nil || string(v.raw) == "-0":
		v.fail("want an integer from %d to %d, without point or exponent", least, most)
	case n < least || n > most:
		v.fail("%d is outside %d to %d", n, least, most)
	}
	return n
}

// energy reads an amount in Wh, 0 or more.
func (v *value) energy() unit.Energy { return unit.Energy(v.integer(0, maxInteger)) }

// boolean reads true or false.
func (v *value) boolean() bool {
	return v.is("tf", "true or false") && v.raw[0] == 't'
}

// decimal reads a number as a text, and returns it as it was written too.
func (v *value) decimal() (*big.Rat, string) {
	if !v.is(`"`, "a decimal in quotes") {
		return new(big.Rat), ""
	}
	s := unquote(v.raw)
	r, err := unit.ParseRat(s)
	if err != nil {
		v.fail("%s is not a decimal: want digits, optionally a minus before and a point within, at most %d digits", quote(s), unit.MaxDigits)
		return new(big.Rat), ""
	}
	return r, s
}

// positive reads a decimal of 0 or more.
func (v *value) positive() *big.Rat {
	r, _ := v.decimal()
	if r.Sign() < 0 {
		v.fail("below zero")
	}
	return r
}

// time reads a time, in Unix seconds.
func (v *value) time() int64 {
	s := v.text()
	t, err := time.Parse(timeLayout, s)
	// The comparison refuses what time.Parse forgives, such as a fraction.
	if err != nil || t.Format(timeLayout) != s {
		v.fail("%s is not a time like 2026-06-01T10:15:00Z", quote(s))
		return 0
	}
	return t.Unix()
}

// encode writes a result as one line.
func encode(result any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(result); err != nil {
		panic(fmt.Sprintf("internal error: %v", err))
	}
	return b.Bytes()
}
