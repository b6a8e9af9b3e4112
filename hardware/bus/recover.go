package bus

import (
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/pin"

	"wattmark/hardware"
)

// recoverEvery is how often a bus that is held low is freed at most: a part that is
// broken would otherwise cost its neighbours more than its own failures do.
const recoverEvery = time.Second

// free frees an I2C bus that a transfer of the last job found held low. It returns err,
// which says so if that did not help.
func (w *worker) free(err error) error {
	w.stuck = false
	b := w.bus
	now := time.Now()
	b.mu.Lock()
	due := b.config.Recover != nil && (b.freed.IsZero() || now.Sub(b.freed) >= recoverEvery)
	if due {
		b.freed = now
	}
	b.mu.Unlock()
	if !due {
		return err
	}
	if !w.enter() {
		return err // a transfer that the job did not wait for goes on
	}
	failure := b.config.Recover()
	w.leave()
	if failure == nil {
		b.mu.Lock()
		b.stats.Freed++
		b.mu.Unlock()
		return err
	}
	e := new(hardware.Error)
	if !errors.As(err, &e) {
		return err // the driver said nothing of it
	}
	told := *e
	told.Err = fmt.Errorf("freeing the bus: %w", failure)
	if e.Err != nil {
		told.Err = fmt.Errorf("%w; %w", e.Err, told.Err)
	}
	return &told
}

// halfClock is half a period at 100 kHz, the slowest that every part follows.
const halfClock = 5 * time.Microsecond

// FreeI2C frees an I2C bus whose data line a part holds low since it lost count of the
// clock: with up to nine clocks, after which the part must let go, and a stop (UM10204
// revision 7, 3.1.16). The pins are those of the bus, which must be idle; if they tell
// their function they get it back. A clock line that is held low cannot be freed.
func FreeI2C(scl, sda gpio.PinIO) (err error) {
	for _, p := range [...]gpio.PinIO{scl, sda} {
		if f, ok := p.(pin.PinFunc); ok {
			was := f.Func()
			defer func() {
				if err == nil {
					err = f.SetFunc(was)
				} else {
					_ = f.SetFunc(was) // the first error is the one that matters
				}
			}()
		}
	}
	w := openDrain{}
	w.release(sda)
	w.release(scl)
	if w.err == nil && scl.Read() == gpio.Low {
		return errors.New("the clock line is held low: check for a short, or take parts off one by one")
	}
	for n := 0; n < 9 && w.err == nil && sda.Read() == gpio.Low; n++ {
		w.pull(scl)
		w.release(scl)
	}
	if w.err == nil && sda.Read() == gpio.Low {
		return errors.New("the data line is still held low after nine clocks: power the parts off and on")
	}
	w.pull(scl)
	w.pull(sda)
	w.release(scl)
	w.release(sda) // with the clock high: a stop
	return w.err
}

// openDrain moves lines as I2C does: low, or let go. It stops at the first error.
type openDrain struct{ err error }

func (w *openDrain) pull(p gpio.PinIO) {
	if w.err == nil {
		w.err = p.Out(gpio.Low)
		time.Sleep(halfClock)
	}
}

func (w *openDrain) release(p gpio.PinIO) {
	if w.err == nil {
		w.err = p.In(gpio.PullUp, gpio.NoEdge)
		time.Sleep(halfClock)
	}
}
