package gateway

import (
	"context"

	"wattmark/gateway/homeassistant"
	"wattmark/gateway/sampler"
)

// openDisplay prepares what is shown to Home Assistant, if anything is to be.
func (g *Gateway) openDisplay(devices []sampler.Device) error {
	c := g.cfg.HomeAssistant
	if c.Broker == "" {
		return nil
	}
	c.Gateway, c.Log = g.cfg.Name, g.cfg.Log
	for i := range devices {
		d := &devices[i]
		c.Devices = append(c.Devices, homeassistant.Device{Name: d.Name, Subject: d.Subject, About: d.Device.Describe()})
	}
	var err error
	g.display, err = homeassistant.New(c)
	return err
}

// show runs the display until ctx ends.
func (g *Gateway) show(ctx context.Context) error {
	if g.display == nil {
		return nil
	}
	return g.display.Run(ctx)
}
