package oracle

import (
	"bytes"
	"context"
	"time"

	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/signer"
)

const (
	// accuseApart is between the oracles' turns to state a conflict that they all have
	// seen, so that one of them does.
	accuseApart = 500 * time.Millisecond
	// accuseAgain is until it is stated once more, if the ledger does not know of it.
	accuseAgain = 5 * time.Second
	accuseLook  = 100 * time.Millisecond
	// accuseTimes bounds how often: what the rules refuse they go on refusing.
	accuseTimes = 4
	// maxAccused bounds the keys that wait to be accused.
	maxAccused = 1024
)

// accusation is what proves that a key has signed two things of which it may sign one.
type accusation struct {
	key     signer.KeyID
	payload []byte
	due     time.Time
	times   int
}

// accuse states on the ledger what proves that a key is not to be believed, until the
// ledger knows.
func (n *Node) accuse(ctx context.Context) error {
	list := make(map[signer.KeyID]*accusation)
	look := time.NewTicker(accuseLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-n.accused:
			if list[a.key] == nil && len(list) < maxAccused {
				a.due = time.Now().Add(n.turn(a.key))
				list[a.key] = a
			}
		case now := <-look.C:
			for key, a := range list {
				switch {
				case now.Before(a.due):
				case n.proven(key) || a.times >= accuseTimes:
					delete(list, key)
				default:
					n.state(ctx, a)
					a.due, a.times = now.Add(accuseAgain), a.times+1
				}
			}
		}
	}
}

// turn is how long this oracle leaves it to others.
func (n *Node) turn(key signer.KeyID) time.Duration {
	position, in := n.Position()
	if !in {
		return 0
	}
	oracles := 1
	n.ledger.View(func(s *state.State) { oracles = len(s.Oracles().Oracles) })
	return time.Duration((position+int(key[0]))%oracles) * accuseApart
}

// proven reports whether the ledger knows of the key.
func (n *Node) proven(key signer.KeyID) (known bool) {
	n.ledger.View(func(s *state.State) { known = s.Proven(key) })
	return known
}

func (n *Node) state(ctx context.Context, a *accusation) {
	statement, err := n.Sign(entry.TypeConflict, a.payload)
	if err == nil {
		err = n.Submit(ctx, statement)
	}
	switch {
	case err == nil:
		n.cfg.Log.Warn("stated what proves that a key has signed two stories", "key", a.key)
	case ctx.Err() == nil:
		n.cfg.Log.Warn("did not state what proves that a key has signed two stories", "key", a.key, "error", err)
	}
}

// suspect has a conflict stated, if it is one. It returns at once.
func (n *Node) suspect(key signer.KeyID, c *entry.Conflict) {
	payload, err := c.Encode()
	if err != nil {
		n.cfg.Log.Error("a key has signed two stories that are too large to prove", "key", key, "error", err)
		return
	}
	select {
	case n.accused <- &accusation{key: key, payload: payload}:
	default: // it is seen again: liars repeat themselves, and so do gateways
	}
}

// suspectNumber looks at a statement whose sequence number is used.
func (n *Node) suspectNumber(m *signer.Message, q entry.Sequence) {
	_, leaf, ok := n.ledger.Logged(m.KeyID, q)
	if !ok {
		return
	}
	logged, err := signer.Parse(leaf)
	if err != nil || logged.Hash() == m.Hash() { // the same, signed anew
		return
	}
	n.suspect(m.KeyID, entry.NewConflict(bytes.Clone(leaf), bytes.Clone(m.Bytes())))
}
