package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"periph.io/x/conn/v3/physic"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/hardware/modbus"
)

// part is a device whose Sense is the test's.
type part struct {
	name   string
	settle time.Duration
	sense  func(ctx context.Context, dst *hardware.Batch) error
}

func (p *part) String() string { return p.name }
func (p *part) Halt() error    { return nil }
func (p *part) Describe() hardware.Descriptor {
	return hardware.Descriptor{Model: p.name, Part: p.name, Settle: p.settle, Channels: []hardware.Channel{hardware.NewChannel("co2", hardware.Limits{})}}
}

func (p *part) Sense(ctx context.Context, dst *hardware.Batch) error {
	dst.Reset()
	if err := p.sense(ctx, dst); err != nil {
		return err
	}
	dst.Add(hardware.Value{Mantissa: 420}, hardware.Limits{})
	return nil
}

// good is a part that always answers.
func good(name string) *part {
	return &part{name: name, sense: func(context.Context, *hardware.Batch) error { return nil }}
}

// wires is an I2C bus on which the test says what a transfer does.
type wires struct {
	tx     func(address uint16) error
	closed chan struct{} // closed by Close
	once   sync.Once
	closes int
}

func newWires(tx func(address uint16) error) *wires {
	return &wires{tx: tx, closed: make(chan struct{})}
}

func (w *wires) String() string                       { return "wires" }
func (w *wires) SetSpeed(physic.Frequency) error      { return nil }
func (w *wires) Tx(address uint16, _, _ []byte) error { return w.tx(address) }
func (w *wires) Close() error {
	w.closes++
	w.once.Do(func() { close(w.closed) })
	return nil
}

// onBus is a part at an address of b, which is asked with one transfer.
func onBus(b func() *bus.Bus, name string, address uint16) *part {
	return &part{name: name, sense: func(context.Context, *hardware.Batch) error {
		return hardware.I2CError(b().I2C().Tx(address, []byte{1}, nil), "asking")
	}}
}

// exchange asks for two registers of unit 1 behind the drivers' backs.
func exchange(b *bus.Bus) error {
	var t hardware.Transcript
	_, err := b.Modbus().Exchange(context.Background(), modbus.Request{Unit: 1, Function: modbus.ReadInput, Count: 2}, &t)
	return err
}

// newBus returns a bus on quiet wires, changed by change.
func newBus(t testing.TB, change func(c *bus.Config)) *bus.Bus {
	t.Helper()
	config := bus.Config{Name: "i2c-1", Open: bus.Given(newWires(func(uint16) error { return nil })), Jitter: func() float64 { return 0.5 }}
	if change != nil {
		change(&config)
	}
	b, err := bus.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs b until the returned function is called, which waits for its end.
func run(t testing.TB, b *bus.Bus) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running: %v", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	open := bus.Given(newWires(nil))
	for name, config := range map[string]bus.Config{
		"no name": {Open: open}, "nothing to open": {Name: "x"}, "timeout": {Name: "x", Open: open, Timeout: -1},
		"gap": {Name: "x", Open: open, Gap: 101 * time.Millisecond}, "negative gap": {Name: "x", Open: open, Gap: -1},
	} {
		if b, err := bus.New(config); err == nil {
			t.Errorf("%s: %v was made", name, b)
		}
	}
}

// The parts write to a variable without a lock: should two jobs ever run at a time,
// the race detector sees it too.
func TestJobsNeverInterleave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, nil)
		defer run(t, b)()
		inside, jobs := 0, 0
		body := func() {
			inside++
			jobs++
			time.Sleep(time.Millisecond) // others get their chance
			if inside != 1 {
				t.Errorf("%d jobs at a time", inside)
			}
			inside--
		}
		var callers sync.WaitGroup
		for i := range 8 {
			dev := &part{name: fmt.Sprint(i), sense: func(context.Context, *hardware.Batch) error { body(); return nil }}
			callers.Go(func() {
				var batch hardware.Batch
				for range 20 {
					if err := b.Sense(t.Context(), dev, &batch); err != nil || len(batch.Values) != 1 {
						t.Errorf("sensing: %v, %v", batch.Values, err)
					}
					if err := b.Do(t.Context(), func(context.Context) error { body(); return nil }); err != nil {
						t.Errorf("doing: %v", err)
					}
				}
			})
		}
		callers.Wait()
		if s := b.Stats(); jobs != 320 || s.Jobs != 320 || s.Failed != 0 || s.Opened != 1 {
			t.Errorf("%d jobs, %+v", jobs, s)
		}
	})
}

