package oracle

import (
	"context"
	"fmt"
	"slices"

	"wattmark/ledger/state"
)

// forgetter is a store of packs that can delete one for good.
type forgetter interface {
	Delete(ctx context.Context, digest [32]byte) error
}

// forgetRest deletes what a run before this one was killed over.
func (n *Node) forgetRest(ctx context.Context) error {
	points, err := n.ledger.ToForget()
	if err != nil {
		return err
	}
	return n.forget(ctx, points)
}

// forgetNow deletes the packs of metering points that a block, which is durable,
// closed.
func (n *Node) forgetNow(ctx context.Context, subjects []string) error {
	points, err := n.ledger.ToForget()
	if err != nil {
		return err
	}
	return n.forget(ctx, slices.DeleteFunc(points, func(p state.ForgottenPoint) bool { return !slices.Contains(subjects, p.Subject) }))
}

// forget deletes packs where they wait for oracles, and then in this oracle's vault,
// by which it knows which they are. Packs that no vault has yet are on their way to a
// block before this one, or to none.
func (n *Node) forget(ctx context.Context, points []state.ForgottenPoint) error {
	for _, p := range points {
		digests, err := n.ledger.PacksOf(p.Subject)
		if err != nil {
			return fmt.Errorf("forgetting by leaf %d: %w", p.Leaf, err)
		}
		if f, ok := n.cfg.Packs.(forgetter); ok {
			for _, d := range digests {
				if err := f.Delete(ctx, d); err != nil {
					return fmt.Errorf("forgetting by leaf %d: %w", p.Leaf, err)
				}
			}
		}
	}
	packs, err := n.ledger.Forget(points)
	if err != nil {
		return fmt.Errorf("forgetting: %w", err)
	}
	for _, p := range points {
		n.cfg.Log.Info("forgot the packs of a metering point", "leaf", p.Leaf, "packs_in_all", packs)
	}
	return nil
}
