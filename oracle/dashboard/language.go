package dashboard

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/audit/browser"
	"wattmark/oracle/dashboard/locale"
)

// language says things in one language: what the pages and the stream say is said by one.
type language struct{ *locale.Locale }

// english is for who asks for none of the languages that there are.
var english = language{locale.English}

// languages are all, each at its Index.
var languages = func() (list []language) {
	for _, l := range locale.All() {
		list = append(list, language{l})
	}
	return list
}()

const (
	languageCookie = "wattmark-language"
	languagePath   = "/language"
)

// languageOf returns the one that was chosen, or else the one that the browser asks for.
func languageOf(r *http.Request) language {
	if l, ok := chosenLanguage(r); ok {
		return l
	}
	return language{locale.Accepted(strings.Join(r.Header.Values("Accept-Language"), ","))}
}

func chosenLanguage(r *http.Request) (language, bool) {
	c, err := r.Cookie(languageCookie)
	if err != nil {
		return english, false
	}
	l, ok := locale.Named(c.Value)
	return language{l}, ok
}

// spoken returns the language in which a page is answered.
func spoken(w http.ResponseWriter) language {
	if a, ok := w.(*answering); ok {
		return a.language
	}
	return english
}

// Choosable is a language that can be chosen. The one of no tag is that of the browser.
type Choosable struct {
	Tag, Name string
	Chosen    bool
}

// Languages are the choices.
func (f frame) Languages() []Choosable {
	list := []Choosable{{Name: f.language.Say("As the browser"), Chosen: f.Chosen == ""}}
	for _, l := range languages {
		list = append(list, Choosable{l.Tag(), l.Name(), f.Chosen == l.Tag()})
	}
	return list
}

// takeLanguage keeps a choice in the browser, as takeTheme does.
func (d *Dashboard) takeLanguage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxChoice)
	tag := r.PostFormValue("language")
	if _, ok := locale.Named(tag); !ok && tag != "" {
		l := spoken(w)
		d.missing(w, http.StatusUnprocessableEntity, l.Say("There is no such language."), l.Say("Choose one of those below each page."))
		return
	}
	keepChoice(w, r, languageCookie, tag)
}

// pages are the templates in each language, by its Index.
var pages = func() (sets []*template.Template) {
	parsed := template.Must(template.New("").Funcs(english.functions()).ParseFS(templateFiles, "templates/*.html"))
	for _, l := range languages {
		sets = append(sets, template.Must(parsed.Clone()).Funcs(l.functions()))
	}
	return sets
}()

func (l language) pages() *template.Template { return pages[l.Index()] }

// functions are those of the templates.
func (l language) functions() template.FuncMap {
	return template.FuncMap{
		"t": l.markup, "say": func(text string) string { return l.Say(text) }, "plural": l.plural, "known": l.known, "noticed": l.noticed, "lang": l.Tag, "english": l.inEnglish,
		"word":     l.word,
		"count":    func(n any) string { return l.Number(natural(n)) },
		"verifier": browser.Digest,
		"clock":    clock, "stamp": stamp, "date": l.Date, "day": l.Day, "minute": l.Minute, "took": l.took, "power": l.power,
		"shorten": shorten, "breakable": breakable, "reading": l.reading, "hash": hexOf,
		"energy": l.energy, "tidy": l.tidy, "mass": l.mass,
		"millis":      func(ms int64) string { return stamp(time.UnixMilli(ms)) },
		"millisClock": func(ms int64) string { return clock(time.UnixMilli(ms)) },
	}
}

// markup says a text that has elements in it, and is of a template itself. Its arguments are
// escaped.
func (l language) markup(text string, args ...any) template.HTML {
	for i, a := range args {
		switch a := a.(type) {
		case int, int64, uint64:
		case *uint64:
			args[i] = *a
		case template.HTML:
		default:
			args[i] = template.HTMLEscapeString(fmt.Sprint(a))
		}
	}
	return template.HTML(l.Say(text, args...))
}

// plural says how many of something there are.
func (l language) plural(n any, one, many string, args ...any) template.HTML {
	text := many
	if natural(n) == 1 {
		text = one
	}
	return l.markup(text, append([]any{l.Number(natural(n))}, args...)...)
}

// natural is a number of things; less than none is none.
func natural(n any) uint64 {
	switch n := n.(type) {
	case uint64:
		return n
	case int64:
		return uint64(max(n, 0))
	case int:
		return uint64(max(n, 0))
	}
	return 0
}

// known says a text of elsewhere that the language may not have: then it is English, and marked
// as that.
func (l language) known(text string) template.HTML { return marked(l.Known(text)) }

func (l language) noticed(n noticeLine) template.HTML { return marked(l.notice(n.Notice)) }

func marked(said string, known bool) template.HTML {
	escaped := template.HTMLEscapeString(said)
	if !known && said != "" {
		escaped = `<span lang="en">` + escaped + `</span>`
	}
	return template.HTML(escaped)
}

// notice says what happened, and whether the language has it; what it does not have is English.
func (l language) notice(n Notice) (said string, known bool) {
	said, known = l.Known(n.Text)
	if !known {
		l = english
	}
	if len(n.Args) == 0 {
		return said, known
	}
	args := slices.Clone(n.Args)
	for i, a := range args {
		switch a := a.(type) {
		case Said:
			args[i] = l.Say(string(a))
		case Decimal:
			args[i] = l.Decimal(string(a))
		}
	}
	return shorten(fmt.Sprintf(said, args...), 2*maxNotice), known
}

// inEnglish marks an element whose text is English in every language.
func (l language) inEnglish() template.HTMLAttr {
	if l == english {
		return ""
	}
	return ` lang="en"`
}

// word is the word of a state or a tone, whichever has one.
func (l language) word(of any) string {
	switch of := of.(type) {
	case stateWord:
		return of.Word
	case State:
		return l.Say(of.Word())
	case Tone:
		return l.Say(of.Word())
	}
	return ""
}

// phrases finds the texts that a script says.
var phrases = regexp.MustCompile(`phrase\(\s*"((?:[^"\\]|\\.)*)"`)

// scriptTexts are the texts of each script.
var scriptTexts = func() map[string][]string {
	out := make(map[string][]string)
	for name, a := range assets {
		for _, m := range phrases.FindAllSubmatch(a.body, -1) {
			out[name] = append(out[name], strings.ReplaceAll(string(m[1]), `\"`, `"`))
		}
	}
	return out
}()

// Texts are what the page's scripts say, as JSON by English text; empty in English, which they
// have.
func (f frame) Texts() (string, error) {
	if f.language == english || f.Topic == "" && f.Script == "" {
		return "", nil
	}
	texts := slices.Concat(scriptTexts[liveScript], scriptTexts[f.Script])
	if f.Script != "" { // which says what the oracle has answered
		texts = append(texts, outside["oracle/api"]...)
	}
	out := make(map[string]string)
	for _, text := range texts {
		out[text] = f.language.Say(text)
	}
	b, err := json.Marshal(out)
	return string(b), err
}
