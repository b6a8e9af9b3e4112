package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"wattmark/cmd/internal/street"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/oracle/dashboard"
)

// policy is what the oracles of a street vote for the speed that its clock goes at. Packs and
// votes take their time by the wall, and the clock runs on meanwhile: the rules leave room for
// that. So what holds at a speed holds at every lower one, and to go faster the oracles vote
// first. How often devices are read and how much a pack covers is the gateways' configuration,
// made for the speed at the start: see [demo.speeds].
//
// It is in the order of names, as a charter has it.
func policy(speed int) []entry.Parameter {
	_, pack := pace(speed)
	s := int64(speed)
	// An interval is settled while somebody looks on: R0 as soon as the pack with the closing
	// register has had time to come, R1 when a gateway that was cut off in the tour is back,
	// the last run hours later.
	r0 := unit.IntervalSeconds + int64(pack/time.Second) + 3*s
	r1 := r0 + 22*s
	return []entry.Parameter{
		// A block is being closed while the clock runs on.
		{Name: entry.ParamFutureLimit, Value: max(120, 10*s)},
		// An order takes its time to come: the gate closes a second of the wall before.
		{Name: entry.ParamMarketLead, Value: max(60, s)},
		{Name: entry.ParamMarketR0, Value: r0},
		{Name: entry.ParamMarketR1, Value: r1},
		// A meter takes its time to answer.
		{Name: entry.ParamMarketRegister, Value: min(890, max(60, 2*s))},
		{Name: entry.ParamMarketRF, Value: r1 + 24*3600},
		{Name: entry.ParamMarketRolling, Value: 1},
	}
}

// agree has the oracles vote the policy up to what a speed needs, where it is lower. It holds
// a few blocks later. The later run is raised first: they stay one after another.
func (d *demo) agree(ctx context.Context, speed int) error {
	for _, p := range slices.Backward(policy(speed)) {
		if err := d.cluster.raise(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) setting(name string) (value int64) {
	d.cluster.nodes[0].Ledger().View(func(s *state.State) { value = s.Setting(name) })
	return value
}

// agreed reports whether the policy in force is one for a speed.
func (d *demo) agreed(speed int) bool {
	return !slices.ContainsFunc(policy(speed), func(p entry.Parameter) bool { return d.setting(p.Name) < p.Value })
}

// faster is how many times as fast as it was started a street may go: its devices are then
// read, and its packs signed, as many times as often by the wall as they were made for.
const faster = 4

// speeds are those that somebody can choose: as the wall, a quarter of what the street was
// started at, that, and four times that.
func (d *demo) speeds() (out []dashboard.Choice) {
	if d.live.Load() == nil {
		return nil
	}
	is := d.clock.Speed()
	all := []int{1, max(1, d.speed/faster), d.speed, min(d.speed*faster, street.MaxSpeed), is}
	slices.Sort(all)
	for _, speed := range slices.Compact(all) {
		label := "×%d"
		switch speed {
		case is:
			label = "×%d now"
		case d.speed:
			label = "×%d as started"
		case 1:
			label = "×%d real time"
		}
		out = append(out, dashboard.Choice{Value: strconv.Itoa(speed), Label: label, Args: []any{speed}, Chosen: speed == is})
	}
	return out
}

// agreeWait is how long somebody who wants another speed waits for the oracles.
const agreeWait = 10 * time.Second

// changeSpeed makes the street's clock go at another speed, which its policy is for then.
func (d *demo) changeSpeed(ctx context.Context, value string) error {
	speed, err := strconv.Atoi(value)
	if err != nil || speed == d.clock.Speed() {
		return err
	}
	if err := d.awaitAgreed(ctx, speed); err != nil {
		return err
	}
	if err := setSpeed(d.clock, streetFile{Seed: d.seed, Homes: d.gateways}, speed, d.keep); err != nil {
		return err
	}
	format := "The street's clock goes %d times as fast as the wall's, from %s on"
	if speed == 1 {
		format = "The street's clock goes %d time as fast as the wall's, from %s on"
	}
	d.happened(dashboard.Plain, format, speed, d.clock.Now().Format("15:04"))
	return nil
}

// awaitAgreed returns when the policy for a speed is in force. It has them vote again as long
// as it is not: where the clock goes slowly nothing but votes makes the blocks that it takes.
func (d *demo) awaitAgreed(ctx context.Context, speed int) error {
	limited, cancel := context.WithTimeout(ctx, agreeWait)
	defer cancel()
	for !d.agreed(speed) {
		if err := d.agree(limited, speed); err != nil && limited.Err() == nil {
			return err
		}
		if limited.Err() != nil {
			return fmt.Errorf("the oracles have not voted the rules for ×%d within %d s: look whether they are behind, and press again", speed, agreeWait/time.Second)
		}
		soon, cancel := context.WithTimeout(limited, time.Second)
		_ = poll(soon, func() bool { return d.agreed(speed) }) // an error says that it is not
		cancel()
	}
	return nil
}
