package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// A new street's prologue: the evening and the morning before, so that who looks finds a day
// there. It ends late on a summer morning, when roofs make more than the homes use.
var (
	prologueStart = time.Date(2026, time.June, 16, 18, 0, 0, 0, time.UTC)
	prologueEnd   = time.Date(2026, time.June, 17, 11, 20, 0, 0, time.UTC)
)

const (
	// prologuePack is between two readings, and what a pack covers: a pack of one reading is
	// signed when that is there, so a register is on its way when the clock goes on. It is
	// one for each interval, all that the market needs, and not one each minute: that would be
	// eleven thousand statements. With twelve homes and four oracles 1,518 take 9 to 13 s
	// of processor time, 3,129 (every 450 s) 25 s, and 9,441 (every 150 s) 56 s.
	prologuePack = unit.IntervalSeconds * time.Second
	// prologueWait is how far the clock goes until it waits for every receipt: a block takes
	// a fifth of a second whether much is in it or little.
	prologueWait = time.Hour
	// A sensor that warms up does so by the clock, which goes on a little after readyWait, and
	// to the next reading after signWait in any case. A register read by then is still that of
	// the interval's start: see [policy].
	readyWait = 250 * time.Millisecond
	signWait  = 5 * time.Second
	warmUp    = time.Minute
	// prologueMost is how long a prologue takes at most, by the wall, or a third of the run:
	// what is left of it then passes unread.
	prologueMost = 30 * time.Second
)

// founding is the policy that a new ledger's charter has. In the prologue the clock is up to
// [prologueWait] ahead of the newest block; so statements may be as far ahead, and an
// interval is settled when all that its gateways have read in it is surely on the ledger.
func (d *demo) founding() []entry.Parameter {
	list := policy(d.speed)
	if !d.prologue {
		return list
	}
	const wait = int64(prologueWait / time.Second)
	at := func(name string) *int64 {
		return &list[slices.IndexFunc(list, func(p entry.Parameter) bool { return p.Name == name })].Value
	}
	later := max(0, unit.IntervalSeconds+wait-*at(entry.ParamMarketR0))
	for _, run := range []string{entry.ParamMarketR0, entry.ParamMarketR1, entry.ParamMarketRF} {
		*at(run) += later
	}
	*at(entry.ParamFutureLimit) = max(*at(entry.ParamFutureLimit), 2*wait)
	return list
}

// tighten has the oracles vote the policy of a street that is live, where that of its
// prologue is in force.
func (d *demo) tighten(ctx context.Context) error {
	if !d.loose.Load() {
		return nil
	}
	loose := func() (out []entry.Parameter) {
		for _, p := range policy(d.speed) { // the earlier run first: they stay one after another
			if d.setting(p.Name) > p.Value {
				out = append(out, p)
			}
		}
		return out
	}
	for list := loose(); len(list) > 0; list = loose() {
		for _, p := range list {
			if err := d.cluster.lower(ctx, p); err != nil {
				return ignoreEnd(ctx, err)
			}
		}
		soon, cancel := context.WithTimeout(ctx, 5*time.Second)
		_ = poll(soon, func() bool { return len(loose()) == 0 }) // an error says that it is not so
		cancel()
		if ctx.Err() != nil {
			return nil
		}
	}
	d.loose.Store(false)
	wall, at, speed := d.clock.Base()
	return d.keep(&streetFile{Seed: d.seed, Homes: d.gateways, Wall: wall.UTC(), Street: at, Speed: speed})
}

