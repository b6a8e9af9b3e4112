package dashboard

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	minus     = "\u2212"
	thinSpace = "\u202f" // narrow, and does not break: a number stays with its unit
)

// balancedW is the power in W under which the grid is not worth a word.
const balancedW = 50

// power writes W for people: whole watts below a kilowatt, above that kilowatts
// with three significant figures.
func power(w int64) string {
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
	return sign + fixed(n, places) + thinSpace + name
}

// fixed writes n with its last digits after a point.
func fixed(n int64, places int) string {
	sign, size := "", uint64(n)
	if n < 0 {
		sign, size = minus, -size
	}
	if places == 0 {
		return sign + count(size)
	}
	scale := uint64(1)
	for range places {
		scale *= 10
	}
	return fmt.Sprintf("%s%s.%0*d", sign, count(size/scale), places, size%scale)
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

// count writes a whole number with its thousands parted.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// counted writes a number and the word for what it counts.
func counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// direction says which way power flows at a connection.
func direction(gridW int64) string {
	gridW = tame(gridW)
	switch {
	case gridW > 0:
		return "takes " + power(gridW)
	case gridW < 0:
		return "gives " + power(-gridW)
	}
	return "takes nothing"
}

// took writes a duration as short as it is worth.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "not known"
	case d < time.Second:
		return strconv.FormatInt(max(d.Milliseconds(), 1), 10) + thinSpace + "ms"
	case d < 100*time.Second:
		return fixed(d.Milliseconds()/100, 1) + thinSpace + "s"
	}
	return count(uint64(d/time.Minute)) + thinSpace + "min"
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

func date(t time.Time) string { return t.UTC().Format("2 January 2006") }

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
func streetSentence(homes []Home) string {
	s := total(homes)
	switch {
	case len(homes) == 0:
		return "No home has been heard of yet."
	case s.made == 0 && s.grid < balancedW && s.grid > -balancedW:
		return "The homes use next to nothing."
	case s.made == 0 && s.grid > 0:
		return fmt.Sprintf("The homes use %s, all of it from the grid.", power(s.using))
	case s.grid >= balancedW:
		return fmt.Sprintf("The roofs make %s, the homes use %s, and %s comes from the grid.", power(s.made), power(s.using), power(s.grid))
	case s.grid <= -balancedW:
		return fmt.Sprintf("The roofs make %s, the homes use %s, and %s goes to the grid.", power(s.made), power(s.using), power(-s.grid))
	}
	return fmt.Sprintf("The roofs make %s and the homes use %s: balanced.", power(s.made), power(s.using))
}

// doubt says whose figures are old, as the sums still have them; it is empty where
// every home is heard.
func doubt(homes []Home) string {
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
		return shorten(name, 40) + " is not heard: the sums have its last figures."
	}
	return fmt.Sprintf("%s of %s are not heard: the sums have their last figures.", count(uint64(n)), counted(uint64(len(homes)), "home", "homes"))
}

// ledgerSentence says in words how far the record is.
func ledgerSentence(v *View, s *snapshot) string {
	var b strings.Builder
	switch {
	case s.anyFinal:
		fmt.Fprintf(&b, "Block %s is final: %s cosigned it.", count(s.final), counted(uint64(s.cosigners), "oracle has", "oracles have"))
	case s.any:
		fmt.Fprintf(&b, "Block %s is written and waits to be final.", count(s.blocks[0].Height))
	default:
		b.WriteString("No block has been closed yet.")
	}
	refused := refusedOf(v)
	verb := "have"
	if v.Acknowledged == 1 && v.Signed == 1 {
		verb = "has"
	}
	fmt.Fprintf(&b, " %s of %s %s a receipt; %s refused.", count(v.Acknowledged), counted(v.Signed, "statement", "statements"), verb,
		counted(refused, "was", "were"))
	return b.String()
}

func refusedOf(v *View) (n uint64) {
	for _, r := range v.Refusals {
		n += r.Count
	}
	return n
}
