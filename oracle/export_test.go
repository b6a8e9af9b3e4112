package oracle

import (
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
)

// Limits returns where the node cuts its next block, in leaves and in bytes.
func (n *Node) Limits() (leaves, bytes int) {
	n.ledger.View(func(s *state.State) {
		c := newCutter(s)
		leaves, bytes = c.leaves, c.most
	})
	return leaves, bytes
}

// MaxOwed bounds the receipts that are owed.
const MaxOwed = maxOwed

// Owed is what conclude owes.
type Owed struct{ c concluding }

// Owe notes receipts for the leaves from from to to, and returns how many were let
// go, and which are owed.
func (o *Owed) Owe(from, to uint64) (lost int, first, last uint64, n int) {
	var list []answer
	for i := from; i < to; i++ {
		list = append(list, answer{"home-1", entry.Sequence{Boot: 1, Count: i + 1}, i})
	}
	lost = o.c.owe(list...)
	return lost, o.c.owed[0].index, o.c.owed[len(o.c.owed)-1].index, len(o.c.owed)
}
