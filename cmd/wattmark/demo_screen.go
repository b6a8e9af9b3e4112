package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen is what the demonstration writes for people: lines that stay, and on a
// terminal one line below them that is always now.
type screen struct {
	mu     sync.Mutex // guards what follows
	w      io.Writer
	width  int // of the terminal, 0 for none
	status string
}

// newScreen returns a screen on w; with quiet nothing is written.
func newScreen(w io.Writer, quiet bool) *screen {
	s := &screen{w: w}
	if quiet {
		s.w = io.Discard
	} else if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.width = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
			s.width = width
		}
	}
	return s
}

// say writes a line.
func (s *screen) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintln(s.w, line)
	s.draw()
}

// event writes a line about what just happened.
func (s *screen) event(d *demo, text string) {
	for i, line := range wrap(text, 71) {
		stamp := ""
		if i == 0 {
			stamp = fmt.Sprintf("%6.1fs", time.Since(d.begin).Seconds())
		}
		s.say(fmt.Sprintf("%7s  %s", stamp, line))
	}
}

// now replaces the line below; where there is no terminal it is written as a line.
func (s *screen) now(d *demo, line string) {
	if s.width == 0 {
		s.event(d, line)
		return
	}
	s.progress(line)
}

// progress replaces the line below, where there is a terminal.
func (s *screen) progress(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.width == 0 {
		return
	}
	s.erase()
	s.status = line
	s.draw()
}

func (s *screen) erase() {
	if s.width > 0 && s.status != "" {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}

func (s *screen) draw() {
	if s.width > 0 && s.status != "" {
		r := []rune(s.status)
		fmt.Fprint(s.w, string(r[:min(len(r), s.width-1)]))
	}
}

func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.status = ""
}

// wrap breaks text into lines of at most width characters, between words.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// headline says what is about to run.
func (s *screen) headline(d *demo) {
	homes, oracles := "homes", "oracles"
	if d.gateways == 1 {
		homes = "home"
	}
	if d.oracles == 1 {
		oracles = "oracle"
	}
	s.say(fmt.Sprintf("Wattmark: a street of %d %s, a stack and a feeder, watched by %d %s", d.gateways, homes, d.oracles, oracles))
	s.say(fmt.Sprintf("time       %s UTC, %d times as fast as the wall", d.clock.Now().Format("Monday 15:04"), d.speed))
	s.say("directory  " + d.dir)
}

// Between two looks at the street: on a terminal and elsewhere.
const (
	statusEvery = time.Second
	linesEvery  = 5 * time.Second
)

// run shows how the street does, until ctx ends.
func (s *screen) run(ctx context.Context, d *demo) {
	every := linesEvery
	if s.width > 0 {
		every = statusEvery
	}
	for _, m := range d.cluster.mended {
		s.event(d, "mended at the start: "+m)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.now(d, d.statusLine())
		}
	}
}

// statusLine says in one line how the street does.
func (d *demo) statusLine() string {
	n := d.tally.now()
	made, used := 0.0, 0.0
	for _, g := range d.fleet[:d.gateways] {
		grid, sun := g.power()
		made += sun
		used += grid + sun
	}
	return fmt.Sprintf("%s  roofs %.1f kW, homes %.1f kW; receipts %d/%d; block %d final",
		d.clock.Now().Format("15:04"), made/1000, used/1000, n.acknowledged, n.signed, n.final)
}

// power returns what the home takes from the grid and what its roof makes, in W.
func (g *demoGateway) power() (grid, sun float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.latest["grid/active_power"], max(0, -g.latest["sun/active_power"])
}

// farewell says what was and what to do with it.
func (s *screen) farewell(d *demo, r *demoResult) {
	s.close()
	s.say("")
	s.say(fmt.Sprintf("%d statements signed, %d receipts verified by gateways, %d lost", r.Signed, r.Acknowledged, r.Lost))
	for reason, n := range r.Refused {
		s.say(fmt.Sprintf("%d refused: %s", n, reason))
	}
	s.say(fmt.Sprintf("%d blocks with %d leaves, kept in %s", r.Blocks, r.Leaves, d.dir))
	s.say("Now:  wattmark ledger audit " + d.dir)
	s.say(fmt.Sprintf("      wattmark verify --policy %s %s", filepath.Join(d.dir, "policy"), filepath.Join(d.dir, "receipts", "feeder-01", "*.cose")))
	s.say("      wattmark demo --dir " + d.dir + "   (goes on from there)")
}
