package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"wattmark/gateway"
	"wattmark/gateway/console"
	"wattmark/hardware"
	"wattmark/hardware/bus"
)

// ownBuses reads devices where no gateway runs.
type ownBuses struct {
	devices []*ownDevice
	stop    context.CancelFunc
	running sync.WaitGroup
}

// ownDevice is a device on a bus of ours, nil for a pin.
type ownDevice struct {
	table *gateway.DeviceTable
	dev   hardware.Device
	bus   *bus.Bus
	batch hardware.Batch
}

// openBuses opens the buses of a device, or of all where it is empty.
func openBuses(f *gateway.File, device string) (*ownBuses, error) {
	ctx, cancel := context.WithCancel(context.Background())
	o := &ownBuses{stop: cancel}
	buses := make(map[string]*bus.Bus)
	for i := range f.Devices {
		d := &f.Devices[i]
		if d.Disabled && device == "" || device != "" && d.Name != device {
			continue
		}
		b, err := o.bus(ctx, f, d.Bus, buses)
		if err == nil {
			g := f.Device(i)
			var dev hardware.Device
			if dev, err = g.Open(b, nil); err == nil {
				o.devices = append(o.devices, &ownDevice{table: d, dev: dev, bus: b})
			}
		}
		if err != nil {
			o.Close()
			return nil, fmt.Errorf("device %q: %w", d.Name, err)
		}
	}
	return o, nil
}

// bus returns the named bus, which runs; nil for the header's pins.
func (o *ownBuses) bus(ctx context.Context, f *gateway.File, name string, known map[string]*bus.Bus) (*bus.Bus, error) {
	if b, ok := known[name]; ok {
		return b, nil
	}
	for i := range f.Buses {
		if f.Buses[i].Name != name {
			continue
		}
		g := f.Buses[i].Bus()
		if g.Open == nil {
			known[name] = nil
			return nil, nil
		}
		b, err := bus.New(bus.Config{Name: g.Name, Open: g.Open, Timeout: g.Timeout, Gap: g.Gap})
		if err != nil {
			return nil, err
		}
		o.running.Go(func() { _ = b.Run(ctx) }) // it ran once
		known[name] = b
		return b, nil
	}
	return nil, fmt.Errorf("there is no bus %q", name)
}

// Live reads all devices, once.
func (o *ownBuses) Live(ctx context.Context) (console.Live, error) {
	live := console.Live{Version: console.Version, Devices: make([]console.DeviceValue, len(o.devices))}
	var reading sync.WaitGroup
	for i, d := range o.devices {
		reading.Go(func() { live.Devices[i] = d.read(ctx) })
	}
	reading.Wait()
	live.Time = time.Now().UTC()
	return live, nil
}

func (d *ownDevice) read(ctx context.Context) console.DeviceValue {
	about := d.dev.Describe()
	out := console.DeviceValue{Name: d.table.Name, Model: d.table.Model, Part: about.Part, Point: d.table.Point, Values: []console.Value{}}
	begin := time.Now()
	var err error
	if d.bus != nil {
		err = d.bus.Sense(ctx, d.dev, &d.batch)
	} else {
		err = d.dev.Sense(ctx, &d.batch)
	}
	if err != nil {
		out.Error = hint(err)
		e := new(hardware.Error)
		if errors.As(err, &e) {
			out.Remedy = e.Remedy
		}
		return out
	}
	at := begin.Add(time.Since(begin) / 2).UTC()
	out.At, out.Serial = &at, d.batch.Identity.Serial
	for _, v := range d.batch.Values {
		c := &about.Channels[v.Channel]
		out.Values = append(out.Values, console.Value{Channel: c.Name, Unit: string(c.Unit), Value: v.String(), Kind: c.Kind.String(), Quality: v.Quality.String()})
	}
	return out
}

// Close leaves the parts idle and closes the buses.
func (o *ownBuses) Close() {
	ending, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for _, d := range o.devices {
		halt := func(context.Context) error { return d.dev.Halt() }
		if d.bus != nil {
			_ = d.bus.Do(ending, halt) // a part that is gone cannot be left idle
		} else {
			_ = halt(ending)
		}
	}
	o.stop()
	o.running.Wait()
}
