package settings

import (
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// lines tells on which line of a TOML file a key stands. A key is written as in
// "device[1].channel[0].name", with the index of a table among those of its name.
//
// Package toml tells positions of syntax errors only, so the file is read a second
// time here. It is known to be well formed by then (TOML v1.0.0), which leaves little
// to look at: keys, where values end, and what a key means.
type lines struct {
	text  string
	at    int
	line  int
	found map[string]int
	count map[string]int // of the tables in each array of tables
}

// linesOf returns the line of each key, and of each table's header, in a file that
// package toml could read.
func linesOf(text string) map[string]int {
	l := &lines{text: text, line: 1, found: make(map[string]int), count: make(map[string]int)}
	table := ""
	for l.blank(true); l.at < len(l.text); l.blank(true) {
		before := l.at
		if l.peek() == '[' {
			table = l.header()
		} else {
			l.pair(table)
		}
		if l.at == before {
			break // it is not well formed after all
		}
	}
	return l.found
}

func (l *lines) peek() byte {
	if l.at < len(l.text) {
		return l.text[l.at]
	}
	return 0
}

func (l *lines) next() {
	if l.peek() == '\n' {
		l.line++
	}
	l.at++
}

// blank skips spaces and comments, and the ends of lines if over is true.
func (l *lines) blank(over bool) {
	for ; l.at < len(l.text); l.next() {
		switch c := l.peek(); {
		case c == '#':
			for l.at < len(l.text) && l.peek() != '\n' {
				l.at++
			}
			if !over {
				return
			}
		case c == ' ', c == '\t', c == '\r':
		case c == '\n' && over:
		default:
			return
		}
		if l.at >= len(l.text) {
			return
		}
	}
}

// note puts down the line of a key that did not stand before.
func (l *lines) note(key string, line int) {
	if _, ok := l.found[key]; !ok {
		l.found[key] = line
	}
}

// header reads [a.b] or [[a.b]] and returns the path of the table.
func (l *lines) header() string {
	line := l.line
	l.next()
	array := l.peek() == '['
	if array {
		l.next()
	}
	keys := l.keys()
	for l.at < len(l.text) && l.peek() == ']' {
		l.next()
	}
	path := ""
	for i, k := range keys {
		path = join(path, k)
		if array && i == len(keys)-1 {
			l.count[path]++
		}
		if n := l.count[path]; n > 0 {
			path += "[" + strconv.Itoa(n-1) + "]"
		}
		l.note(path, line)
	}
	return path
}

// pair reads key = value.
func (l *lines) pair(table string) {
	line := l.line
	path := table
	for _, k := range l.keys() {
		path = join(path, k)
		l.note(path, line)
	}
	if l.peek() == '=' {
		l.next()
		l.value(path)
	}
}

// keys reads a dotted key, up to what follows it.
func (l *lines) keys() []string {
	var keys []string
	for {
		l.blank(false)
		start := l.at
		switch l.peek() {
		case '"', '\'':
			l.quoted()
		default:
			for l.at < len(l.text) && bare(l.peek()) {
				l.at++
			}
		}
		keys = append(keys, unquote(l.text[start:min(l.at, len(l.text))]))
		l.blank(false)
		if l.peek() != '.' {
			return keys
		}
		l.next()
	}
}

func bare(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// unquote returns the key that is written as raw.
func unquote(raw string) string {
	if raw == "" || raw[0] != '"' && raw[0] != '\'' {
		return raw
	}
	var v struct{ K string }
	if _, err := toml.Decode("K="+raw, &v); err != nil {
		return raw
	}
	return v.K
}

// quoted skips a string of any of the four kinds.
func (l *lines) quoted() {
	q := l.peek()
	end := string(q)
	if strings.HasPrefix(l.text[l.at:], strings.Repeat(end, 3)) {
		end = strings.Repeat(end, 3)
	}
	l.at += len(end)
	for l.at < len(l.text) && !strings.HasPrefix(l.text[l.at:], end) {
		if q == '"' && l.peek() == '\\' {
			l.next()
		}
		l.next()
	}
	l.at += len(end)
	for len(end) == 3 && l.peek() == q { // up to two more quotes belong to the string
		l.at++
	}
}

// value skips a value; the keys of inline tables are noted.
func (l *lines) value(path string) {
	l.blank(false)
	switch l.peek() {
	case '"', '\'':
		l.quoted()
	case '[':
		l.next()
		for i := 0; ; i++ {
			l.blank(true)
			if c := l.peek(); c == ']' || c == 0 {
				l.next()
				return
			}
			element := path + "[" + strconv.Itoa(i) + "]"
			l.note(element, l.line)
			before := l.at
			l.value(element)
			l.blank(true)
			if l.peek() == ',' {
				l.next()
			}
			if l.at == before {
				return
			}
		}
	case '{':
		l.next()
		for {
			l.blank(true)
			if c := l.peek(); c == '}' || c == 0 {
				l.next()
				return
			}
			before := l.at
			l.pair(path)
			l.blank(true)
			if l.peek() == ',' {
				l.next()
			}
			if l.at == before {
				return
			}
		}
	default:
		for l.at < len(l.text) && !strings.ContainsRune(",]}#\n", rune(l.peek())) {
			l.at++
		}
	}
}

// join puts a key behind the path of its table.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
