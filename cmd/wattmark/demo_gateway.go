package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wattmark/cmd/internal/street"
	"wattmark/gateway"
	"wattmark/gateway/sampler"
	"wattmark/gateway/uplink"
	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// demoGateway is one gateway of the street, with what the demonstration knows of it.
type demoGateway struct {
	street.Gateway
	demo    *demo
	gateway atomic.Pointer[gateway.Gateway] // the prologue's, then the one that is live
	cable   *cable
	files   *receiptFiles

	mu     sync.Mutex // guards what follows
	latest map[string]float64
	unseen map[entry.Sequence]time.Time // signed in this run and without receipt: when, by the wall
	heard  time.Time                    // the last receipt
	last   gateway.Signed               // the newest statement
}

func gatewayDir(dir, name string) string { return filepath.Join(dir, "gateways", name) }

// gatewayKey loads a gateway's key, or makes it.
func gatewayKey(dir string, g *street.Gateway) (signer.Signer, error) {
	if err := os.MkdirAll(gatewayDir(dir, g.Name), 0o700); err != nil {
		return nil, err
	}
	return keyfile.LoadOrCreate(filepath.Join(gatewayDir(dir, g.Name), "key.pem"), g.Algorithm)
}

// pace is how often devices are read and how much one pack covers, in the street's
// time: about one statement a second of the wall for each metering point.
func pace(speed int) (period, pack time.Duration) {
	switch {
	case speed <= 10:
		return 5 * time.Second, 10 * time.Second
	case speed <= 60:
		return 10 * time.Second, time.Minute
	case speed <= 300:
		return 50 * time.Second, 5 * time.Minute
	}
	return 150 * time.Second, 15 * time.Minute
}

// Times of the wall that suit onlookers better than a gateway's own.
const (
	demoFlush = 50 * time.Millisecond
	demoDrain = 5 * time.Second
)

var (
	demoResend    = uplink.Backoff{First: 3 * time.Second, Most: 30 * time.Second}
	demoReconnect = uplink.Backoff{First: 200 * time.Millisecond, Most: 2 * time.Second}
)

// openGateways opens every gateway of the street, with devices that are read once in a period
// and packs that cover so much.
func (d *demo) openGateways(period, pack time.Duration) error {
	keys, err := oracleKeys(d.cluster.charter)
	if err != nil {
		return err
	}
	for i, sg := range d.street.Gateways() {
		if i == len(d.fleet) {
			d.fleet = append(d.fleet, &demoGateway{
				Gateway: sg, demo: d, cable: newCable(),
				latest: make(map[string]float64), unseen: make(map[entry.Sequence]time.Time),
			})
		}
		if err := d.fleet[i].open(keys, period, pack); err != nil {
			return err
		}
	}
	return nil
}

// closeGateways lets go of gateways that were opened and never run, all at once, as
// each may want to send what it kept.
func (d *demo) closeGateways() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	var closing sync.WaitGroup
	for _, g := range d.fleet {
		closing.Go(func() {
			if r := g.gateway.Load(); r == nil {
				return
			} else if err := r.Run(ended); err != nil {
				d.log.Warn("did not close a gateway", "gateway", g.Name, "error", err)
			}
		})
	}
	closing.Wait()
}

// oracleKeys returns the oracles' statement keys.
func oracleKeys(c *entry.Charter) (map[signer.KeyID]signer.PublicKey, error) {
	out := make(map[signer.KeyID]signer.PublicKey)
	for _, o := range c.Oracles {
		k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key)
		if err != nil {
			return nil, fmt.Errorf("charter: oracle %q: %w", o.Name, err)
		}
		out[k.ID()] = k
	}
	return out, nil
}

func (g *demoGateway) open(oracles map[signer.KeyID]signer.PublicKey, period, pack time.Duration) error {
	d := g.demo
	key, err := gatewayKey(d.dir, &g.Gateway)
	if err != nil {
		return err
	}
	transport, err := g.transport()
	if err != nil {
		return err
	}
	cfg := gateway.Config{
		Name: g.Name, Dir: gatewayDir(d.dir, g.Name), Clock: d.clock, Key: key,
		// Each run is a new boot of the emulated machine: the clock's time since boot
		// starts again.
		BootID: "",
		Origin: d.cluster.charter.Origin, Policy: d.cluster.policy, OracleKeys: oracles,
		PackMaxAge: pack, FlushAfter: demoFlush, Drain: demoDrain, Transport: transport,
		Resend: demoResend, Reconnect: demoReconnect,
		OnSample: g.sampled, OnSigned: g.wasSigned, OnReceipt: g.receipted, OnRefusal: g.refused,
		Log: d.log.With("gateway", g.Name),
	}
	if err := g.parts(&cfg, period); err != nil {
		return err
	}
	g.files = newReceiptFiles(filepath.Join(d.dir, "receipts", g.Name))
	opened, report, err := gateway.Open(cfg)
	if err != nil {
		return err
	}
	g.gateway.Store(opened)
	if !report.Clean() {
		d.log.Info("opened outbox", "gateway", g.Name, "report", report.String())
	}
	return g.files.restore(opened, d.cluster.policy)
}

