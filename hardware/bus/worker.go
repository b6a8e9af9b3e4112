package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// worker owns the open port and makes all transfers, in one goroutine. When a
// transfer hangs the bus abandons the worker: its port is closed behind its back,
// and its goroutine ends as soon as the kernel lets go of it.
type worker struct {
	bus    *Bus
	jobs   chan *job
	done   chan struct{}   // one for each job, holds one
	exited chan struct{}   // closed when the goroutine ends
	before <-chan struct{} // closed once the port of the worker before is; nil for the first

	// transfer is when the one at hand began, as nanoseconds since born; between and
	// abandoned are its other states. Only a worker in a transfer is abandoned, so one
	// that is does not get past the end of it (leave).
	transfer atomic.Int64
	born     time.Time
	// allowed is how long the transfer at hand may take, in nanoseconds; 0 is
	// Config.Hang. brisk: transfers are allowed little, so the bus must look early; quick
	// tells it when that begins.
	allowed atomic.Int64
	brisk   atomic.Bool
	quick   chan struct{} // holds one

	working    atomic.Bool // a job runs: drivers may use the port
	exchanging atomic.Bool // a Modbus exchange goes on

	port   atomic.Pointer[port]   // set by the goroutine
	client atomic.Pointer[client] // likewise, for Stats too
	past   atomic.Uint64          // stale replies of clients before

	// Written within transfers and between jobs only.
	i2c     i2c.Bus
	stuck   bool // an I2C transfer found the bus held low
	spi     spi.Port
	serial  modbus.Conn        // watched
	setMode func(m Mode) error // nil when the port has no mode to set
	broken  bool               // a transfer failed for the port's sake: open it anew

	// Of the job at hand, for its stream.
	ctx      context.Context
	deadline time.Time
}

// The states of worker.transfer that are no time.
const (
	between   = 0
	abandoned = -1
)

// closing is how long a worker waits for the port of the one before to be closed.
const closing = 100 * time.Millisecond

// port is an open port. Both its worker and the bus may close it.
type port struct {
	io.Closer
	once sync.Once
}

// shut closes the port, once. Its error tells nothing: the port is given up, and
// the next job opens it anew and reports.
func (p *port) shut() { p.once.Do(func() { _ = p.Close() }) }

// newWorker makes and starts the worker that transfers are made by from now on.
func (b *Bus) newWorker(before <-chan struct{}) *worker {
	w := &worker{bus: b, jobs: make(chan *job), done: make(chan struct{}, 1), exited: make(chan struct{}),
		before: before, born: time.Now(), quick: make(chan struct{}, 1)}
	b.worker.Store(w)
	go w.run()
	return w
}

func (w *worker) run() {
	defer close(w.exited)
	for j := range w.jobs {
		w.work(j)
		if w.transfer.Load() == abandoned {
			w.release() // the transfer was made by a goroutine of the job's own
			return
		}
		w.done <- struct{}{}
	}
	w.shut()
}

// work runs one job. Should its goroutine end in the middle (leave), the device is
// free again.
func (w *worker) work(j *job) {
	if j.device != nil {
		defer w.returned(j.device)
		j.device.scratch.Reset() // an earlier exchange is no evidence of this one
	}
	begin := time.Now()
	err := w.open(j.ctx)
	if err == nil {
		err = w.use(j)
	}
	if w.stuck {
		err = w.free(err)
	}
	if w.broken {
		w.shut()
	}
	w.bus.complete(w, j, err, time.Since(begin))
}

// use lets the job at the port.
func (w *worker) use(j *job) error {
	w.lend(j.ctx)
	w.working.Store(true)
	defer w.working.Store(false)
	if j.do != nil {
		return j.do(j.ctx)
	}
	return j.device.dev.Sense(j.ctx, &j.device.scratch)
}

// returned notes that a call into the driver came back after it was given up.
func (w *worker) returned(d *device) {
	if w.transfer.Load() == abandoned {
		w.bus.mu.Lock()
		d.hung = false
		w.bus.mu.Unlock()
	}
}

// complete hands the result to the caller, if the worker still counts.
func (b *Bus) complete(w *worker, j *job, err error, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.transfer.Load() == abandoned {
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
		j.device.account(err, took, len(b.order) == 1, &b.config)
	}
}

