package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

var (
	// ErrClosed: the bus has stopped, or stopped while the job was queued.
	ErrClosed = errors.New("bus is closed")
	// ErrBusy: the queue is full; the job was not queued.
	ErrBusy = errors.New("bus queue is full")
	// ErrHeld: the device failed before and is not tried again yet. The class of its
	// last failure is wrapped beside it.
	ErrHeld = errors.New("held back after failures")
)

// Config says what a bus is. Name and Open must be given.
type Config struct {
	Name string
	Open Opener
	// Timeout is for a unit or part to answer: default 300 ms on a serial line, 1 s
	// through TCP. On SPI no part can delay a transfer, so one that takes longer than
	// this hangs: default 20 ms. On I2C the kernel's own limit applies.
	Timeout time.Duration
	Gap     time.Duration // between RTU frames: default 3.5 characters, at least 2 ms
	// Hang is how long one transfer may stay in the kernel before it is abandoned:
	// default 3 s.
	Hang time.Duration
	// Recover, if it is there, frees an I2C bus that a part holds low, as FreeI2C does.
	// It is called after a job in which a transfer found that, once a second at most, and
	// while nothing goes on on the bus.
	Recover func() error
	Queue   int            // jobs that may wait: default 256
	Clock   Clock          // default the machine's
	Jitter  func() float64 // in [0, 1): default random
}

const (
	failuresBeforeBackOff = 3
	firstBackOff          = 2 * time.Second
	longestBackOff        = 60 * time.Second
	// shareFactor holds a device that failed back for nine times what it took, which
	// leaves it a tenth.
	shareFactor = 9
	// defaultTimeout is package modbus's; on I2C most transfers take far less.
	defaultTimeout = 300 * time.Millisecond
	// polls is how often a part is asked again within its Settle time.
	polls = 24
)

// answer is how long a device may take to answer.
func (c *Config) answer() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return defaultTimeout
}

// Bus is one bus and what waits for it. All methods may be called from any goroutine.
type Bus struct {
	config Config

	// worker makes the transfers; it is replaced when one hangs.
	worker atomic.Pointer[worker]
	wake   chan struct{} // a job was queued

	mu      sync.Mutex // guards the fields below and those of devices and jobs
	queue   []*job
	free    []*job
	devices map[hardware.Device]*device
	order   []*device  // in the order they came, for Status
	spi     connection // of the SPI port that was used last
	freed   time.Time  // when Recover was last called, real time
	running bool
	closed  bool
	stats   Stats
}

// New returns a bus. Its port is opened by the first job.
func New(config Config) (*Bus, error) {
	if config.Name == "" || config.Open == nil {
		return nil, errors.New("a bus needs a name and a way to open it")
	}
	if config.Timeout < 0 || config.Gap < 0 || config.Gap > 100*time.Millisecond {
		return nil, fmt.Errorf("%s: timeout %s or gap %s out of range (gap at most 100ms)", config.Name, config.Timeout, config.Gap)
	}
	if config.Hang <= 0 {
		config.Hang = 3 * time.Second
	}
	if config.Queue <= 0 {
		config.Queue = 256
	}
	if config.Clock == nil {
		config.Clock = realClock{}
	}
	if config.Jitter == nil {
		config.Jitter = rand.Float64
	}
	return &Bus{config: config, wake: make(chan struct{}, 1), devices: map[hardware.Device]*device{}}, nil
}

// String returns the bus's name.
func (b *Bus) String() string { return b.config.Name }

// Sense makes dev take a snapshot into dst, in turn, and waits for it. While the
// device has no new data yet it is asked again, up to the Settle time of its
// descriptor; no other failure is retried. Errors wrap the classes of package
// hardware, and dst then holds no values; ErrHeld, ErrBusy and ErrClosed mean that
// the bus was not touched.
func (b *Bus) Sense(ctx context.Context, dev hardware.Device, dst *hardware.Batch) error {
	return b.SenseDue(ctx, dev, b.config.Clock.Now(), dst)
}