// parts tells the gateway what it reads: what is on its buses, and what it makes of that.
func (g *demoGateway) parts(cfg *gateway.Config, period time.Duration) error {
	cfg.Buses = []gateway.Bus{{Name: "line", Open: bus.Serial(g.Serial, bus.Mode{Baud: 9600})}}
	if g.Bus != nil {
		cfg.Buses = append(cfg.Buses, gateway.Bus{Name: "i2c", Open: bus.Given(g.Bus)})
	}
	for _, dev := range g.Devices {
		d := gateway.Device{
			Name: dev.Name, Model: dev.Model, Bus: "line", Address: dev.Address, Subject: dev.Point.Subject, Mode: dev.Point.Mode, Period: period,
		}
		if dev.OnI2C {
			d.Bus = "i2c"
		}
		if dev.Channels != nil {
			model, err := gateway.LookupModel(dev.Model)
			if err != nil {
				return err
			}
			var given []gateway.Setting
			for _, c := range dev.Channels {
				given = append(given, gateway.Setting{Key: "channel", Value: c})
			}
			if d.Settings, err = model.Settings(given); err != nil {
				return err
			}
		}
		cfg.Devices = append(cfg.Devices, d)
	}
	if m := g.Mass; m != nil {
		cfg.Derived = append(cfg.Derived, sampler.Derived{
			Name: m.Name, Subject: m.Subject, Method: sampler.MassFlow, CO2: input(m.CO2), Velocity: input(m.Velocity), Area: m.Area,
			Temperature: input(m.Temperature), Pressure: input(m.Pressure), Background: m.Background, Uncertainty: m.Uncertainty,
		})
	}
	return nil
}

// input reads "device.channel".
func input(text string) sampler.Input {
	device, channel, _ := strings.Cut(text, ".")
	return sampler.Input{Device: device, Channel: channel}
}

// waiting counts the statements that the gateway keeps without a receipt.
func (g *demoGateway) waiting() uint64 {
	return uint64(max(g.gateway.Load().Stats().Outbox.Pending, 0))
}

// overNATS says which gateway speaks NATS; the others speak MQTT.
func (g *demoGateway) overNATS() bool { return g.Name == "feeder-01" }

func (g *demoGateway) transport() (uplink.Transport, error) {
	d := g.demo
	cfg, err := d.cluster.clientTLS(g.Name)
	if err != nil {
		return nil, err
	}
	link := uplink.Link{URL: d.cluster.broker.MQTTURL(), TLS: cfg, ClientID: g.Name, Announce: wire.For(d.cluster.charter.Origin).Birth(g.Name), Dial: g.cable.dial, Timeout: 5 * time.Second}
	if g.overNATS() {
		link.URL = d.cluster.broker.NATSURL()
		return uplink.NATS(link)
	}
	return uplink.MQTT(link)
}

// sampled keeps the newest power and air of each device, as the driver read them.
func (g *demoGateway) sampled(s sampler.Sample) {
	if s.Err != nil {
		return
	}
	g.demo.tally.samples.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range s.Values {
		switch name := s.About.Channels[v.Channel].Name; name {
		case "active_power", "co2", "temperature", "relative_humidity", "active_energy_import":
			g.latest[s.Device+"/"+name] = float(v)
		}
	}
}

// float is a value for a picture; what is signed is exact.
func float(v hardware.Value) float64 {
	f := float64(v.Mantissa)
	for e := v.Exponent; e < 0; e++ {
		f /= 10
	}
	for e := v.Exponent; e > 0; e-- {
		f *= 10
	}
	return f
}

func (g *demoGateway) wasSigned(s gateway.Signed) {
	g.demo.tally.signed.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = s
	g.unseen[entry.Sequence{Boot: s.Boot, Count: s.Seq}] = time.Now()
}

func (g *demoGateway) receipted(r uplink.Receipt) {
	d := g.demo
	d.tally.acknowledged.Add(1)
	q := entry.Sequence{Boot: r.Boot, Count: r.Seq}
	g.mu.Lock()
	g.heard = time.Now()
	var took time.Duration
	if at, ok := g.unseen[q]; ok {
		took = g.heard.Sub(at)
		delete(g.unseen, q)
	}
	g.mu.Unlock()
	if err := g.files.write(r.Number, r.Transparent, r.Proof); err != nil {
		d.log.Warn("did not write receipt files", "gateway", g.Name, "statement", r.Number.String(), "error", err)
	}
	d.tellReceipt(g, r, took)
}

func (g *demoGateway) refused(r uplink.Refusal) {
	if !r.Ours {
		g.demo.screen.event(g.demo, fmt.Sprintf("%s was told that something else was sent in its name: %s", g.Name, r.Reason))
	}
}

// late counts the statements that were signed before a moment of the wall and have
// no receipt.
func (g *demoGateway) late(before time.Time) (n uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, at := range g.unseen {
		if at.Before(before) {
			n++
		}
	}
	return n
}
