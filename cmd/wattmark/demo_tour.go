package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"wattmark/gateway"
	"wattmark/ledger/audit"
	"wattmark/oracle/dashboard"
)

// The tour's stations, in hundredths of its length: the first minute, or the
// duration where that is shorter.
const (
	tourLength = time.Minute
	tourLeast  = 8 * time.Second // shorter runs have no time to catch up after an outage

	atVerify = 15
	atTamper = 25 // before the plug: catching up takes as long as it takes
	atPull   = 40 // over the end of an interval, whose reading then comes late
	atPlug   = 60
)

// tour shows in the first minute what the street stands for: a receipt verified, a
// gateway without its network, a tampered statement.
func (d *demo) tour(ctx context.Context) error {
	length, from := tourLength, d.begin
	if d.prologue {
		from = *d.live.Load()
	}
	if d.duration > 0 {
		length = min(length, d.begin.Add(d.duration).Sub(from))
	}
	if err := d.awaitFirstFinal(ctx); err != nil {
		return nil // it ended before
	}
	n := d.tally.now()
	d.screen.event(d, fmt.Sprintf("first final block: %d, after %d ms, cosigned by %d of %d oracles", n.firstBlock, n.firstFinal.Milliseconds(), n.cosigners, d.oracles))
	if err := d.showReading(ctx); err != nil {
		return nil
	}
	for _, station := range []struct {
		at  time.Duration
		run func(context.Context) error
	}{
		{atVerify, d.verifyOne}, {atTamper, d.tamperOne}, {atPull, d.pullOne}, {atPlug, d.plugOne},
	} {
		if length < tourLeast && station.at != atVerify && station.at != atTamper {
			continue
		}
		select {
		case <-time.After(time.Until(from.Add(station.at * length / 100))):
		case <-ctx.Done():
			return nil
		}
		if err := station.run(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("the tour: %w", err)
		}
	}
	if err := d.proveBill(ctx); err != nil {
		return fmt.Errorf("the tour: %w", err)
	}
	return nil
}

// named returns a gateway of the street.
func (d *demo) named(name string) *demoGateway {
	for _, g := range d.fleet {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// showReading tells of the first home's first reading, from register to statement.
func (d *demo) showReading(ctx context.Context) error {
	g := d.fleet[0]
	if err := poll(ctx, func() bool { return g.newest().Statement != nil }); err != nil {
		return err
	}
	g.mu.Lock()
	s, register, power := g.last, g.latest["grid/active_energy_import"], g.latest["grid/active_power"]
	g.mu.Unlock()
	way := "MQTT"
	if g.overNATS() {
		way = "NATS"
	}
	d.screen.event(d, fmt.Sprintf("%s has read its %s: register %.0f Wh, %.0f W; statement %s is signed with %s, %d bytes, over %s",
		g.Name, strings.ToUpper(g.Devices[0].Model), register, power, s.Number, g.Algorithm, len(s.Statement), way))
	if s.Pack != nil {
		d.screen.event(d, "the ledger gets the hash of its readings alone; the readings can be forgotten")
	}
	return nil
}

// verifyOne verifies the feeder's newest receipt with what a verifier has: the file,
// the policy and the keys.
func (d *demo) verifyOne(ctx context.Context) error {
	g := d.named("feeder-01")
	if err := poll(ctx, func() bool { _, ok := g.files.newest(); return ok }); err != nil {
		return err
	}
	n, _ := g.files.newest()
	file := g.files.name(n, coseSuffix)
	policy := filepath.Join(d.dir, "policy")
	trust, err := loadTrust(policy, "")
	if err != nil {
		return err
	}
	r := verifyFile(file, trust)
	word := map[int]string{audit.ExitHolds: "verified", audit.ExitUnchecked: "could NOT be checked", audit.ExitFalse: "is FALSE"}[r.Exit()]
	var holds []string
	for _, v := range r.Verdicts {
		if v.Verdict == audit.Holds {
			holds = append(holds, string(v.Check))
		}
	}
	d.screen.event(d, fmt.Sprintf("receipt of %s %s %s: %s hold", g.Name, n, word, strings.Join(holds, ", ")))
	d.screen.say(fmt.Sprintf("         yourself:  wattmark verify --policy %s %s", policy, file))
	if d.pageURL != "" {
		d.screen.say("         or choose policy, keys.jwks and that file at  " + d.pageURL + "verify")
	}
	if r.Exit() != audit.ExitHolds {
		return fmt.Errorf("%s does not verify: run 'wattmark verify --policy %s %s'", file, policy, file)
	}
	d.notice(dashboard.Good, "Receipt %s of %s verified offline: %s hold.", n, g.Name, strings.Join(holds, ", "))
	return nil
}

// wanderer is the gateway that loses its network.
func (d *demo) wanderer() *demoGateway { return d.fleet[min(2, d.gateways-1)] }

func (d *demo) pullOne(context.Context) error {
	d.links.cut(d.wanderer())
	return nil
}

// plugOne restores the link, unless somebody has, and waits until all is sent, or somebody
// has cut it again.
func (d *demo) plugOne(ctx context.Context) error {
	g := d.wanderer()
	d.links.restore(g)
	return poll(ctx, func() bool { return !d.links.behind(g) })
}

// tamperOne has somebody send the feeder's newest reading with another register.
func (d *demo) tamperOne(ctx context.Context) error {
	g := d.named("feeder-01")
	f, what, err := forged(ctx, g)
	if err == nil {
		err = d.sendAs(ctx, g, f, what)
	}
	if errors.Is(err, errNoAnswer) {
		d.screen.event(d, "no oracle has answered it within 10 s; it is not on the ledger either")
		return nil
	}
	return err
}

// newest returns the newest statement that the gateway signed in this run.
func (g *demoGateway) newest() gateway.Signed {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}
