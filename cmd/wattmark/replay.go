package main

import (
	"context"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
)

// replayed executes an oracle's ledger again up to its final checkpoint, with every
// signature and every rule, and returns the state that it comes to. An oracle that runs
// is not disturbed. Opaque is how many committed packs were not there: what rests on them
// is not in the state.
func replayed(ctx context.Context, dir string, p *block.Policy) (st *state.State, opaque uint64, err error) {
	r, _, signed, err := openFinal(dir, p)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	packs, closeVault, err := packsOf(dir)
	if err != nil {
		return nil, 0, err
	}
	defer closeVault()
	a, s, err := execute(ctx, r, signed, packs)
	if err != nil {
		return nil, 0, err
	}
	return a.State(), s.Opaque, nil
}

// executed returns the state at a ledger's final checkpoint.
func executed(ctx context.Context, r *store.Reader, signed *block.Signed, packs func([]byte) []byte) (*state.State, error) {
	a, _, err := execute(ctx, r, signed, packs)
	if err != nil {
		return nil, err
	}
	return a.State(), nil
}

func execute(ctx context.Context, r *store.Reader, signed *block.Signed, packs func([]byte) []byte) (*audit.Auditor, *audit.Summary, error) {
	a := audit.NewAuditor(packs)
	a.Expect(signed.Checkpoint)
	next := ledger.Leaves(r, 0, signed.Size)
	s, err := a.Run(func() ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return next()
	})
	return a, s, err
}
