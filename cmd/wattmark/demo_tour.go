package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/gateway"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/oracle/dashboard"
	"wattmark/oracle/wire"
	"wattmark/signer"
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
	length := tourLength
	if d.duration > 0 {
		length = min(length, d.duration)
	}
	if err := d.awaitFirstFinal(ctx); err != nil {
		return nil // it ended before
	}
	n := d.tally.now()
	d.screen.event(d, fmt.Sprintf("first final block: %d, after %d ms, cosigned by %d of %d oracles", n.final, n.firstFinal.Milliseconds(), n.cosigners, d.oracles))
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
		case <-time.After(time.Until(d.begin.Add(station.at * length / 100))):
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
	d.notice(dashboard.Good, fmt.Sprintf("Receipt %s of %s verified offline: %s hold.", n, g.Name, strings.Join(holds, ", ")), nil)
	return nil
}

// wanderer is the gateway that loses its network.
func (d *demo) wanderer() *demoGateway { return d.fleet[min(2, d.gateways-1)] }

func (d *demo) pullOne(context.Context) error {
	g := d.wanderer()
	g.cable.pull()
	d.screen.event(d, g.Name+" has lost its network; it goes on reading, signing and keeping")
	d.notice(dashboard.Warn, g.Name+" has lost its network. It goes on reading, signing and keeping.", nil)
	return nil
}

func (d *demo) plugOne(ctx context.Context) error {
	g := d.wanderer()
	kept := g.gateway.Stats().Outbox.Pending
	g.cable.plug()
	back := time.Now()
	d.screen.event(d, fmt.Sprintf("%s has its network back, with %d statements kept", g.Name, kept))
	if err := poll(ctx, func() bool { return g.gateway.Stats().Outbox.Pending == 0 }); err != nil {
		return err
	}
	text := fmt.Sprintf("%s has caught up: every statement kept has a receipt, %.1f s after the network came back", g.Name, time.Since(back).Seconds())
	d.screen.event(d, text)
	d.notice(dashboard.Good, text+".", nil)
	return nil
}

// tamperOne plays somebody who got hold of the feeder's TLS key, but not of the key
// it signs with: one byte of its newest reading is changed and sent in its name.
func (d *demo) tamperOne(ctx context.Context) error {
	g := d.named("feeder-01")
	var tampered []byte
	err := poll(ctx, func() (ok bool) {
		tampered, ok = tamper(g.newest().Statement)
		return ok
	})
	if err != nil {
		return err
	}
	cfg, err := d.cluster.clientTLS(g.Name)
	if err != nil {
		return err
	}
	conn, err := nats.Connect(d.cluster.broker.NATSURL(), nats.Secure(cfg), nats.Timeout(5*time.Second))
	if err != nil {
		return err
	}
	defer conn.Close()
	d.screen.event(d, fmt.Sprintf("somebody sends a statement of %s with one byte of its reading changed", g.Name))
	before := d.tally.now().refused[string(entry.ReasonBadSignature)]
	frame := wire.Frame{Statement: tampered}
	if err := conn.Publish(wire.For(d.cluster.charter.Origin).Up(g.Name), frame.Encode()); err != nil {
		return err
	}
	if err := conn.FlushTimeout(5 * time.Second); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := poll(limited, func() bool { return d.tally.now().refused[string(entry.ReasonBadSignature)] > before }); err != nil {
		if ctx.Err() == nil {
			d.screen.event(d, "no oracle has answered it within 10 s; it is not on the ledger either")
		}
		return nil
	}
	d.notice(dashboard.Bad, "A statement in the name of "+g.Name+" with one byte changed was refused: "+string(entry.ReasonBadSignature)+". Nothing of it is on the ledger.", nil)
	return nil
}

// newest returns the newest statement that the gateway signed in this run.
func (g *demoGateway) newest() gateway.Signed {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// tamper changes the last bit of a reading, so that the form stays what it was. It
// is false for what is no statement or holds no number.
func tamper(statement []byte) (changed []byte, ok bool) {
	m, err := signer.Parse(statement)
	if err != nil {
		return nil, false
	}
	at := bytes.Index(statement, m.Payload)
	pack, err := entry.ParsePack(m.Payload)
	if err != nil || at < 0 {
		return nil, false
	}
	for i := range pack.Records {
		r := &pack.Records[i]
		if r.Text != "" {
			continue
		}
		r.Value.Mantissa ^= 1
		if payload, err := pack.Encode(); err == nil && len(payload) == len(m.Payload) {
			return bytes.Join([][]byte{statement[:at], payload, statement[at+len(payload):]}, nil), true
		}
		r.Value.Mantissa ^= 1
	}
	return nil, false
}
