package locale

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/text/language"
)

//go:embed *.json
var files embed.FS

// Locale is a language and how it writes numbers and dates. It does not change, and is safe for
// concurrent use.
type Locale struct {
	tag, name string
	index     int
	texts     map[string]string // nil where the text itself is said
	style
}

// style is how a language writes numbers and dates.
type style struct {
	point, thousands string
	day              string // what follows the number of a day
	months           [12]string
	short            [12]string
}

// English and German are the languages that there are. English is the one for who asks for none
// of them.
var (
	English = &Locale{tag: "en", name: "English", index: 0, style: english}
	German  = &Locale{tag: "de", name: "Deutsch", index: 1, style: german, texts: read("de.json")}
)

var (
	all     = []*Locale{English, German}
	matcher = language.NewMatcher([]language.Tag{language.English, language.German})
)

var english = style{
	point: ".", thousands: ",",
	months: [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	short:  [12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
}

// german has the abbreviations of CLDR.
var german = style{
	point: ",", thousands: ".", day: ".",
	months: [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
	short:  [12]string{"Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."},
}

func read(name string) map[string]string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	var texts map[string]string
	if err := json.Unmarshal(b, &texts); err != nil {
		panic(fmt.Sprintf("internal error: %s: %v", name, err))
	}
	return texts
}

// All returns the locales, each at its Index.
func All() []*Locale { return all }

// Named returns the locale of a tag, as "de".
func Named(tag string) (*Locale, bool) {
	for _, l := range all {
		if l.tag == tag {
			return l, true
		}
	}
	return nil, false
}

// maxHeader is how much of a header is read. Browsers send less than a hundred bytes.
const maxHeader = 1024

// Accepted returns the locale that a header Accept-Language asks for, by its weights; English for
// one that asks for no language that there is, or that does not read.
func Accepted(header string) *Locale {
	if len(header) > maxHeader {
		return English
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return English
	}
	_, i, sure := matcher.Match(tags...)
	if sure == language.No {
		return English
	}
	return all[i]
}

// Tag returns the language's tag (BCP 47), as a page's lang has it.
func (l *Locale) Tag() string { return l.tag }

// Name returns the language's name in itself.
func (l *Locale) Name() string { return l.name }

// Index returns the locale's place in All.
func (l *Locale) Index() int { return l.index }

// Say says a text. With arguments it is a fmt format; without, it is taken as it stands.
func (l *Locale) Say(text string, args ...any) string {
	said, _ := l.Known(text)
	if len(args) == 0 {
		return said
	}
	return fmt.Sprintf(said, args...)
}

// Count says how many of something there are: one is said of 1, and many of any other number.
// Both are formats, whose first argument is the number as it is written.
func (l *Locale) Count(n uint64, one, many string, args ...any) string {
	text := many
	if n == 1 {
		text = one
	}
	return l.Say(text, append([]any{l.Number(n)}, args...)...)
}

// Known returns a text in the language, and whether the language has it. What it does not have
// is in English. What stands behind a bar, as in "none|roof", is not said: it tells texts apart
// that are one in English alone.
func (l *Locale) Known(text string) (said string, known bool) {
	if said, known = l.texts[text]; known {
		return said, true
	}
	said, _, _ = strings.Cut(text, "|")
	return said, l.texts == nil
}

// Texts returns what the language's file has, by English text; nil for English. It must not be
// changed.
func (l *Locale) Texts() map[string]string { return l.texts }

// Text returns its argument. It marks a text that is said elsewhere, for the test that looks for
// all of them.
func Text(text string) string { return text }