// abandon gives up on j if its transfer in w hangs, and returns the worker that
// takes over, nil if it does not hang. The caller gets an error, the device waits
// until the kernel lets go.
func (b *Bus) abandon(w *worker, j *job) *worker {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := w.limit()
	if !w.hangs() {
		return nil
	}
	b.stats.Hung++
	b.stats.Stale += w.stale()
	name := ""
	if j.device != nil {
		j.device.hung = true
		name = j.device.name
	}
	err := &hardware.Error{Class: hardware.ErrTimeout, Device: name, Bus: b.config.Name,
		Err: fmt.Errorf("a transfer hung for more than %s and was abandoned", limit), Remedy: "reset the bus's controller or adapter"}
	b.note(j, err, limit)
	j.cancel()
	j.dropped = true
	j.finish(err)
	closed := make(chan struct{})
	p := w.port.Load()
	go func() { // closing may hang as well
		defer close(closed)
		if p != nil {
			p.shut()
		}
	}()
	return b.newWorker(closed)
}

// limit is how long the transfer at hand may take.
func (w *worker) limit() time.Duration {
	if allowed := time.Duration(w.allowed.Load()); allowed > 0 {
		return min(allowed, w.bus.config.Hang)
	}
	return w.bus.config.Hang
}

// look returns after how long the transfer at hand will hang, or one that begins now,
// and a little more: then is the time to look.
func (w *worker) look() time.Duration {
	limit := w.bus.config.Hang
	if w.brisk.Load() {
		limit = min(limit, w.bus.config.spiTimeout())
	}
	left := limit
	if began := w.transfer.Load(); began > between {
		left = w.limit() - (time.Since(w.born) - time.Duration(began))
	}
	return max(left, 0) + limit/16 + 1
}

// hangs reports whether the transfer at hand takes longer than its limit. If so the
// worker is abandoned: the transfer cannot end any more but in leave.
func (w *worker) hangs() bool {
	began := w.transfer.Load()
	return began > between && time.Since(w.born)-time.Duration(began) > w.limit() &&
		w.transfer.CompareAndSwap(began, abandoned)
}

// enter begins a transfer. It is false when one goes on already, which is somebody
// else's and outside of the job.
func (w *worker) enter() bool {
	return w.transfer.CompareAndSwap(between, max(1, int64(time.Since(w.born))))
}

// leave ends a transfer. In a worker that was abandoned it does not return: the
// driver must not go on to the port, which is another worker's by now. Deferred calls
// run, so the driver's locks are released.
func (w *worker) leave() {
	for {
		state := w.transfer.Load()
		if state == abandoned {
			w.release()
			runtime.Goexit()
		}
		w.allowed.Store(0)
		if w.transfer.CompareAndSwap(state, between) {
			return
		}
	}
}

// client speaks Modbus on the open port.
type client struct{ speaker }

type speaker interface {
	modbus.Requester
	Stale() uint64
}

// open opens the port if it is not open.
func (w *worker) open(ctx context.Context) error {
	if w.port.Load() != nil {
		return nil
	}
	if w.before != nil {
		select { // a locked port cannot be opened twice
		case <-w.before:
		case <-time.After(closing):
		}
		w.before = nil
	}
	w.enter()
	opened, err := w.bus.config.Open()
	if r, ok := opened.(*remote); ok && r.framing == modbus.FramingRTU {
		err = r.Connect(ctx) // Modbus TCP connects by itself
	}
	if err == nil {
		err = w.adopt(opened)
	}
	w.leave()
	return hardware.Locate(err, "", w.bus.config.Name)
}

// adopt makes an open port the worker's.
func (w *worker) adopt(opened io.Closer) error {
	var conn any = opened
	if g, ok := opened.(given); ok {
		conn = g.port
	}
	w.serial, w.setMode = nil, nil
	switch c := conn.(type) {
	case *remote:
		w.speak(c)
	case modbus.Conn:
		w.serial, w.setMode = w.watch(c), modeOf(c)
		w.client.Store(&client{modbus.NewRTU(w.serial, w.rtu(c))})
	case i2c.Bus:
		w.i2c = c
	case spi.Port:
		w.spi = c
		w.hurry()
	default:
		return errors.Join(fmt.Errorf("%s: %T is no serial connection, I2C bus or SPI port", w.bus.config.Name, conn), opened.Close())
	}
	w.port.Store(&port{Closer: opened})
	w.broken = false
	w.bus.mu.Lock()
	w.bus.stats.Opened++
	w.bus.mu.Unlock()
	return nil
}

// speak makes a connection through the network the worker's: a line at its other end,
// or a server of Modbus TCP, which is no line for streams.
func (w *worker) speak(r *remote) {
	w.bus.mu.Lock()
	if w.bus.config.Timeout <= 0 {
		w.bus.config.Timeout = modbus.DefaultTCPTimeout
	}
	timeout := w.bus.config.Timeout
	w.bus.mu.Unlock()
	if r.framing == modbus.FramingTCP {
		w.client.Store(&client{modbus.NewTCP(&watchedRemote{watched{r, w}, r}, modbus.TCPOpts{Timeout: timeout})})
		return
	}
	w.serial = &watched{r, w}
	w.client.Store(&client{modbus.NewRTU(w.serial, modbus.RTUOpts{Timeout: timeout, Gap: w.bus.config.Gap})})
}

