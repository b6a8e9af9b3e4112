package oracle

import (
	"errors"
	"io/fs"
	"time"

	"wattmark/ledger/handover"
	"wattmark/ledger/state"
	"wattmark/oracle/wire"
)

// leadEvery bounds how often a gateway that says the same is sent the same handovers.
const leadEvery = 10 * time.Second

// led is what a gateway said that it trusts when it was sent handovers last.
type led struct {
	said wire.Trusts
	at   time.Time
}

// lead sends a gateway the handovers from the oracle set that it trusts to the one in
// force, oldest first, where it hears its receipts. Nothing of it is a command: the
// gateway verifies each by the oracles that it trusts. A gateway that does not say whom it
// trusts is of a program that could not read them.
func (n *Node) lead(gateway string, t *wire.Trusts) {
	if t == nil {
		return
	}
	n.births.mu.Lock()
	last := n.births.led[gateway]
	if last.said == *t && time.Since(last.at) < leadEvery {
		n.births.mu.Unlock()
		return
	}
	if n.births.led == nil {
		n.births.led = make(map[string]led)
	}
	n.births.led[gateway] = led{*t, time.Now()}
	n.births.mu.Unlock()
	sent := 0
	for _, height := range n.after(t) {
		b, err := n.ledger.Store().Handover(height)
		if errors.Is(err, fs.ErrNotExist) {
			break // the set before it has not finished
		}
		if err == nil && len(b) > wire.MaxHandover {
			err = errors.New("it is larger than a message may be: the gateway has to be given the policy by hand")
		}
		if err == nil {
			err = n.cfg.Conn.Publish(n.subjects.Receipt(gateway), b)
		}
		if err != nil {
			n.cfg.Log.Warn("did not send a handover", "gateway", gateway, "height", height, "error", err)
			break
		}
		sent++
	}
	if sent > 0 {
		n.cfg.Log.Info("sent handovers to a gateway", "gateway", gateway, "handovers", sent, "trusts_height", t.Height)
	}
}

// leadAll sends a new handover to the gateways that have announced themselves to this
// run. Others are sent it when they do so next, or when they ask.
func (n *Node) leadAll() {
	trusts := make(map[string]*wire.Trusts)
	n.births.mu.Lock()
	for name, b := range n.births.last {
		trusts[name] = b.Trusts
	}
	clear(n.births.led) // there is news for who was told before
	n.births.mu.Unlock()
	for name, t := range trusts {
		n.lead(name, t)
	}
}

// after returns the heights of the oracle sets behind the one that a gateway trusts.
func (n *Node) after(t *wire.Trusts) []uint64 {
	var sets []state.OracleSetAt
	n.ledger.View(func(s *state.State) { sets = s.OracleSets() })
	var heights []uint64
	for _, s := range sets[1:] {
		heights = append(heights, s.Height)
	}
	return lacking(t, heights, func(i int) string { return n.digestOf(&sets[i+1]) })
}

// lacking returns which of the heights, at which oracle sets came into force after the
// charter's, lie behind the set that a gateway trusts: all of them where it is not known
// which one that is, as it passes over those before. digest tells the policy of the i-th.
func lacking(t *wire.Trusts, heights []uint64, digest func(i int) string) []uint64 {
	from := 0
	for i, h := range heights {
		if h == t.Height || t.Height == 0 && digest(i) == t.Policy {
			from = i + 1
		}
	}
	return heights[from:]
}

// digestOf is how a gateway names the policy of an oracle set after the charter's.
func (n *Node) digestOf(set *state.OracleSetAt) string {
	p, err := handover.PolicyOf(n.origin, set.Set)
	if err != nil {
		return ""
	}
	return wire.TrustsOf(p, 0).Policy
}
