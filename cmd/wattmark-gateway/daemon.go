package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"wattmark/cmd/internal/service"
	"wattmark/gateway"
	"wattmark/gateway/console"
)

// daemon is a gateway that runs, one life after another: each configuration has one.
type daemon struct {
	name string // of the configuration file
	log  *slog.Logger
	// image is what the machine runs from, nil for no image.
	image *runningImage
}

// configured is a configuration that was found to be right.
type configured struct {
	file *gateway.File
	cfg  gateway.Config
}

// close lets the key go.
func (c *configured) close() error {
	if k, ok := c.cfg.Key.(io.Closer); ok {
		return k.Close()
	}
	return nil
}

// patience is how long the end may take: what hangs in a disk or a key is left alone
// then.
const patience = 4500 * time.Millisecond

// run runs the gateway until ctx ends. A value on hup makes it read its configuration
// again.
func (d *daemon) run(ctx context.Context, now configured, hup <-chan os.Signal) error {
	var old *configured // which is tried again if the new one does not open
	for {
		now.cfg.Log = d.log
		d.image.name(&now.cfg)
		g, report, err := gateway.Open(now.cfg)
		switch {
		case err != nil && old == nil:
			return errors.Join(err, now.close())
		case err != nil:
			d.log.Error("kept the old configuration", "error", errors.Join(err, now.close()))
			now, old = *old, nil
			continue
		}
		if !report.Clean() {
			d.log.Warn("opened outbox", "report", report.String())
		}
		if old != nil {
			d.log.Info("took a new configuration", "config_sha256", now.cfg.Digest)
			if err := old.close(); err != nil {
				d.log.Warn("did not close the old key", "error", err)
			}
		}
		next, err := d.live(ctx, now, g, hup)
		if err != nil || next == nil {
			return errors.Join(err, now.close())
		}
		before := now
		old, now = &before, *next
	}
}

// live runs the gateway with one configuration, and returns the next, nil at the end.
func (d *daemon) live(ctx context.Context, now configured, g *gateway.Gateway, hup <-chan os.Signal) (*configured, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var beside sync.WaitGroup
	beside.Go(func() { d.serve(ctx, now.file, g) })
	beside.Go(func() { d.watchdog(ctx, g) })
	beside.Go(func() { d.takeCalibrations(ctx, now.file, g) })
	beside.Go(func() { d.takeUpdates(ctx, now, g) })
	defer beside.Wait()
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	d.log.Info("running", "gateway", now.cfg.Name, "devices", len(now.cfg.Devices), "buses", len(now.cfg.Buses), "version", gateway.Version())
	d.tell("READY=1")
	for {
		select {
		case err := <-ended:
			return nil, err
		case <-ctx.Done():
			d.tell("STOPPING=1")
			return nil, within(patience, ended)
		case <-hup:
			next, err := d.reload()
			if err != nil {
				d.log.Error("kept the old configuration", "error", err)
				continue
			}
			d.tell("RELOADING=1")
			cancel()
			return next, within(patience, ended)
		}
	}
}

// within waits for the gateway's end.
func within(d time.Duration, ended <-chan error) error {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		return fmt.Errorf("did not end within %s: the disk or the key hangs", d)
	}
}

// reload reads the configuration again.
func (d *daemon) reload() (*configured, error) {
	file, cfg, err := load(d.name)
	if err != nil {
		return nil, err
	}
	return &configured{file, cfg}, nil
}

// tell tells the service manager something.
func (d *daemon) tell(state string) {
	if err := service.Notify(state); err != nil {
		d.log.Warn("did not reach the service manager", "state", state, "error", err)
	}
}

// watchdog tells the service manager that all is well, as long as it is.
func (d *daemon) watchdog(ctx context.Context, g *gateway.Gateway) {
	every := service.WatchdogEvery()
	if every == 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		look, cancel := context.WithTimeout(ctx, every/2)
		err := g.Alive(look)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.log.Error("not feeding the watchdog", "error", err)
			continue
		}
		d.tell("WATCHDOG=1")
	}
}

// serve answers on the console's socket, for the metrics and with the page until ctx ends. What
// cannot be served is logged: a gateway works without being looked at.
func (d *daemon) serve(ctx context.Context, f *gateway.File, g *gateway.Gateway) {
	metrics := gateway.Metrics(g)
	var servers sync.WaitGroup
	defer servers.Wait()
	for _, s := range []struct {
		address string
		handler http.Handler
	}{
		{"unix:" + f.Path(f.Gateway.Console), console.Handler(g, metrics)},
		{f.MetricsAddress(), metrics},
	} {
		if s.address == "" {
			continue
		}
		l, err := console.Listen(s.address)
		if err != nil {
			d.log.Warn("nobody can ask this gateway", "address", s.address, "error", err)
			continue
		}
		servers.Go(func() { d.answer(ctx, l, s.handler) })
	}
	if address := f.PageAddress(); address != "" {
		l, page, err := openPage(f, g)
		if err != nil {
			d.log.Warn("there is no page", "address", address, "error", err)
			return
		}
		servers.Go(func() { d.answer(ctx, l, page) })
	}
}

func (d *daemon) answer(ctx context.Context, l net.Listener, h http.Handler) {
	if err := console.Serve(ctx, l, h); err != nil && !errors.Is(err, context.Canceled) {
		d.log.Warn("ended answering", "address", l.Addr().String(), "error", err)
	}
}