// Jobs run in the order of their due times; of two that are due together the one that
// was queued first goes first.
func TestDueOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dues := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 20).Draw(r, "due, seconds")
		synctest.Test(t, func(t *testing.T) {
			b := newBus(t, nil)
			start := time.Now()
			var got, want []int
			var callers sync.WaitGroup
			for i, due := range dues {
				dev := &part{name: fmt.Sprint(i), sense: func(context.Context, *hardware.Batch) error { got = append(got, i); return nil }}
				callers.Go(func() {
					var batch hardware.Batch
					if err := b.SenseDue(t.Context(), dev, start.Add(time.Duration(due)*time.Second), &batch); err != nil {
						t.Errorf("job %d: %v", i, err)
					}
				})
				synctest.Wait() // it is queued
				want = append(want, i)
			}
			slices.SortStableFunc(want, func(i, j int) int { return dues[i] - dues[j] })
			stop := run(t, b)
			callers.Wait()
			stop()
			if diff := cmp.Diff(want, got); diff != "" {
				r.Errorf("order of jobs due at %v (-want +got):\n%s", dues, diff)
			}
		})
	})
}

func TestFullQueueIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, func(c *bus.Config) { c.Queue = 3 })
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				var batch hardware.Batch
				if err := b.Sense(t.Context(), good("waiting"), &batch); err != nil {
					t.Errorf("a job that found room: %v", err)
				}
			})
		}
		synctest.Wait()
		batch := hardware.Batch{Values: []hardware.Value{{Mantissa: 1}}}
		if err := b.Sense(t.Context(), good("late"), &batch); !errors.Is(err, bus.ErrBusy) || len(batch.Values) != 0 {
			t.Errorf("the fourth of three: %v, %v", batch.Values, err)
		}
		if err := b.Do(t.Context(), func(context.Context) error { t.Error("it ran"); return nil }); !errors.Is(err, bus.ErrBusy) {
			t.Errorf("doing: %v", err)
		}
		if s := b.Stats(); s.Refused != 2 || s.Jobs != 0 {
			t.Errorf("%+v", s)
		}
		stop := run(t, b)
		callers.Wait()
		stop()
	})
}

func TestFailingDeviceIsHeldAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, nil)
		defer run(t, b)()
		tries, healthy := 0, false
		bad := &part{name: "bad", sense: func(context.Context, *hardware.Batch) error {
			tries++
			if healthy {
				return nil
			}
			return &hardware.Error{Class: hardware.ErrChecksum, Err: errors.New("noise")}
		}}
		neighbour := good("neighbour")
		var batch hardware.Batch
		for range 3 {
			if err := b.Sense(t.Context(), bad, &batch); !errors.Is(err, hardware.ErrChecksum) || errors.Is(err, bus.ErrHeld) {
				t.Fatalf("before it is held: %v", err)
			}
		}
		down := time.Now()
		for i, wait := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
			wait *= time.Second
			for _, at := range []time.Duration{0, wait - time.Millisecond} {
				time.Sleep(at)
				batch.Values = append(batch.Values, hardware.Value{Mantissa: 99})
				err := b.Sense(t.Context(), bad, &batch)
				if !errors.Is(err, bus.ErrHeld) || hardware.Class(err) != hardware.ErrChecksum || len(batch.Values) != 0 || tries != 3+i {
					t.Errorf("back-off %d, after %s: %v, %v, %d tries", i, at, batch.Values, err, tries)
				}
				if err := b.Sense(t.Context(), neighbour, &batch); err != nil || len(batch.Values) != 1 {
					t.Errorf("the neighbour paid for it: %v", err)
				}
			}
			time.Sleep(time.Millisecond)
			if err := b.Sense(t.Context(), bad, &batch); errors.Is(err, bus.ErrHeld) || err == nil || tries != 4+i {
				t.Errorf("back-off %d, after %s: %v, %d tries", i, wait, err, tries)
			}
		}
		want := bus.Status{Device: "bad", Down: true, Failures: 10, Since: down}
		got := b.Status()
		if len(got) != 2 || !errors.Is(got[0].Last, hardware.ErrChecksum) || got[1].Down || got[1].Last != nil {
			t.Fatalf("status %+v", got)
		}
		got[0].Last = nil
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		healthy = true
		time.Sleep(time.Minute)
		for range 2 { // one success restores it
			if err := b.Sense(t.Context(), bad, &batch); err != nil {
				t.Errorf("after it was mended: %v", err)
			}
		}
		if s := b.Status()[0]; s.Down || s.Failures != 0 || s.Last != nil || !s.Since.IsZero() {
			t.Errorf("status %+v", s)
		}
		if s := b.Stats(); s.Held != 14 || s.Failures["bad checksum"] != 10 || s.Failed != 10 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestJitterSpreadsTheBackOff(t *testing.T) {
	for jitter, wait := range map[float64]time.Duration{0: 1600 * time.Millisecond, 0.999999: 2400 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := newBus(t, func(c *bus.Config) { c.Jitter = func() float64 { return jitter } })
			defer run(t, b)()
			bad := &part{name: "bad", sense: func(context.Context, *hardware.Batch) error { return errors.New("no") }}
			var batch hardware.Batch
			for range 3 {
				_ = b.Sense(t.Context(), bad, &batch) // it fails
			}
			time.Sleep(wait - 10*time.Millisecond)
			if err := b.Sense(t.Context(), bad, &batch); !errors.Is(err, bus.ErrHeld) {
				t.Errorf("jitter %v: not held just before %s: %v", jitter, wait, err)
			}
			time.Sleep(10 * time.Millisecond)
			if err := b.Sense(t.Context(), bad, &batch); errors.Is(err, bus.ErrHeld) {
				t.Errorf("jitter %v: still held after %s", jitter, wait)
			}
		})
	}
}

