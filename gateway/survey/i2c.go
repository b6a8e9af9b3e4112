package survey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/atm90e32"
	"wattmark/hardware/bus"
)

// quick is what a part on I2C or SPI takes to say that it is not there.
const quick = 5 * time.Millisecond

// I2C looks for parts on an I2C bus, at the addresses that known parts can have; nothing
// is sent to others. The error is that of the bus itself, or the end of ctx; the report
// holds what was found until then.
func I2C(ctx context.Context, open bus.Opener, tell func(Progress)) (Report, error) {
	var r Report
	err := with(ctx, bus.Config{Name: "i2c", Open: open}, func(b *bus.Bus) error {
		return r.run(ctx, r.i2cSteps(b), tell)
	})
	return r, err
}

// i2cSteps are one for each address.
func (r *Report) i2cSteps(b *bus.Bus) []step {
	var order []uint16
	at := make(map[uint16][]i2cPart)
	for _, p := range i2cParts {
		for _, a := range p.addresses {
			if len(at[a]) == 0 {
				order = append(order, a)
			}
			at[a] = append(at[a], p)
		}
	}
	var steps []step
	for _, a := range order {
		steps = append(steps, step{what: fmt.Sprintf("address %#02x", a), cost: quick * time.Duration(len(at[a])), do: func(ctx context.Context) error {
			return b.Do(ctx, func(ctx context.Context) error { return r.i2cAt(ctx, b, a, at[a]) })
		}})
	}
	return steps
}

// i2cAt asks the part at one address. A job is one address: the parts that may be there
// are told apart before anybody else uses the bus.
func (r *Report) i2cAt(ctx context.Context, b *bus.Bus, address uint16, parts []i2cPart) error {
	var found []candidate
	for _, p := range parts {
		d, err := p.open(b.I2C(), address)
		c, err := probe(ctx, p.model, d, err)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, hardware.ErrTimeout), errors.Is(err, hardware.ErrPermission):
			return err // the bus is held low, or may not be used
		case err == nil:
			found = append(found, c)
		case errors.Is(err, hardware.ErrAbsent):
		default:
			continue // somebody is there, and it is another part
		}
		if c.confidence == hardware.Certain {
			break
		}
	}
	if f, ok := best(found); ok {
		f.Address = address
		r.Finds = append(r.Finds, f)
	}
	return nil
}

// SPI looks for the part on an SPI port.
func SPI(ctx context.Context, open bus.Opener, tell func(Progress)) (Report, error) {
	var r Report
	err := with(ctx, bus.Config{Name: "spi", Open: open}, func(b *bus.Bus) error {
		return r.run(ctx, []step{{what: "chip select", cost: quick, do: func(ctx context.Context) error {
			return b.Do(ctx, func(ctx context.Context) error {
				d, err := atm90e32.NewSPI(b.SPI(), &atm90e32.Opts{LineHz: 50})
				c, err := probe(ctx, "atm90e32", d, err)
				if f, ok := best([]candidate{c}); ok && err == nil {
					r.Finds = append(r.Finds, f)
				}
				if errors.Is(err, hardware.ErrPermission) || ctx.Err() != nil {
					return err
				}
				return nil // without a part the line reads as noise, which is refused
			})
		}}}, tell)
	})
	return r, err
}

// with runs a bus for as long as f takes.
func with(ctx context.Context, c bus.Config, f func(b *bus.Bus) error) error {
	b, err := bus.New(c)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- b.Run(running) }()
	err = f(b)
	stop()
	return errors.Join(err, <-ended)
}
