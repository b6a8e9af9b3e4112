package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
)

const (
	stuck = 0x10 // the address at which a transfer hangs
	other = 0x20
)

// hanging is a bus whose first port hangs at one address: until it is closed, or, if
// the kernel does not let go, until release is called.
type hanging struct {
	*bus.Bus
	ports   []*wires
	release func()
}

func newHanging(t *testing.T, kernelLetsGo bool) *hanging {
	h := &hanging{}
	released := make(chan struct{})
	h.release = sync.OnceFunc(func() { close(released) })
	h.Bus = newBus(t, func(c *bus.Config) {
		c.Open = func() (io.Closer, error) {
			w := newWires(nil)
			first := len(h.ports) == 0
			w.tx = func(address uint16) error {
				if first && address == stuck {
					if kernelLetsGo {
						<-w.closed
					} else {
						<-released
					}
				}
				return nil
			}
			h.ports = append(h.ports, w)
			return w, nil
		}
	})
	return h
}

// stuckPart goes on after its transfer if it may.
func (h *hanging) stuckPart(mu *sync.Mutex, passed *int) *part {
	return &part{name: "stuck", sense: func(context.Context, *hardware.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		err := h.I2C().Tx(stuck, nil, nil)
		*passed++
		return err
	}}
}

func TestHangingTransferIsAbandoned(t *testing.T) {
	for _, letsGo := range []bool{true, false} {
		t.Run(fmt.Sprintf("closing ends it %v", letsGo), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHanging(t, letsGo)
				stop := run(t, h.Bus)
				var mu sync.Mutex // the driver's lock
				passed := 0
				bad := h.stuckPart(&mu, &passed)
				neighbour := onBus(func() *bus.Bus { return h.Bus }, "neighbour", other)
				begin := time.Now()
				var callers sync.WaitGroup
				callers.Go(func() {
					batch := hardware.Batch{Values: []hardware.Value{{Mantissa: 7}}}
					err := h.Sense(t.Context(), bad, &batch)
					if !errors.Is(err, hardware.ErrTimeout) || errors.Is(err, bus.ErrHeld) || len(batch.Values) != 0 {
						t.Errorf("the part that hangs: %v, %v", batch.Values, err)
					}
				})
				synctest.Wait()
				var batch hardware.Batch
				if err := h.Sense(t.Context(), neighbour, &batch); err != nil || len(batch.Values) != 1 {
					t.Errorf("the neighbour: %v, %v", batch.Values, err)
				}
				if took := time.Since(begin); took < 3*time.Second || took > 4*time.Second {
					t.Errorf("the bus was given back after %s, want 3 s and at most a quarter more", took)
				}
				callers.Wait()
				synctest.Wait()
				if len(h.ports) != 2 || h.ports[0].closes != 1 {
					t.Errorf("%d ports, the first closed %d times", len(h.ports), h.ports[0].closes)
				}
				if s := h.Stats(); s.Hung != 1 || s.Opened != 2 || s.Jobs != 2 || s.Failures["timeout"] != 1 {
					t.Errorf("%+v", s)
				}
				if err := h.Sense(t.Context(), bad, &batch); !errors.Is(err, bus.ErrHeld) || !errors.Is(err, hardware.ErrTimeout) {
					t.Errorf("it is tried again at once: %v", err)
				}
				time.Sleep(time.Minute) // its share is good again
				if !letsGo {
					if err := h.Sense(t.Context(), bad, &batch); !errors.Is(err, bus.ErrHeld) {
						t.Errorf("it is tried while it still hangs: %v", err)
					}
					h.release()
					synctest.Wait()
				}
				if passed != 0 {
					t.Error("the driver went on after it was given up")
				}
				if err := h.Sense(t.Context(), bad, &batch); err != nil || passed != 1 {
					t.Errorf("it does not come back: %v", err)
				}
				stop()
				if h.ports[1].closes != 1 {
					t.Errorf("the second port was closed %d times", h.ports[1].closes)
				}
			})
		})
	}
}

