package oracle

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"wattmark/ledger/block"
	"wattmark/oracle/finality"
	"wattmark/oracle/witness"
	"wattmark/signer"
)

const (
	// witnessPace is between two requests to a witness for whose cosignature nothing
	// waits.
	witnessPace = time.Second
	// witnessMayTake bounds one request, witnessRest the time until the next one after it
	// failed, which doubles up to witnessRests.
	witnessMayTake = 10 * time.Second
	witnessRest    = 500 * time.Millisecond
	witnessRests   = 30 * time.Second
)

// outsider is a witness from outside that this oracle asks.
type outsider struct {
	client *witness.Client
	news   chan struct{} // holds one: there is a newer checkpoint

	mu     sync.Mutex // guards the fields below
	last   block.Checkpoint
	line   string // its cosignature of last
	failed uint64
}

// ParseWitness reads a line of a policy that says where a witness is asked, as
// wattmark-oracle witness prints it.
func ParseWitness(line string) (w block.PolicyWitness, err error) {
	f := strings.Fields(line)
	if len(f) != 4 || f[0] != "witness" {
		return w, fmt.Errorf("%q is not \"witness\", a name, a key and a URL", line)
	}
	w.Name, w.URL = f[1], f[3]
	if w.Key, err = block.ParseVerifierKey(f[2]); err != nil {
		return w, err
	}
	_, err = witness.NewClient(w.Key, w.URL, nil)
	return w, err
}

// outsidersOf lists the witnesses that are no oracles and have a URL, in a policy or
// besides: finality asks for them where its quorum does, and else they are asked for
// what is published.
func outsidersOf(p *block.Policy, more []block.PolicyWitness, client *http.Client) ([]*outsider, error) {
	var out []*outsider
	for _, w := range append(p.Witnesses(), more...) {
		if w.Oracle || w.URL == "" || slices.ContainsFunc(out, func(o *outsider) bool { return o.client.Key() == w.Key }) {
			continue
		}
		c, err := witness.NewClient(w.Key, w.URL, client)
		if err != nil {
			return nil, err
		}
		out = append(out, &outsider{client: c, news: make(chan struct{}, 1)})
	}
	return out, nil
}

// cosignature is a witness's line under a checkpoint.
type cosignature struct {
	checkpoint block.Checkpoint
	key        block.VerifierKey
	line       string
}

// tellSealed has witnesses asked for what oracles agree on now.
func (n *Node) tellSealed(c *concluding) {
	s := c.tally.Sealed()
	if s == nil || s == n.agreed.Load() {
		return
	}
	n.agreed.Store(s)
	for _, o := range n.outside {
		select {
		case o.news <- struct{}{}:
		default:
		}
	}
}

// witness asks one witness for each checkpoint that oracles agree on, the newest first
// and no others.
func (n *Node) witness(ctx context.Context, o *outsider) error {
	rest := witnessRest
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.news:
		}
		s := n.agreed.Load()
		if s == nil || o.has(s.Checkpoint) {
			continue
		}
		wait := time.Duration(0)
		if !n.waitsFor(o, s) {
			wait = witnessPace
		}
		line, err := n.askWitness(ctx, o, s)
		if err == nil {
			rest = witnessRest
			o.keep(s.Checkpoint, line)
			n.shareCosignature(s.Checkpoint, line)
			select {
			case n.cosigned <- cosignature{s.Checkpoint, o.client.Key(), line}:
			case <-ctx.Done():
				return nil
			}
		} else if ctx.Err() == nil {
			// Others may have come further: theirs is heard, or the next one is asked for.
			if !errors.Is(err, witness.ErrAhead) {
				o.fail()
				n.cfg.Log.Warn("did not get a witness's cosignature", "size", s.Size, "error", err)
			}
			wait, rest = rest, min(2*rest, witnessRests)
			select {
			case o.news <- struct{}{}:
			default:
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (n *Node) askWitness(ctx context.Context, o *outsider, s *finality.Final) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, witnessMayTake)
	defer cancel()
	return o.client.Cosign(ctx, s.Note, s.Checkpoint, n.ledger.Store())
}

// waitsFor reports whether the checkpoint is not final without witnesses.
func (n *Node) waitsFor(_ *outsider, s *finality.Final) bool {
	p, err := n.PolicyAt(s.Height)
	if err != nil {
		return false
	}
	oracles := make(map[signer.KeyID]bool)
	for _, w := range p.Witnesses() {
		oracles[w.Key.Key.ID()] = w.Oracle
	}
	return p.Quorum(oracles) != nil
}

func (o *outsider) has(c block.Checkpoint) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last == c
}

// keep takes note of the newest cosignature.
func (o *outsider) keep(c block.Checkpoint, line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.Size >= o.last.Size {
		o.last, o.line = c, line
	}
}

func (o *outsider) fail() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed++
}

// state returns what is known of the witness.
func (o *outsider) state() (size, failed uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last.Size, o.failed
}

// shareCosignature gives the other oracles what a witness signed: while one asks for
// one size, another one's is smaller than what the witness has seen.
func (n *Node) shareCosignature(c block.Checkpoint, line string) {
	if err := n.cfg.Conn.Publish(n.subjects.Vote(), []byte(c.Text()+"\n"+line)); err != nil {
		n.cfg.Log.Warn("did not share a witness's cosignature", "size", c.Size, "error", err)
	}
}

// takeCosignature takes a note that another oracle gave, if it is a witness's.
func (n *Node) takeCosignature(c *concluding, note []byte) (taken bool, err error) {
	for _, o := range n.outside {
		cp, lines, err := block.OpenSigned(note, o.client.Key())
		if err != nil || len(lines) != 1 {
			continue
		}
		o.keep(cp, lines[0])
		return true, n.witnessed(c, cosignature{cp, o.client.Key(), lines[0]})
	}
	return false, nil
}

// witnessed counts a witness's cosignature.
func (n *Node) witnessed(c *concluding, w cosignature) error {
	f, err := c.tally.Witnessed(w.checkpoint, w.key, w.line)
	if errors.Is(err, finality.ErrVote) {
		n.passOver(c, err)
		return nil
	}
	if err != nil {
		return err
	}
	return n.finish(c, f)
}

// withOutside returns a final checkpoint's note with all that witnesses have signed of
// it, for whoever asks for more than this ledger's members do.
func (n *Node) withOutside(f *finality.Final) []byte {
	note := string(f.Note)
	for _, o := range n.outside {
		o.mu.Lock()
		if o.last == f.Checkpoint && !strings.Contains(note, o.line) {
			note += o.line
		}
		o.mu.Unlock()
	}
	return []byte(note)
}
