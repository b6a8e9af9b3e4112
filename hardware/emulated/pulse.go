package emulated

import (
	"sync"
	"syscall"
	"time"

	"wattmark/hardware"
)

// pulseQueue is how many edges the kernel keeps for a reader: 16 for each line of a
// request, unless it asks for more. When one more comes the oldest is dropped.
const pulseQueue = 16

// PulseLine is a meter's pulse output with the kernel's GPIO line behind it: a contact
// that opens and closes, and bounces, debounced, stamped and numbered as the kernel's
// character device does it (uAPI version 2). It satisfies pulse.Line. Its methods may
// be called from any goroutine.
type PulseLine struct {
	// Slowness is how long a Slow answer of the system takes; set it before use.
	Slowness time.Duration

	name  string
	clock hardware.Clock

	deliver sync.Mutex // held while edges are handed out, one at a time

	mu       sync.Mutex // guards the fields below
	closed   bool       // the contact, as it is
	rested   bool       // the contact, as the debounced line has it
	gone     bool
	plan     Plan
	asked    int
	edge     func(hardware.Pulse) // nil while the line is not watched
	debounce time.Duration
	resting  *time.Timer // until the contact has rested
	sequence uint32
	queue    []hardware.Pulse
	stalled  bool
}

// NewPulseLine returns a line whose contact is open. Edges are stamped by clock, nil is
// real time; contacts bounce and rest in real time.
func NewPulseLine(name string, clock hardware.Clock) *PulseLine {
	return &PulseLine{Slowness: 50 * time.Millisecond, name: name, clock: clock.Or()}
}

// String returns the line's name.
func (l *PulseLine) String() string { return l.name }

// SetFaults makes what the system is asked for go wrong as plan says: Silence and NACK
// are a chip that has gone, StuckBus is another process that holds the line.
func (l *PulseLine) SetFaults(plan Plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plan = plan
}

// Attach gives the chip back, or takes it away as an expander that is unplugged.
func (l *PulseLine) Attach(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = !on
}

// Requests returns how often the system was asked for something.
func (l *PulseLine) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// Contact closes or opens the contact.
func (l *PulseLine) Contact(closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed == closed {
		return
	}
	l.closed = closed
	if l.edge == nil || l.gone {
		return
	}
	if l.resting != nil {
		l.resting.Stop()
	}
	l.resting = time.AfterFunc(l.debounce, l.rest)
}

// Pulse closes the contact for the given time, without a bounce, and opens it for as
// long.
func (l *PulseLine) Pulse(width time.Duration) {
	l.Contact(true)
	time.Sleep(width)
	l.Contact(false)
	time.Sleep(width)
}

// Stall keeps edges in the kernel's queue, as a reader does that gets no time, and hands
// them out when it ends.
func (l *PulseLine) Stall(on bool) {
	l.mu.Lock()
	l.stalled = on
	l.mu.Unlock()
	l.handOut()
}

// rest takes the state that the contact rests in; closing is an edge.
func (l *PulseLine) rest() {
	l.mu.Lock()
	was := l.rested
	l.rested = l.closed
	if l.rested && !was && l.edge != nil && !l.gone {
		l.sequence++
		if len(l.queue) == pulseQueue {
			l.queue = append(l.queue[:0], l.queue[1:]...)
		}
		l.queue = append(l.queue, hardware.Pulse{At: l.clock(), Sequence: l.sequence})
	}
	l.mu.Unlock()
	l.handOut()
}

// handOut gives the reader what is queued.
func (l *PulseLine) handOut() {
	l.deliver.Lock()
	defer l.deliver.Unlock()
	for {
		l.mu.Lock()
		if l.stalled || l.edge == nil || len(l.queue) == 0 {
			l.mu.Unlock()
			return
		}
		p, edge := l.queue[0], l.edge
		l.queue = append(l.queue[:0], l.queue[1:]...)
		l.mu.Unlock()
		edge(p)
	}
}

// ask is one call into the system; the mutex is held.
func (l *PulseLine) ask() error {
	l.asked++
	switch l.plan.next() {
	case Silence, NACK:
		return syscall.ENODEV
	case StuckBus:
		return syscall.EBUSY
	case Slow:
		time.Sleep(l.Slowness)
	}
	if l.gone {
		return syscall.ENODEV
	}
	return nil
}

// Watch takes the line.
func (l *PulseLine) Watch(debounce time.Duration, edge func(hardware.Pulse)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ask(); err != nil {
		return err
	}
	if l.edge != nil {
		return syscall.EBUSY
	}
	l.edge, l.debounce, l.rested = edge, debounce, l.closed
	l.sequence, l.queue = 0, l.queue[:0]
	return nil
}

// Closed returns the contact's debounced state.
func (l *PulseLine) Closed() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ask(); err != nil {
		return false, err
	}
	return l.rested, nil
}

// Close gives the line back, and waits for an edge that is being handed out.
func (l *PulseLine) Close() error {
	l.mu.Lock()
	l.edge = nil
	if l.resting != nil {
		l.resting.Stop()
	}
	l.mu.Unlock()
	l.deliver.Lock()
	defer l.deliver.Unlock()
	return nil
}
