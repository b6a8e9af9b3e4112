package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"wattmark/gateway/display"
	"wattmark/gateway/enrol"
	"wattmark/gateway/homeassistant"
	"wattmark/gateway/outbox"
	"wattmark/gateway/sampler"
	"wattmark/gateway/uplink"
	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/signer"
)

// Gateway is one gateway. Run does the work; the other methods may be called from
// any goroutine.
type Gateway struct {
	cfg     Config
	buses   []*bus.Bus
	parts   []part            // those that are read
	modes   map[string]string // of metering points, by subject
	outbox  *outbox.Outbox
	sampler *sampler.Sampler
	uplink  *uplink.Uplink
	display *homeassistant.Bridge // nil for none
	panel   *display.Display      // nil for none
	live    *live
	started time.Time

	requests chan func()   // to the signing goroutine
	signed   chan struct{} // closed when that has ended

	// Owned by the signing goroutine.
	boot    uint64
	watch   watch
	owedMap *entry.ClockMap // to be signed
	thinned outbox.Number   // the statements up to this one were looked at

	mu    sync.Mutex // guards the fields below
	stats SignStats
	// beat is when the goroutine that signs was last seen at work.
	beat   time.Time
	seen   progress
	oldest issued
}

// Stats is what a gateway can say of itself.
type Stats struct {
	Sampler sampler.Stats
	Sign    SignStats
	Outbox  outbox.Stats
	Uplink  uplink.Stats
}

// SignStats are counts of signing since the start.
type SignStats struct {
	Signed   uint64
	Failures uint64 // attempts that made no signature or got no number
	Failure  string // why the last attempt failed, empty if it did not
	// Took is how long the key was at work.
	Took time.Duration
}

// Open opens the outbox, raises the boot count and prepares everything else. It
// touches no bus and no network. The report says what the outbox found.
func Open(cfg Config) (g *Gateway, report outbox.Report, err error) {
	if err := cfg.complete(); err != nil {
		return nil, report, fmt.Errorf("gateway: %w", err)
	}
	g = &Gateway{cfg: cfg, modes: make(map[string]string), requests: make(chan func()), signed: make(chan struct{}), live: newLive(), started: time.Now()}
	dir := filepath.Join(cfg.Dir, "outbox")
	limit, err := outbox.Limit(dir, cfg.OutboxBytes)
	if err != nil {
		return nil, report, fmt.Errorf("gateway %s: %w", cfg.Name, err)
	}
	g.outbox, report, err = outbox.Open(outbox.Disk, dir, outbox.Options{
		GatewayID: cfg.Name, MaxBytes: limit, FsyncEach: cfg.FsyncEach, Identity: identity,
	})
	if err != nil {
		return nil, report, fmt.Errorf("gateway %s: %w", cfg.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("gateway %s: %w", cfg.Name, err), g.outbox.Close())
			g = nil
		}
	}()
	if g.boot, err = g.outbox.RaiseBoot(cfg.BootID); err != nil {
		return g, report, err
	}
	since, err := g.newest()
	if err != nil {
		return g, report, err
	}
	if err = g.openSampler(since); err == nil {
		err = g.recallCalibrations()
	}
	if err != nil {
		return g, report, err
	}
	kept, _, err := enrol.LoadOracles(cfg.Dir, cfg.Policy)
	if err != nil {
		cfg.Log.Error("goes by the policy of the configuration", "error", err)
	}
	var renew func([]byte) (bool, error)
	if c := cfg.Certificate; c != nil {
		renew = func(der []byte) (bool, error) { return c.Renew(der, cfg.Clock.Now()) }
	}
	g.uplink, err = uplink.New(uplink.Config{
		Followed: kept, Keep: func(list []*handover.Handover) error { return enrol.SaveOracles(cfg.Dir, list) },
		Gateway: cfg.Name, Origin: cfg.Origin, Policy: cfg.Policy, Outbox: g.outbox, Transport: cfg.Transport, OracleKeys: cfg.OracleKeys, Birth: g.birth, Renew: renew,
		Resend: cfg.Resend, Reconnect: cfg.Reconnect, MaxRate: cfg.MaxRate, OnReceipt: cfg.OnReceipt, OnRefusal: cfg.OnRefusal, Log: cfg.Log,
	})
	return g, report, err
}

