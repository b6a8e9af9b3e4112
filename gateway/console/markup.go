package console

import (
	"html"
	"strings"
)

// markup is HTML that is being written. Text and attributes are escaped by it and by
// nothing else, so that what a device or a broker says is never markup. It stands in
// for html/template, which is a fifth of the program (3.2 MB, measured for amd64, as
// it keeps every exported method in).
type markup struct{ b strings.Builder }

// open begins an element; attributes come in pairs of name and value. A value that is
// empty leaves its attribute out.
func (m *markup) open(name string, attributes ...string) {
	m.b.WriteString("<" + name)
	for i := 0; i+1 < len(attributes); i += 2 {
		if attributes[i+1] != "" {
			m.b.WriteString(" " + attributes[i] + `="` + html.EscapeString(attributes[i+1]) + `"`)
		}
	}
	m.b.WriteString(">")
}

// end ends elements, the innermost first.
func (m *markup) end(names ...string) {
	for _, n := range names {
		m.b.WriteString("</" + n + ">")
	}
	m.b.WriteString("\n")
}

// text writes text.
func (m *markup) text(s string) { m.b.WriteString(html.EscapeString(s)) }

// put writes an element that holds text alone.
func (m *markup) put(name, text string, attributes ...string) {
	m.open(name, attributes...)
	m.text(text)
	m.end(name)
}

// state writes a state: a sign that is not read aloud, and its word, in a tone. lang is
// that of a word which is not in the page's language, else empty.
func (m *markup) state(tone, word, lang string) {
	m.open("span", "class", "state "+tone, "lang", lang)
	m.put("span", signs[tone], "aria-hidden", "true")
	m.text(" " + word)
	m.b.WriteString("</span>")
}

// The tones of states, and the signs that stand before them: never a colour alone.
const (
	good  = "good"
	warn  = "warn"
	bad   = "bad"
	muted = "muted"
)

var signs = map[string]string{good: "✓", warn: "!", bad: "✕", muted: "○"}