// rushed is a clock that runs a hundred times as fast as the machine's.
type rushed struct{ start time.Time }

func (r rushed) Now() time.Time                         { return r.start.Add(100 * time.Since(r.start)) }
func (r rushed) After(d time.Duration) <-chan time.Time { return time.After(d / 100) }

func TestBackOffAndPatienceGoByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, func(c *bus.Config) { c.Clock = rushed{time.Now()} })
		defer run(t, b)()
		var batch hardware.Batch
		bad := &part{name: "bad", sense: func(context.Context, *hardware.Batch) error { return errors.New("no") }}
		for range 3 {
			_ = b.Sense(t.Context(), bad, &batch) // it fails
		}
		time.Sleep(20 * time.Millisecond)
		if err := b.Sense(t.Context(), bad, &batch); errors.Is(err, bus.ErrHeld) {
			t.Errorf("2 s of the clock have passed: %v", err)
		}
		begin := time.Now()
		empty := &part{name: "empty", settle: 24 * time.Second, sense: func(context.Context, *hardware.Batch) error { return hardware.ErrNoData }}
		if err := b.Sense(t.Context(), empty, &batch); !errors.Is(err, hardware.ErrNoData) || time.Since(begin) != 240*time.Millisecond {
			t.Errorf("%v after %s, want ErrNoData after 240ms", err, time.Since(begin))
		}
	})
}

func TestNoDataIsAskedAgainForTheSettleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, nil)
		defer run(t, b)()
		asked, ready := 0, time.Now().Add(3*time.Second)
		slow := &part{name: "slow", settle: 6 * time.Second, sense: func(context.Context, *hardware.Batch) error {
			asked++
			if time.Now().Before(ready) {
				return &hardware.Error{Class: hardware.ErrNoData}
			}
			return nil
		}}
		var batch hardware.Batch
		if err := b.Sense(t.Context(), slow, &batch); err != nil || len(batch.Values) != 1 || time.Now().Before(ready) {
			t.Errorf("%v, %v", batch.Values, err)
		}
		if asked < 3 || asked > 25 {
			t.Errorf("it was asked %d times", asked)
		}
		ready = ready.Add(time.Hour)
		begin := time.Now()
		if err := b.Sense(t.Context(), slow, &batch); !errors.Is(err, hardware.ErrNoData) || len(batch.Values) != 0 {
			t.Errorf("%v, %v", batch.Values, err)
		}
		if took := time.Since(begin); took < 6*time.Second || took > 7*time.Second {
			t.Errorf("patient for %s, want 6s", took)
		}
		if s := b.Stats(); s.Failed != 0 || b.Status()[0].Failures != 0 {
			t.Errorf("no data counts as a failure: %+v", s)
		}
		asked, slow.settle = 0, 0
		instant := &part{name: "instant", sense: slow.sense}
		if err := b.Sense(t.Context(), instant, &batch); !errors.Is(err, hardware.ErrNoData) || asked != 1 {
			t.Errorf("without a settle time: %v, asked %d times", err, asked)
		}
	})
}

func TestCallerWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, nil)
		var batch hardware.Batch
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		untouched := &part{name: "untouched", sense: func(context.Context, *hardware.Batch) error { t.Error("it was asked"); return nil }}
		if err := b.Sense(ctx, untouched, &batch); !errors.Is(err, hardware.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("in the queue of a bus that does not run: %v", err)
		}
		defer run(t, b)()
		patient := &part{name: "patient", sense: func(ctx context.Context, _ *hardware.Batch) error {
			<-ctx.Done()
			return &hardware.Error{Class: hardware.ErrTimeout, Err: ctx.Err()}
		}}
		for range 4 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err := b.Sense(ctx, patient, &batch); !errors.Is(err, context.Canceled) || errors.Is(err, bus.ErrHeld) {
				t.Errorf("cancelled: %v", err)
			}
		}
		// Little time is the queue's fault, all the time it may take is the part's.
		for _, c := range []struct {
			limit    time.Duration
			failures int
		}{{200 * time.Millisecond, 0}, {time.Second, 1}} {
			time.Sleep(time.Minute)
			ctx, cancel := context.WithTimeout(t.Context(), c.limit)
			if err := b.Sense(ctx, patient, &batch); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", c.limit, err)
			}
			cancel()
			if s := b.Status()[1]; s.Failures != c.failures {
				t.Errorf("%s: %d failures, want %d", c.limit, s.Failures, c.failures)
			}
			// Either way it has used up its part of the bus for now.
			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			if err := b.Sense(ctx, patient, &batch); !errors.Is(err, bus.ErrHeld) {
				t.Errorf("%s: %v, want ErrHeld", c.limit, err)
			}
			cancel()
		}
	})
}

func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(nil)
		b := newBus(t, func(c *bus.Config) { c.Open = func() (io.Closer, error) { return w, nil } })
		stop := run(t, b)
		var batch hardware.Batch
		var callers sync.WaitGroup
		callers.Go(func() {
			running := &part{name: "running", sense: func(ctx context.Context, _ *hardware.Batch) error { <-ctx.Done(); return ctx.Err() }}
			if err := b.Sense(context.Background(), running, &batch); !errors.Is(err, context.Canceled) {
				t.Errorf("the job at hand: %v", err)
			}
		})
		synctest.Wait()
		for range 3 {
			callers.Go(func() {
				batch := hardware.Batch{Values: []hardware.Value{{Mantissa: 7}}}
				if err := b.Sense(context.Background(), good("waiting"), &batch); !errors.Is(err, bus.ErrClosed) || len(batch.Values) != 0 {
					t.Errorf("a job that waited: %v, %v", batch.Values, err)
				}
			})
		}
		synctest.Wait()
		stop()
		callers.Wait()
		if w.closes != 1 {
			t.Errorf("the port was closed %d times", w.closes)
		}
		if err := b.Sense(context.Background(), good("late"), &batch); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
		if err := b.Do(context.Background(), func(context.Context) error { t.Error("it ran"); return nil }); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
		if err := b.Run(context.Background()); err == nil {
			t.Error("it ran twice")
		}
	})
}

func TestRunWithAnEndedContextClosesTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, func(c *bus.Config) { c.Open = func() (io.Closer, error) { t.Error("opened"); return nil, io.EOF } })
		run(t, b)()
		var batch hardware.Batch
		if err := b.Sense(context.Background(), good("late"), &batch); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// Nobody gets at the port but a job: not before, not between and not after jobs.
func TestTransfersOutsideOfJobsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transfers := 0
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given(newWires(func(uint16) error { transfers++; return nil })) })
		refused := func(when string) {
			if err := b.I2C().Tx(0x61, []byte{1}, nil); err == nil || transfers > 1 {
				t.Errorf("%s: %v, %d transfers", when, err, transfers)
			}
			if err := exchange(b); err == nil {
				t.Errorf("%s: a Modbus exchange was made", when)
			}
		}
		refused("before Run")
		stop := run(t, b)
		if err := b.Do(t.Context(), func(context.Context) error {
			if err := exchange(b); err == nil {
				t.Error("Modbus on an I2C bus")
			}
			return b.I2C().Tx(0x61, []byte{1}, nil)
		}); err != nil || transfers != 1 {
			t.Fatalf("in a job: %v, %d transfers", err, transfers)
		}
		refused("between jobs")
		stop()
		refused("after Run")
		if err := b.I2C().SetSpeed(physic.KiloHertz); err == nil || b.I2C().String() != "i2c-1" {
			t.Errorf("a part set the speed of %s", b.I2C())
		}
	})
}