// identity is what the next statement calls this one: the SHA-256 of what was signed
// (ledger/entry/FORMAT.md section 2).
func identity(statement []byte) [32]byte {
	m, err := signer.Parse(statement)
	if err != nil {
		return sha256.Sum256(statement) // no statement of ours
	}
	return m.Hash()
}

func (g *Gateway) openSampler(since map[string]time.Time) error {
	buses := make(map[string]*bus.Bus)
	for _, c := range g.cfg.Buses {
		if _, twice := buses[c.Name]; twice {
			return fmt.Errorf("there are two buses %q", c.Name)
		}
		if c.Open == nil {
			buses[c.Name] = nil
			continue
		}
		b, err := bus.New(bus.Config{Name: c.Name, Open: c.Open, Timeout: c.Timeout, Gap: c.Gap, Recover: c.Recover, Clock: g.cfg.Clock})
		if err != nil {
			return err
		}
		buses[c.Name] = b
		g.buses = append(g.buses, b)
	}
	var devices []sampler.Device
	for i := range g.cfg.Devices {
		d := &g.cfg.Devices[i]
		b, ok := buses[d.Bus]
		if !ok {
			return fmt.Errorf("device %q is on the bus %q, which is not given", d.Name, d.Bus)
		}
		if mode, ok := g.modes[d.Subject]; ok && mode != d.Mode {
			return fmt.Errorf("metering point %q is both %s and %s", d.Subject, mode, d.Mode)
		}
		g.modes[d.Subject] = d.Mode
		dev, err := d.Open(b, g.cfg.Clock.Monotonic)
		if err != nil {
			return fmt.Errorf("device %q: %w", d.Name, err)
		}
		if !d.Disabled {
			g.parts = append(g.parts, part{d.Name, dev, b})
		}
		devices = append(devices, sampler.Device{Name: d.Name, Device: dev, Bus: scheduled(b), Subject: d.Subject, Period: d.Period, Offset: d.Offset, Disabled: d.Disabled})
	}
	if err := g.openDisplay(devices); err != nil {
		return err
	}
	if err := g.openPanel(buses); err != nil {
		return err
	}
	var err error
	g.sampler, err = sampler.New(sampler.Config{
		Clock: g.cfg.Clock, Monotonic: g.cfg.Clock.Monotonic, Devices: devices, Derived: g.cfg.Derived, Recall: g.outbox.Get, PackMaxAge: g.cfg.PackMaxAge,
		Since: since, OnSample: g.sampled, Log: g.cfg.Log,
	})
	return err
}

// scheduled is who makes the transfers of a bus: its owner, or whoever asks where
// there are none.
func scheduled(b *bus.Bus) sampler.Bus {
	if b == nil {
		return header{}
	}
	return b
}

// header is the pins of the machine: parts on them listen by themselves, and are asked
// what they heard.
type header struct{}

// SenseDue implements sampler.Bus.
func (header) SenseDue(ctx context.Context, dev hardware.Device, _ time.Time, dst *hardware.Batch) error {
	return dev.Sense(ctx, dst)
}

// sampled notes a sample, and tells whoever wants to know.
func (g *Gateway) sampled(s sampler.Sample) {
	g.live.note(s)
	if g.display != nil {
		g.display.Sample(s)
	}
	if g.cfg.OnSample != nil {
		g.cfg.OnSample(s)
	}
}

