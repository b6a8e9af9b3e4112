package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/oracle/export"
)

// Formats of an export, and the suffixes that stand for them.
const (
	formatCSV   = "csv"
	formatXLSX  = "xlsx"
	formatLines = "jsonl"
)

var exportFormats = []string{formatCSV, formatXLSX, formatLines}

// workbookRows is how many leaves a workbook has at most: with so many its making takes
// 320 MB, which a Pi has, and with more than 1,048,575 no spreadsheet opens it.
const workbookRows = 40_000

// leafColumns are the columns of a leaf, in the order of [cellsOf].
var leafColumns = []string{"index", "block", "block_time", "kind", "type", "issuer", "subject", "sequence_boot", "sequence_count", "summary", "leaf_sha256", "outcome_code"}

// leafProof says how a row is checked.
const leafProof = "Each row's leaf hash is proved by: wattmark ledger prove DIR --leaf INDEX --out FILE.evidence, and wattmark verify."

// exported is what ledger export prints of what it has written.
type exported struct {
	File      string `json:"file"`
	Format    string `json:"format"`
	Ledger    string `json:"ledger"`
	Height    uint64 `json:"height"` // of the newest final block, as every row says
	FirstLeaf uint64 `json:"first_leaf"`
	LastLeaf  uint64 `json:"last_leaf"`
	Rows      uint64 `json:"rows"`
	Bytes     int64  `json:"bytes"`
	Digest    string `json:"sha256"`
}

func newLedgerExport() *cobra.Command {
	e := exporting{most: workbookRows}
	var from, to uint64
	var blocks, policy string
	var asJSON bool
	c := &cobra.Command{
		Use:   "export DIR --out FILE",
		Short: "Write a ledger's leaves as CSV, XLSX or JSON lines",
		Long: `Export writes a row for each final leaf: index, block and its time, kind, type,
who signed it and what it is about, sequence number, what it says in one line,
its leaf hash, and the code of an outcome. FILE ends in .csv, .xlsx or .jsonl,
or --format says which. Of a demonstration's directory it is the ledger of
oracle 1. The same leaves as of the same height give the same bytes.

The values of open readings are left out; of a committed pack the ledger itself
has only a hash, so that nothing which was committed is in the file. In CSV,
text that a spreadsheet would take for a formula has an apostrophe before it.
A workbook has at most 40,000 leaves; the other formats are written as they are
read, whatever their length.

The checkpoint is verified by the policy. That the rows are what was signed,
'wattmark ledger audit' finds out, and 'wattmark ledger prove' proves of each.

Exit status: 0 done, 1 failed, 2 wrong usage,
3 something was checked and is false.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if e.format, err = exportFormat(e.out, e.format); err != nil {
				return err
			}
			changed := cmd.Flags().Changed
			if changed("blocks") && (changed("from-leaf") || changed("to-leaf")) {
				return errors.New("give --blocks or --from-leaf and --to-leaf, not both")
			}
			e.wanted = wantedLeaves{from: &from, to: &to}
			if !changed("from-leaf") {
				e.wanted.from = nil
			}
			if !changed("to-leaf") {
				e.wanted.to = nil
			}
			if changed("blocks") {
				if e.wanted, err = parseBlocks(blocks); err != nil {
					return err
				}
			}
			if w := e.wanted; w.from != nil && w.to != nil && *w.from > *w.to {
				return fmt.Errorf("a part from %d to %d is none: give the lower number first", *w.from, *w.to)
			}
			x, err := e.run(cmd.Context(), cmd.ErrOrStderr(), args[0], policy)
			if err != nil {
				return checkedFalse(err)
			}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(x))
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "wrote %s: %s of %s, %d to %d, as of block %d, %d bytes", x.File, plural(x.Rows, "leaf", "leaves"), x.Ledger, x.FirstLeaf, x.LastLeaf, x.Height, x.Bytes)
			p.line(2, "  SHA-256 %s", x.Digest)
			return failed(p.err)
		},
	}
	c.Flags().StringVar(&e.out, "out", "", "`FILE` to write, ending in .csv, .xlsx or .jsonl")
	c.Flags().StringVar(&e.format, "format", "", "`FORMAT` of the file, whatever its name: csv, xlsx or jsonl")
	c.Flags().Uint64Var(&from, "from-leaf", 0, "begin with the leaf with index `N`")
	c.Flags().Uint64Var(&to, "to-leaf", 0, "end with the leaf with index `N`")
	c.Flags().StringVar(&blocks, "blocks", "", "only the leaves of the blocks from height A to B, `A:B`; A: and :B are open")
	c.Flags().BoolVar(&e.force, "force", false, "replace a file that is there")
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` (default: the one beside the ledger)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object about what was written")
	if err := errors.Join(c.MarkFlagFilename("out", exportFormats...),
		c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(exportFormats, cobra.ShellCompDirectiveNoFileComp))); err != nil {
		panic("internal error: " + err.Error())
	}
	return c
}

