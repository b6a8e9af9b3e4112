package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/store"
)

// audited is what an audit prints of a store.
type audited struct {
	Dir        string       `json:"dir"`
	Verdict    audit.Answer `json:"verdict"`
	Detail     string       `json:"detail,omitempty"` // why it does not hold, or what was not checked
	Origin     string       `json:"origin"`
	Leaves     uint64       `json:"leaves"`
	Statements uint64       `json:"statements"`
	Outcomes   uint64       `json:"outcomes"`
	Blocks     uint64       `json:"blocks"`
	Opaque     uint64       `json:"unchecked_forgotten"`
	Forgotten  []uint64     `json:"forgotten_by_leaves,omitempty"` // entries by which metering points were forgotten
	Root       string       `json:"root"`
	Checkpoint uint64       `json:"checkpoint_size"`
	Policy     string       `json:"policy"`
	Seconds    float64      `json:"seconds"`
	PerSecond  float64      `json:"leaves_per_s"`
}

func newLedgerAudit() *cobra.Command {
	var policy string
	var asJSON bool
	c := &cobra.Command{
		Use:   "audit DIR",
		Short: "Verify a whole ledger again: chain, tree, signatures, rules",
		Long: `Audit reads every leaf of a ledger and does all of it again: the Merkle tree,
the chain of headers, every signature, and the rules, whose outcomes must come
out the same to the byte. The final checkpoint must satisfy the policy. Without
one all else is done, and who signed is not checked: the ledger's own charter
names oracles whom whoever made it has chosen.

DIR is an oracle's directory, or that of a demonstration: then every oracle's
ledger is audited, and they must agree. A running oracle is not disturbed.

Exit status: 0 it holds, 1 it could not be checked, 2 wrong usage,
3 it is false. Without a policy it is 1 where all the rest holds.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAudit(cmd, args[0], policy, asJSON)
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "C2SP policy `FILE` of the oracles you trust (default: DIR/policy)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a ledger")
	return c
}

func runAudit(cmd *cobra.Command, dir, policy string, asJSON bool) error {
	dirs, err := storesOf(dir)
	if err != nil {
		return failed(err)
	}
	p, from, err := policyFor(policy, dir)
	if err != nil {
		return failed(err)
	}
	if p == nil {
		from = "none: held against the ledger's own charter"
	}
	worst := 0
	var sound []*audited
	for _, d := range dirs {
		a, err := auditStore(cmd.Context(), cmd.ErrOrStderr(), d, p)
		if err != nil {
			if cause := cmd.Context().Err(); cause != nil {
				return failed(fmt.Errorf("auditing %s: interrupted", d))
			}
			a = &audited{Dir: d, Verdict: verdictOf(err), Detail: err.Error()}
		} else {
			sound = append(sound, a)
		}
		a.Policy = from
		if p == nil && a.Verdict == audit.Holds {
			a.Verdict, a.Detail = audit.Unchecked, "who signed it: get the policy from somebody you trust, and give it with --policy FILE"
		}
		worst = worse(worst, exitOf(a.Verdict))
		if err := printAudited(cmd.OutOrStdout(), a, asJSON); err != nil {
			return failed(err)
		}
	}
	if len(sound) > 1 {
		if err := agree(sound); err != nil {
			return &exitError{audit.ExitFalse, err}
		}
		if !asJSON {
			fmt.Fprintf(cmd.OutOrStdout(), "%d ledgers agree on every block that they share\n", len(sound))
		}
	}
	if worst != 0 {
		return &exitError{code: worst}
	}
	return nil
}

func auditStore(ctx context.Context, progress io.Writer, dir string, p *block.Policy) (*audited, error) {
	r, _, signed, err := openFinal(dir, p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	last, _ := r.Last() // there is one: a checkpoint is for it or one before
	packs, closeVault, err := packsOf(dir)
	if err != nil {
		return nil, err
	}
	defer closeVault()
	a := audit.NewAuditor(packs)
	a.Expect(signed.Checkpoint)
	out := &audited{Dir: dir, Verdict: audit.Holds, Checkpoint: signed.Size}
	bar := newBar(progress, "auditing "+dir, last.Size)
	start := time.Now()
	next := ledger.Leaves(r, 0, last.Size)
	seen := uint64(0)
	s, err := a.Run(func() ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if seen++; seen%4096 == 0 {
			bar.at(seen)
		}
		return next()
	})
	bar.end()
	if err != nil {
		return nil, err
	}
	out.Seconds = time.Since(start).Seconds()
	out.Origin, out.Leaves, out.Statements, out.Outcomes, out.Blocks, out.Opaque = s.Origin, s.Leaves, s.Statements, s.Outcomes, s.Blocks, s.Opaque
	for _, f := range a.State().Forgotten() {
		out.Forgotten = append(out.Forgotten, f.Leaf)
	}
	out.Root = hex.EncodeToString(s.Root[:])
	out.PerSecond = float64(s.Leaves) / out.Seconds
	return out, nil
}

func printAudited(w io.Writer, a *audited, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(a)
	}
	p := newPage(w)
	switch a.Verdict {
	case audit.False:
		p.line(2, "%s is FALSE:", a.Dir)
		p.line(2, "  %s", a.Detail)
		return p.err
	case audit.Unchecked:
		if a.Root == "" { // it did not come to the end
			p.line(2, "%s could not be checked:", a.Dir)
			p.line(2, "  %s", a.Detail)
			return p.err
		}
		p.line(2, "%s agrees with itself: %s", a.Dir, a.Origin)
		p.line(2, "  not checked: %s", a.Detail)
	default:
		p.line(2, "%s holds: %s", a.Dir, a.Origin)
	}
	p.line(2, "  %s, %s: %s verified, %s made again", plural(a.Blocks, "block", "blocks"), plural(a.Leaves, "leaf", "leaves"),
		plural(a.Statements, "statement", "statements"), plural(a.Outcomes, "outcome", "outcomes"))
	if a.Opaque > 0 {
		p.line(2, "  %s not in the vault: signatures hold, what follows from the values is not checked", plural(a.Opaque, "committed pack is", "committed packs are"))
	}
	for _, leaf := range a.Forgotten {
		p.line(2, "  unchecked: the readings of a metering point were forgotten by entry %d", leaf)
	}
	p.line(2, "  final checkpoint of %s; policy: %s", plural(a.Checkpoint, "leaf", "leaves"), a.Policy)
	p.line(2, "  %.0f leaves/s, %.1f s", a.PerSecond, a.Seconds)
	return p.err
}

// agree compares ledgers at the newest block that all of them have: as a root
// covers everything before it, they then agree on every block up to there.
func agree(all []*audited) error {
	height := all[0].Blocks - 1
	for _, a := range all[1:] {
		if a.Origin != all[0].Origin {
			return fmt.Errorf("%s is of ledger %s, %s of %s", all[0].Dir, all[0].Origin, a.Dir, a.Origin)
		}
		height = min(height, a.Blocks-1)
	}
	for _, a := range all[1:] {
		// The first block whose roots differ; one behind the last if none does.
		var failure error
		first := sort.Search(int(height)+1, func(h int) bool {
			one, err1 := rootAt(all[0].Dir, uint64(h))
			other, err2 := rootAt(a.Dir, uint64(h))
			failure = errors.Join(failure, err1, err2)
			return one != other
		})
		switch {
		case failure != nil:
			return failure
		case first <= int(height):
			return fmt.Errorf("%s and %s differ from block %d on, and both have a final checkpoint: keep both directories, their checkpoints prove which oracles signed two histories", all[0].Dir, a.Dir, first)
		}
	}
	return nil
}

func rootAt(dir string, height uint64) (block.Hash, error) {
	r, _, err := store.OpenReader(dir)
	if err != nil {
		return block.Hash{}, err
	}
	defer r.Close()
	b, err := r.BlockAt(height)
	return b.Root, err
}
