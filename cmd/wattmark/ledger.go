package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/oracle"
)

func newLedger() *cobra.Command {
	return noun("ledger", "Look into a ledger, check it, prove from it",
		newLedgerAudit(), newLedgerCheck(), newLedgerShow(), newLedgerProve())
}

// storesOf returns the stores that a directory stands for: itself, or each of
// the oracles of a demonstration's directory.
func storesOf(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, "leaves")); err == nil {
		return []string{dir}, nil
	}
	list, err := filepath.Glob(filepath.Join(dir, "oracles", "*", "leaves"))
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i] = filepath.Dir(list[i])
	}
	if len(list) == 0 {
		if _, err := os.Stat(dir); err != nil {
			return nil, err
		}
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
		candidates = []string{filepath.Join(dir, "policy"), filepath.Join(dir, "..", "..", "policy")}
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

// finalOf returns a store's final checkpoint, verified by a policy, or by the
// ledger's own charter where there is none, which proves less and is said.
func finalOf(r *store.Reader, p *block.Policy) (note []byte, s *block.Signed, err error) {
	note, _, ok, err := r.Final()
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, errors.New("the store holds no final checkpoint yet")
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
	s, err = p.Verify(note)
	if err != nil {
		return nil, nil, fmt.Errorf("final checkpoint: %w", err)
	}
	return note, s, nil
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
		errors.Is(err, block.ErrForm) || errors.As(err, &fault) {
		return &exitError{audit.ExitFalse, err}
	}
	return failed(err)
}

// audited is what an audit prints of a store.
type audited struct {
	Dir        string  `json:"dir"`
	Origin     string  `json:"origin"`
	Leaves     uint64  `json:"leaves"`
	Statements uint64  `json:"statements"`
	Outcomes   uint64  `json:"outcomes"`
	Blocks     uint64  `json:"blocks"`
	Opaque     uint64  `json:"unchecked_forgotten"`
	Root       string  `json:"root"`
	Checkpoint uint64  `json:"checkpoint_size"`
	Policy     string  `json:"policy"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"leaves_per_s"`
}

func newLedgerAudit() *cobra.Command {
	var policy string
	var asJSON bool
	c := &cobra.Command{
		Use:   "audit DIR",
		Short: "Verify a whole ledger again: chain, tree, every signature, every rule",
		Long: `Audit reads every leaf of a ledger and does all of it again: the Merkle tree, the
chain of headers, every signature, and the rules, whose outcomes must come out
the same to the byte. The final checkpoint must satisfy the policy.

DIR is an oracle's directory, or that of a demonstration: then every oracle's
ledger is audited, and they must agree. A running oracle is not disturbed.

Exit status: 0 it holds, 1 it could not be checked, 2 wrong usage, 3 it is false.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAudit(cmd, args[0], policy, asJSON)
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` with the oracles you trust (default: DIR/policy, else the ledger's own charter)")
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
	var all []*audited
	for _, d := range dirs {
		a, err := auditStore(cmd.ErrOrStderr(), d, p)
		if err != nil {
			return checkedFalse(fmt.Errorf("%s: %w", d, err))
		}
		a.Policy = from
		all = append(all, a)
		if err := printAudited(cmd.OutOrStdout(), a, asJSON); err != nil {
			return failed(err)
		}
	}
	if err := agree(all); err != nil {
		return &exitError{audit.ExitFalse, err}
	}
	if len(all) > 1 && !asJSON {
		fmt.Fprintf(cmd.OutOrStdout(), "%d ledgers agree on every block that they share\n", len(all))
	}
	return nil
}

func auditStore(progress io.Writer, dir string, p *block.Policy) (*audited, error) {
	r, _, err := store.OpenReader(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	last, ok := r.Last()
	if !ok {
		return nil, errors.New("the ledger holds no block yet")
	}
	_, signed, err := finalOf(r, p)
	if err != nil {
		return nil, err
	}
	packs, closeVault, err := packsOf(dir)
	if err != nil {
		return nil, err
	}
	defer closeVault()
	a := audit.NewAuditor(packs)
	a.Expect(signed.Checkpoint)
	out := &audited{Dir: dir, Checkpoint: signed.Size}
	bar := newBar(progress, "auditing "+dir, last.Size)
	start := time.Now()
	next := ledger.Leaves(r, 0, last.Size)
	seen := uint64(0)
	s, err := a.Run(func() ([]byte, error) {
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
	out.Root = hex.EncodeToString(s.Root[:])
	out.PerSecond = float64(s.Leaves) / out.Seconds
	return out, nil
}

func printAudited(w io.Writer, a *audited, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(a)
	}
	fmt.Fprintf(w, "%s holds: %s\n", a.Dir, a.Origin)
	fmt.Fprintf(w, "  %d blocks, %d leaves: %d statements verified, %d outcomes made again\n", a.Blocks, a.Leaves, a.Statements, a.Outcomes)
	if a.Opaque > 0 {
		fmt.Fprintf(w, "  %d committed packs are not in the vault: their signatures hold, what follows from their values is not checked\n", a.Opaque)
	}
	fmt.Fprintf(w, "  final checkpoint of %d leaves; policy: %s\n", a.Checkpoint, a.Policy)
	_, err := fmt.Fprintf(w, "  %.0f leaves/s, %.1f s\n", a.PerSecond, a.Seconds)
	return err
}

// agree compares ledgers at the newest block that all of them have: as a root
// covers everything before it, they then agree on every block up to there.
func agree(all []*audited) error {
	height := all[0].Blocks - 1
	for _, a := range all {
		height = min(height, a.Blocks-1)
	}
	var first block.Hash
	for i, a := range all {
		root, err := rootAt(a.Dir, height)
		if err != nil {
			return err
		}
		if i == 0 {
			first = root
		}
		if a.Origin != all[0].Origin {
			return fmt.Errorf("%s is of ledger %s, %s of %s", all[0].Dir, all[0].Origin, a.Dir, a.Origin)
		}
		if root != first {
			return fmt.Errorf("%s and %s differ at block %d or before: one of them was changed; both signed checkpoints prove who signed what", all[0].Dir, a.Dir, height)
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

func newLedgerCheck() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check DIR",
		Short: "Check the files of a ledger: lengths, checksums, tree, indexes, tiles",
		Long: `Check reads every file of a store and compares each with the others. It trusts
the signatures; 'wattmark ledger audit' verifies those too.

Exit status: 0 all is well, 1 it could not be checked, 2 wrong usage, 3 a fault.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, err := storesOf(args[0])
			if err != nil {
				return failed(err)
			}
			faults := 0
			for _, d := range dirs {
				bar := newBar(cmd.ErrOrStderr(), "checking "+d, 0)
				r, err := store.Check(d, func(done, total uint64) { bar.total = total; bar.at(done) })
				bar.end()
				if err != nil {
					return checkedFalse(fmt.Errorf("%s: %w", d, err))
				}
				faults += len(r.Faults)
				if err := printChecked(cmd.OutOrStdout(), d, &r, asJSON); err != nil {
					return failed(err)
				}
			}
			if faults > 0 {
				return &exitError{audit.ExitFalse, fmt.Errorf("%d faults found", faults)}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a store")
	return c
}

// checked is what a check prints of a store.
type checked struct {
	Dir       string   `json:"dir"`
	OK        bool     `json:"ok"`
	Leaves    uint64   `json:"leaves"`
	Blocks    uint64   `json:"blocks"`
	Sequences uint64   `json:"sequences"`
	Packs     uint64   `json:"packs"`
	Checked   []string `json:"checked"`
	Unchecked []string `json:"unchecked"`
	Torn      []string `json:"torn"`
	Faults    []string `json:"faults"`
}

func printChecked(w io.Writer, dir string, r *store.CheckReport, asJSON bool) error {
	c := checked{Dir: dir, OK: r.OK(), Leaves: r.Leaves, Blocks: r.Blocks, Sequences: r.Sequences, Packs: r.Packs, Checked: r.Checked, Unchecked: r.Unchecked}
	for _, t := range r.Torn {
		c.Torn = append(c.Torn, fmt.Sprintf("%s has an unfinished write at byte %d: it is cut off when the oracle starts", t.File, t.Offset))
	}
	for i := range r.Faults {
		c.Faults = append(c.Faults, r.Faults[i].Error())
	}
	if asJSON {
		return json.NewEncoder(w).Encode(c)
	}
	word := "is whole"
	if !c.OK {
		word = "is DAMAGED"
	}
	fmt.Fprintf(w, "%s %s: %d blocks, %d leaves, %d sequence numbers, %d packs\n", dir, word, c.Blocks, c.Leaves, c.Sequences, c.Packs)
	for _, l := range c.Checked {
		fmt.Fprintf(w, "  ok   %s\n", l)
	}
	for _, l := range c.Unchecked {
		fmt.Fprintf(w, "  ?    %s\n", l)
	}
	for _, l := range c.Torn {
		fmt.Fprintf(w, "  -    %s\n", l)
	}
	for _, l := range c.Faults {
		fmt.Fprintf(w, "  NO   %s\n", l)
	}
	return nil
}

func newLedgerProve() *cobra.Command {
	var leaf int64
	var hash, out, policy string
	var disclose bool
	c := &cobra.Command{
		Use:   "prove DIR (--leaf N | --hash H) --out FILE",
		Short: "Make a proof that a verifier can check without this ledger",
		Long: `Prove writes a file about one leaf: *.evidence with the leaf, the header of its
block, the life of the key that signed it and the final checkpoint; or, where
FILE ends in .tlog-proof, a C2SP proof. --hash takes the leaf hash in
hexadecimal. --disclose shows a committed pack to whoever gets the file.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (leaf < 0) == (hash == "") {
				return errors.New("give either --leaf N or --hash H")
			}
			if out == "" {
				return errors.New("give --out FILE")
			}
			return checkedFalse(prove(cmd.OutOrStdout(), args[0], leaf, hash, out, policy, disclose))
		},
	}
	c.Flags().Int64Var(&leaf, "leaf", -1, "index `N` of the leaf")
	c.Flags().StringVar(&hash, "hash", "", "leaf hash `H` of the leaf, 64 hexadecimal digits")
	c.Flags().StringVar(&out, "out", "", "`FILE` to write, ending in .evidence or .tlog-proof")
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` (default: the one beside the ledger)")
	c.Flags().BoolVar(&disclose, "disclose", false, "put a committed pack and its salt into the file")
	return c
}

func prove(w io.Writer, dir string, leaf int64, hash, out, policy string, disclose bool) error {
	dirs, err := storesOf(dir)
	if err != nil {
		return err
	}
	p, _, err := policyFor(policy, dir)
	if err != nil {
		return err
	}
	r, _, err := store.OpenReader(dirs[0])
	if err != nil {
		return err
	}
	defer r.Close()
	note, signed, err := finalOf(r, p)
	if err != nil {
		return err
	}
	index := uint64(leaf)
	if hash != "" {
		b, err := hex.DecodeString(hash)
		if err != nil || len(b) != 32 {
			return &exitError{exitUsage, fmt.Errorf("--hash %q is not 64 hexadecimal digits", hash)}
		}
		if index, err = ledger.Find(r, block.Hash(b)); err != nil {
			return err
		}
	}
	var content []byte
	if strings.HasSuffix(out, ".tlog-proof") {
		lp, err := ledger.LogProof(r, note, signed.Checkpoint, index)
		if err != nil {
			return err
		}
		content = lp.Encode()
	} else {
		var packs func([]byte) []byte
		if disclose {
			var closeVault func() error
			if packs, closeVault, err = packsOf(dirs[0]); err != nil {
				return err
			}
			defer closeVault()
		}
		e, err := ledger.Evidence(r, note, signed.Checkpoint, index, packs)
		if err != nil {
			return err
		}
		content = e.Encode()
	}
	if err := writeFile(out, content); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "wrote %s: leaf %d under the checkpoint of %d leaves, %d bytes\n", out, index, signed.Size, len(content))
	return err
}

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".wattmark-"

// writeFile replaces a file as a whole.
func writeFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), tempPrefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
