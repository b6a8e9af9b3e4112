package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/ledger/unit"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// trader is a member of a zone at work: an oracle to reach the ledger by, and the
// member's own key.
type trader struct {
	*member
	key signer.Signer
	numbers
	state *state.State
	about state.MemberInfo
}

type traderFlags struct {
	memberFlags
	key string
}

func (f *traderFlags) add(c *cobra.Command) {
	f.memberFlags.add(c)
	c.Flags().StringVar(&f.key, "key", "", "`FILE` with the member's key, as 'wattmark member join' made it")
}

// open finds out which member of the ledger the key is.
func (f *traderFlags) open(ctx context.Context) (*trader, error) {
	if f.key == "" {
		return nil, &exitError{exitUsage, errors.New("give --key FILE: the member's own key")}
	}
	m, err := f.memberFlags.open()
	if err != nil {
		return nil, err
	}
	key, err := keyfile.Load(f.key)
	if err != nil {
		return nil, err
	}
	t := &trader{member: m, key: key, numbers: numbers{f.key}}
	if t.state, _, err = replayed(ctx, m.dir, m.policy); err != nil {
		return nil, err
	}
	p, ok := t.state.Party(key.Public().ID())
	if !ok || p.Role != state.RoleMember {
		return nil, fmt.Errorf("key %v is of no member of %s: let an operator admit it with 'wattmark member admit'", key.Public().ID(), m.charter.Origin)
	}
	t.about, _ = t.state.Member(p.Name)
	return t, nil
}

// sign signs an entry of the member with its next number.
func (t *trader) sign(typ string, payload []byte) ([]byte, error) {
	count, err := t.next(t.state.NextCount(t.key.Public().ID(), 1))
	if err != nil {
		return nil, err
	}
	c := entry.Claims{
		Issuer: "urn:wattmark:member:" + t.about.Member, Audience: t.charter.Origin, IssuedAt: t.now() / 1000,
		Sequence: entry.Sequence{Boot: 1, Count: count},
	}
	claims, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(t.key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: claims}, payload)
}

// now is the time of the ledger in Unix milliseconds: of a demonstration's the last
// block's, whose clock is not the world's.
func (t *trader) now() int64 {
	if t.charter.Simulated {
		return t.state.Time()
	}
	return time.Now().UnixMilli()
}

// blockTime is the time of the oracle's last block in Unix milliseconds.
func (m *member) blockTime() (int64, error) {
	r, _, err := store.OpenReader(m.dir)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	leaf, err := r.Leaf(r.Size() - 1)
	if err != nil {
		return 0, err
	}
	h, err := block.ParseHeader(leaf)
	if err != nil {
		return 0, err
	}
	return h.Time, nil
}

// put brings a member's entry onto the ledger, and returns where it is for good.
func (t *trader) put(ctx context.Context, typ string, payload []byte) (leaf, height uint64, err error) {
	statement, err := t.sign(typ, payload)
	if err != nil {
		return 0, 0, err
	}
	return t.member.put(ctx, statement)
}

// put brings a statement onto the ledger over the oracle's broker, and returns where it
// is for good.
func (m *member) put(ctx context.Context, statement []byte) (leaf, height uint64, err error) {
	err = m.putAll(ctx, [][]byte{statement}, func(_ int, l, h uint64) error {
		leaf, height = l, h
		return nil
	})
	return leaf, height, err
}

// putAll brings statements onto the ledger in their order and in one message, which bounds
// what they come to, and tells where each is for good. It ends with the first that is
// refused; those behind it are in the order all the same.
func (m *member) putAll(ctx context.Context, statements [][]byte, final func(i int, leaf, height uint64) error) error {
	l, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer l.conn.Close()
	ctx, cancel := context.WithTimeout(ctx, finalWithin)
	defer cancel()
	from, err := m.newFrom(statements...)
	if err != nil {
		return err
	}
	if err := l.submit(ctx, statements...); err != nil {
		return err
	}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for i, statement := range statements {
		msg, err := signer.Parse(statement)
		if err != nil {
			return err
		}
		for {
			leaf, height, ok, err := m.finalAt(msg, from)
			if err != nil {
				return err
			}
			if ok {
				if err := final(i, leaf, height); err != nil {
					return err
				}
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("it is in the order, and in no final block after %v: whether it will be is not known: see that a quorum of oracles runs, and look with 'wattmark market orders'", finalWithin)
			case <-poll.C:
			}
		}
	}
	return nil
}

// lately is how many leaves the ledger is taken to grow by in a second at most, in which
// the same words have the same bytes.
const lately = 1 << 14

// newFrom is the leaf from which on statements are to be looked for that are not on the
// ledger yet, and an error where one of them is, byte for byte: the broker keeps one of
// two equal messages, so that the second would be waited for in vain.
func (m *member) newFrom(statements ...[]byte) (uint64, error) {
	r, _, err := store.OpenReader(m.dir)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	size := r.Size()
	err = r.Leaves(size-min(size, lately), size, func(i uint64, leaf []byte) error {
		for _, statement := range statements {
			if bytes.Equal(leaf, statement) {
				return fmt.Errorf("it is on the ledger already, as leaf %d: %s: %s", i, entry.ReasonAlreadyKnown, entry.ReasonAlreadyKnown.Remedy())
			}
		}
		return nil
	})
	return size, err
}

// finalAt looks for a statement in the final blocks behind a leaf.
func (m *member) finalAt(msg *signer.Message, from uint64) (leaf, height uint64, ok bool, err error) {
	r, _, signed, err := openFinal(m.dir, m.policy)
	if errors.Is(err, errNoFinal) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, err
	}
	defer r.Close()
	at, err := search(r, msg, from, signed.Size)
	if err != nil || at == nil {
		return 0, 0, false, err
	}
	height, err = heightOf(r, *at)
	return *at, height, true, err
}

// parseSpan reads the flags --from and --to of commands about intervals.
func parseSpan(from, to string) (unit.Interval, unit.Interval, error) {
	first, last := unit.Interval(0), unit.LastInterval
	var err error
	if from != "" {
		if first, err = unit.ParseInterval(from); err != nil {
			return 0, 0, &exitError{exitUsage, fmt.Errorf("--from: %w", err)}
		}
	}
	if to != "" {
		if last, err = unit.ParseInterval(to); err != nil {
			return 0, 0, &exitError{exitUsage, fmt.Errorf("--to: %w", err)}
		}
	}
	return first, last, nil
}

// parseMonth reads --month, as 2026-06, as a span of intervals.
func parseMonth(month string) (unit.Interval, unit.Interval, error) {
	t, err := time.Parse("2006-01", month)
	if err != nil {
		return 0, 0, &exitError{exitUsage, fmt.Errorf("--month %q, want the form 2026-06", month)}
	}
	from, err1 := unit.IntervalAt(t.Unix())
	to, err2 := unit.IntervalAt(t.AddDate(0, 1, 0).Unix())
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, &exitError{exitUsage, err}
	}
	return from, to, nil
}
