package dashboard

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"wattmark/oracle/dashboard/locale"
)

const (
	minus     = "\u2212"
	thinSpace = "\u202f" // narrow, and does not break: a number stays with its unit
)

// balancedW is the power in W under which the grid is not worth a word.
const balancedW = 50

// power writes W for people: whole watts below a kilowatt, above that kilowatts
// with three significant figures.
func (l language) power(w int64) string {
	w = tame(w)
	sign := ""
	if w < 0 {
		sign, w = minus, -w
	}
	if w < 1000 {
		return sign + strconv.FormatInt(w, 10) + thinSpace + "W"
	}
	unit, name := int64(1000), "kW"
	if w >= 999_500 {
		unit, name = 1_000_000, "MW"
	}
	places, step := 2, unit/100
	switch {
	case w >= 99_950*unit/1000:
		places, step = 0, unit
	case w >= 9_995*unit/1000:
		places, step = 1, unit/10
	}
	n := (w + step/2) / step
	return sign + l.Fixed(n, places) + thinSpace + name
}

// rounded returns n / by to the nearest, halves away from zero.
func rounded(n, by int64) int64 {
	q, r := n/by, n%by
	switch {
	case r >= by-by/2:
		return q + 1
	case -r >= by-by/2:
		return q - 1
	}
	return q
}

// direction says which way power flows at a connection.
func (l language) direction(gridW int64) string {
	gridW = tame(gridW)
	switch {
	case gridW > 0:
		return l.Say("takes %s", l.power(gridW))
	case gridW < 0:
		return l.Say("gives %s", l.power(-gridW))
	}
	return l.Say("takes nothing")
}

// took writes a duration as short as it is worth.
func (l language) took(d time.Duration) string {
	switch {
	case d <= 0:
		return l.Say("not known")
	case d < time.Second:
		return strconv.FormatInt(max(d.Milliseconds(), 1), 10) + thinSpace + "ms"
	case d < 100*time.Second:
		return l.Fixed(d.Milliseconds()/100, 1) + thinSpace + "s"
	}
	return l.Number(uint64(d/time.Minute)) + thinSpace + "min"
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// shorten cuts text from outside to a number of characters, and mends what is no
// UTF-8.
func shorten(s string, limit int) string {
	if most := 4 * (limit + 1); len(s) > most { // enough for a character too many
		s = s[:most]
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// mostW is the greatest power in W that is shown, so that no sum and no product
// wraps. What a broken source says beyond is shown as this.
const mostW = 1_000_000_000_000

func tame(w int64) int64 { return min(max(w, -mostW), mostW) }

// sums are the street's power in W.
type sums struct{ using, made, grid int64 }

// total adds up the homes. What they use is what they take from the grid and what
// their roofs make.
func total(homes []Home) sums {
	var s sums
	for _, h := range homes {
		s.grid = tame(s.grid + tame(h.GridW))
		s.made = tame(s.made + tame(max(h.SolarW, 0)))
	}
	s.using = tame(s.grid + s.made)
	return s
}

// streetSentence says in words what the street does.
func (l language) streetSentence(homes []Home) string {
	s := total(homes)
	switch {
	case len(homes) == 0:
		return l.Say("No home has been heard of yet.")
	case s.made == 0 && s.grid < balancedW && s.grid > -balancedW:
		return l.Say("The homes use next to nothing.")
	case s.made == 0 && s.grid > 0:
		return l.Say("The homes use %s, all of it from the grid.", l.power(s.using))
	case s.grid >= balancedW:
		return l.Say("The roofs make %s, the homes use %s, and %s comes from the grid.", l.power(s.made), l.power(s.using), l.power(s.grid))
	case s.grid <= -balancedW:
		return l.Say("The roofs make %s, the homes use %s, and %s goes to the grid.", l.power(s.made), l.power(s.using), l.power(-s.grid))
	}
	return l.Say("The roofs make %s and the homes use %s: balanced.", l.power(s.made), l.power(s.using))
}

// doubt says whose figures are old, as the sums still have them; it is empty where
// every home is heard.
func (l language) doubt(homes []Home) string {
	n, name := 0, ""
	for _, h := range homes {
		if h.State == StateSilent || h.State == StateHalted {
			n, name = n+1, h.Name
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return l.Say("%s is not heard: the sums have its last figures.", shorten(name, 40))
	}
	return l.Say("%s of %s homes are not heard: the sums have their last figures.", l.Number(uint64(n)), l.Number(uint64(len(homes))))
}

// ledgerSentence says in words how far the record is.
func (l language) ledgerSentence(v *View, s *snapshot) string {
	said := l.Say("No block has been closed yet.")
	switch {
	case s.anyFinal:
		said = l.Count(uint64(s.cosigners), "Block %[2]s is final: %[1]s oracle has cosigned it.", "Block %[2]s is final: %[1]s oracles have cosigned it.", l.Number(s.final))
	case s.any:
		said = l.Say("Block %s is written and waits to be final.", l.Number(s.blocks[0].Height))
	}
	have := locale.Text("%s of %s statements have a receipt;")
	switch {
	case v.Signed == 1 && v.Acknowledged == 1:
		have = locale.Text("%s of %s statement has a receipt;")
	case v.Signed == 1:
		have = locale.Text("%s of %s statement have a receipt;")
	}
	return said + " " + l.Say(have, l.Number(v.Acknowledged), l.Number(v.Signed)) + " " + l.Count(refusedOf(v), "%s was refused.", "%s were refused.")
}

func refusedOf(v *View) (n uint64) {
	for _, r := range v.Refusals {
		n += r.Count
	}
	return n
}
