package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger/block"
	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// lifeEvent is one thing that happened to a block of units or a bundle of certificates.
type lifeEvent struct {
	ID     string `json:"id"` // it, or what it is a part of
	Time   string `json:"time"`
	What   string `json:"what"` // the entry's type
	By     string `json:"by"`
	Status string `json:"status"`
	Owner  string `json:"owner"`
	First  int64  `json:"first_serial"`
	Last   int64  `json:"last_serial"`
	Leaf   uint64 `json:"leaf"` // of the entry
	Note   string `json:"note,omitempty"`

	moved *entry.Moved // nil for what made it
}

func newCarbonHistory() *cobra.Command {
	var f carbonFlags
	c := &cobra.Command{
		Use:   "history ID --dir DIR",
		Short: "Tell the life of a block of units or a bundle of certificates",
		Long: `History tells from the oracle's final blocks what happened to a block of units
or a bundle of certificates, and before a split to what it was part of: issued,
split, passed on, retired or claimed, when, by whose entry, and whose it was
then. 'wattmark carbon prove' makes the evidence for it.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: "  wattmark carbon history u-700-1 --dir DIR",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("give one ID: of a block or a bundle, as 'carbon units' and 'carbon certificates' list them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			events, err := m.lifeOf(cmd, args[0])
			if err != nil {
				return failed(err)
			}
			p, e := newPage(cmd.OutOrStdout()), json.NewEncoder(cmd.OutOrStdout())
			for i := range events {
				v := &events[i]
				if f.asJSON {
					if err := e.Encode(v); err != nil {
						return failed(err)
					}
					continue
				}
				p.line(2, "%s  %s by %s", v.Time, v.What, v.By)
				p.line(6, "    %s: %s, %s, serials %d to %d (leaf %d)", v.ID, strings.ToLower(v.Status), v.Owner, v.First, v.Last, v.Leaf)
				if v.Note != "" {
					p.line(6, "    %s", v.Note)
				}
			}
			return failed(p.err)
		},
	}
	f.add(c)
	return c
}

// lifeOf reads a ledger for the events of an id and of what it is part of, in their order.
func (m *member) lifeOf(cmd *cobra.Command, id string) ([]lifeEvent, error) {
	s, _, err := replayed(cmd.Context(), m.dir, m.policy)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]lifeEvent) // by id
	said := make(map[uint64]*signer.Message)
	var waits []lifeEvent // of the block that is being read, whose time its header tells
	err = m.finalLeaves(func(i uint64, leaf []byte) error {
		switch entry.KindOf(leaf) {
		case entry.LeafStatement:
			if msg, err := signer.Parse(leaf); err == nil && entry.IsCarbon(msg.Type) {
				said[i] = msg
			}
		case entry.LeafOutcome:
			waits = append(waits, eventsOf(leaf)...)
		case entry.LeafHeader:
			h, err := block.ParseHeader(leaf)
			if err != nil {
				return err
			}
			for _, v := range waits {
				v.Time = seconds(h.Time / 1000)
				all[v.ID] = append(all[v.ID], v)
			}
			waits = waits[:0]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(all[id]) == 0 {
		return nil, fmt.Errorf("no block and no bundle is called %q: 'wattmark carbon units' and 'wattmark carbon certificates --all' list them", id)
	}
	out := all[id]
	for first := out[0]; first.moved != nil; first = out[0] {
		parent := ""
		for _, p := range first.moved.Moves {
			if p.Status == carbon.Split.String() && p.ID != first.ID && p.First <= first.First && first.Last <= p.Last {
				parent = p.ID
			}
		}
		before := slices.DeleteFunc(slices.Clone(all[parent]), func(v lifeEvent) bool { return v.Leaf > first.Leaf })
		if len(before) == 0 || before[0].Leaf >= first.Leaf {
			break
		}
		out = append(before, out...)
	}
	for i := range out {
		v := &out[i]
		msg := said[v.Leaf]
		if msg == nil {
			continue
		}
		v.What = strings.TrimSuffix(strings.TrimPrefix(msg.Type, typePrefix), typeSuffix)
		if party, ok := s.Party(msg.KeyID); ok {
			v.By = party.Role + " " + party.Name
		}
		v.Note = noteOf(msg)
	}
	return out, nil
}

// eventsOf reads what an outcome says of blocks and bundles.
func eventsOf(leaf []byte) (out []lifeEvent) {
	o, err := entry.ParseOutcome(leaf)
	if err != nil || o.Body == nil {
		return nil
	}
	body, err := o.ParseBody()
	if err != nil {
		return nil
	}
	of := func(m entry.Move, at uint64, moved *entry.Moved) {
		out = append(out, lifeEvent{ID: m.ID, Status: m.Status, Owner: m.Owner, First: m.First, Last: m.Last, Leaf: at, moved: moved})
	}
	switch b := body.(type) {
	case *entry.Issued:
		for _, m := range b.Blocks {
			of(m, b.Leaf, nil)
		}
	case *entry.Certified:
		of(entry.Move{ID: b.ID, Status: carbon.CertificateActive.String(), Owner: b.Owner, First: b.First, Last: b.First + b.Wh - 1}, b.Leaf, nil)
	case *entry.Moved:
		for _, m := range b.Moves {
			of(m, b.Leaf, b)
		}
	}
	return out
}

// noteOf is what an entry says beside what it does.
func noteOf(msg *signer.Message) string {
	c, err := entry.ParseCarbon(msg.Type, msg.Payload)
	if err != nil {
		return ""
	}
	switch c := c.(type) {
	case *entry.UnitRetire:
		return fmt.Sprintf("for %s, %s to %s: %s", c.Beneficiary, seconds(c.From), seconds(c.To), c.Reason)
	case *entry.UnitCancel:
		return c.Reason
	case *entry.Reversal:
		return c.Reason
	case *entry.Restatement:
		return c.Reason
	case *entry.FirstTransfer:
		return "to " + c.Acquirer + ", with the adjustments of both countries"
	case *entry.GCCancel:
		return "for " + c.Beneficiary
	case *entry.GCClaim:
		return fmt.Sprintf("for the load %s, %s to %s", c.Load, seconds(c.From), seconds(c.To))
	case *entry.StorageCharge:
		return fmt.Sprintf("into the storage %s, %s to %s", c.Storage, seconds(c.From), seconds(c.To))
	}
	return ""
}
