package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"wattmark/gateway/console"
)

// watchPage shows lines again and again: in the same place on a terminal, one after the
// other anywhere else.
type watchPage struct {
	w      io.Writer
	height int // of the terminal; 0 for none
	shown  bool
}

func newWatchPage(w io.Writer, watch bool) *watchPage {
	p := &watchPage{w: w}
	if watch && onTerminal(w) {
		_, height, err := term.GetSize(int(w.(*os.File).Fd()))
		if err != nil || height < 4 {
			height = screenHeight + 1
		}
		p.height = height
	}
	return p
}

// ANSI X3.64: the cursor home, the rest of a line and the rest of the screen away.
const (
	home     = "\x1b[H"
	restLine = "\x1b[K"
	restPage = "\x1b[J"
	clearAll = "\x1b[2J"
)

func (p *watchPage) show(lines []string) error {
	var b strings.Builder
	if p.height > 0 {
		if !p.shown {
			b.WriteString(clearAll)
		}
		b.WriteString(home)
		if most := p.height - 2; len(lines) > most {
			lines = append(lines[:most-1:most-1], fmt.Sprintf("... %d lines more: name one device, or make the window taller", len(lines)-most+1))
		}
		lines = append(lines, "Ctrl-C ends this.")
	} else if p.shown {
		b.WriteByte('\n')
	}
	p.shown = true
	for _, l := range lines {
		b.WriteString(l)
		if p.height > 0 {
			b.WriteString(restLine)
		}
		b.WriteByte('\n')
	}
	if p.height > 0 {
		b.WriteString(restPage)
	}
	_, err := io.WriteString(p.w, b.String())
	return err
}

// readLines are devices for people: a line each of what it is and its age, what its
// values come to, then the values.
func readLines(r *read) []string {
	var out []string
	for i := range r.Devices {
		if i > 0 {
			out = append(out, "")
		}
		out = append(out, deviceValueLines(&r.Devices[i])...)
	}
	return out
}

func deviceValueLines(d *readDevice) []string {
	age := "no values yet"
	if d.At != nil {
		age = span(d.AgeS) + " ago"
		if d.AgeS < 0.05 {
			age = "now"
		}
	}
	name := cut(d.Name+"  "+d.Part, screenWidth-len(age)-2)
	out := []string{fmt.Sprintf("%-*s%s", screenWidth-len(age), name, age)}
	if d.Error != "" {
		out = append(out, wrapped("! ", d.Error)...)
		if d.Remedy != "" && !strings.Contains(d.Error, d.Remedy) {
			out = append(out, wrapped("  ", upper(d.Remedy)+".")...)
		}
		if len(d.Values) > 0 {
			out = append(out, "  What follows is from before that.")
		}
	}
	for _, s := range d.Verdicts {
		mark := "= "
		if s.Fault {
			mark = "! "
		}
		out = append(out, wrapped(mark, upper(s.Text)+".")...)
		if s.Remedy != "" {
			out = append(out, wrapped("  ", upper(s.Remedy)+".")...)
		}
	}
	for _, c := range d.Corrections {
		out = append(out, wrapped("~ ", fmt.Sprintf("%s is calibrated: %s (record %.12s).", c.Channel, factorsText(c.Factors), c.Record))...)
	}
	return append(out, valueLines(d.Values)...)
}

// upper begins a sentence.
func upper(s string) string {
	if s == "" || strings.HasPrefix(s, "pm") || strings.Contains(strings.SplitN(s, " ", 2)[0], "_") {
		return s // a channel's name
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// factorsText are factors as people write them: "x 1.01 + 0.5".
func factorsText(f console.Factors) string {
	sign := ""
	if f.Sign < 0 {
		sign = "-"
	}
	text := "x " + sign + f.Ratio
	switch {
	case strings.Trim(f.Offset, "0.") == "":
	case strings.HasPrefix(f.Offset, "-"):
		text += " - " + f.Offset[1:]
	default:
		text += " + " + f.Offset
	}
	return text
}

// manyValues is from how many values on they stand in two columns.
const manyValues = 12

// valueLines are values, one a line with its quality, or many in two columns.
func valueLines(all []console.Value) []string {
	var out []string
	if len(all) <= manyValues {
		for _, v := range all {
			quality := ""
			if v.Quality != "ok" {
				quality = v.Quality
			}
			out = append(out, cut(fmt.Sprintf("  %-30s %16s %-6s %s", v.Channel, v.Value, unitText(v.Unit), quality), screenWidth))
		}
		return out
	}
	rows := (len(all) + 1) / 2
	column := func(i int) string {
		if i >= len(all) {
			return ""
		}
		mark := ""
		if all[i].Quality != "ok" {
			mark = "*"
		}
		return fmt.Sprintf("%-23s%9s %s%s", all[i].Channel, shortValue(all[i].Value), unitText(all[i].Unit), mark)
	}
	marked := false
	for i := range rows {
		out = append(out, cut(fmt.Sprintf("  %-38s  %s", column(i), column(rows+i)), screenWidth))
	}
	for _, v := range all {
		marked = marked || v.Quality != "ok"
	}
	if marked {
		out = append(out, "  * of doubtful quality: --json tells which.")
	}
	return out
}

// unitText is a unit for people: a ratio has none.
func unitText(u string) string {
	if u == "/" {
		return ""
	}
	return u
}

// shortValue leaves digits behind the point away that do not fit; --json has them all.
func shortValue(s string) string {
	const width = 9
	if len(s) <= width {
		return s
	}
	point := strings.IndexByte(s, '.')
	if point < 0 || point > width {
		return s
	}
	return strings.TrimSuffix(s[:width], ".")
}