// exportFormat returns the format that was given, or that a file's name ends in.
func exportFormat(out, given string) (string, error) {
	if out == "" {
		return "", errors.New("give --out FILE, ending in .csv, .xlsx or .jsonl")
	}
	format, how := given, "--format"
	if given == "" {
		format, how = strings.TrimPrefix(strings.ToLower(filepath.Ext(out)), "."), "the end of --out"
	}
	for _, f := range exportFormats {
		if f == format {
			return f, nil
		}
	}
	return "", fmt.Errorf("%s %q is no format of an export: give csv, xlsx or jsonl", how, format)
}

// wantedLeaves is a part of a ledger, by leaves or by blocks, both ends included; nil for its
// beginning or its end.
type wantedLeaves struct {
	from, to *uint64
	blocks   bool
}

// parseBlocks reads A:B.
func parseBlocks(text string) (w wantedLeaves, err error) {
	a, b, ok := strings.Cut(text, ":")
	w.blocks = true
	for _, end := range []struct {
		text string
		to   **uint64
	}{{a, &w.from}, {b, &w.to}} {
		if end.text == "" {
			continue
		}
		n, err := strconv.ParseUint(end.text, 10, 64)
		ok = ok && err == nil
		*end.to = &n
	}
	if !ok || w.from == nil && w.to == nil {
		return w, fmt.Errorf("--blocks %q, want heights as 100:200, 100: or :200", text)
	}
	return w, nil
}

// in returns the first and the last leaf of the part, of a ledger that ends with a header.
func (w wantedLeaves) in(r *store.Reader, end *block.Header) (first, last uint64, err error) {
	// The header's own index is the number of leaves before it.
	what, most := "leaf", end.Size
	if w.blocks {
		what, most = "block", end.Height
	}
	for _, n := range []*uint64{w.from, w.to} {
		if n != nil && *n > most {
			return 0, 0, fmt.Errorf("%s %d is not final: the last one that is has %d", what, *n, most)
		}
	}
	last = end.Size
	switch {
	case w.blocks:
		if w.from != nil {
			b, err := r.BlockAt(*w.from)
			if err != nil {
				return 0, 0, err
			}
			first = b.First
		}
		if w.to != nil {
			b, err := r.BlockAt(*w.to)
			if err != nil {
				return 0, 0, err
			}
			last = b.Size - 1
		}
	default:
		if w.from != nil {
			first = *w.from
		}
		if w.to != nil {
			last = *w.to
		}
	}
	return first, last, nil
}

// exporting is an export as it was asked for.
type exporting struct {
	out, format string
	force       bool
	most        uint64 // leaves of a workbook
	wanted      wantedLeaves
}

