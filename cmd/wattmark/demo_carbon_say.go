package main

import (
	"context"
	"fmt"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// speaker is who signs entries of carbon accounting.
type speaker struct {
	key        signer.Signer
	role, name string
}

// heard is what became of a statement.
type heard struct {
	leaf   uint64
	bodies []entry.Body
	reason entry.Reason // why it was refused, empty where it was not
	detail string
}

// body returns an outcome of a statement, false where it had none of that kind.
func body[T entry.Body](h heard) (found T, ok bool) {
	for _, b := range h.bodies {
		if v, is := b.(T); is {
			return v, true
		}
	}
	return found, false
}

// vote has as many oracles as change a rule state the same.
func (a *accounts) vote(ctx context.Context, c entry.Carbon) error {
	payload, err := entry.EncodeCarbon(c)
	if err != nil {
		return err
	}
	for i, n := range a.d.cluster.nodes[:a.d.cluster.charter.Governance] {
		statement, err := n.Sign(c.Type(), payload)
		if err == nil {
			err = n.Submit(ctx, statement)
		}
		if err != nil {
			return fmt.Errorf("oracle %d: %w", i+1, err)
		}
	}
	return nil
}

// say puts an entry of a party into the order, and returns what became of it.
func (a *accounts) say(ctx context.Context, who speaker, c entry.Carbon) (heard, error) {
	payload, err := entry.EncodeCarbon(c)
	if err != nil {
		return heard{}, err
	}
	id := who.key.Public().ID()
	claims := entry.Claims{Issuer: "urn:wattmark:" + who.role + ":" + who.name, Audience: a.d.cluster.charter.Origin, IssuedAt: a.d.clock.Now().Unix()}
	a.mu.Lock()
	a.counts[id]++ // of a statement that is refused, too: a number is signed once
	claims.Sequence = entry.Sequence{Boot: a.boot, Count: a.counts[id]}
	a.mu.Unlock()
	said, err := claims.Encode()
	if err != nil {
		return heard{}, err
	}
	statement, err := signer.Sign(who.key, signer.Header{Type: c.Type(), ContentType: entry.ContentCBOR, Claims: said}, payload)
	if err != nil {
		return heard{}, err
	}
	m, err := signer.Parse(statement)
	if err != nil {
		return heard{}, err
	}
	answer := make(chan heard, 1)
	a.mu.Lock()
	a.waiting[m.Hash()] = answer
	a.mu.Unlock()
	if err := a.d.cluster.nodes[0].Submit(ctx, statement); err != nil {
		return heard{}, err
	}
	select {
	case h := <-answer:
		return h, nil
	case <-ctx.Done():
		return heard{}, ctx.Err()
	}
}

// news looks for what became of the statements that are waited for. The first oracle's
// observer calls it, of every block.
func (a *accounts) news(b *ledger.Block) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		return
	}
	answer := func(id [32]byte, h heard) {
		if c, ok := a.waiting[id]; ok {
			delete(a.waiting, id)
			c <- h // there is room
		}
	}
	for k := range b.Result.Accepted {
		m, err := signer.Parse(b.Result.Leaves[k])
		if err != nil || a.waiting[m.Hash()] == nil {
			continue
		}
		h := heard{leaf: b.Header.First + uint64(k)}
		for _, leaf := range b.Result.Leaves[len(b.Result.Accepted):] {
			if v := bodyAbout(leaf, h.leaf); v != nil {
				h.bodies = append(h.bodies, v)
			}
		}
		answer(m.Hash(), h)
	}
	for _, leaf := range b.Result.Refusals {
		if o, err := entry.ParseOutcome(leaf); err == nil && o.Kind == entry.OutcomeRefused {
			answer(o.Hash, heard{reason: entry.Reason(o.Code), detail: o.Detail})
		}
	}
}

// bodyAbout returns the body of an outcome of carbon accounting that follows from the
// statement at a leaf, nil for another one.
func bodyAbout(outcome []byte, leaf uint64) entry.Body {
	o, err := entry.ParseOutcome(outcome)
	if err != nil || o.Body == nil {
		return nil
	}
	b, err := o.ParseBody()
	if err != nil {
		return nil
	}
	var of uint64
	switch v := b.(type) {
	case *entry.Certified:
		of = v.Leaf
	case *entry.Moved:
		of = v.Leaf
	case *entry.Stated:
		of = v.Leaf
	case *entry.Issued:
		of = v.Leaf
	default:
		return nil
	}
	if of != leaf {
		return nil
	}
	return b
}
func orRefused(err error, h heard) error {
	if err == nil {
		err = fmt.Errorf("a statement was refused: %s %s", h.reason, h.detail)
	}
	return err
}
