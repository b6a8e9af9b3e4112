package state

import (
	"wattmark/ledger/account"
	"wattmark/ledger/unit"
)

// bookPrefix is before the keys of accounts among the records of the state. Their
// values are account's own.
const bookPrefix = 'b'

// post moves value. It is the one way in which a rule of the ledger does.
func (s *State) post(legs ...account.Leg) error { return s.book.Post(legs...) }

// bookChanges are the pairs of accounts as records of the state.
func bookChanges(pairs []account.Change) []Change {
	out := make([]Change, len(pairs))
	for i, p := range pairs {
		out[i] = Change{Key: append([]byte{bookPrefix}, p.Key...), Value: p.Value}
	}
	return out
}

// Balance returns what an account holds, zero for one never posted to.
func (s *State) Balance(id account.ID) unit.Amount { return s.book.Balance(id) }

// Accounts calls fn with every account that has a balance, in order of their stored
// keys.
func (s *State) Accounts(fn func(account.ID, unit.Amount)) {
	for id, balance := range s.book.All() {
		fn(id, balance)
	}
}
