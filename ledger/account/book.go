package account

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"wattmark/ledger/unit"
)

// Errors of [Book.Post] that callers tell apart; each is wrapped with the asset or
// account it is about. An amount or balance beyond int64 is [unit.ErrOverflow], a
// bad name [ErrInvalid].
var (
	// ErrUnbalanced is returned for legs that do not add up to zero.
	ErrUnbalanced = errors.New("legs do not add up to zero")
	// ErrBalance is returned for a balance that the kind of account may not have,
	// such as a holding below zero.
	ErrBalance = errors.New("balance not allowed")
	// ErrFinal is returned for taking from an account that never gives back.
	ErrFinal = errors.New("account is final")
)

// Leg is an amount put on an account, or taken from it if negative.
type Leg struct {
	Account ID
	Amount  unit.Amount
}

// Book is all balances. The zero Book is empty and ready to use. It has one owner:
// no method may run beside another.
type Book struct {
	entries map[string]entry // by stored key; no balance in it is zero
	changed map[string]struct{}
}

type entry struct {
	id      ID
	balance unit.Amount
}

// Post carries out a posting whole, or returns an error and changes nothing. Legs
// may come in any order, and several on one account count as their sum.
func (b *Book) Post(legs ...Leg) error {
	moves, err := net(legs)
	if err != nil {
		return err
	}
	if err := balanced(moves); err != nil {
		return err
	}
	for i := range moves {
		m := &moves[i]
		if m.after, err = unit.Add(b.entries[m.key].balance, m.amount); err != nil {
			return fmt.Errorf("account: %s: %w", m.id, err)
		}
		if err := m.check(); err != nil {
			return err
		}
	}
	for _, m := range moves {
		if m.amount != 0 {
			b.set(m.key, m.id, m.after)
		}
	}
	return nil
}

// Transfer posts an amount from one account to another. A negative amount is
// refused as [ErrInvalid]: it would be a transfer the other way.
func (b *Book) Transfer(from, to ID, amount unit.Amount) error {
	if amount < 0 {
		return fmt.Errorf("account: transfer of %d from %s: %w", amount, from, ErrInvalid)
	}
	return b.Post(Leg{from, -amount}, Leg{to, amount})
}

// Balance returns the balance of an account, zero for one never posted to.
func (b *Book) Balance(id ID) unit.Amount {
	if id.Check() != nil {
		return 0
	}
	var buf [3 + 2*MaxName]byte
	return b.entries[string(id.appendKey(buf[:0]))].balance
}

// All returns the accounts with a balance, in order of their stored keys: by class,
// asset, kind and owner. The book must not change meanwhile.
func (b *Book) All() iter.Seq2[ID, unit.Amount] {
	return func(yield func(ID, unit.Amount) bool) {
		for _, key := range slices.Sorted(maps.Keys(b.entries)) {
			if e := b.entries[key]; !yield(e.id, e.balance) {
				return
			}
		}
	}
}

// Check returns an error unless every balance is one that its kind of account may
// have and the balances of each asset add up to zero. Post keeps this true, so an
// error after Post is a fault of this package, and one after Load a fault of the
// pairs.
func (b *Book) Check() error {
	var moves []move
	for id, balance := range b.All() {
		if !id.Kind.allows(balance) {
			return fmt.Errorf("account: %s at %d: %w", id, balance, ErrBalance)
		}
		moves = append(moves, move{id: id, amount: balance})
	}
	return balanced(moves)
}

func (b *Book) set(key string, id ID, balance unit.Amount) {
	if b.entries == nil {
		b.entries = make(map[string]entry)
	}
	if b.changed == nil {
		b.changed = make(map[string]struct{})
	}
	if balance == 0 {
		delete(b.entries, key)
	} else {
		b.entries[key] = entry{id, balance}
	}
	b.changed[key] = struct{}{}
}

// move is what a posting does to one account.
type move struct {
	key           string
	id            ID
	amount, after unit.Amount
}

// check returns an error unless the account may make the move.
func (m *move) check() error {
	if m.amount < 0 && kinds[m.id.Kind].final {
		return fmt.Errorf("account: posting %d on %s: %w", m.amount, m.id, ErrFinal)
	}
	// A move of nothing is no offence, whatever the balance.
	if m.amount != 0 && !m.id.Kind.allows(m.after) {
		return fmt.Errorf("account: %s would be at %d: %w", m.id, m.after, ErrBalance)
	}
	return nil
}

// net checks the legs and adds up those on one account. The moves come in order of
// their keys, so that nothing, errors included, depends on the order of the legs.
func net(legs []Leg) ([]move, error) {
	all := make([]move, len(legs))
	var buf [3 + 2*MaxName]byte
	for i, l := range legs {
		all[i] = move{key: string(l.Account.appendKey(buf[:0])), id: l.Account, amount: l.Amount}
	}
	slices.SortFunc(all, func(a, b move) int { return cmp.Compare(a.key, b.key) })
	moves := all[:0]
	var err error
	for from := 0; from < len(all); {
		m := all[from]
		if err := m.id.Check(); err != nil {
			return nil, err
		}
		to := from + 1
		for to < len(all) && all[to].key == m.key {
			to++
		}
		if m.amount, err = sum(all[from:to]); err != nil {
			return nil, fmt.Errorf("account: legs on %s: %w", m.id, err)
		}
		moves = append(moves, m)
		from = to
	}
	return moves, nil
}

// balanced returns an error unless moves, sorted by asset, are zero in each.
func balanced(moves []move) error {
	for from := 0; from < len(moves); {
		asset := moves[from].id.Asset
		to := from + 1
		for to < len(moves) && moves[to].id.Asset == asset {
			to++
		}
		// A sum too large for int64 is not zero either.
		if total, err := sum(moves[from:to]); err != nil || total != 0 {
			return fmt.Errorf("account: %s is off by %d: %w", asset, total, ErrUnbalanced)
		}
		from = to
	}
	return nil
}

// sum adds up amounts, in a width that their order cannot overflow.
func sum(moves []move) (unit.Amount, error) {
	if len(moves) == 1 {
		return moves[0].amount, nil
	}
	amounts := make([]unit.Amount, len(moves))
	for i, m := range moves {
		amounts[i] = m.amount
	}
	return unit.Sum(amounts...)
}
