package console

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// german has the texts of the page in German, by the English ones. Those are formats of
// fmt; a German one takes the same arguments, in its own order.
//
//go:embed de.json
var german []byte

// language is one that the page speaks.
type language struct {
	tag   string
	words map[string]string // nil for English
	forms []form            // the longest first
}

// form is a format of another package, by which its texts are heard.
type form struct {
	parts []string // what stands around its arguments
	said  string   // in the language, with %[n]s for an argument
}

var (
	english   = &language{tag: "en"}
	languages = map[string]*language{"en": english, "de": newLanguage("de", german)}
)

// verb is one of those that formats here have.
var verb = regexp.MustCompile(`%(\[[0-9]\])?#?[.0-9]*[dsvfqx]`)

const (
	telling  = 6    // bytes that a form has to have of its own
	maxHeard = 1000 // bytes of a text that is matched against forms
)

func newLanguage(tag string, b []byte) *language {
	l := &language{tag: tag}
	if err := json.Unmarshal(b, &l.words); err != nil {
		panic("internal error: " + err.Error())
	}
	for key, text := range l.words {
		if parts := verb.Split(key, -1); len(parts) > 1 && len(strings.Join(parts, "")) >= telling {
			l.forms = append(l.forms, form{parts, spelled(text)})
		}
	}
	own := func(f form) string { return strings.Join(f.parts, "\x00") }
	slices.SortFunc(l.forms, func(a, b form) int {
		return cmp.Or(cmp.Compare(len(own(b)), len(own(a))), cmp.Compare(own(a), own(b)))
	})
	return l
}

// spelled is a format that takes texts, and in which a percent sign is one.
func spelled(text string) string {
	at := 0
	var b strings.Builder
	for _, v := range verb.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(strings.ReplaceAll(text[at:v[0]], "%", "%%") + "%")
		if v[2] >= 0 {
			b.WriteString(text[v[2]:v[3]])
		}
		b.WriteString("s")
		at = v[1]
	}
	b.WriteString(strings.ReplaceAll(text[at:], "%", "%%"))
	return b.String()
}

// word is a text of the page that has no arguments.
func (l *language) word(text string) string {
	if s, ok := l.words[text]; ok {
		return s
	}
	return text
}

// say is a text of the page with its arguments.
func (l *language) say(text string, args ...any) string { return fmt.Sprintf(l.word(text), args...) }

// count says a number of things, by the text for one and that for others.
func (l *language) count(n int, one, others string) string {
	if n == 1 {
		return l.word(one)
	}
	return l.say(others, n)
}

// figure writes a number, and the unit behind it, as the language does.
func (l *language) figure(s string) string {
	if l.words == nil {
		return s
	}
	s = strings.Replace(s, ".", ",", 1)
	if n, ok := strings.CutSuffix(s, " days"); ok {
		return l.say("%s days", n)
	}
	return s
}

// hear returns what another package said, in the language. Where neither the text nor a
// form of it is known, it does so for its parts between colons, and for what stands in
// parentheses at the end. It reports whether it knew anything of it.
func (l *language) hear(text string) (string, bool) {
	if l.words == nil {
		return text, true
	}
	if len(text) > maxHeard {
		return text, false
	}
	if s, known := l.know(text); known {
		return s, true
	}
	known := false
	try := func(part string) string {
		if !strings.Contains(part, " ") && !slices.Contains(classes, part) {
			return part // a name
		}
		s, ok := l.know(part)
		known = known || ok
		return s
	}
	end := ""
	if i := strings.LastIndex(text, " ("); i > 0 && strings.HasSuffix(text, ")") {
		text, end = text[:i], " ("+try(text[i+2:len(text)-1])+")"
	}
	parts := strings.Split(text, ": ")
	for i := range parts {
		parts[i] = try(parts[i])
	}
	return strings.Join(parts, ": ") + end, known
}

// classes are the classes of failures that are one word.
var classes = []string{"absent", "timeout", "malformed", "permission", "truncated"}

