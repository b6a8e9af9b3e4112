package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// worker owns the open port and makes all transfers, in one goroutine. When a
// transfer hangs the bus abandons the worker: whatever it still does counts for
// nothing, and its goroutine ends as soon as the kernel lets go of it.
type worker struct {
	bus    *Bus
	jobs   chan *job
	done   chan struct{} // one for each job, holds one
	exited chan struct{}

	// The goroutine's own.
	port   io.Closer
	i2c    i2c.Bus
	broken bool // a transfer failed for the port's sake: open it anew

	client    atomic.Pointer[modbus.RTU] // set by the goroutine, for Stats too
	past      atomic.Uint64              // stale replies of clients before
	since     atomic.Int64               // when the transfer at hand began, Unix ns; 0 between
	abandoned atomic.Bool
}

func (b *Bus) newWorker() *worker {
	w := &worker{bus: b, jobs: make(chan *job), done: make(chan struct{}, 1), exited: make(chan struct{})}
	b.worker.Store(w)
	go w.run()
	return w
}

func (w *worker) run() {
	defer close(w.exited)
	for j := range w.jobs {
		w.work(j)
		w.done <- struct{}{}
	}
	w.shut()
}

// work runs one job. Should its goroutine end in the middle (leave), the device is
// free again.
func (w *worker) work(j *job) {
	if j.device != nil {
		defer w.returned(j.device)
	}
	begin := time.Now()
	err := w.open()
	switch {
	case err != nil:
	case j.do != nil:
		err = j.do(j.ctx)
	default:
		err = j.device.dev.Sense(j.ctx, &j.device.scratch)
	}
	if w.broken {
		w.shut()
	}
	w.bus.complete(w, j, err, time.Since(begin))
}

// returned notes that a call into the driver came back after it was given up.
func (w *worker) returned(d *device) {
	if w.abandoned.Load() {
		w.bus.mu.Lock()
		d.hung = false
		w.bus.mu.Unlock()
	}
}

// complete hands the result to the caller, if the worker still counts.
func (b *Bus) complete(w *worker, j *job, err error, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.abandoned.Load() {
		return
	}
	b.note(j, err, took)
	if j.device != nil {
		j.device.scratch.CopyTo(j.dst)
		if err != nil {
			err = hardware.Locate(err, j.device.name, b.config.Name)
			j.dst.ResetValues()
		}
	}
	j.finish(err)
}

// note counts a job that ended; the mutex is held.
func (b *Bus) note(j *job, err error, took time.Duration) {
	b.stats.Jobs++
	b.stats.Busy += took
	if err != nil && !errors.Is(err, hardware.ErrNoData) {
		b.stats.Failed++
		if b.stats.Failures == nil {
			b.stats.Failures = map[string]uint64{}
		}
		class := "other"
		if c := hardware.Class(err); c != nil {
			class = c.Error()
		}
		b.stats.Failures[class]++
	}
	if j.device != nil {
		j.device.account(err, took, &b.config)
	}
}

// abandon gives up on the transfer that hangs in w. The caller gets an error, the
// device waits until the kernel lets go, the port is closed behind its back.
func (b *Bus) abandon(w *worker, j *job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.abandoned.Store(true)
	b.stats.Hung++
	b.stats.Stale += w.stale()
	name := ""
	if j.device != nil {
		j.device.hung = true
		name = j.device.name
	}
	err := &hardware.Error{Class: hardware.ErrTimeout, Device: name, Bus: b.config.Name,
		Err: fmt.Errorf("a transfer hung for more than %s and was abandoned", b.config.Hang), Remedy: "reset the bus's controller or adapter"}
	b.note(j, err, b.config.Hang)
	j.cancel()
	j.dropped = true
	j.finish(err)
}

// open opens the port if it is not open.
func (w *worker) open() error {
	if w.port != nil {
		return nil
	}
	w.since.Store(time.Now().UnixNano())
	port, err := w.bus.config.Open()
	w.leave()
	if err != nil {
		return err
	}
	var conn any = port
	if g, ok := port.(given); ok {
		conn = g.port
	}
	switch c := conn.(type) {
	case modbus.Conn:
		w.client.Store(modbus.NewRTU(w.watch(c), w.rtu(c)))
	case i2c.Bus:
		w.i2c = c
	default:
		return errors.Join(fmt.Errorf("%s: %T is neither a serial connection nor an I2C bus", w.bus.config.Name, conn), port.Close())
	}
	w.port, w.broken = port, false
	w.bus.mu.Lock()
	w.bus.stats.Opened++
	w.bus.mu.Unlock()
	return nil
}

