package market

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"wattmark/ledger/unit"
)

// value is one JSON value as it stands in a file that is known to be JSON, without
// the space around it. encoding/json does not say whether a key repeats or how a
// number was written; it has checked the syntax before any of this runs.
type value []byte

// input is the field of a fault of the file as a whole.
const input = "input"

// parseFile returns the one value of a file, or a fault of the field input.
func parseFile(file []byte) (value, error) {
	if len(file) > MaxInput {
		return nil, &Fault{input, "more than " + strconv.Itoa(MaxInput) + " bytes"}
	}
	if !utf8.Valid(file) {
		return nil, &Fault{input, "not JSON: not valid UTF-8"}
	}
	if !json.Valid(file) {
		// A RawMessage takes any one value, so all that can go wrong is syntax.
		err := json.Unmarshal(file, new(json.RawMessage))
		return nil, &Fault{input, fmt.Sprintf("not JSON: %v", err)}
	}
	return value(bytes.Trim(file, space)), nil
}

const space = " \t\r\n"

// reader reads the fields of one object. It keeps the first fault, after which all
// that it returns means nothing.
type reader struct {
	where where
	err   error
}

// check keeps an error, unless there was one before.
func (r *reader) check(err error) { r.err = first(r.err, err) }

func (r *reader) missing(name string) {
	r.check(r.where.fault(name, "missing"))
}

// open finds the values of an object's fields, nil for those that are not there.
func (v value) open(w where, names []string, fields []value) *reader {
	r := &reader{where: w}
	if v[0] != '{' {
		r.err = &Fault{w.String(), "want an object"}
		if w == top {
			r.err = &Fault{input, "want one object"}
		}
		return r
	}
	for at := 1; ; {
		key, next := v.next(at)
		if key == nil {
			return r
		}
		name := key.text()
		field, end := v.next(next + bytes.IndexByte(v[next:], ':') + 1)
		at = end
		i := slices.Index(names, name)
		switch {
		case i < 0:
			r.err = w.fault(printable(name), "unknown field")
			return r
		case fields[i] != nil:
			r.err = w.fault(name, "stands there twice")
			return r
		}
		fields[i] = field
	}
}

// printable returns a key of somebody else's as it may stand in a path.
func printable(key string) string {
	const most = 40
	if len(key) > most {
		key = strings.ToValidUTF8(key[:most], "") + "..."
	}
	if quoted := strconv.QuoteToASCII(key); key == "" || len(quoted) != len(key)+2 || strings.ContainsAny(key, " .:[]") {
		return quoted
	}
	return key
}

// next returns the value that follows in an array or object from a place on, and the
// place behind it. It is nil at the end of the array or object.
func (v value) next(at int) (value, int) {
	for strings.IndexByte(space+",", v[at]) >= 0 {
		at++
	}
	if v[at] == ']' || v[at] == '}' {
		return nil, at
	}
	end := at
	for depth := 0; ; {
		switch v[end] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			for end++; v[end] != '"'; end++ {
				if v[end] == '\\' {
					end++
				}
			}
		default: // a number or literal
			for strings.IndexByte(space+",:]}", v[end+1]) < 0 {
				end++
			}
		}
		end++
		if depth == 0 {
			return v[at:end], end
		}
		for strings.IndexByte(space+",:", v[end]) >= 0 {
			end++
		}
	}
}

// text returns what a string says.
func (v value) text() string {
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		panic("internal error: market: a string that is none: " + err.Error())
	}
	return s
}

// list reads an array, up to the first element more than there may be: enough to say
// so, whatever the file's length.
func (r *reader) list(name string, v value, most int) []value {
	switch {
	case v == nil:
		r.missing(name)
		return nil
	case v[0] != '[':
		r.check(r.where.fault(name, "want an array"))
		return nil
	}
	var list []value
	for at := 1; ; {
		e, end := v.next(at)
		if e == nil || len(list) > most {
			return list
		}
		list, at = append(list, e), end
	}
}

// text reads a string.
func (r *reader) text(name string, v value) string {
	switch {
	case v == nil:
		r.missing(name)
		return ""
	case v[0] != '"':
		r.check(r.where.fault(name, "want a string"))
		return ""
	}
	return v.text()
}

// id reads the id of an order or member.
func (r *reader) id(name string, v value, most int) string {
	s := r.text(name, v)
	if r.err == nil {
		r.err = r.where.id(name, s, most)
	}
	return s
}

// enum reads one of a list of names; the empty ones are none.
func enum[E ~uint8](r *reader, name string, v value, names []string) E {
	s := r.text(name, v)
	i := slices.Index(names, s)
	if r.err == nil && (s == "" || i < 0) {
		known := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
		r.err = r.where.fault(name, "want %s", strings.Join(known, ", "))
	}
	return E(max(i, 0))
}

// number reads an integer of a range.
func number[Q unit.Quantity](r *reader, name string, v value, low, high Q) Q {
	switch {
	case r.err != nil:
		return 0
	case v == nil:
		r.missing(name)
		return 0
	case v[0] != '-' && (v[0] < '0' || v[0] > '9'):
		r.err = r.where.fault(name, "want an integer")
		return 0
	case bytes.ContainsAny(v, ".eE") || string(v) == "-0":
		r.err = r.where.fault(name, "want a plain integer, without point, exponent or -0")
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		r.err = r.where.fault(name, "outside %d to %d", int64(low), int64(high))
		return 0
	}
	r.err = within(r.where, name, Q(n), low, high)
	return Q(n)
}

// optional reads an integer of a range that need not be there.
func optional[Q unit.Quantity](r *reader, name string, v value, absent, low, high Q) Q {
	if v == nil {
		return absent
	}
	return number(r, name, v, low, high)
}
