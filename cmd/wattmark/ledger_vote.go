package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger/entry"
)

func newLedgerProposals() *cobra.Command {
	var policy string
	var asJSON, open bool
	c := &cobra.Command{
		Use:   "proposals DIR",
		Short: "List what was put to the oracles' vote, and what became of it",
		Args:  oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, err := storesOf(args[0])
			if err != nil {
				return failed(err)
			}
			p, _, err := policyFor(policy, args[0])
			if err != nil {
				return failed(err)
			}
			r, _, signed, err := openFinal(dirs[0], p)
			if err != nil {
				return checkedFalse(err)
			}
			defer r.Close()
			list, err := shownProposals(r, signed.Checkpoint)
			if err != nil {
				return failed(err)
			}
			shown := []shownProposal{}
			for _, s := range list {
				if !open || s.Needed > 0 {
					shown = append(shown, s)
				}
			}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(shown))
			}
			return failed(printProposals(cmd.OutOrStdout(), shown))
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` (default: the one beside the ledger)")
	c.Flags().BoolVar(&open, "open", false, "only those that wait for oracles to agree")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newLedgerVote() *cobra.Command {
	var f memberFlags
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use:   "vote HASH --dir DIR",
		Short: "Agree, as your oracle, to what was proposed",
		Long: `HASH is that of a proposal, or its beginning, as 'wattmark ledger proposals'
prints it. A vote is not taken back. Who does not agree does nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			r, _, signed, err := openFinal(m.dir, m.policy)
			if err != nil {
				return failed(err)
			}
			list, err := shownProposals(r, signed.Checkpoint)
			r.Close()
			if err != nil {
				return failed(err)
			}
			s, err := chosen(list, strings.ToLower(args[0]))
			if err != nil {
				return failed(err)
			}
			var consent entry.Consent
			if _, err := hex.Decode(consent.Motion[:], []byte(s.Hash)); err != nil {
				return failed(err)
			}
			statement, err := m.sign(entry.TypeConsent, consent.Encode())
			if err != nil {
				return failed(err)
			}
			return failed(m.voice(cmd, out, asJSON, statement, *s))
		},
	}
	f.add(c)
	c.Flags().StringVar(&out, "out", "", "write the signed statement to `FILE`, and put nothing onto the ledger")
	c.Flags().BoolVar(&asJSON, "json", false, "print the proposal as JSON")
	return c
}

// chosen returns the one open proposal whose hash begins so.
func chosen(list []shownProposal, prefix string) (found *shownProposal, err error) {
	for i := range list {
		if list[i].Needed == 0 || !strings.HasPrefix(list[i].Hash, prefix) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("several open proposals begin with %q: give more of the hash", prefix)
		}
		found = &list[i]
	}
	if found == nil {
		return nil, fmt.Errorf("no open proposal begins with %q: look at 'wattmark ledger proposals'", prefix)
	}
	return found, nil
}

func newLedgerForget() *cobra.Command {
	var f proposing
	var reason string
	c := &cobra.Command{
		Use:   "forget POINT --reason TEXT --dir DIR",
		Short: "Propose that every oracle deletes a metering point's readings",
		Long: `Forget proposes that a metering point is closed and its readings, salts and
all, are deleted from every oracle's vault. It takes as many oracles as any
change of the rules, each with 'wattmark ledger vote'. Afterwards the ledger
still audits, what was settled stands, and nobody can tell the readings any
more: not the member either. Statements of the point are refused from then on;
whoever goes on enrols another one. It is not undone. The reason is public for
ever.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return fmt.Errorf("give --reason TEXT: why %s is to be forgotten, without naming anybody", args[0])
			}
			g := entry.Forgetting{Subject: args[0], Reason: reason}
			body, err := g.Encode()
			if err != nil {
				return failed(err)
			}
			return failed(f.propose(cmd, entry.MotionForget, body))
		},
	}
	f.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "why, in `TEXT` that stays public for ever")
	return c
}
