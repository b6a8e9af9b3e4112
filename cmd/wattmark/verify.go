package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/handover"
)

func newVerify() *cobra.Command {
	var policy, keys, history string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify [--policy FILE] [--keys FILE] FILE...",
		Short: "Verify statements, proofs and evidence, offline",
		Long: `Verify answers each question about a file by itself: signature, key,
calibration, time, inclusion, quorum, chain, disclosure, rerun; and of a
reading that names the firmware it was signed on, which release that was.
Files are transparent statements (*.cose), C2SP proofs (*.tlog-proof) and
evidence (*.evidence). Of carbon units, a period or certificates it prints
besides what each figure rests on, down to the readings.

Whom to trust as an oracle comes from the policy alone, which is yours: get it
from somebody you trust, not from whoever gave you the file. Gateways' keys
come from --keys, else from keys.jwks beside the policy, else from evidence.

In a browser: 'wattmark verify page' writes the same verifier as one web page.

Exit status: 0 everything that applies holds, 1 something could not be checked,
2 wrong usage, 3 something was checked and is false.`,
		Args: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 {
				return errors.New("give at least one FILE to verify")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			return verifyFiles(cmd.OutOrStdout(), files, policy, history, keys, asJSON)
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` with the oracles you trust")
	c.Flags().StringVar(&history, "history", "", "`FILE` of 'wattmark ledger policy' with the changes of oracles since the policy")
	c.Flags().StringVar(&keys, "keys", "", "a JWK set `FILE` with gateways' keys")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a file")
	c.AddCommand(newVerifyPage())
	return c
}

// verifyFiles reports on each file, and says in its error what the worst came to.
func verifyFiles(w io.Writer, files []string, policy, history, keys string, asJSON bool) error {
	t, err := loadTrust(policy, keys)
	if err == nil && history != "" {
		t.Spans, err = followFile(t.Policy, history)
	}
	if err != nil {
		return failed(err)
	}
	worst := 0
	came := make(map[int]int) // number of files by what they came to
	for _, f := range files {
		r := verifyFile(f, t)
		worst = worse(worst, r.Exit())
		came[r.Exit()]++
		if err := printReport(w, r, asJSON); err != nil {
			return failed(err)
		}
	}
	if len(files) > 1 && !asJSON {
		p := newPage(w)
		p.line(2, "%d files: %d hold, %d could not be checked, %d false", len(files), came[audit.ExitHolds], came[audit.ExitUnchecked], came[audit.ExitFalse])
		if p.err != nil {
			return failed(p.err)
		}
	}
	if worst != 0 {
		return &exitError{code: worst}
	}
	return nil
}

// maxFile bounds what verify reads of one file, in bytes.
const maxFile = 256 << 20

func verifyFile(name string, t audit.Trust) *audit.Report {
	b, err := readLimited(name, maxFile)
	if err != nil {
		return audit.Unreadable(name, err)
	}
	return audit.Verify(name, b, t)
}

func readLimited(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", name)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, over the limit of %d", name, info.Size(), limit)
	}
	return os.ReadFile(name)
}

// worse combines exit statuses: false outweighs unchecked, which outweighs holds.
func worse(a, b int) int { return max(a, b) }

// followFile follows the oracles from a policy through the changes in a file.
func followFile(p *block.Policy, history string) ([]handover.Span, error) {
	if p == nil {
		return nil, errors.New("--history goes on from the oracles of a --policy: give one")
	}
	b, err := readLimited(history, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading history: %w", err)
	}
	list, err := handover.ParseHistory(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", history, err)
	}
	spans, err := handover.Follow(p, list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", history, err)
	}
	return spans, nil
}

// loadTrust reads the verifier's own policy and keys.
func loadTrust(policy, keys string) (t audit.Trust, err error) {
	if policy != "" {
		b, err := readLimited(policy, 1<<20)
		if err != nil {
			return t, fmt.Errorf("reading policy: %w", err)
		}
		if t.Policy, err = block.ParsePolicy(b); err != nil {
			return t, fmt.Errorf("%s: %w: give --policy a C2SP tlog-policy", policy, err)
		}
	}
	if keys == "" && policy != "" {
		beside := filepath.Join(filepath.Dir(policy), "keys.jwks")
		if _, err := os.Stat(beside); err == nil {
			keys = beside
		}
	}
	if keys == "" {
		return t, nil
	}
	b, err := readLimited(keys, 16<<20)
	if err != nil {
		return t, fmt.Errorf("reading keys: %w", err)
	}
	if t.Keys, err = audit.ParseKeys(b); err != nil {
		return t, fmt.Errorf("%s: %w: give --keys a JWK set", keys, err)
	}
	return t, nil
}

// Where a report's details begin, and how many of its answers may be the same
// before they are given at once.
const (
	detailColumn = 20
	sameAnswers  = 5
)

func printReport(w io.Writer, r *audit.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	p := newPage(w)
	p.line(2, "%s: %s", r.File, r.Kind)
	if r.Subject != "" {
		p.line(2, "  %s", r.Subject)
	}
	count := make(map[audit.Verdict]int)
	for _, v := range r.Verdicts {
		count[audit.Verdict{Verdict: v.Verdict, Detail: v.Detail}]++
	}
	var same *audit.Verdict // a file that does not read is told of once, not nine times
	for i, v := range r.Verdicts {
		if v.Verdict == audit.Unchecked && count[audit.Verdict{Verdict: v.Verdict, Detail: v.Detail}] > sameAnswers {
			same = &r.Verdicts[i]
			continue
		}
		p.line(detailColumn, "  %-4s %-12s %s", sign(v.Verdict), v.Check, detail(v))
	}
	if same != nil {
		rest := "all else"
		if r.Count(audit.Unchecked) == len(r.Verdicts) {
			rest = "everything"
		}
		p.line(detailColumn, "  %-4s %-12s %s", sign(same.Verdict), rest, detail(*same))
	}
	p.line(2, "  %d hold, %d not checked, %d false, %d do not apply",
		r.Count(audit.Holds), r.Count(audit.Unchecked), r.Count(audit.False), r.Count(audit.NotApplicable))
	if r.Tree != nil {
		printTree(p, r.Tree, 0)
	}
	return p.err
}

// sign is a verdict in four letters or fewer, to be told apart without colour.
func sign(a audit.Answer) string {
	switch a {
	case audit.Holds:
		return "ok"
	case audit.False:
		return "NO"
	case audit.Unchecked:
		return "?"
	}
	return "-"
}

func detail(v audit.Verdict) string {
	word := map[audit.Answer]string{
		audit.Holds: "holds", audit.False: "is false", audit.Unchecked: "not checked", audit.NotApplicable: "does not apply",
	}[v.Verdict]
	if v.Detail == "" {
		return word
	}
	return word + ": " + v.Detail
}