// SenseDue is Sense for a sample that was due at the given time of the bus's clock:
// jobs that are due earlier go first.
func (b *Bus) SenseDue(ctx context.Context, dev hardware.Device, due time.Time, dst *hardware.Batch) error {
	d, err := b.device(dev)
	if err != nil {
		return err
	}
	dst.Reset() // whatever goes wrong, no old value is left in it
	patience := b.config.Clock.Now().Add(d.settle)
	for {
		err := b.enqueue(ctx, &request{device: d, due: due, dst: dst})
		if !errors.Is(err, hardware.ErrNoData) || !b.config.Clock.Now().Before(patience) {
			return err
		}
		select {
		case <-b.config.Clock.After(d.settle / polls):
		case <-ctx.Done():
			return err
		}
	}
}

// Do runs f, in turn, in the goroutine that owns the bus: for what is not a sample,
// such as Probe, Calibrate and Halt. Failures before do not hold it back, and its own
// do not count. When a transfer in f hangs, f does not go on behind it.
func (b *Bus) Do(ctx context.Context, f func(ctx context.Context) error) error {
	return b.enqueue(ctx, &request{due: b.config.Clock.Now(), do: f})
}

// Run owns the bus until ctx ends; then jobs that wait get ErrClosed, the port is
// closed, and nothing of the bus goes on, but for a transfer that hangs in the
// kernel. It returns nil, or an error if the bus ran before.
func (b *Bus) Run(ctx context.Context) error {
	b.mu.Lock()
	ran := b.running || b.closed
	b.running = true
	b.mu.Unlock()
	if ran {
		return fmt.Errorf("%s: %w", b.config.Name, errors.New("a bus runs once"))
	}
	w := b.newWorker(nil)
	for {
		j := b.next(ctx)
		if j == nil {
			break
		}
		cancel := j.cancel // once it is done j is its caller's again
		w.jobs <- j
		w = b.await(ctx, w, j, cancel)
	}
	b.stop(w)
	return nil
}

// next returns the job that is due first, nil once ctx has ended.
func (b *Bus) next(ctx context.Context) *job {
	for {
		b.mu.Lock()
		if ctx.Err() != nil {
			b.close()
			b.mu.Unlock()
			return nil
		}
		j := b.take()
		b.mu.Unlock()
		if j != nil {
			return j
		}
		select {
		case <-b.wake:
		case <-ctx.Done():
		}
	}
}

// await waits for the job that w runs, and returns the worker for the next one:
// another, when a transfer hangs.
func (b *Bus) await(ctx context.Context, w *worker, j *job, cancel context.CancelFunc) *worker {
	// One look where a transfer that hung from the beginning would be noticed: it is
	// rarely needed, and a ticker would wake the process for it even once it is stopped.
	look := time.NewTimer(w.look())
	defer look.Stop()
	done := ctx.Done()
	for {
		select {
		case <-w.done:
			return w
		case <-w.quick:
			look.Reset(w.look())
		case <-done:
			cancel()
			done = nil
		case <-look.C:
			if next := b.abandon(w, j); next != nil {
				return next
			}
			look.Reset(w.look())
		}
	}
}

// stop ends w. A port that hangs while it is closed is left alone.
func (b *Bus) stop(w *worker) {
	close(w.jobs)
	tick := time.NewTicker(max(1, b.config.Hang/4))
	defer tick.Stop()
	for {
		select {
		case <-w.exited:
			return
		case <-tick.C:
			if w.hangs() {
				return
			}
		}
	}
}

// close fails what waits; the mutex is held.
func (b *Bus) close() {
	b.closed = true
	for _, j := range b.queue {
		j.finish(fmt.Errorf("%s: %w", b.config.Name, ErrClosed))
	}
	b.queue = nil
}

// Modbus returns the way to units on a serial bus. It works inside jobs only.
func (b *Bus) Modbus() modbus.Requester { return requester{b} }
