package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// BillEvidence makes the evidence for one member's line of a settled interval, under a
// final checkpoint: the outcome, the line and the totals with their proofs, the readings
// at both ends with their packs and the lives of their keys, the member's admission, and
// the clearing with its orders and beacon. It shows nobody else's energy. st is the state
// at the checkpoint; packs gives the preimages of committed packs.
func BillEvidence(src Source, note []byte, cp block.Checkpoint, st *state.State, member string, at unit.Interval, packs func(digest []byte) []byte) (*audit.Evidence, error) {
	about, ok := st.Member(member)
	if !ok {
		return nil, fmt.Errorf("%w: %q is no member", state.ErrNoLine, member)
	}
	d, err := st.Disclose(about.Zone, member, at)
	if err != nil {
		return nil, err
	}
	b := billing{src: src, size: cp.Size, d: d, member: member, packs: packs, want: map[uint64]bool{0: true}}
	if err := b.search(); err != nil {
		return nil, err
	}
	e, err := assemble(src, note, cp, b.claim, b.want)
	if err != nil {
		return nil, err
	}
	e.Disclosures = b.disclosures
	e.Lines = []audit.Shown{
		{Index: d.TotalsProof.Index, Line: d.Totals, Path: d.TotalsProof.Path},
		{Index: d.LineProof.Index, Line: d.Line, Path: d.LineProof.Path},
	}
	return e, nil
}

// billing is what is looked for in the leaves, and what was found.
type billing struct {
	src         Source
	size        uint64
	d           *state.Disclosure
	member      string
	packs       func([]byte) []byte
	want        map[uint64]bool
	claim       uint64
	disclosures [][]byte
	messages    []*signer.Message
	orders      map[string]uint64 // the last of each member and side, and the last seal
}

func (b *billing) search() error {
	s := &b.d.Settled
	settled, cleared := []byte(entry.OutcomeSettled), []byte(entry.OutcomeCleared)
	readingType, orderTypes, memberType := []byte(entry.TypeReading), [][]byte{[]byte(entry.TypeOrder), []byte(entry.TypeSealedOrder), []byte(entry.TypeOpenedOrder)}, []byte(entry.TypeMember)
	b.orders = make(map[string]uint64)
	err := b.src.Leaves(0, b.size, func(i uint64, leaf []byte) error {
		switch entry.KindOf(leaf) {
		case entry.LeafHeader:
			if block.LeafHash(leaf) == s.Beacon {
				b.want[i] = true
			}
		case entry.LeafOutcome:
			if bytes.Contains(leaf, settled) || bytes.Contains(leaf, cleared) {
				return b.outcome(i, leaf)
			}
		case entry.LeafStatement:
			if bytes.Contains(leaf, readingType) || bytes.Contains(leaf, memberType) ||
				slices.ContainsFunc(orderTypes, func(t []byte) bool { return bytes.Contains(leaf, t) }) {
				return b.statement(i, leaf)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if b.claim == 0 {
		return fmt.Errorf("%w: the settlement of %s is not under the checkpoint", ErrNotFinal, s.Interval)
	}
	for _, i := range b.orders {
		b.want[i] = true
	}
	if len(b.messages) < len(b.d.Readings) {
		return errors.New("a reading that the interval rests on is not among the leaves")
	}
	for _, m := range b.messages {
		if err := keyHistory(b.src, b.size, m.KeyID, b.want); err != nil {
			return err
		}
		if err := calibrations(b.src, b.size, (&audit.Evidence{Disclosures: b.disclosures}).Pack(m), b.want); err != nil {
			return err
		}
		if err := firmware(b.src, b.size, m, b.want); err != nil {
			return err
		}
	}
	return closingHeader(b.src, b.size, b.claim, b.want)
}

func (b *billing) outcome(i uint64, leaf []byte) error {
	o, err := entry.ParseOutcome(leaf)
	if err != nil || o.Body == nil {
		return nil // what only names the word
	}
	body, err := o.ParseBody()
	if err != nil {
		return err
	}
	s := &b.d.Settled
	switch v := body.(type) {
	case *entry.Settled:
		if v.Zone == s.Zone && v.Interval == s.Interval && v.Version == s.Version && v.Root == s.Root {
			b.claim, b.want[i] = i, true
		}
	case *entry.Cleared:
		if v.Zone == s.Zone && v.Interval == s.Interval {
			b.want[i] = true
		}
	}
	return nil
}

func (b *billing) statement(i uint64, leaf []byte) error {
	m, err := signer.Parse(leaf)
	if err != nil {
		return nil
	}
	s := &b.d.Settled
	switch m.Type {
	case entry.TypeReading:
		if !slices.Contains(b.d.Readings, m.Hash()) {
			return nil
		}
		b.want[i] = true
		b.messages = append(b.messages, m)
		if !m.Hidden() || b.packs == nil {
			return nil
		}
		if p := b.packs(m.Payload); p != nil {
			b.disclosures = append(b.disclosures, p)
		}
	case entry.TypeOrder, entry.TypeOpenedOrder:
		o, err := entry.OrderIn(m.Type, m.Payload)
		if err == nil && o.Zone == s.Zone && o.Interval == s.Interval {
			b.orders[fmt.Sprintf("%s %d", o.Member, o.Side)] = i
		}
	case entry.TypeSealedOrder:
		o, err := entry.ParseSealedOrder(m.Payload)
		if err == nil && o.Zone == s.Zone && o.Interval == s.Interval {
			b.orders[fmt.Sprintf("seal of %s %d", o.Member, o.Side)] = i
		}
	case entry.TypeMember:
		if audit.Admits(leaf) == b.member {
			b.want[i] = true
		}
	}
	return nil
}