// modeOf returns how the mode of c is set, nil if it has none. Ports from outside this
// package are hardware.ModeSetters.
func modeOf(c modbus.Conn) func(m Mode) error {
	switch c := c.(type) {
	case modeSetter:
		return c.setMode
	case hardware.ModeSetter:
		return func(m Mode) error { return c.SetMode(m.String()) }
	}
	return nil
}

func (w *worker) rtu(c modbus.Conn) modbus.RTUOpts {
	opts := modbus.RTUOpts{Timeout: w.bus.config.Timeout, Gap: w.bus.config.Gap}
	if t, ok := c.(interface{ timing() (baud, bits int) }); ok {
		opts.Baud, opts.CharBits = t.timing()
	}
	return opts
}

// shut closes the port, which may hang as a transfer does.
func (w *worker) shut() {
	if w.port.Load() != nil {
		w.enter()
		w.release()
		w.leave()
	}
}

// release closes the port within a transfer.
func (w *worker) release() {
	if c := w.client.Swap(nil); c != nil {
		w.past.Add(c.Stale())
	}
	if p := w.port.Swap(nil); p != nil {
		p.shut()
	}
}

// stale returns how many replies did not belong to their request.
func (w *worker) stale() uint64 {
	n := w.past.Load()
	if c := w.client.Load(); c != nil {
		n += c.Stale()
	}
	return n
}

// requester is a bus as drivers of Modbus units see it.
type requester struct{ bus *Bus }

// Exchange implements modbus.Requester.
func (r requester) Exchange(ctx context.Context, q modbus.Request, t *hardware.Transcript) ([]byte, error) {
	w := r.bus.worker.Load()
	if w == nil || !w.working.Load() || !w.exchanging.CompareAndSwap(false, true) {
		return nil, outside(r.bus, "serial line")
	}
	defer w.exchanging.Store(false)
	c := w.client.Load()
	if c == nil {
		return nil, outside(r.bus, "serial line")
	}
	return c.Exchange(ctx, q, t)
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

// watchedRemote is watched for a connection that is made when it is needed.
type watchedRemote struct {
	watched
	remote *remote
}

// Connect implements modbus.Connector.
func (c *watchedRemote) Connect(ctx context.Context) error {
	if !c.worker.enter() {
		return outside(c.worker.bus, "connection")
	}
	err := c.remote.Connect(ctx)
	c.worker.leave()
	return err
}

// Disconnect implements modbus.Connector.
func (c *watchedRemote) Disconnect() error { return c.remote.Disconnect() }

// Read implements io.Reader.
func (c *watched) Read(b []byte) (int, error) {
	return c.timed(func() (int, error) { return c.Conn.Read(b) })
}

// Write implements io.Writer.
func (c *watched) Write(b []byte) (int, error) {
	return c.timed(func() (int, error) { return c.Conn.Write(b) })
}

// Discard implements modbus.Discarder.
func (c *watchedDiscarder) Discard() (int, error) {
	return c.timed(c.discarder.Discard)
}

// Pause implements modbus.Pauser. A port that cannot pause does not.
func (c *watchedDiscarder) Pause(until time.Time) error {
	p, ok := c.Conn.(modbus.Pauser)
	if !ok {
		return nil
	}
	_, err := c.timed(func() (int, error) { return 0, p.Pause(until) })
	return err
}

// timed makes one transfer.
func (c *watched) timed(transfer func() (int, error)) (int, error) {
	if !c.worker.enter() {
		return 0, outside(c.worker.bus, "serial line")
	}
	n, err := transfer()
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.worker.broken = true
	}
	c.worker.leave()
	return n, err
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
	if k == nil || !k.working.Load() || !k.enter() {
		return outside(x.bus, "I2C bus")
	}
	err := k.tx(address, w, r)
	k.leave()
	return err
}

// tx makes a transfer on the I2C bus.
func (w *worker) tx(address uint16, out, in []byte) error {
	if w.i2c == nil {
		return outside(w.bus, "I2C bus")
	}
	err := w.i2c.Tx(address, out, in)
	for _, errno := range [...]syscall.Errno{syscall.ENODEV, syscall.EBADF, syscall.ESHUTDOWN} {
		if is(err, errno) { // the adapter is gone: what else goes wrong is a part's or the wire's doing
			w.broken = true
		}
	}
	w.stuck = w.stuck || is(err, syscall.ETIMEDOUT)
	return err
}

// SetSpeed refuses: the speed is the whole bus's, not one part's to choose.
func (x wires) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("%s: the speed is set where the kernel configures the bus", x.bus.config.Name)
}
