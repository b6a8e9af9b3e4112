package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
)

// prove waits until the retirement is final, writes the evidence for it, and verifies it
// with what a verifier has.
func (a *accounts) prove(ctx context.Context, block string) error {
	d := a.d
	first := d.cluster.nodes[0].Ledger()
	var evidence *audit.Evidence
	err := poll(ctx, func() bool {
		note, _, ok := first.Store().Final()
		if !ok {
			return false
		}
		signed, err := d.cluster.policy.Verify(note)
		if err != nil {
			return false
		}
		found, err := ledger.CarbonOutcomes(first.Store(), signed.Size, block)
		if err != nil || !retiredBy(first.Store(), found[ledger.CarbonUnits]) {
			return false // it is not final yet, or being made so
		}
		evidence, err = ledger.CarbonEvidence(first.Store(), note, signed.Checkpoint, found[ledger.CarbonUnits], first.Pack)
		return err == nil
	})
	if err != nil {
		return err
	}
	dir := filepath.Join(d.dir, "carbon")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(dir, "tonne"+evidenceSuffix)
	content := evidence.Encode()
	if err := writeFile(file, content); err != nil {
		return err
	}
	policy := filepath.Join(d.dir, "policy")
	trust, err := loadTrust(policy, "")
	if err != nil {
		return err
	}
	if r := verifyFile(file, trust); r.Exit() != audit.ExitHolds {
		return fmt.Errorf("%s does not verify: run 'wattmark verify --policy %s %s'", file, policy, file)
	}
	a.tell("carbon: the tonne of %s is verified from the retirement down to the sensors' signatures, and computed again: %d leaves, %d bytes", block, len(evidence.Leaves), len(content))
	d.screen.say(fmt.Sprintf("         yourself:  wattmark verify --policy %s %s", policy, file))
	return nil
}

// retiredBy reports whether the outcome at a leaf is of a retirement.
func retiredBy(src ledger.Source, leaf uint64) bool {
	l, err := src.Leaf(leaf)
	if err != nil {
		return false
	}
	o, err := entry.ParseOutcome(l)
	if err != nil || o.Kind != entry.OutcomeMoved {
		return false
	}
	b, err := o.ParseBody()
	if err != nil {
		return false
	}
	moves := b.(*entry.Moved).Moves
	return len(moves) == 1 && moves[0].Status == carbon.Retired.String()
}