// newest returns the newest time of each metering point of which the outbox still
// holds a statement: from there on nothing was sampled until now. It also notes whether
// one of this boot was signed before there was a time.
func (g *Gateway) newest() (map[string]time.Time, error) {
	o := g.outbox
	out := make(map[string]time.Time)
	note := func(statement []byte) {
		m, err := signer.Parse(statement)
		if err != nil {
			return
		}
		c, err := entry.ParseClaims(m.Claims)
		if err != nil {
			return
		}
		if c.Sequence.Boot == g.boot && c.Time != nil {
			// A map that came later has the better quality, and settles what was before.
			g.watch.owed = c.Time.Quality == entry.ClockUnsynced
		}
		if c.Subject == "" {
			return
		}
		if t := time.Unix(c.IssuedAt, 0).UTC(); t.After(out[c.Subject]) {
			out[c.Subject] = t
		}
	}
	kept, err := o.Receipts()
	if err != nil && len(kept) == 0 {
		return nil, fmt.Errorf("reading the newest statements: %w", err)
	}
	for _, r := range kept {
		note(r.Statement)
	}
	for after := (outbox.Number{}); ; {
		list, err := o.Pending(after, 256)
		for _, r := range list {
			note(r.Statement)
			after = r.Number()
		}
		if err != nil {
			return nil, fmt.Errorf("reading the newest statements: %w", err)
		}
		if len(list) == 0 {
			return out, nil
		}
	}
}

// Run works until ctx ends; then it signs the packs at hand, makes them durable, leaves
// the parts idle, and closes the outbox.
func (g *Gateway) Run(ctx context.Context) error {
	// Stages end one after the other: what a later one holds, an earlier one made.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	below, stopBelow := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBelow()
	var buses, upper, lower sync.WaitGroup
	errs := make([]error, len(g.buses)+5)
	for i, b := range g.buses {
		buses.Go(func() {
			errs[i] = b.Run(below)
			cancel()
		})
	}
	n := len(g.buses)
	lower.Go(func() {
		errs[n] = g.uplink.Run(below)
		cancel()
	})
	lower.Go(func() { errs[n+3] = g.show(below) })
	lower.Go(func() { g.remind(below) })
	upper.Go(func() { errs[n+1] = g.sampler.Run(ctx) })
	if g.panel != nil { // ends while the buses still run: it is left dark
		upper.Go(func() { errs[n+4] = g.panel.Run(ctx) })
	}
	upper.Go(func() {
		errs[n+2] = g.sign(ctx)
		close(g.signed)
		cancel()
	})
	upper.Wait()
	upper.Go(func() { g.halt(below) })
	g.drain(below)
	upper.Wait()
	stopBelow()
	buses.Wait()
	lower.Wait()
	if err := errors.Join(append(errs, g.outbox.Close())...); err != nil {
		return fmt.Errorf("gateway %s: %w", g.cfg.Name, err)
	}
	return nil
}

// drainLook is how often drain looks whether all is sent.
const drainLook = 20 * time.Millisecond

// drain waits until every statement has a receipt, for as long as is configured.
func (g *Gateway) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Drain)
	defer cancel()
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for g.outbox.Stats().Pending > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// PolicyFor returns the policy that is good for a checkpoint of so many leaves: that of
// the oracles in force, or of those before whom they followed.
func (g *Gateway) PolicyFor(size uint64) *block.Policy { return g.uplink.PolicyFor(size) }

// Receipts returns the newest receipts that the outbox keeps, oldest first, each as
// a message of package wire with one item.
func (g *Gateway) Receipts() ([]outbox.Receipt, error) { return g.outbox.Receipts() }

// Resend makes a statement that was refused for good be sent again.
func (g *Gateway) Resend(n outbox.Number) error { return g.uplink.Resend(n) }

// Refusals returns the statements that were refused for good.
func (g *Gateway) Refusals() []outbox.Refusal { return g.outbox.Refusals() }

// Stats returns the counts up to now.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	s := g.stats
	g.mu.Unlock()
	return Stats{Sampler: g.sampler.Stats(), Sign: s, Outbox: g.outbox.Stats(), Uplink: g.uplink.Stats()}
}
