package main

import (
	"context"
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

// audited is what an audit prints of a store.
type audited struct {
	Dir        string       `json:"dir"`
	Verdict    audit.Answer `json:"verdict"`
	Detail     string       `json:"detail,omitempty"` // why it does not hold
	Origin     string       `json:"origin"`
	Leaves     uint64       `json:"leaves"`
	Statements uint64       `json:"statements"`
	Outcomes   uint64       `json:"outcomes"`
	Blocks     uint64       `json:"blocks"`
	Opaque     uint64       `json:"unchecked_forgotten"`
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
out the same to the byte. The final checkpoint must satisfy the policy.

DIR is an oracle's directory, or that of a demonstration: then every oracle's
ledger is audited, and they must agree. A running oracle is not disturbed.

Exit status: 0 it holds, 1 it could not be checked, 2 wrong usage,
3 it is false.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAudit(cmd, args[0], policy, asJSON)
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "C2SP policy `FILE` of the oracles you trust (default: DIR/policy, else the ledger's own charter)")
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
		p.line(2, "%s could not be checked:", a.Dir)
		p.line(2, "  %s", a.Detail)
		return p.err
	}
	p.line(2, "%s holds: %s", a.Dir, a.Origin)
	p.line(2, "  %s, %s: %s verified, %s made again", plural(a.Blocks, "block", "blocks"), plural(a.Leaves, "leaf", "leaves"),
		plural(a.Statements, "statement", "statements"), plural(a.Outcomes, "outcome", "outcomes"))
	if a.Opaque > 0 {
		p.line(2, "  %s not in the vault: signatures hold, what follows from the values is not checked", plural(a.Opaque, "committed pack is", "committed packs are"))
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

func newLedgerCheck() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check DIR",
		Short: "Check a ledger's files: lengths, checksums, tree, indexes, tiles",
		Long: `Check reads every file of a store and compares each with the others. It trusts
the signatures; 'wattmark ledger audit' verifies those too.

Exit status: 0 all is well, 1 it could not be checked, 2 wrong usage,
3 a fault.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, err := storesOf(args[0])
			if err != nil {
				return failed(err)
			}
			faults, worst := 0, 0
			for _, d := range dirs {
				bar := newBar(cmd.ErrOrStderr(), "checking "+d, 0)
				r, err := store.Check(d, func(done, total uint64) { bar.total = total; bar.at(done) })
				bar.end()
				c := newChecked(d, &r, err)
				faults += len(c.Faults)
				worst = worse(worst, exitOf(c.Verdict))
				if err := printChecked(cmd.OutOrStdout(), c, asJSON); err != nil {
					return failed(err)
				}
			}
			switch {
			case faults > 0:
				return &exitError{audit.ExitFalse, fmt.Errorf("found %s", plural(faults, "fault", "faults"))}
			case worst != 0:
				return &exitError{code: worst}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a store")
	return c
}

// checked is what a check prints of a store.
type checked struct {
	Dir       string       `json:"dir"`
	OK        bool         `json:"ok"`
	Verdict   audit.Answer `json:"verdict"`
	Detail    string       `json:"detail,omitempty"` // why it could not be checked
	Leaves    uint64       `json:"leaves"`
	Blocks    uint64       `json:"blocks"`
	Sequences uint64       `json:"sequences"`
	Packs     uint64       `json:"packs"`
	Checked   []string     `json:"checked"`
	Unchecked []string     `json:"unchecked"`
	Torn      []string     `json:"torn"`
	Faults    []string     `json:"faults"`

	faults []store.Fault
}

func newChecked(dir string, r *store.CheckReport, err error) *checked {
	c := &checked{
		Dir: dir, OK: r.OK() && err == nil, Verdict: verdictOf(err), Leaves: r.Leaves, Blocks: r.Blocks, Sequences: r.Sequences, Packs: r.Packs,
		Checked: r.Checked, Unchecked: r.Unchecked, faults: r.Faults,
	}
	if err != nil {
		c.Detail = err.Error()
	}
	if !r.OK() {
		c.Verdict = audit.False
	}
	for _, t := range r.Torn {
		c.Torn = append(c.Torn, fmt.Sprintf("%s has an unfinished write at byte %d: it is cut off when the oracle starts", t.File, t.Offset))
	}
	for i := range r.Faults {
		c.Faults = append(c.Faults, r.Faults[i].Error())
	}
	return c
}

// checkHang is where a check's lines go on that do not fit.
const checkHang = 7

func printChecked(w io.Writer, c *checked, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(c)
	}
	p := newPage(w)
	if c.Detail != "" {
		p.line(2, "%s could not be checked:", c.Dir)
		p.line(2, "  %s", c.Detail)
		return p.err
	}
	word := "is whole"
	if !c.OK {
		word = "is DAMAGED"
	}
	p.line(2, "%s %s:", c.Dir, word)
	p.line(2, "  %s, %s, %s, %s", plural(c.Blocks, "block", "blocks"), plural(c.Leaves, "leaf", "leaves"),
		plural(c.Sequences, "sequence number", "sequence numbers"), plural(c.Packs, "pack", "packs"))
	for _, l := range c.Checked {
		p.line(checkHang, "  ok   %s", l)
	}
	for _, l := range c.Unchecked {
		p.line(checkHang, "  ?    %s", l)
	}
	for _, l := range c.Torn {
		p.line(checkHang, "  -    %s", l)
	}
	for _, f := range c.faults {
		remedy := f.Remedy
		f.Remedy = ""
		p.line(checkHang, "  NO   %s", strings.TrimSuffix(f.Error(), "; "))
		p.line(checkHang, "       what to do: %s", remedy)
	}
	return p.err
}

func newLedgerProve() *cobra.Command {
	var leaf uint64
	var hash, out, policy string
	var disclose bool
	c := &cobra.Command{
		Use:   "prove DIR (--leaf N | --hash H) --out FILE",
		Short: "Make a proof that a verifier can check without this ledger",
		Long: `Prove writes a file about one leaf: *.evidence with the leaf, the header of its
block, the life of the key that signed it and the final checkpoint; or, where
FILE ends in .tlog-proof, a C2SP proof. --hash takes the leaf hash in
hexadecimal. --disclose shows a committed pack to whoever gets the file.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("leaf") == cmd.Flags().Changed("hash") {
				return errors.New("give either --leaf N or --hash H")
			}
			if hash != "" {
				if b, err := hex.DecodeString(hash); err != nil || len(b) != 32 {
					return fmt.Errorf("--hash %q is not 64 hexadecimal digits", hash)
				}
			}
			if !strings.HasSuffix(out, evidenceSuffix) && !strings.HasSuffix(out, proofSuffix) {
				return fmt.Errorf("give --out FILE, ending in %s or %s", evidenceSuffix, proofSuffix)
			}
			return checkedFalse(prove(cmd.OutOrStdout(), args[0], leaf, hash, out, policy, disclose))
		},
	}
	c.Flags().Uint64Var(&leaf, "leaf", 0, "index `N` of the leaf")
	c.Flags().StringVar(&hash, "hash", "", "leaf hash `H` of the leaf, 64 hexadecimal digits")
	c.Flags().StringVar(&out, "out", "", "`FILE` to write, ending in .evidence or .tlog-proof")
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` (default: the one beside the ledger)")
	c.Flags().BoolVar(&disclose, "disclose", false, "put a committed pack and its salt into the file")
	return c
}

// evidenceSuffix ends the names of evidence files.
const evidenceSuffix = ".evidence"

func prove(w io.Writer, dir string, index uint64, hash, out, policy string, disclose bool) error {
	dirs, err := storesOf(dir)
	if err != nil {
		return err
	}
	p, _, err := policyFor(policy, dir)
	if err != nil {
		return err
	}
	r, note, signed, err := openFinal(dirs[0], p)
	if err != nil {
		return err
	}
	defer r.Close()
	if hash != "" {
		b, err := hex.DecodeString(hash)
		if err != nil || len(b) != len(block.Hash{}) {
			return fmt.Errorf("--hash %q is not 64 hexadecimal digits", hash)
		}
		if index, err = ledger.Find(r, block.Hash(b)); err != nil {
			return err
		}
	}
	var content []byte
	if strings.HasSuffix(out, proofSuffix) {
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
	lines := newPage(w)
	lines.line(2, "wrote %s: leaf %d under the checkpoint of %s, %d bytes", out, index, plural(signed.Size, "leaf", "leaves"), len(content))
	return lines.err
}

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".wattmark-"

// writeFile replaces a file as a whole.
func writeFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), tempPrefix+"*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
