package oracle

import (
	"fmt"
	"path/filepath"
	"time"

	"wattmark/ledger/block"
	"wattmark/oracle/api"
)

const (
	// finalWithin is how long a block may wait for its quorum before the oracle says
	// that it is not ready: some resendings of votes.
	finalWithin = 10 * time.Second
	// leastFree is the space below which an oracle says so, while it can still write.
	leastFree = 1 << 30
)

// CaughtUp reports whether the node has executed what was in the order when it
// started; before, it takes nothing in.
func (n *Node) CaughtUp() bool {
	select {
	case <-n.caughtUp:
		return true
	default:
		return false
	}
}

// Ready returns why the node should get no requests, or nothing.
func (n *Node) Ready() []api.Reason {
	var out []api.Reason
	not := func(reason, remedy, format string, args ...any) {
		out = append(out, api.Reason{Reason: reason, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	if err := n.Halted(); err != nil {
		not("halted", "compare this oracle's last block with the others' before anything else; do not delete the ledger. Reads are still served.", "%v", err)
	}
	if !n.cfg.Conn.IsConnected() {
		not("no_broker", "look at the broker, and at the network between; the oracle connects again by itself", "the connection to the broker is %v", n.cfg.Conn.Status())
	}
	if !n.CaughtUp() && n.Halted() == nil {
		not("catching_up", "wait: it goes as fast as the disk and the processor", "it has not executed yet what was in the order when it started")
	}
	if n.proven(n.statementKey().Public().ID()) {
		not("quarantined", "find out where else this oracle's keys are in use; the other members restore it by a motion, or give it new keys",
			"the ledger holds a proof that this oracle's key has signed two stories")
	}
	n.counts.mu.Lock()
	since := n.counts.pendingSince
	n.counts.mu.Unlock()
	if !since.IsZero() && time.Since(since) > finalWithin {
		h, _, _ := n.ledger.Last()
		not("no_quorum", "look which oracles are away: the ledger grows meanwhile, and becomes final when a quorum is back",
			"a block waits to be final for %v, the last one is %d", time.Since(since).Round(time.Second), h.Height)
	}
	if free, err := freeSpace(n.cfg.Dir); err == nil && free < leastFree {
		not("disk_full", "make space, or move the ledger to a larger disk: it is never trimmed", "%d MiB are left where the ledger lies", free>>20)
	}
	return out
}

// API returns the HTTP side of the node, with metrics and readiness for its operator.
func (n *Node) API() *api.API {
	return api.New(api.Config{
		Ledger: n.ledger, Tiles: n.cfg.Tiles, Final: n.Final,
		Policy: func() (*block.Policy, error) { return n.PolicyAt(n.height.Load()) },
		Submit: n.Submit, Joins: filepath.Join(n.cfg.Dir, api.JoinsDir), Ready: n.Ready, Births: n.Births, Refused: n.counts.refusals, Backups: n.backups, Metrics: n.Metrics(), Clock: n.cfg.Now, Log: n.cfg.Log,
	})
}
