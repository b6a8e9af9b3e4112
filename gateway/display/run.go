package display

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"wattmark/gateway/console"
)

// Lamp is an output with a light on it. An implementation takes its line by the first
// Set, and again after an error.
type Lamp interface {
	String() string // the line, for people
	Set(on bool) error
	Close() error // gives the line back, dark
}

// Config is what is shown, and where. Screen and Lamp are nil where there is none.
type Config struct {
	Screen *Screen
	Lamp   Lamp
	// Tell tells how the gateway fares; it is called from one goroutine.
	Tell func() console.Status
	Log  *slog.Logger
}

const (
	// look is how often what is shown is made what is so.
	look = 5 * time.Second
	// again is how long a screen or lamp that failed is left alone.
	again = 30 * time.Second
	// goodbye is how long making them dark may take.
	goodbye = time.Second
)

// blinks are how long the lamp stays as it is, 0 for lit.
var blinks = map[Mood]time.Duration{NotReady: time.Second, Fault: 250 * time.Millisecond}

// Display shows how a gateway fares.
type Display struct {
	Config

	mu     sync.Mutex // guards failed
	failed console.Display
}

// New returns a display that shows nothing until Run.
func New(c Config) *Display { return &Display{Config: c} }

// Status tells what hinders screen and lamp.
func (d *Display) Status() console.Display {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// Run shows until ctx ends, and then leaves screen and lamp dark.
func (d *Display) Run(ctx context.Context) error {
	d.mu.Lock()
	d.failed = console.Display{Screen: d.Screen != nil, Lamp: d.Lamp != nil}
	d.mu.Unlock()
	tick := time.NewTicker(look)
	defer tick.Stop()
	blink := time.NewTimer(time.Hour)
	defer blink.Stop()
	var mood Mood
	var screenAt, lampAt time.Time // when each may be tried again
	lit, refused := false, false
	lamp := func() {
		if d.Lamp == nil || time.Now().Before(lampAt) {
			return
		}
		lit = mood == Ready || !lit
		err := d.Lamp.Set(lit)
		if refused = err != nil; refused {
			lampAt, lit = time.Now().Add(again), false
		}
		d.note(&d.failed.LampFailure, "lamp", err)
		if span, blinking := blinks[mood]; blinking && err == nil {
			blink.Reset(span)
		}
	}
	show := func() {
		s := d.Tell()
		before := mood
		mood, _ = MoodOf(&s)
		if d.Screen != nil && !time.Now().Before(screenAt) {
			err := d.Screen.Show(ctx, Words(&s))
			if err != nil && ctx.Err() == nil {
				screenAt = time.Now().Add(again)
			}
			d.note(&d.failed.ScreenFailure, "screen", err)
		}
		if mood != before || refused {
			blink.Stop()
			lamp()
		}
	}
	mood = -1 // none yet: the first look sets the lamp
	for show(); ctx.Err() == nil; {
		select {
		case <-tick.C:
			show()
		case <-blink.C:
			lamp()
		case <-ctx.Done():
		}
	}
	return d.end(ctx)
}

// end leaves all dark.
func (d *Display) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	var screen, lamp error
	if d.Screen != nil {
		screen = d.Screen.Off(ctx)
	}
	if d.Lamp != nil {
		lamp = d.Lamp.Close()
	}
	if err := errors.Join(screen, lamp); err != nil {
		d.Log.Warn("did not leave the display dark", "error", err)
	}
	return nil
}

// note keeps a failure, and logs it once.
func (d *Display) note(at *string, what string, err error) {
	text := ""
	if err != nil && !errors.Is(err, context.Canceled) {
		text = err.Error()
	}
	d.mu.Lock()
	before := *at
	*at = text
	d.mu.Unlock()
	switch {
	case text != "" && before == "":
		d.Log.Warn("nothing is shown", "on", what, "error", err)
	case text == "" && before != "":
		d.Log.Info("showing again", "on", what)
	}
}