// A transfer that comes back just when it is given up has one outcome, not two, and
// leaves the bus in order.
func TestTransferThatNearlyHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var takes time.Duration
		b := newBus(t, func(c *bus.Config) {
			c.Open = bus.Given(newWires(func(address uint16) error {
				if address == stuck {
					time.Sleep(takes)
				}
				return nil
			}))
			c.Hang = 40 * time.Millisecond
		})
		defer run(t, b)()
		for takes = 35 * time.Millisecond; takes < 65*time.Millisecond; takes += time.Millisecond / 2 {
			slow := onBus(func() *bus.Bus { return b }, "slow", stuck)
			neighbour := onBus(func() *bus.Bus { return b }, "neighbour", other)
			var callers sync.WaitGroup
			callers.Go(func() {
				var batch hardware.Batch
				err := b.Sense(t.Context(), slow, &batch)
				if err == nil && len(batch.Values) != 1 || err != nil && (len(batch.Values) != 0 || !errors.Is(err, hardware.ErrTimeout)) {
					t.Errorf("a transfer of %s: %v, %v", takes, batch.Values, err)
				}
				if err == nil && takes > 51*time.Millisecond || err != nil && takes < 40*time.Millisecond {
					t.Errorf("a transfer of %s with a limit of 40ms, looked at every 10ms: %v", takes, err)
				}
			})
			synctest.Wait()
			for range 3 {
				var batch hardware.Batch
				if err := b.Sense(t.Context(), neighbour, &batch); err != nil || len(batch.Values) != 1 {
					t.Errorf("the neighbour of a transfer of %s: %v, %v", takes, batch.Values, err)
				}
			}
			callers.Wait()
			time.Sleep(takes) // what was given up ends
		}
		if s := b.Stats(); s.Hung == 0 || s.Hung == s.Jobs {
			t.Errorf("the boundary was not crossed: %+v", s)
		}
	})
}

func TestHangWhileOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := newWires(func(uint16) error { return nil })
		release := make(chan struct{})
		var opened atomic.Int32 // while a call hangs the next one comes from another goroutine
		b := newBus(t, func(c *bus.Config) {
			c.Open = func() (io.Closer, error) {
				if opened.Add(1) == 1 {
					<-release
					return late, nil
				}
				return newWires(func(uint16) error { return nil }), nil
			}
		})
		defer run(t, b)()
		ran := false
		if err := b.Do(t.Context(), func(context.Context) error { ran = true; return nil }); !errors.Is(err, hardware.ErrTimeout) || ran {
			t.Errorf("got %v", err)
		}
		if err := b.Do(t.Context(), func(context.Context) error { ran = true; return nil }); err != nil || !ran {
			t.Errorf("the next job: %v", err)
		}
		close(release)
		synctest.Wait()
		if late.closes != 1 {
			t.Errorf("the port that came too late was closed %d times", late.closes)
		}
	})
}

func TestHangWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newBus(t, func(c *bus.Config) {
			c.Open = func() (io.Closer, error) { return slowToClose{newWires(nil), release}, nil }
		})
		stop := run(t, b)
		if err := b.Do(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		stop()
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("Run waited %s for a port that does not close", took)
		}
		close(release)
	})
}

type slowToClose struct {
	*wires
	release chan struct{}
}

func (s slowToClose) Close() error {
	<-s.release
	return nil
}

// Should a job transfer from a goroutine of its own, and that hang, the job ends once.
func TestHangInAGoroutineOfTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHanging(t, true)
		defer run(t, h.Bus)()
		err := h.Do(t.Context(), func(context.Context) error {
			var own sync.WaitGroup
			own.Go(func() { _ = h.I2C().Tx(stuck, nil, nil) }) // it hangs
			own.Wait()
			return nil
		})
		if !errors.Is(err, hardware.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		for range 3 {
			if err := h.Do(t.Context(), func(context.Context) error { return h.I2C().Tx(other, nil, nil) }); err != nil {
				t.Errorf("the next job: %v", err)
			}
		}
	})
}