var decimal = regexp.MustCompile(`^[−-]?[0-9]+\.[0-9]+( \S+)?$`)

func (l *language) know(text string) (string, bool) {
	if s, ok := l.words[text]; ok {
		return s, true
	}
	for i := range l.forms {
		args, ok := l.forms[i].match(text)
		if !ok {
			continue
		}
		said := make([]any, len(args))
		for k, a := range args {
			switch {
			case decimal.MatchString(a):
				a = l.figure(a)
			case strings.Contains(a, " "):
				a, _ = l.hear(a)
			}
			said[k] = a
		}
		return fmt.Sprintf(l.forms[i].said, said...), true
	}
	return text, false
}

// match returns the arguments that a text of this form was made of.
func (f *form) match(text string) (args []string, ok bool) {
	rest, ok := strings.CutPrefix(text, f.parts[0])
	if !ok {
		return nil, false
	}
	for _, part := range f.parts[1 : len(f.parts)-1] {
		arg, after, ok := strings.Cut(rest, part)
		if !ok || part == "" {
			return nil, false
		}
		args, rest = append(args, arg), after
	}
	last, ok := strings.CutSuffix(rest, f.parts[len(f.parts)-1])
	return append(args, last), ok
}

// channel is a channel's name for people.
func (l *language) channel(name string) string {
	if l.words == nil {
		return strings.ReplaceAll(name, "_", " ")
	}
	if head, tail, ok := strings.Cut(name, "_"); ok && (strings.HasPrefix(head, "mbus") || strings.HasPrefix(head, "mppt")) {
		return strings.ToUpper(head) + " " + l.channel(tail)
	}
	behind := ""
	for stem := name; ; {
		if s, ok := l.words[stem]; ok {
			return s + behind
		}
		i := strings.LastIndexByte(stem, '_')
		if i < 0 {
			return strings.ReplaceAll(name, "_", " ")
		}
		suffix := stem[i:]
		if s, ok := l.words[suffix]; ok {
			behind = " " + s + behind
		} else {
			behind = " " + strings.ToUpper(suffix[1:]) + behind
		}
		stem = stem[:i]
	}
}

// other is the language that the page can be changed to.
func (l *language) other() *language {
	if l == english {
		return languages["de"]
	}
	return english
}

// languageCookie holds the language that somebody chose.
const languageCookie = "wattmark_language"

// languageOf is what a request asks for: the language that was chosen, else the one that
// the browser prefers, else English.
func languageOf(r *http.Request) *language {
	if c, err := r.Cookie(languageCookie); err == nil && languages[c.Value] != nil {
		return languages[c.Value]
	}
	return accepted(strings.Join(r.Header.Values("Accept-Language"), ","))
}

// Of an Accept-Language no more is read than any browser sends.
const (
	maxAccept  = 256 // bytes
	maxRanges  = 16
	maxQuality = 5 // bytes: "0.123" (RFC 9110 section 12.4.2)
)

// accepted returns the language with the largest weight in an Accept-Language
// (RFC 9110 section 12.5.4), the first of several.
func accepted(header string) *language {
	best, most := english, 0.0
	for i, part := range strings.Split(header[:min(len(header), maxAccept)], ",") {
		if i == maxRanges {
			break
		}
		tag, parameter, weighed := strings.Cut(strings.TrimSpace(part), ";")
		weight := 1.0
		if weighed {
			q, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
			w, err := strconv.ParseFloat(q, 64)
			if !ok || err != nil || len(q) > maxQuality || !(w >= 0 && w <= 1) {
				continue
			}
			weight = w
		}
		tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if l := languages[tag]; l != nil && weight > most {
			best, most = l, weight
		}
	}
	return best
}

// choose answers a request to change the language: it is kept in a cookie.
func choose(w http.ResponseWriter, r *http.Request, l *language) {
	http.SetCookie(w, &http.Cookie{Name: languageCookie, Value: l.tag, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
