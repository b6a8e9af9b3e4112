package carbon

import (
	"errors"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects may nest; no form nests half as deep.
const maxDepth = 32

var (
	errSyntax   = errors.New("not JSON (RFC 8259)")
	errTrailing = errors.New("more than one JSON value")
	errDepth    = errors.New("nested too deep")
	errUTF8     = errors.New("a text that is not UTF-8, or half a surrogate pair")
)

// checkSyntax returns an error, and where it is, unless b is one JSON value in UTF-8
// with nothing but white space around it.
func checkSyntax(b []byte) (at int, err error) {
	s := scanner{b: b}
	s.space()
	if err := s.value(0); err != nil {
		return s.i, err
	}
	s.space()
	if s.i < len(b) {
		return s.i, errTrailing
	}
	return 0, nil
}

// scanner walks over JSON text, checking it.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) && isSpace(s.b[s.i]) {
		s.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	switch c := s.peek(); {
	case c == '{':
		return s.members('}', depth, true)
	case c == '[':
		return s.members(']', depth, false)
	case c == '"':
		return s.text()
	case c == '-' || isDigit(c):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return errSyntax
}

func (s *scanner) literal(word string) error {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return errSyntax
	}
	s.i += len(word)
	return nil
}

// members reads an array or object from its opening bracket to its closing one.
func (s *scanner) members(end byte, depth int, keyed bool) error {
	s.i++
	s.space()
	if s.peek() == end {
		s.i++
		return nil
	}
	for {
		s.space()
		if keyed {
			if s.peek() != '"' {
				return errSyntax
			}
			if err := s.text(); err != nil {
				return err
			}
			s.space()
			if s.peek() != ':' {
				return errSyntax
			}
			s.i++
			s.space()
		}
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
		case end:
			s.i++
			return nil
		default:
			return errSyntax
		}
	}
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.i++
	}
	switch {
	case s.peek() == '0':
		s.i++
	case !s.digits():
		return errSyntax
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return errSyntax
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return errSyntax
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.i
	for isDigit(s.peek()) {
		s.i++
	}
	return s.i > from
}

func (s *scanner) text() error {
	s.i++
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return errSyntax
		case c < utf8.RuneSelf:
			s.i++
		default:
			r, n := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && n == 1 {
				return errUTF8
			}
			s.i += n
		}
	}
	return errSyntax
}

func (s *scanner) escape() error {
	s.i++
	switch c := s.peek(); c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return nil
	case 'u':
	default:
		return errSyntax
	}
	r, ok := hex4(s.b[s.i+1:])
	if !ok {
		return errSyntax
	}
	s.i += 5
	switch {
	case r < 0xd800 || r > 0xdfff:
		return nil
	case r >= 0xdc00 || s.i+1 >= len(s.b) || s.b[s.i] != '\\' || s.b[s.i+1] != 'u':
		return errUTF8
	}
	low, ok := hex4(s.b[s.i+2:])
	if !ok || low < 0xdc00 || low > 0xdfff {
		return errUTF8
	}
	s.i += 6
	return nil
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// skip returns where the value that begins at i ends, in text that checkSyntax has
// passed.
func skip(b []byte, i int) int {
	depth := 0
	for {
		switch b[i] {
		case '"':
			i = skipText(b, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
			continue
		default: // a number or a word
			for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && !isSpace(b[i]) {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
}

func skipText(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipSpace(b []byte, i int) int {
	for isSpace(b[i]) {
		i++
	}
	return i
}

// unquote returns the text of a string in JSON that checkSyntax has passed.
func unquote(raw []byte) string {
	raw = raw[1 : len(raw)-1]
	plain := true
	for _, c := range raw {
		if c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++
		switch raw[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw[i+1:])
			i += 4
			if 0xd800 <= r && r <= 0xdfff {
				low, _ := hex4(raw[i+3:])
				i += 6
				r = 0x10000 + (r-0xd800)<<10 + low - 0xdc00
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, raw[i])
		}
	}
	return string(out)
}
