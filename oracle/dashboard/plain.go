package dashboard

import (
	"time"
)

// What pages that are in English alone say.

func power(w int64) string                       { return english.power(w) }
func fixed(n int64, places int) string           { return english.Fixed(n, places) }
func count(n uint64) string                      { return english.Number(n) }
func direction(w int64) string                   { return english.direction(w) }
func took(d time.Duration) string                { return english.took(d) }
func date(t time.Time) string                    { return english.Date(t) }
func energy(wh int64) string                     { return english.energy(wh) }
func streetSentence(h []Home) string             { return english.streetSentence(h) }
func doubt(h []Home) string                      { return english.doubt(h) }
func ledgerSentence(v *View, s *snapshot) string { return english.ledgerSentence(v, s) }

func counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// untranslated are the pages that are in English alone.
var untranslated = map[string]bool{"now": true, "carbon": true, "gateways": true, "gateways-one": true}

func (l language) mass(t string) string { return l.Decimal(mass(t)) }