// ignoreEnd is an error, unless everything ends in any case.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// playPrologue steps the clock through the prologue, and leaves gateways that are open for
// what comes after, and a clock that goes.
func (d *demo) playPrologue(ctx context.Context, members []*trading) error {
	d.screen.say("prologue   the evening and the morning before, as fast as the machine goes")
	most := prologueMost
	if d.duration > 0 {
		most = min(most, d.duration/3)
	}
	running, stop := context.WithDeadline(ctx, d.begin.Add(most))
	defer stop()
	var gateways sync.WaitGroup
	broken := make([]error, len(d.fleet))
	for i, g := range d.fleet {
		gateways.Go(func() {
			if broken[i] = g.gateway.Load().Run(running); broken[i] != nil {
				stop()
			}
		})
	}
	err := d.stepThrough(running, members)
	stop()
	gateways.Wait()
	if errors.Is(err, context.DeadlineExceeded) {
		d.screen.event(d, fmt.Sprintf("the machine is slow or busy: what follows on %s passes unread", d.clock.Now().Format("15:04")))
		err = nil
	}
	if err = errors.Join(append(broken, err)...); err != nil {
		return err
	}
	if err := d.clock.Step(ctx, prologueEnd); err != nil { // nobody is left whom it would wait for
		return err
	}
	d.screen.event(d, fmt.Sprintf("%s to %s in %.1f s, %s with receipts; live from here on",
		prologueStart.Format("Monday 15:04"), prologueEnd.Format("Monday 15:04"), time.Since(d.begin).Seconds(), plural(d.tally.acknowledged.Load(), "statement", "statements")))
	if err := d.openGateways(pace(d.speed)); err != nil {
		return err
	}
	return setSpeed(d.clock, streetFile{Seed: d.seed, Homes: d.gateways}, d.speed, d.keep)
}

// stepThrough steps the clock from reading to reading, as soon as what was read is signed, and
// once an hour has a receipt.
func (d *demo) stepThrough(ctx context.Context, members []*trading) error {
	points, schedules := uint64(0), 0
	for _, g := range d.fleet {
		points += uint64(len(g.Points()))
		schedules += len(g.Devices) + 1 // of each device, and of its packs
	}
	if err := await(ctx, signWait, func() bool { return d.clock.Schedules() >= schedules }); err != nil {
		return err
	}
	want, last := d.tally.signed.Load(), prologueEnd.Add(-prologuePack)
	signed := func() bool { return d.tally.signed.Load() >= want }
	for at := prologueStart; !at.After(last); {
		at = at.Add(prologuePack)
		want += points
		err := d.clock.Step(ctx, at)
		if err == nil {
			err = await(ctx, readyWait, signed)
		}
		if err == nil && !signed() {
			if err = d.clock.Step(ctx, at.Add(warmUp)); err == nil {
				err = await(ctx, signWait, signed)
			}
			want = d.tally.signed.Load()
		}
		if err != nil {
			return err
		}
		gone := at.Sub(prologueStart)
		// The tariff comes into force with the second block from now, and the market begins then.
		if gone > 2*prologuePack && gone%prologueWait != 0 && !at.After(last) {
			continue
		}
		if err := await(ctx, prologueMost, d.allSent); err != nil {
			return err
		}
		d.screen.progress(fmt.Sprintf("%s · %d statements", at.Format("15:04"), d.tally.acknowledged.Load()))
		if gone%prologueWait != 0 {
			continue
		}
		// For the hour after the next: its gates are open until all of this is on the ledger.
		for from := at.Add(prologueWait); from.Before(at.Add(2 * prologueWait)); from = from.Add(unit.IntervalSeconds * time.Second) {
			d.placeOrders(ctx, members, unit.Interval(from.Unix())+unit.IntervalSeconds, at)
		}
	}
	return nil
}

// allSent reports whether every statement of every gateway has a receipt.
func (d *demo) allSent() bool {
	return !slices.ContainsFunc(d.fleet, func(g *demoGateway) bool { return g.waiting() > 0 })
}

// await returns as soon as done says so, or it took as long as most, or ctx's error. It looks
// more often than [poll]: there are many moments to wait for.
func await(ctx context.Context, most time.Duration, done func() bool) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for from := time.Now(); !done() && time.Since(from) < most; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
