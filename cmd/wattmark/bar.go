package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// columns returns the width of the terminal that w is, 0 where it is none.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return 80
}

// page writes lines for people: on a terminal it breaks long ones between words,
// anywhere else a line stays one line.
type page struct {
	w     io.Writer
	width int // 0 for as wide as it gets
	err   error
}

func newPage(w io.Writer) *page { return &page{w: w, width: columns(w)} }

// line writes a line; what does not fit goes on hang columns in.
func (p *page) line(hang int, format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, fold(strings.TrimRight(fmt.Sprintf(format, args...), " "), p.width, hang))
	}
}

// fold breaks a line into lines of less than width characters, between words. A
// terminal so narrow that hardly anything fits beside the hang gets the line whole.
func fold(line string, width, hang int) string {
	if width < hang+24 || utf8.RuneCountInString(line) < width {
		return line
	}
	var b strings.Builder
	at, words := 0, 0 // of the line that is being written
	for i, word := range strings.SplitAfter(line, " ") {
		n := utf8.RuneCountInString(strings.TrimRight(word, " "))
		if i > 0 && words > 0 && n > 0 && at+n >= width {
			b.WriteString("\n" + strings.Repeat(" ", hang))
			at, words = hang, 0
		}
		b.WriteString(word)
		at += utf8.RuneCountInString(word)
		if n > 0 {
			words++
		}
	}
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// plural is a number with the word for one thing, or for several.
func plural[N int | uint64](n N, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// bar is a progress bar on a terminal, and nothing anywhere else.
type bar struct {
	w     io.Writer
	width int // of the terminal
	what  string
	total uint64
	start time.Time
	shown time.Time // zero before the first time
}

func newBar(w io.Writer, what string, total uint64) *bar {
	return &bar{w: w, width: columns(w), what: what, total: total, start: time.Now()}
}

// at shows how far the work is, at most ten times a second and not before it
// has taken half a second.
func (b *bar) at(done uint64) {
	now := time.Now()
	if b.width == 0 || b.total == 0 || now.Sub(b.start) < 500*time.Millisecond || now.Sub(b.shown) < 100*time.Millisecond {
		return
	}
	b.shown = now
	const width = 20
	full := int(width * min(done, b.total) / b.total)
	left := time.Duration(0)
	if done > 0 {
		left = time.Duration(float64(now.Sub(b.start)) * float64(b.total-min(done, b.total)) / float64(done))
	}
	tail := fmt.Sprintf(" [%s%s] %3d%%, %v left", strings.Repeat("#", full), strings.Repeat(".", width-full),
		100*min(done, b.total)/b.total, left.Round(time.Second))
	// The end of a path says more than its beginning.
	what := []rune(b.what)
	if over := len(what) + len(tail) - (b.width - 1); over > 0 {
		what = append([]rune("..."), what[min(over+3, len(what)):]...)
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s%s", string(what), tail)
}

// end removes the bar.
func (b *bar) end() {
	if !b.shown.IsZero() {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
