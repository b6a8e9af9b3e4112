package account

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"wattmark/ledger/unit"
)

// Change is one account's pair for the store. A nil Value deletes the key.
type Change struct {
	Key   []byte
	Value []byte
}

// valueSize is the length of every stored balance.
const valueSize = 8

// Changes returns the pairs of all accounts that were posted to since the last call,
// in order of their keys, and forgets that they changed. The caller owns the slices.
func (b *Book) Changes() []Change {
	keys := slices.Sorted(maps.Keys(b.changed))
	clear(b.changed)
	return b.pairs(keys)
}

// Export returns the pairs of all accounts, in order of their keys: what [Book.Load]
// makes the same book of.
func (b *Book) Export() []Change {
	return b.pairs(slices.Sorted(maps.Keys(b.entries)))
}

func (b *Book) pairs(keys []string) []Change {
	pairs := make([]Change, len(keys))
	for i, key := range keys {
		pairs[i].Key = []byte(key)
		if e, ok := b.entries[key]; ok {
			pairs[i].Value = binary.BigEndian.AppendUint64(nil, uint64(e.balance))
		}
	}
	return pairs
}

// Load puts one stored pair into the book; it does not count as a change. It
// returns an error that wraps [ErrInvalid], and changes nothing, for a pair that
// Export would not have written or a key that is there already. Call [Book.Check]
// after the last pair: only all of them together can be balanced.
func (b *Book) Load(key, value []byte) error {
	id, err := parseKey(key)
	if err != nil {
		return err
	}
	if len(value) != valueSize {
		return fmt.Errorf("account: balance of %s in %d bytes, want %d: %w", id, len(value), valueSize, ErrInvalid)
	}
	balance := unit.Amount(binary.BigEndian.Uint64(value))
	if balance == 0 {
		return fmt.Errorf("account: stored balance of %s is zero: %w", id, ErrInvalid)
	}
	if _, ok := b.entries[string(key)]; ok {
		return fmt.Errorf("account: %s is stored twice: %w", id, ErrInvalid)
	}
	if b.entries == nil {
		b.entries = make(map[string]entry)
	}
	b.entries[string(key)] = entry{id, balance}
	return nil
}
