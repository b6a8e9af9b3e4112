package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
)

func newVerify() *cobra.Command {
	var policy, keys string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify [--policy FILE] [--keys FILE] FILE...",
		Short: "Verify statements, proofs and evidence, offline",
		Long: `Verify answers each question about a file by itself: signature, key, calibration,
time, inclusion, quorum, chain, disclosure, rerun. Files are transparent
statements (*.cose), C2SP proofs (*.tlog-proof) and evidence (*.evidence).

Whom to trust as an oracle comes from the policy alone, which is yours: get it
from somebody you trust, not from whoever gave you the file. Gateways' keys come
from --keys, else from keys.jwks beside the policy, else from the evidence.

Exit status: 0 everything that applies holds, 1 something could not be checked,
2 wrong usage, 3 something was checked and is false.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			t, err := loadTrust(policy, keys)
			if err != nil {
				return failed(err)
			}
			code := 0
			for _, f := range files {
				r := verifyFile(f, t)
				code = worse(code, r.Exit())
				if err := printReport(cmd.OutOrStdout(), r, asJSON); err != nil {
					return failed(err)
				}
			}
			if code != 0 {
				return &exitError{code: code}
			}
			return nil
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` with the oracles you trust")
	c.Flags().StringVar(&keys, "keys", "", "a JWK set `FILE` with gateways' keys")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a file")
	return c
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

// loadTrust reads the verifier's own policy and keys.
func loadTrust(policy, keys string) (t audit.Trust, err error) {
	if policy != "" {
		b, err := readLimited(policy, 1<<20)
		if err != nil {
			return t, fmt.Errorf("reading policy: %w", err)
		}
		if t.Policy, err = block.ParsePolicy(b); err != nil {
			return t, fmt.Errorf("%s: %w", policy, err)
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
		return t, fmt.Errorf("%s: %w", keys, err)
	}
	return t, nil
}

func printReport(w io.Writer, r *audit.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	fmt.Fprintf(w, "%s: %s\n", r.File, r.Kind)
	if r.Subject != "" {
		fmt.Fprintf(w, "  %s\n", r.Subject)
	}
	for _, v := range r.Verdicts {
		fmt.Fprintf(w, "  %-4s %-12s %s\n", sign(v.Verdict), v.Check, detail(v))
	}
	_, err := fmt.Fprintf(w, "  %d hold, %d not checked, %d false, %d do not apply\n",
		r.Count(audit.Holds), r.Count(audit.Unchecked), r.Count(audit.False), r.Count(audit.NotApplicable))
	return err
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