func (w *worker) rtu(c modbus.Conn) modbus.RTUOpts {
	opts := modbus.RTUOpts{Timeout: w.bus.config.Timeout, Gap: w.bus.config.Gap}
	if t, ok := c.(interface{ timing() (baud, bits int) }); ok {
		opts.Baud, opts.CharBits = t.timing()
	}
	return opts
}

// shut closes the port.
func (w *worker) shut() {
	if w.port == nil {
		return
	}
	if c := w.client.Swap(nil); c != nil {
		w.past.Add(c.Stale())
	}
	_ = w.port.Close() // it is given up; the next job opens it anew and reports
	w.port, w.i2c = nil, nil
}

func (w *worker) stale() uint64 {
	n := w.past.Load()
	if c := w.client.Load(); c != nil {
		n += c.Stale()
	}
	return n
}

// hangs reports whether the transfer at hand takes longer than limit.
func (w *worker) hangs(limit time.Duration) bool {
	since := w.since.Load()
	return since != 0 && time.Since(time.Unix(0, since)) > limit
}

// leave ends a transfer. In a worker that was abandoned it does not return: the
// driver must not go on to the port, which is another worker's by now. Deferred calls
// run, so the driver's locks are released.
func (w *worker) leave() {
	w.since.Store(0)
	if w.abandoned.Load() {
		w.shut()
		runtime.Goexit()
	}
}

// requester is a bus as drivers of Modbus units see it.
type requester struct{ bus *Bus }

// Exchange implements modbus.Requester.
func (r requester) Exchange(ctx context.Context, q modbus.Request, t *hardware.Transcript) ([]byte, error) {
	w := r.bus.worker.Load()
	if w == nil || w.client.Load() == nil {
		return nil, outside(r.bus, "serial line")
	}
	return w.client.Load().Exchange(ctx, q, t)
}

// outside is the error of a transfer that no job makes, or that the port cannot do.
func outside(b *Bus, want string) error {
	return fmt.Errorf("%s: a transfer outside of a job, or the bus is no %s", b.config.Name, want)
}

// watched is a Conn whose transfers are timed and whose failures are noticed.
type watched struct {
	modbus.Conn
	worker *worker
}

// watchedDiscarder is watched for a Conn that can discard.
type watchedDiscarder struct {
	watched
	discarder modbus.Discarder
}

func (w *worker) watch(c modbus.Conn) modbus.Conn {
	if d, ok := c.(modbus.Discarder); ok {
		return &watchedDiscarder{watched{c, w}, d}
	}
	return &watched{c, w}
}

// Read implements io.Reader.
func (c *watched) Read(b []byte) (int, error) {
	c.worker.since.Store(time.Now().UnixNano())
	n, err := c.Conn.Read(b)
	return n, c.ended(err)
}

// Write implements io.Writer.
func (c *watched) Write(b []byte) (int, error) {
	c.worker.since.Store(time.Now().UnixNano())
	n, err := c.Conn.Write(b)
	return n, c.ended(err)
}

// Discard implements modbus.Discarder.
func (c *watchedDiscarder) Discard() (int, error) {
	n, err := c.discarder.Discard()
	return n, c.ended(err)
}

func (c *watched) ended(err error) error {
	c.worker.leave()
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.worker.broken = true
	}
	return err
}

// I2C returns the way to parts on an I2C bus. It works inside jobs only.
func (b *Bus) I2C() i2c.Bus { return wires{b} }

// wires is a bus as drivers of I2C parts see it.
type wires struct{ bus *Bus }

// String returns the bus's name.
func (x wires) String() string { return x.bus.config.Name }

// Tx implements i2c.Bus.
func (x wires) Tx(address uint16, w, r []byte) error {
	k := x.bus.worker.Load()
	if k == nil || k.i2c == nil {
		return outside(x.bus, "I2C bus")
	}
	k.since.Store(time.Now().UnixNano())
	err := k.i2c.Tx(address, w, r)
	k.leave()
	return err
}

// SetSpeed refuses: the speed is the whole bus's, not one part's to choose.
func (x wires) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("%s: the speed is set where the kernel configures the bus", x.bus.config.Name)
}
