package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"wattmark/gateway/survey"
)

// onTerminal reports whether somebody looks at what is written to w.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress tells how far a survey is: a bar on a terminal, one line anywhere else.
type progress struct {
	w      io.Writer
	name   string
	bar    bool
	begun  bool
	filled bool // the terminal's line has something on it
}

func newProgress(w io.Writer, name string) *progress {
	return &progress{w: w, name: name, bar: onTerminal(w)}
}

// barWidth is that of the bar alone.
const barWidth = 24

func (p *progress) show(s survey.Progress) {
	left := s.Left.Round(time.Second)
	if !p.bar {
		if !p.begun {
			fmt.Fprintf(p.w, "Looking on %s: %s, at most %s.\n", p.name, plural(s.Of, "question", "questions"), clock(left))
		}
		p.begun = true
		return
	}
	p.begun, p.filled = true, true
	full := int(s.Share() * barWidth)
	line := fmt.Sprintf("[%s%s] %3.0f %%  %5s left  %s: %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*s.Share(), clock(left), p.name, s.Step)
	fmt.Fprintf(p.w, "\r%-*s", screenWidth-1, cut(line, screenWidth-1))
}

// end takes the bar away.
func (p *progress) end() {
	if p.filled {
		fmt.Fprintf(p.w, "\r%*s\r", screenWidth-1, "")
	}
}

// clock is a span as minutes and seconds: "3:18".
func clock(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
