package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"wattmark/gateway/enrol"
	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/store"
	"wattmark/signer"
)

func newMemberSubmit() *cobra.Command {
	var f memberFlags
	var approval string
	c := &cobra.Command{
		Use:   "submit FILE --dir DIR",
		Short: "Put onto the ledger what was signed off line",
		Long: `Submit takes a statement that 'wattmark member approve --out' or 'revoke --out'
has written, puts it into the order over the oracle's broker, and waits until
the ledger has it for good. Of an approval it writes the file that the gateway
takes, as approve does. What is on the ledger already is not put there again.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one FILE with a statement, not %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			statement, err := readLimited(args[0], signer.MaxMessage)
			if err != nil {
				return failed(err)
			}
			return failed(m.finish(cmd.Context(), newPage(cmd.OutOrStdout()), statement, approval))
		},
	}
	f.add(c)
	c.Flags().StringVar(&approval, "approval", "", "`FILE` for the gateway to write (default: <gateway>.approval)")
	return c
}

// finalWithin is how long an operator waits for the ledger. A block takes a second at
// most where a quorum of oracles runs.
const finalWithin = 30 * time.Second

// finish brings a signed statement about keys onto the ledger and says what came of
// it. Of an enrolment that took effect it writes the approval, and tells the gateway.
func (m *member) finish(ctx context.Context, p *page, statement []byte, approval string) error {
	msg, err := signer.Parse(statement)
	if err != nil {
		return err
	}
	change, err := audit.ReadKeyChange(msg)
	if err != nil {
		return fmt.Errorf("it is no statement about keys: %w", err)
	}
	l, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer l.conn.Close()
	ctx, cancel := context.WithTimeout(ctx, finalWithin)
	defer cancel()
	found, err := m.find(msg, 0)
	if err != nil {
		return err
	}
	if found == nil {
		from, err := m.size()
		if err != nil {
			return err
		}
		if err := l.submit(ctx, statement); err != nil {
			return err
		}
		if found, err = m.await(ctx, msg, from); err != nil {
			return err
		}
	}
	p.line(2, "leaf %d of %s, final in block %d", found.leaf, m.charter.Origin, found.height)
	if !found.effective {
		set, err := m.oracles()
		if err != nil {
			return err
		}
		left := int(set.Governance) - found.voters
		p.line(2, "It takes effect when %s more have stated the same:", plural(left, "oracle", "oracles"))
		p.line(2, "the key or a name or metering point of it is another's to give.")
		return p.err
	}
	if change.Begins.IsZero() {
		p.line(2, "Key %v has ended: what it signs from here on is refused.", change.Ends)
		return p.err
	}
	if approval == "" {
		approval = change.Gateway + ".approval"
	}
	if err := writeFile(approval, found.approval); err != nil {
		return err
	}
	if err := l.give(change.Gateway, change.Begins.ID(), found.approval); err != nil {
		return fmt.Errorf("%s is written, but telling the gateway: %w", approval, err)
	}
	if change.Ends != (signer.KeyID{}) {
		p.line(2, "Key %v has ended; %v signs for %s from block %d on.", change.Ends, change.Begins.ID(), change.Gateway, found.height+1)
	} else {
		p.line(2, "Key %v signs for %s from block %d on.", change.Begins.ID(), change.Gateway, found.height+1)
	}
	p.line(2, "Wrote %s. A gateway that waits on line has it already; else bring it there:", approval)
	p.line(2, "  wattmark-gateway enrol --approval %s", approval)
	return p.err
}

// outcome is what became of a statement, under a final checkpoint.
type outcome struct {
	leaf, height uint64
	effective    bool
	voters       int    // that have stated it, where it waits for others
	approval     []byte // of an enrolment
}

// size is how many leaves the oracle's ledger has.
func (m *member) size() (uint64, error) {
	r, _, err := store.OpenReader(m.dir)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.Size(), nil
}

// await waits for a statement, or its refusal, in a final block.
func (m *member) await(ctx context.Context, msg *signer.Message, from uint64) (*outcome, error) {
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		found, err := m.find(msg, from)
		if found != nil || err != nil {
			return found, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("it is in the order, and in no final block after %v: whether it will be is not known: see that a quorum of oracles runs, and give the same command again, which puts it there once", finalWithin)
		case <-poll.C:
		}
	}
}

// find looks for a statement behind a leaf, nil where it is in no final block yet.
func (m *member) find(msg *signer.Message, from uint64) (*outcome, error) {
	r, note, signed, err := openFinal(m.dir, m.policy)
	if errors.Is(err, errNoFinal) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	at, err := search(r, msg, from, signed.Size)
	if err != nil || at == nil && from > 0 {
		return nil, err
	}
	lives, err := ledger.LivesOf(r, signed.Size)
	if err != nil {
		return nil, err
	}
	change, err := audit.ReadKeyChange(msg)
	if err != nil {
		return nil, err
	}
	if at == nil {
		if at, err = admitted(r, lives, msg, change); at == nil {
			return nil, err
		}
	}
	o := &outcome{leaf: *at, effective: true}
	if o.height, err = heightOf(r, *at); err != nil {
		return nil, err
	}
	for _, w := range lives.Waiting {
		if w.Ends == change.Ends && w.Begins == change.Begins && w.Reason == change.Reason {
			o.effective, o.voters = false, len(w.Oracles)
		}
	}
	if o.effective && !change.Begins.IsZero() {
		o.approval, err = m.approval(r, note, signed.Checkpoint, *at)
	}
	return o, err
}

// admitted finds where another oracle, or this one with its keys of before, has admitted a
// key by the very same request: there is nothing to state then, and the approval of it can
// be had from whoever is in force. It is nil where nobody has.
func admitted(r *store.Reader, lives *ledger.Lives, msg *signer.Message, change *audit.KeyChange) (*uint64, error) {
	for i := range lives.Keys {
		k := &lives.Keys[i]
		if k.To != nil || change.Begins.IsZero() || k.Key != change.Begins {
			continue
		}
		leaf, err := r.Leaf(k.From.Leaf)
		if err != nil {
			return nil, err
		}
		if s, err := signer.Parse(leaf); err == nil && s.Type == msg.Type && string(s.Payload) == string(msg.Payload) {
			return &k.From.Leaf, nil
		}
	}
	return nil, nil
}

// search finds the statement among the leaves, or the outcome that it was refused.
func search(r *store.Reader, msg *signer.Message, from, to uint64) (at *uint64, err error) {
	identity := msg.Hash()
	err = r.Leaves(from, max(from, to), func(i uint64, leaf []byte) error {
		switch entry.KindOf(leaf) {
		case entry.LeafStatement:
			// What this oracle has stated once it need not state again, whenever it signed.
			if s, err := signer.Parse(leaf); err == nil && s.Type == msg.Type && s.KeyID == msg.KeyID && string(s.Payload) == string(msg.Payload) {
				at = &i
			}
		case entry.LeafOutcome:
			o, err := entry.ParseOutcome(leaf)
			if err == nil && o.Kind == entry.OutcomeRefused && o.Hash == identity && at == nil {
				field := ""
				if o.Detail != "" {
					field = " (" + o.Detail + ")"
				}
				return fmt.Errorf("the ledger refused it: %s%s: %s", o.Code, field, entry.Reason(o.Code).Remedy())
			}
		}
		return nil
	})
	return at, err
}

func heightOf(r *store.Reader, leaf uint64) (uint64, error) {
	last, _ := r.Last()
	low, high := uint64(0), last.Height
	for low < high {
		mid := (low + high) / 2
		b, err := r.BlockAt(mid)
		if err != nil {
			return 0, err
		}
		if b.Size > leaf {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low, nil
}

// approval is what the gateway takes: the charter and the enrolment, proven, with the
// policy of the oracles that the checkpoint is of and how they follow the charter's.
func (m *member) approval(r *store.Reader, note []byte, cp block.Checkpoint, leaf uint64) ([]byte, error) {
	charter, err := ledger.LogProof(r, note, cp, 0)
	if err != nil {
		return nil, err
	}
	enrolment, err := ledger.LogProof(r, note, cp, leaf)
	if err != nil {
		return nil, err
	}
	a := enrol.Approval{Charter: charter, Enrolment: enrolment}
	if a.Policy, a.History, err = m.inForce(r, cp.Size); err != nil {
		return nil, err
	}
	if err := m.certify(&a); err != nil {
		return nil, err
	}
	b := a.Encode()
	if len(b) > enrol.MaxApproval {
		return nil, fmt.Errorf("the approval has %d bytes, over the limit of %d, as the oracles changed %d times", len(b), enrol.MaxApproval, len(a.History))
	}
	return b, nil
}

// inForce returns the policy that is good for a checkpoint of so many leaves, and the
// handovers by which the charter's oracles led to it.
func (m *member) inForce(r *store.Reader, size uint64) (*block.Policy, []*handover.Handover, error) {
	list, err := ledger.HistoryOf(r)
	if err != nil {
		return nil, nil, err
	}
	spans, err := handover.Follow(m.policy, list)
	if err != nil {
		return nil, nil, err
	}
	if len(spans) != len(list)+1 {
		return nil, nil, errors.New("the handovers that the oracle keeps do not begin with the charter's oracles: look with 'wattmark ledger check'")
	}
	for i := range spans {
		if s := &spans[i]; s.Until == 0 || size <= s.Until {
			return s.Policy, list[:i], nil
		}
	}
	return nil, nil, errors.New("internal error: no oracles are in force")
}
