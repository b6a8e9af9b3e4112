package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// bar is a progress bar on a terminal, and nothing anywhere else.
type bar struct {
	w     io.Writer
	what  string
	total uint64
	start time.Time
	shown time.Time
}

func newBar(w io.Writer, what string, total uint64) *bar {
	b := &bar{what: what, total: total, start: time.Now(), shown: time.Now()}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.w = w
	}
	return b
}

// at shows how far the work is, at most ten times a second and not before it
// has taken half a second.
func (b *bar) at(done uint64) {
	now := time.Now()
	if b.w == nil || b.total == 0 || now.Sub(b.start) < 500*time.Millisecond || now.Sub(b.shown) < 100*time.Millisecond {
		return
	}
	b.shown = now
	const width = 30
	full := int(width * min(done, b.total) / b.total)
	left := time.Duration(0)
	if done > 0 {
		left = time.Duration(float64(now.Sub(b.start)) * float64(b.total-min(done, b.total)) / float64(done))
	}
	fmt.Fprintf(b.w, "\r%s [%s%s] %3d%%, %v left   ", b.what, strings.Repeat("#", full), strings.Repeat(".", width-full),
		100*min(done, b.total)/b.total, left.Round(time.Second))
}

func (b *bar) end() {
	if b.w != nil && b.shown != b.start {
		fmt.Fprintf(b.w, "\r%s\r", strings.Repeat(" ", 79))
	}
}
