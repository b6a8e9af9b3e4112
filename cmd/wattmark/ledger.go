package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/store"
	"wattmark/oracle"
)

func newLedger() *cobra.Command {
	return noun("ledger", "Look into a ledger, check it, prove from it",
		newLedgerAudit(), newLedgerCheck(), newLedgerShow(), newLedgerTail(), newLedgerExport(), newLedgerProve(), newLedgerPolicy(),
		newLedgerPropose(), newLedgerVote(), newLedgerProposals(), newLedgerForget(),
		newLedgerJoin(), newLedgerReport(), newLedgerRenewOrder())
}

// oneDir is cobra's check of the arguments of a verb that works on a ledger.
func oneDir(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give one DIR with a ledger, not %d", len(args))
	}
	return nil
}

// storesOf returns the stores that a directory stands for: itself, or each of
// the oracles of a demonstration's directory, also one whose leaves are gone.
func storesOf(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, "leaves")); err == nil {
		return []string{dir}, nil
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "oracles"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		if e.IsDir() {
			list = append(list, filepath.Join(dir, "oracles", e.Name()))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s holds no ledger: give an oracle's directory, or the one given to 'wattmark demo --dir'", dir)
	}
	sort.Slice(list, func(i, j int) bool { return number(list[i]) < number(list[j]) })
	return list, nil
}

func number(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(dir))
	return n
}

// policyFor finds the policy to hold a store against: the one given, the one
// that lies in the demonstration's directory, or none.
func policyFor(given, dir string) (*block.Policy, string, error) {
	candidates := []string{given}
	if given == "" {
		candidates = []string{filepath.Join(dir, "policy")}
		// Whose policy lies above a store that is not an oracle's there nobody knows.
		if abs, err := filepath.Abs(dir); err == nil && filepath.Base(filepath.Dir(abs)) == "oracles" {
			candidates = append(candidates, filepath.Join(dir, "..", "..", "policy"))
		}
	}
	for _, c := range candidates {
		b, err := readLimited(c, 1<<20)
		if err != nil && given == "" && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("reading policy: %w", err)
		}
		p, err := block.ParsePolicy(b)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", c, err)
		}
		return p, filepath.Clean(c), nil
	}
	return nil, "", nil
}

// errNoFinal says that a store has no final checkpoint for the leaves that it has.
var errNoFinal = errors.New("no final checkpoint is for the leaves that are there")

// openFinal opens a store to read it, with its final checkpoint. The oracle that
// writes it may have gone on between the two, so that a later one is tried again.
func openFinal(dir string, p *block.Policy) (r *store.Reader, note []byte, s *block.Signed, err error) {
	for range 3 {
		if r, _, err = store.OpenReader(dir); err != nil {
			return nil, nil, nil, err
		}
		if note, s, err = finalOf(r, p); err == nil {
			return r, note, s, nil
		}
		if cerr := r.Close(); cerr != nil || !errors.Is(err, errNoFinal) {
			return nil, nil, nil, errors.Join(err, cerr)
		}
	}
	return nil, nil, nil, err
}

// finalOf returns a store's final checkpoint, verified by a policy, or by the
// ledger's own charter where there is none, which proves less and is said.
func finalOf(r *store.Reader, p *block.Policy) (note []byte, s *block.Signed, err error) {
	note, _, ok, err := r.Final()
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, fmt.Errorf("%w: the ledger is young, or has lost its end, which 'wattmark ledger check %s' finds out", errNoFinal, r.Dir())
	}
	if p == nil {
		c, err := charterOf(r)
		if err != nil {
			return nil, nil, err
		}
		if p, err = oracle.PolicyOf(c); err != nil {
			return nil, nil, err
		}
	}
	if p, err = followed(r, p, note); err != nil {
		return nil, nil, err
	}
	s, err = p.Verify(note)
	if err != nil {
		return nil, nil, fmt.Errorf("final checkpoint: %w", err)
	}
	return note, s, nil
}

// followed returns the policy that is good for a checkpoint of a store, to which the
// one given leads through the changes of oracles that the store keeps.
func followed(r *store.Reader, p *block.Policy, note []byte) (*block.Policy, error) {
	list, err := ledger.HistoryOf(r)
	if err != nil || len(list) == 0 {
		return p, err
	}
	spans, err := handover.Follow(p, list)
	if err != nil {
		return nil, err
	}
	c, err := block.Stated(note)
	if err != nil {
		return nil, fmt.Errorf("final checkpoint: %w", err)
	}
	if q := handover.PolicyFor(spans, c.Size); q != nil {
		return q, nil
	}
	return p, nil
}

func charterOf(r *store.Reader) (*entry.Charter, error) {
	leaf, err := r.Leaf(0)
	if err != nil {
		return nil, err
	}
	return entry.ParseCharter(leaf)
}

// packsOf opens the vault beside a store to read it. Without one there are no
// packs.
func packsOf(dir string) (packs func(digest []byte) []byte, closeVault func() error, err error) {
	v, _, err := store.OpenVaultReader(filepath.Join(dir, ledger.VaultDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, func() error { return nil }, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return func(digest []byte) []byte { return ledger.PackOf(v, digest) }, v.Close, nil
}

// checkedFalse tells what was checked and is wrong from what could not be checked.
func checkedFalse(err error) error {
	var fault *store.Fault
	if errors.Is(err, audit.ErrLedger) || errors.Is(err, block.ErrQuorum) || errors.Is(err, block.ErrProof) ||
		errors.Is(err, block.ErrForm) || errors.Is(err, handover.ErrHandover) || errors.As(err, &fault) {
		return &exitError{audit.ExitFalse, err}
	}
	return failed(err)
}

// verdictOf tells by an error whether something was checked and false, or could not
// be checked.
func verdictOf(err error) audit.Answer {
	var exit *exitError
	switch {
	case err == nil:
		return audit.Holds
	case errors.As(checkedFalse(err), &exit) && exit.code == audit.ExitFalse:
		return audit.False
	}
	return audit.Unchecked
}

// exitOf is the exit status that a verdict calls for.
func exitOf(a audit.Answer) int {
	switch a {
	case audit.Holds, audit.NotApplicable:
		return audit.ExitHolds
	case audit.False:
		return audit.ExitFalse
	}
	return audit.ExitUnchecked
}