// run writes the file as a whole, or not at all.
func (e *exporting) run(ctx context.Context, progress io.Writer, dir, policy string) (*exported, error) {
	if err := e.free(); err != nil {
		return nil, err
	}
	dirs, err := storesOf(dir)
	if err != nil {
		return nil, askInstead(err)
	}
	p, _, err := policyFor(policy, dir)
	if err != nil {
		return nil, err
	}
	r, _, signed, err := openFinal(dirs[0], p)
	if err != nil {
		return nil, askInstead(err)
	}
	defer r.Close()
	leaf, err := r.Leaf(signed.Size - 1)
	if err != nil {
		return nil, err
	}
	end, err := block.ParseHeader(leaf)
	if err != nil {
		return nil, fmt.Errorf("the header of the final block: %w", err)
	}
	first, last, err := e.wanted.in(r, end)
	if err != nil {
		return nil, err
	}
	x := &exported{File: e.out, Format: e.format, Ledger: end.Origin, Height: end.Height, FirstLeaf: first, LastLeaf: last, Rows: last - first + 1}
	if e.format == formatXLSX && x.Rows > e.most {
		return nil, fmt.Errorf("a workbook has room for %d leaves, and these are %d: give --blocks, or --from-leaf and --to-leaf, or --format csv, which has no limit", e.most, x.Rows)
	}

	f, err := os.CreateTemp(filepath.Dir(e.out), tempPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", e.out, err)
	}
	defer os.Remove(f.Name()) // nothing is there any more once it has its name
	defer f.Close()           // a second time, where all is well
	sum := sha256.New()
	buffered := bufio.NewWriterSize(f, 1<<16)
	rows, err := newRows(io.MultiWriter(buffered, sum), x, end)
	if err != nil {
		return nil, err
	}
	bar := newBar(progress, "exporting "+dirs[0], x.Rows)
	err = leavesInBlocks(ctx, r, first, last, signed.Size, bar, rows.Row)
	bar.end()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(rows.Flush(), buffered.Flush()); err != nil {
		return nil, fmt.Errorf("writing %s: %w", e.out, err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("writing %s: %w", e.out, err)
	}
	x.Bytes, x.Digest = info.Size(), hex.EncodeToString(sum.Sum(nil))
	if err := e.free(); err != nil { // somebody may have written it meanwhile
		return nil, err
	}
	return x, os.Rename(f.Name(), e.out)
}

// free reports that the file must not be written, for it is there.
func (e *exporting) free() error {
	info, err := os.Lstat(e.out)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("writing %s: %w", e.out, err)
	case info.IsDir():
		return fmt.Errorf("writing %s: it is a directory: name a file in it", e.out)
	case !e.force:
		return fmt.Errorf("%s is there already: give another --out, or --force to replace it", e.out)
	}
	return nil
}

// newRows begins a table of leaves in a format.
func newRows(w io.Writer, x *exported, end *block.Header) (export.Rows, error) {
	switch x.Format {
	case formatCSV:
		return export.NewCSV(w, leafColumns, x.Ledger, x.Height)
	case formatLines:
		return export.NewLines(w, leafColumns, x.Ledger, x.Height)
	}
	return &workbook{w, export.Table{Title: fmt.Sprintf("Leaves %d to %d", x.FirstLeaf, x.LastLeaf), Ledger: x.Ledger, Height: x.Height, Time: end.Time, Check: leafProof, Columns: leafColumns}}, nil
}

// workbook holds its rows until all of them are there: the format has to.
type workbook struct {
	w io.Writer
	t export.Table
}

func (b *workbook) Row(cells []any) error {
	b.t.Rows = append(b.t.Rows, append([]any(nil), cells...))
	return nil
}

func (b *workbook) Flush() error {
	file, err := b.t.XLSX()
	if err != nil {
		return err
	}
	_, err = b.w.Write(file)
	return err
}

// errEnough ends the reading of leaves.
var errEnough = errors.New("enough")

// leavesInBlocks calls fn with the cells of each leaf from first to last. A block's time
// stands in its header, which comes last, so that the leaves of one block wait for it. It
// reads no leaf from size on.
func leavesInBlocks(ctx context.Context, r *store.Reader, first, last, size uint64, bar *bar, fn func(cells []any) error) error {
	var waiting []*audit.Description
	err := r.Leaves(first, size, func(i uint64, leaf []byte) error {
		if i%1024 == 0 && ctx.Err() != nil {
			return errors.New("interrupted: nothing was written")
		}
		if i <= last {
			d := audit.Describe(i, leaf)
			d.Fields, d.Records, d.Hidden = nil, nil, nil // not asked for, and of the reader's memory
			waiting = append(waiting, d)
		}
		if entry.KindOf(leaf) != entry.LeafHeader {
			return nil
		}
		h, err := block.ParseHeader(leaf)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		for _, d := range waiting {
			if err := fn(cellsOf(d, h)); err != nil {
				return err
			}
		}
		waiting = waiting[:0]
		bar.at(min(i, last) + 1 - first)
		if i >= last {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// cellsOf are a leaf's cells, in the order of leafColumns.
func cellsOf(d *audit.Description, h *block.Header) []any {
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	var boot, count any
	if d.Sequence.Count > 0 {
		boot, count = d.Sequence.Boot, d.Sequence.Count
	}
	return []any{d.Index, h.Height, utc(h.Time), d.Kind.String(), text(d.Type), text(d.Issuer), text(d.Subject), boot, count, d.Summary, hex.EncodeToString(d.Hash[:]), text(d.Code)}
}
