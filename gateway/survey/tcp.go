package survey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/modbus"
)

// NetworkUnits are the units that are asked behind an address of the network: those that
// inverters and their meters have from the works, then those of a line.
func NetworkUnits() []byte { return []byte{1, 126, 2, 3, 4, 5, 6, 7, 8, 9, 10, 240, 247} }

// reach is for a server to take a connection.
const reach = 3 * time.Second

// TCP looks for units at host:port, and tells which framing is spoken there. The error
// is that of the connection, or the end of ctx; the report holds what was found until
// then.
func TCP(ctx context.Context, address string, units []byte, tell func(Progress)) (Report, error) {
	if units == nil {
		units = NetworkUnits()
	}
	var r Report
	c, err := (&net.Dialer{Timeout: reach}).DialContext(ctx, "tcp", address)
	if err != nil {
		return r, err
	}
	if err := c.Close(); err != nil { // some servers take one connection at a time
		return r, err
	}
	framing, first, err := r.framing(ctx, address, units, tell)
	if err != nil {
		return r, err
	}
	r.Framing = framing.String()
	open, cost := bus.ModbusTCP(address), modbus.DefaultTCPTimeout
	if framing == modbus.FramingRTU {
		open, cost = bus.Converter(address), 2*modbus.DefaultTCPTimeout
	}
	err = with(ctx, bus.Config{Name: address, Open: open}, func(b *bus.Bus) error {
		var steps []step
		for _, u := range units[first:] {
			steps = append(steps, step{what: fmt.Sprintf("%s unit %d", framing, u), cost: cost * time.Duration(len(questions(u))), do: func(ctx context.Context) error {
				return b.Do(ctx, func(ctx context.Context) error { return r.server(ctx, b, u) })
			}})
		}
		return r.run(ctx, steps, tell)
	})
	r.compareUnits()
	return r, err
}

// framing asks one unit after the other until one answers, and returns which.
func (r *Report) framing(ctx context.Context, address string, units []byte, tell func(Progress)) (f modbus.Framing, first int, err error) {
	var steps []step
	answered := errors.New("a unit answered")
	for i, u := range units {
		steps = append(steps, step{what: fmt.Sprintf("framing, unit %d", u), cost: 2 * modbus.DefaultTCPTimeout, do: func(ctx context.Context) error {
			if f, err = bus.TellFraming(ctx, address, u, modbus.DefaultTCPTimeout); err == nil {
				first = i
				return answered
			}
			if ctx.Err() == nil && errors.Is(err, hardware.ErrAbsent) {
				return nil // somebody listens there, and no such unit answers
			}
			return err
		}})
	}
	ran := r.run(ctx, steps, tell)
	switch {
	case errors.Is(ran, answered):
		r.Asked, r.Of = 0, 0 // what follows counts
		return f, first, nil
	case ran != nil:
		return f, 0, ran
	}
	return f, 0, err
}

// server asks a unit behind an address of the network.
func (r *Report) server(ctx context.Context, b *bus.Bus, unit byte) error {
	f, _, err := r.identify(ctx, b.Modbus(), unit, questions(unit), unitParts)
	if f != nil {
		r.Finds = append(r.Finds, *f)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return broken(err)
}

// compareUnits leaves one find of a server that answers to whatever unit.
func (r *Report) compareUnits() {
	var kept []Find
	for _, f := range r.Finds {
		again := false
		for _, k := range kept {
			if f.Identity.Serial != "" && f.same(&k) {
				r.note("The part at unit %d answers at unit %d too (serial number %q): one is enough.", k.Address, f.Address, f.Identity.Serial)
				again = true
			}
		}
		if !again {
			kept = append(kept, f)
		}
	}
	r.Finds = kept
}
