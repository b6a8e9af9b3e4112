package emulated

import (
	"sync"
	"syscall"
)

// Lamp is a light on an output of a GPIO chip that is not there: it satisfies
// display.Lamp. Its methods may be called from any goroutine.
type Lamp struct {
	mu      sync.Mutex // guards the fields below
	held    bool       // the line was taken by a first Set
	on      bool
	gone    bool
	changes int
}

// Attach gives the chip back, or takes it away.
func (l *Lamp) Attach(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = !on
}

// On reports whether the lamp is lit.
func (l *Lamp) On() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.on && l.held && !l.gone
}

// Changes returns how often it went on or off.
func (l *Lamp) Changes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}

// String names the line.
func (l *Lamp) String() string { return "GPIO27" }

// Set takes the line, if it is not taken, and sets it.
func (l *Lamp) Set(on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		l.held = false
		return syscall.ENODEV
	}
	if on != l.on || !l.held {
		l.changes++
	}
	l.held, l.on = true, on
	return nil
}

// Close gives the line back, dark.
func (l *Lamp) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held, l.on = false, false
	return nil
}
