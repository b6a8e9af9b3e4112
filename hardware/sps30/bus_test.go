package sps30_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/hardware/sps30"
)

// The part is read over the stream of a real bus, which waits while it warms up, and is
// found again when its adapter is back.
func TestOverABus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := clock()
		part := emulated.NewSPS30("8CCABCFAE3201F49", now)
		part.Set(air)
		cable := emulated.NewCable(part)
		b, err := bus.New(bus.Config{Name: "uart0", Open: bus.Given(cable.Conn())})
		if err != nil {
			t.Fatal(err)
		}
		d, err := sps30.NewSerial(b.Stream(), &sps30.Opts{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ran := make(chan error, 1)
		go func() { ran <- b.Run(ctx) }()
		var batch hardware.Batch
		if err := b.Sense(ctx, d, &batch); err != nil || len(batch.Values) != 10 {
			t.Errorf("%v, %v", batch.Values, err)
		}
		cable.Plug(false)
		if err := b.Sense(ctx, d, &batch); !errors.Is(err, hardware.ErrAbsent) || len(batch.Values) != 0 {
			t.Errorf("unplugged: %v, %v", batch.Values, err)
		}
		cable.Plug(true)
		time.Sleep(time.Minute) // the bus holds it back for a while
		if err := b.Sense(ctx, d, &batch); err != nil || len(batch.Values) != 10 {
			t.Errorf("plugged in again: %v, %v", batch.Values, err)
		}
		if err := b.Do(ctx, func(context.Context) error { return d.Halt() }); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}