func TestExchangesOutsideOfJobsAreRefused(t *testing.T) {
	line := emulated.NewLine()
	line.Attach(1, emulated.NewMeter("sdm120", 1))
	b := newBus(t, func(c *bus.Config) { c.Open, c.Timeout = bus.Given(line.Conn()), 10*time.Second })
	stop := run(t, b)
	for range 2 {
		if err := b.Do(t.Context(), func(context.Context) error { return exchange(b) }); err != nil {
			t.Errorf("in a job: %v", err)
		}
		if err := exchange(b); err == nil {
			t.Error("an exchange was made between jobs")
		}
		if err := b.Do(t.Context(), func(context.Context) error { return b.I2C().Tx(0x61, nil, nil) }); err == nil {
			t.Error("I2C on a serial line")
		}
	}
	stop()
	if err := exchange(b); err == nil || line.Requests() != 2 {
		t.Errorf("after Run: %v, %d requests", err, line.Requests())
	}
}

// Two exchanges at a time cannot be: the second is refused, even within a job.
func TestExchangesNeverInterleave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := emulated.NewLine()
		line.Attach(1, emulated.NewMeter("sdm120", 1))
		line.SetFaults(1, emulated.Always(emulated.Slow))
		line.Slowness = 100 * time.Millisecond
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given(line.Conn()) })
		defer run(t, b)()
		var calls sync.WaitGroup
		calls.Go(func() {
			if err := b.Do(t.Context(), func(context.Context) error { return exchange(b) }); err != nil {
				t.Errorf("the job: %v", err)
			}
		})
		synctest.Wait()
		time.Sleep(50 * time.Millisecond) // in the middle of it
		if err := exchange(b); err == nil {
			t.Error("an exchange was made in the middle of another")
		}
		calls.Wait()
		if line.Requests() != 1 {
			t.Errorf("%d requests", line.Requests())
		}
	})
}

func TestPortThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var port io.Closer
		b := newBus(t, func(c *bus.Config) {
			c.Open = func() (io.Closer, error) {
				if port == nil {
					return nil, &hardware.Error{Class: hardware.ErrPermission, Op: "opening", Err: errors.New("taken")}
				}
				return port, nil
			}
		})
		defer run(t, b)()
		dev := &part{name: "dev", sense: func(_ context.Context, dst *hardware.Batch) error {
			dst.Evidence.Send([]byte{1})
			return b.I2C().Tx(0x61, []byte{1}, nil)
		}}
		var batch hardware.Batch
		var e *hardware.Error
		if err := b.Sense(t.Context(), dev, &batch); !errors.As(err, &e) || e.Class != hardware.ErrPermission || e.Bus != "i2c-1" || e.Device != "dev" {
			t.Errorf("got %v", err)
		}
		if err := b.Do(t.Context(), func(context.Context) error { t.Error("it ran"); return nil }); !errors.As(err, &e) || e.Bus != "i2c-1" {
			t.Errorf("doing: %v", err)
		}
		gone := false
		good := newWires(func(uint16) error {
			if gone {
				return errors.New("sysfs-i2c: no such device") // as periph tells ENODEV
			}
			return nil
		})
		port = good
		if err := b.Sense(t.Context(), dev, &batch); err != nil || batch.Evidence.Len() != 1 {
			t.Fatalf("got %v", err)
		}
		// The adapter is unplugged: the port is closed, and the next job opens it anew. No
		// evidence of the sample before stands in for one of this.
		gone, port = true, nil
		if err := b.Sense(t.Context(), dev, &batch); err == nil || good.closes != 1 {
			t.Errorf("unplugged: %v, closed %d times", err, good.closes)
		}
		if err := b.Sense(t.Context(), dev, &batch); !errors.Is(err, hardware.ErrPermission) || batch.Evidence.Len() != 0 || batch.At != 0 {
			t.Errorf("still unplugged: %v, evidence %q", err, batch.Evidence.String())
		}
		port = newWires(func(uint16) error { return nil })
		if err := b.Sense(t.Context(), dev, &batch); err != nil {
			t.Errorf("plugged in again: %v", err)
		}
		if s := b.Stats(); s.Opened != 2 {
			t.Errorf("opened %d times, want 2", s.Opened)
		}
	})
}

func TestPortOfAnUnknownKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given("a string") })
		defer run(t, b)()
		var batch hardware.Batch
		if err := b.Sense(t.Context(), good("dev"), &batch); err == nil {
			t.Error("a job ran on a string")
		}
	})
}

// BenchmarkSense is what the bus adds to a transfer: queue, owner, accounts, copy.
func BenchmarkSense(b *testing.B) {
	wires := newBus(b, nil)
	stop := run(b, wires)
	dev := onBus(func() *bus.Bus { return wires }, "part", 0x61)
	var batch hardware.Batch
	b.ReportAllocs()
	for b.Loop() {
		if err := wires.Sense(b.Context(), dev, &batch); err != nil {
			b.Fatal(err)
		}
	}
	stop()
}
