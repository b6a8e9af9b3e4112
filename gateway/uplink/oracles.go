package uplink

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/handover"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// trusted is whose word counts at one moment. It does not change: the goroutine that
// takes answers puts another in its place.
type trusted struct {
	spans []handover.Span // the last one is in force
	keys  map[signer.KeyID]signer.PublicKey
}

func (t *trusted) now() *handover.Span { return &t.spans[len(t.spans)-1] }

// followed is the part of the state that the goroutine that takes answers owns.
type followed struct {
	list    []*handover.Handover // to be kept, oldest first
	unkept  bool
	tried   time.Time // when it was to be kept
	refused string    // why the last one was not followed
	asked   int       // times since a receipt verified
	askedAt time.Time
	suspect uint64 // receipts that the policy did not take since the last step
}

// Oracles is whom an uplink trusts, and how it fares with following them.
type Oracles struct {
	Policy *block.Policy
	Height uint64 // first block of the oracle set, 0 for the one of the configuration
	Names  []string
	// Followed is how many sets came after the one of the configuration, Last when the
	// newest did in this run, zero for before.
	Followed int
	Last     time.Time
	// Behind is since when receipts came that the policy does not take, with none that it
	// does between; zero for none. Failure is why the last handover was not followed.
	Behind  time.Time
	Failure string
	// Unkept says why the newest handover is in memory alone, empty where it is not.
	Unkept string
}

// openOracles follows what was followed before, from the policy of the configuration.
func (u *Uplink) openOracles() error {
	spans, err := handover.Follow(u.cfg.Policy, u.cfg.Followed)
	if err != nil {
		return fmt.Errorf("the handovers that were followed before: %w", err)
	}
	t := &trusted{spans, u.cfg.OracleKeys}
	if set := t.now().Set; set != nil {
		t.keys = handover.StatementKeys(set)
	}
	u.trust.Store(t)
	u.follow.list = u.cfg.Followed[len(u.cfg.Followed)-(len(spans)-1):]
	return nil
}

// Oracles returns whom the gateway trusts now.
func (u *Uplink) Oracles() Oracles {
	t := u.trust.Load()
	u.mu.Lock()
	out := u.oracles
	u.mu.Unlock()
	out.Policy, out.Height, out.Followed = t.now().Policy, t.now().Height, len(t.spans)-1
	for _, w := range out.Policy.Witnesses() {
		if w.Oracle {
			out.Names = append(out.Names, w.Key.Name)
		}
	}
	return out
}

// PolicyFor returns the policy that is good for a checkpoint of so many leaves, as of a
// proof that is a file and may be older than the oracles in force.
func (u *Uplink) PolicyFor(size uint64) *block.Policy {
	return handover.PolicyFor(u.trust.Load().spans, size)
}

// takeHandover takes the step that a handover shows, if it does: see ledger/handover.
// Anything else changes nothing.
func (u *Uplink) takeHandover(body []byte) {
	u.keepAgain()
	t := u.trust.Load()
	h, err := wire.ParseHandover(body)
	var next *handover.Span
	if err == nil {
		next, err = t.now().Next(h)
	}
	switch {
	case errors.Is(err, handover.ErrBefore):
		return // several oracles say it, and one may say it late
	case err != nil:
		if why := err.Error(); why != u.follow.refused {
			u.follow.refused = why
			u.cfg.Log.Warn("did not follow a handover of the oracles", "height", t.now().Height, "error", err)
		}
		u.mu.Lock()
		u.oracles.Failure = err.Error()
		u.mu.Unlock()
		return
	}
	spans := slices.Clone(t.spans)
	spans[len(spans)-1].Until = next.From
	u.follow.list = append(u.follow.list, h)
	u.keep() // before anything is believed by it
	u.trust.Store(&trusted{append(spans, *next), handover.StatementKeys(next.Set)})
	u.cfg.Log.Info("followed the oracles to their next set", "height", next.Height, "oracles", len(next.Set.Oracles), "quorum", next.Set.Quorum)
	u.follow.refused, u.follow.asked = "", 0
	u.mu.Lock()
	u.oracles.Last, u.oracles.Behind, u.oracles.Failure = time.Now(), time.Time{}, ""
	u.stats.Superseded += u.follow.suspect
	u.flights.sooner(time.Now(), u.cfg.Resend.First, u.cfg.Jitter)
	u.mu.Unlock()
	u.follow.suspect = 0
	u.wake()
	u.Announce() // that it has come so far
}

// keep makes durable what was followed. Where that fails the gateway goes on with what
// it has verified, and tries again: after a restart it would be sent it once more.
func (u *Uplink) keep() {
	if u.cfg.Keep == nil {
		return
	}
	err := u.cfg.Keep(u.follow.list)
	u.follow.unkept, u.follow.tried = err != nil, time.Now()
	text := ""
	if err != nil {
		text = err.Error()
		u.cfg.Log.Error("did not keep a handover of the oracles", "error", err)
	}
	u.mu.Lock()
	u.oracles.Unkept = text
	u.mu.Unlock()
}

// keepAgain tries once a minute to keep what could not be kept.
func (u *Uplink) keepAgain() {
	if u.follow.unkept && time.Since(u.follow.tried) >= time.Minute {
		u.keep()
	}
}

// superseded reports whether receipts are of oracles who have handed over since: what
// they are for is sent again, and gets others.
func (u *Uplink) superseded(r *wire.Receipts) bool {
	c, err := block.Stated(r.Checkpoint)
	return err == nil && c.Size <= u.trust.Load().now().From
}

// distrust notes receipts that do not verify, and asks where the cause may be that the
// oracles were exchanged.
func (u *Uplink) distrust(err error) {
	unknown := errors.Is(err, block.ErrQuorum)
	u.mu.Lock()
	u.stats.Unverified++
	if unknown && u.oracles.Behind.IsZero() {
		u.oracles.Behind = time.Now()
	}
	u.mu.Unlock()
	if unknown {
		u.follow.suspect++
		u.askOracles()
	}
}

// trustworthy notes receipts that verify.
func (u *Uplink) trustworthy() {
	u.keepAgain()
	if u.follow.asked == 0 {
		return
	}
	u.follow.asked = 0
	u.mu.Lock()
	u.oracles.Behind, u.oracles.Failure = time.Time{}, ""
	u.mu.Unlock()
}

// askOracles asks for handovers, by saying what is trusted: at once, and then as seldom
// as a statement is sent again.
func (u *Uplink) askOracles() {
	if u.follow.asked > 0 && time.Since(u.follow.askedAt) < u.cfg.Resend.Step(u.follow.asked-1) {
		return
	}
	u.follow.asked++
	u.follow.askedAt = time.Now()
	u.Announce()
}

// oneHonest reports whether more than a third of the oracles in force are in a list: then
// one of them is honest.
func (t *trusted) oneHonest(list []signer.KeyID) bool {
	n := 0
	for id := range t.keys {
		if slices.Contains(list, id) {
			n++
		}
	}
	return n > (len(t.keys)-1)/3
}

// Trusts is what a birth says of the policy.
func (o *Oracles) Trusts() *wire.Trusts { return wire.TrustsOf(o.Policy, o.Height) }
