package audit

import (
	"fmt"
	"slices"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// clearAgain holds the interval's auction again, over the orders in the file: the root of
// its fills covers all that there were.
func (e *Evidence) clearAgain(s *entry.Settled, line *entry.Line) (string, error) {
	cleared := e.cleared(s)
	if cleared == nil {
		return "", fmt.Errorf("%w: the file does not hold the clearing of the interval", block.ErrProof)
	}
	if cleared.Void != "" {
		return "the auction was void", nil
	}
	if cleared.Beacon != s.Beacon || !e.holdsHeader(s.Beacon) {
		return "", fmt.Errorf("%w: the beacon is not the hash of a header in the file", block.ErrProof)
	}
	book := &market.Book{Zone: s.Zone, Interval: s.Interval, Fee: cleared.Fee}
	for i := range e.Leaves {
		o, opened := orderOf(e.Leaves[i].Leaf, s)
		if opened != nil && !e.sealed(opened, o) {
			return "", fmt.Errorf("%w: the order of %s was opened, and the file holds no seal that it opens", block.ErrProof, o.Member)
		}
		if o != nil {
			book.Restore(state.MarketOrder(o))
		}
	}
	c, err := market.Clear(book.Auction(market.Rule(cleared.Auction), cleared.Beacon))
	if err != nil {
		return "", err
	}
	if root := rootOf(state.FillHashes(c)); root != cleared.Root {
		return "", fmt.Errorf("the auction of the orders in the file is not the one that was cleared")
	}
	var mine market.Position
	for _, p := range c.Positions() {
		if p.Member == line.Member {
			mine = p
		}
	}
	if mine.Sold != line.AuctionSold || mine.Bought != line.AuctionBought {
		return "", fmt.Errorf("the auction sold %d Wh and bought %d Wh for %s, the line says %d and %d", int64(mine.Sold), int64(mine.Bought), line.Member, int64(line.AuctionSold), int64(line.AuctionBought))
	}
	tariff := market.PoolOf(s).Tariff
	loss, err := tariff.LossFee()
	if err != nil || cleared.Fee != tariff.Fee+loss {
		return "", fmt.Errorf("the auction's fee is %d, the tariff's %d", int64(cleared.Fee), int64(tariff.Fee+loss))
	}
	var price *unit.Price
	if c.Open.Volume > 0 && c.Auction().Rule == market.Uniform {
		price = &c.Open.Price
	}
	if (price == nil) != (s.AuctionPrice == nil) || price != nil && *price != *s.AuctionPrice {
		return "", fmt.Errorf("the settlement has another price of the auction")
	}
	return fmt.Sprintf("the auction of %d orders clears the same", cleared.Orders), nil
}

// cleared returns the clearing of a settlement's interval, nil if it is not in the file.
func (e *Evidence) cleared(s *entry.Settled) *entry.Cleared {
	for i := range e.Leaves {
		if c := clearedOf(e.Leaves[i].Leaf, s); c != nil {
			return c
		}
	}
	return nil
}

func clearedOf(leaf []byte, s *entry.Settled) *entry.Cleared {
	if entry.KindOf(leaf) != entry.LeafOutcome {
		return nil
	}
	o, err := entry.ParseOutcome(leaf)
	if err != nil || o.Kind != entry.OutcomeCleared {
		return nil
	}
	body, err := o.ParseBody()
	if err != nil {
		return nil
	}
	if c := body.(*entry.Cleared); c.Zone == s.Zone && c.Interval == s.Interval {
		return c
	}
	return nil
}

// orderOf returns the order in a leaf, nil if it is none for the settlement's interval, and
// what opened it if it was sealed.
func orderOf(leaf []byte, s *entry.Settled) (*entry.Order, *entry.OpenedOrder) {
	if entry.KindOf(leaf) != entry.LeafStatement {
		return nil, nil
	}
	m, err := signer.Parse(leaf)
	if err != nil {
		return nil, nil
	}
	o, err := entry.OrderIn(m.Type, m.Payload)
	if o == nil || err != nil || o.Zone != s.Zone || o.Interval != s.Interval {
		return nil, nil
	}
	if m.Type == entry.TypeOrder {
		return o, nil
	}
	opened, _, err := entry.ParseOpenedOrder(m.Payload)
	if err != nil {
		return nil, nil
	}
	return o, opened
}

// ofAuction reports whether a statement is an order for the settlement's interval, or the
// seal of one.
func ofAuction(m *signer.Message, s *entry.Settled) bool {
	if m.Type == entry.TypeSealedOrder {
		o, err := entry.ParseSealedOrder(m.Payload)
		return err == nil && o.Zone == s.Zone && o.Interval == s.Interval
	}
	o, err := entry.OrderIn(m.Type, m.Payload)
	return o != nil && err == nil && o.Zone == s.Zone && o.Interval == s.Interval
}

// sealed reports whether the file holds the seal that an order was opened from.
func (e *Evidence) sealed(opened *entry.OpenedOrder, o *entry.Order) bool {
	return slices.ContainsFunc(e.Leaves, func(l EvidenceLeaf) bool {
		if entry.KindOf(l.Leaf) != entry.LeafStatement {
			return false
		}
		m, err := signer.Parse(l.Leaf)
		if err != nil || m.Type != entry.TypeSealedOrder {
			return false
		}
		seal, err := entry.ParseSealedOrder(m.Payload)
		return err == nil && seal.Opens(opened, o)
	})
}
