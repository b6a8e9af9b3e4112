package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"wattmark/oracle/dashboard"
)

// controls are the forms in the ribbon of the pages.
func (d *demo) controls() []dashboard.Control {
	return []dashboard.Control{
		{Name: "cut", Label: "Cut its link", Of: "Home whose gateway loses its network", Choices: d.homes(false, "%s"), Run: d.cutOne},
		{Name: "restore", Label: "Restore its link", Of: "Home whose gateway gets its network back", Each: true, Choices: d.homes(true, "Restore %s"), Run: d.restoreOne},
		{Name: "forge", Label: "Forge a reading", Of: "Home whose reading is changed on the wire", Choices: d.everyHome, Run: d.forgeOne},
		{Name: "speed", Label: "Change the speed", Of: "How many times as fast as the wall the street's clock goes", Choices: d.speeds, Run: d.changeSpeed},
	}
}

// homes lists the homes whose link is cut, or is not; label is the format of their names.
func (d *demo) homes(cut bool, label string) func() []dashboard.Choice {
	return func() (out []dashboard.Choice) {
		for _, g := range d.livingHomes() {
			if g.cable.isPulled() == cut {
				out = append(out, dashboard.Choice{Value: g.Name, Label: label, Args: []any{g.Name}})
			}
		}
		return out
	}
}

// livingHomes are the homes' gateways, none in the prologue.
func (d *demo) livingHomes() []*demoGateway {
	if d.live.Load() == nil {
		return nil
	}
	return d.fleet[:min(d.gateways, len(d.fleet))]
}

func (d *demo) everyHome() (out []dashboard.Choice) {
	for _, g := range d.livingHomes() {
		out = append(out, dashboard.Choice{Value: g.Name, Label: g.Name})
	}
	return out
}

func (d *demo) cutOne(_ context.Context, name string) error {
	if !d.links.cut(d.named(name)) {
		return errEnding
	}
	return nil
}

func (d *demo) restoreOne(_ context.Context, name string) error {
	d.links.restore(d.named(name))
	return nil
}

var errEnding = errors.New("the demonstration is ending, and every link is restored: start it again")

// links are the networks of the gateways, which the tour and whoever looks cut and restore:
// whoever comes second finds it done.
type links struct {
	d *demo

	mu       sync.Mutex                 // guards what follows
	over     bool                       // none is cut any more
	catching map[*demoGateway]time.Time // those with something to send yet: since when, by the wall
}

// cut takes a gateway's network away. It is false at the end, when none is cut any more.
func (l *links) cut(g *demoGateway) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	if g.cable.isPulled() {
		return true
	}
	g.cable.pull()
	delete(l.catching, g)
	l.d.screen.event(l.d, g.Name+" has lost its network; it goes on reading, signing and keeping")
	l.d.notice(dashboard.Warn, "%s has lost its network. It goes on reading, signing and keeping.", g.Name)
	return true
}

// restore gives a gateway its network back.
func (l *links) restore(g *demoGateway) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plug(g)
}

// plug is restore; the caller holds mu.
func (l *links) plug(g *demoGateway) {
	if !g.cable.isPulled() {
		return
	}
	kept := g.waiting()
	g.cable.plug()
	if l.catching == nil {
		l.catching = make(map[*demoGateway]time.Time)
	}
	l.catching[g] = time.Now()
	format := "%s has its network back, with %d statements kept"
	if kept == 1 {
		format = "%s has its network back, with %d statement kept"
	}
	l.d.happened(dashboard.Plain, format, g.Name, kept)
}

// behind reports whether a gateway that got its network back still has something to send.
func (l *links) behind(g *demoGateway) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.catching[g]
	return ok
}

// run tells of gateways that have caught up, until ctx ends.
func (l *links) run(ctx context.Context) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			l.look()
		}
	}
}

func (l *links) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for g, since := range l.catching {
		if g.waiting() > 0 {
			continue
		}
		delete(l.catching, g)
		l.d.happened(dashboard.Good, "%s has caught up: every statement kept has a receipt, %s s after the network came back",
			g.Name, dashboard.Decimal(fmt.Sprintf("%.1f", time.Since(since).Seconds())))
	}
}

// catchUp bounds how long the end waits for gateways that were without their network.
const catchUp = 10 * time.Second

// end restores every link, lets none be cut again, and waits until what was kept is sent.
// Where ctx has ended it does not wait: gateways send what they can as they end.
func (l *links) end(ctx context.Context) {
	l.mu.Lock()
	l.over = true
	for _, g := range l.d.fleet {
		l.plug(g)
	}
	l.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	// An error says that time is up: what has no receipt by now is counted as lost.
	_ = poll(limited, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.catching) == 0
	})
}
