package gateway

import (
	"context"
	"sync"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
)

// haltTime bounds how long parts are waited for at the end, which is promised within 5 s.
const haltTime = 2 * time.Second

// part is a driver and its bus, nil for one on the header's pins.
type part struct {
	name string
	dev  hardware.Device
	bus  *bus.Bus
}

// halt leaves the parts idle, all buses at a time. One that is gone, or whose bus hangs,
// is left as it is: the next start sets it up anew in any case.
func (g *Gateway) halt(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, haltTime)
	defer cancel()
	var done sync.WaitGroup
	for _, p := range g.parts {
		done.Go(func() {
			halt := func(context.Context) error { return p.dev.Halt() }
			var err error
			if p.bus != nil {
				err = p.bus.Do(ctx, halt)
			} else {
				err = halt(ctx)
			}
			if err != nil {
				g.cfg.Log.Debug("did not leave device idle", "device", p.name, "error", err)
			}
		})
	}
	done.Wait()
}
