package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/oracle/ingest"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// stagePrinted is what import --stage prints.
type stagePrinted struct {
	Batch    string `json:"batch"`
	File     string `json:"file"`
	Records  int    `json:"records"`
	Findings int    `json:"findings"`
}

// stageFile imports a file into the staging area of an oracle's node. Findings that are
// errors go out as import prints them, and then nothing is staged.
func (f *carbonFlags) stageFile(cmd *cobra.Command, name string, read func(file []byte) ([]byte, bool, error)) error {
	m, err := f.open()
	if err != nil {
		return failed(err)
	}
	var staged *stagedBatch
	err = pureCommand(cmd, name, func(file []byte) ([]byte, bool, error) {
		result, holds, err := read(file)
		if err != nil || !holds {
			return result, holds, err
		}
		if staged, err = stage(name, file, result); err != nil {
			return nil, false, err
		}
		return nil, true, staged.save(m.dir)
	})
	if err != nil || staged == nil {
		return err
	}
	out := stagePrinted{staged.Batch, staged.File, len(staged.Records), len(staged.Findings)}
	if f.asJSON {
		return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(out))
	}
	p := newPage(cmd.OutOrStdout())
	p.line(2, "Staged %s of %s as batch %s. Nothing is on the ledger yet. Next:", plural(out.Records, "record", "records"), out.File, out.Batch)
	p.line(4, "  wattmark carbon staged %s --dir %s", out.Batch, f.dir)
	p.line(4, "  wattmark carbon commit %s --dir %s --key FILE --author NAME", out.Batch, f.dir)
	for _, x := range staged.Findings {
		p.line(4, "  %s %s: %s", x.Rule, x.Severity, x.Note)
	}
	return failed(p.err)
}

func newCarbonStaged() *cobra.Command {
	var f carbonFlags
	c := &cobra.Command{
		Use:   "staged [BATCH] --dir DIR",
		Short: "List what was imported and is not on the ledger yet",
		Long: `Staged lists the batches of records that import --stage has put beside the
oracle's ledger; of one BATCH, each record: whether it is new or would change
one, whose it is, and what keeps it from being committed or wants a person to
look at it, with both sides. The beginning of a batch's name is enough.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: "  wattmark carbon staged 3f1c --dir DIR",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			p, e := newPage(cmd.OutOrStdout()), json.NewEncoder(cmd.OutOrStdout())
			if len(args) == 0 {
				all, err := batchesIn(m.dir)
				for _, b := range all {
					if f.asJSON {
						err = cmp.Or(err, e.Encode(stagePrinted{b.Batch, b.File, len(b.Records), len(b.Findings)}))
						continue
					}
					p.line(2, "%s: %s of %s, staged %s", b.Batch, plural(len(b.Records), "record", "records"), b.File, b.Staged.Format("2006-01-02 15:04"))
				}
				return failed(cmp.Or(err, p.err))
			}
			b, err := loadBatch(m.dir, args[0])
			if err != nil {
				return failed(err)
			}
			_, checked, err := m.checked(cmd, b)
			if err != nil {
				return failed(err)
			}
			for i := range checked {
				r := &checked[i]
				if f.asJSON {
					if err := e.Encode(r); err != nil {
						return failed(err)
					}
					continue
				}
				of := ""
				if r.Registry != "" {
					of = ", of " + r.Registry
				}
				p.line(2, "%s %s: %s%s", r.Table, r.Key, r.Would, of)
				for _, x := range r.Findings {
					p.line(4, "  %s %s (%s): %s", x.Rule, x.Severity, strings.Join(x.Records, ", "), x.Note)
				}
			}
			return failed(p.err)
		},
	}
	f.add(c)
	return c
}

// checked replays the ledger and holds a batch against it.
func (m *member) checked(cmd *cobra.Command, b *stagedBatch) (*trader, []checkedRecord, error) {
	s, _, err := replayed(cmd.Context(), m.dir, m.policy)
	if err != nil {
		return nil, nil, err
	}
	ledger, err := m.records(s)
	if err != nil {
		return nil, nil, err
	}
	list, err := b.check(s, ledger)
	return &trader{member: m, state: s}, list, err
}

func newCarbonUnstage() *cobra.Command {
	var f memberFlags
	c := &cobra.Command{
		Use:     "unstage BATCH --dir DIR",
		Short:   "Take a batch out of the staging area again",
		Long:    "Unstage removes a batch that was staged. The ledger is left alone.\n\nExit status: 0 done, 1 failed, 2 wrong usage.",
		Example: "  wattmark carbon unstage 3f1c --dir DIR",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			b, err := loadBatch(m.dir, args[0])
			if err != nil {
				return failed(err)
			}
			if err := os.Remove(stagedFile(m.dir, b.Batch)); err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "Batch %s of %s is staged no more.", b.Batch, b.File)
			return failed(p.err)
		},
	}
	f.add(c)
	return c
}

// committing is the command line of commit.
type committing struct {
	memberFlags
	key, author, comment string
	rows                 []string
	asJSON               bool
}

// committed is what commit prints of a record.
type committed struct {
	Table string `json:"table"`
	Key   string `json:"key"`
	Did   string `json:"did"` // new, change, or same where nothing was to be done
	Leaf  uint64 `json:"leaf,omitempty"`
	Block uint64 `json:"block,omitempty"`
}

func newCarbonCommit() *cobra.Command {
	var k committing
	c := &cobra.Command{
		Use:   "commit BATCH --dir DIR --key FILE --author NAME",
		Short: "Sign staged records as a registry, and put them onto the ledger",
		Long: `Commit signs one entry for each record of a batch, or for the chosen --rows,
with the registry's key, and puts it onto the ledger over the oracle's broker.
It is refused as a whole while one of them has an error: a serial that stands
already, or a record of another registry. A record that stands as it is staged
is passed over, so that a commit that was cut goes on where it was. A batch of
which all is committed is staged no more.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Example: `  wattmark carbon commit 3f1c --dir DIR --key registry.pem --author "Dora Ito"
  wattmark carbon commit 3f1c --dir DIR --key registry.pem --author Dora \
    --rows project/3f1c-1,unit/3f1c-2`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if k.key == "" || k.author == "" {
				return errors.New("give --key FILE of the registry, and --author NAME of who commits")
			}
			return failed(k.run(cmd, args[0]))
		},
	}
	k.add(c)
	c.Flags().StringVar(&k.key, "key", "", "`FILE` with the registry's key")
	c.Flags().StringVar(&k.author, "author", "", "`NAME` of the person who commits")
	c.Flags().StringVar(&k.comment, "comment", "", "why, in a few `WORDS`")
	c.Flags().StringSliceVar(&k.rows, "rows", nil, "only these, as `TABLE/KEY`")
	c.Flags().BoolVar(&k.asJSON, "json", false, "print JSON, a record a line")
	return c
}

func (k *committing) run(cmd *cobra.Command, name string) error {
	m, err := k.open()
	if err != nil {
		return err
	}
	b, err := loadBatch(m.dir, name)
	if err != nil {
		return err
	}
	key, err := keyfile.Load(k.key)
	if err != nil {
		return err
	}
	t, checked, err := m.checked(cmd, b)
	if err != nil {
		return err
	}
	party, ok := t.state.Party(key.Public().ID())
	if !ok || party.Role != entry.RoleRegistry {
		return fmt.Errorf("key %v is of no registry of %s: let the oracles appoint it with 'wattmark carbon enter appointment'", key.Public().ID(), m.charter.Origin)
	}
	chosen, err := k.choose(b, checked, party.Name)
	if err != nil {
		return err
	}
	shown := newBar(cmd.ErrOrStderr(), "committing", uint64(len(chosen)))
	defer shown.end()
	p, e := newPage(cmd.OutOrStdout()), json.NewEncoder(cmd.OutOrStdout())
	ends := 0
	tell := func(did committed) error {
		ends++
		shown.at(uint64(ends))
		if k.asJSON {
			return e.Encode(did)
		}
		if did.Did != stagedSame {
			p.line(2, "%s %s: %s, leaf %d", did.Table, did.Key, did.Did, did.Leaf)
		}
		return p.err
	}
	var statements [][]byte
	var dids []committed
	size := 0
	flush := func() error {
		err := m.putAll(cmd.Context(), statements, func(i int, leaf, height uint64) error {
			dids[i].Leaf, dids[i].Block = leaf, height
			return tell(dids[i])
		})
		if err != nil {
			return fmt.Errorf("after %s of %d: %w", plural(ends, "record", "records"), len(chosen), err)
		}
		statements, dids, size = statements[:0], dids[:0], 0
		return nil
	}
	for _, n := range chosen {
		r, c := &b.Records[n], &checked[n]
		did := committed{Table: r.Table, Key: r.Key, Did: c.Would}
		if c.Would == stagedSame {
			if err := tell(did); err != nil {
				return err
			}
			continue
		}
		payload := &entry.CADTCommit{Table: r.Table, Key: r.Key, Record: r.Record, Author: k.author, Comment: k.comment}
		if c.before != nil {
			payload.Before = c.before.Digest
		}
		statement, err := k.sign(t, key, party.Name, payload)
		if err != nil {
			return err
		}
		if size += len(statement) + 4; len(statements) > 0 && (size > ingest.MaxBundle || len(statements) == atOnce) {
			if err := flush(); err != nil {
				return err
			}
			size = len(statement) + 4
		}
		statements, dids = append(statements, statement), append(dids, did)
	}
	if len(statements) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	if len(chosen) == len(b.Records) {
		return os.Remove(stagedFile(m.dir, b.Batch))
	}
	return nil
}

// choose picks the records to commit, in the order in which tables are filled.
func (k *committing) choose(b *stagedBatch, checked []checkedRecord, registry string) ([]int, error) {
	var chosen []int
	var bad []string
	left := slices.Clone(k.rows)
	for i := range checked {
		c := &checked[i]
		name := c.Table + "/" + c.Key
		if len(k.rows) > 0 {
			if !slices.Contains(k.rows, name) {
				continue
			}
			left = slices.DeleteFunc(left, func(row string) bool { return row == name })
		}
		chosen = append(chosen, i)
		if c.Registry != "" && c.Registry != registry {
			c.Would = stagedForeign
			bad = append(bad, fmt.Sprintf("%s is of %s, who alone changes it", name, c.Registry))
		}
		for _, x := range c.Findings {
			if x.Severity == string(carbon.Refused) {
				bad = append(bad, fmt.Sprintf("%s: %s (%s): %s", name, x.Rule, strings.Join(x.Records, ", "), x.Note))
			}
		}
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("batch %s has no %s: 'wattmark carbon staged %s' lists its rows", b.Batch, strings.Join(left, ", "), b.Batch)
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("nothing was committed: %s", strings.Join(bad, "; "))
	}
	return chosen, nil
}

// atOnce is how many records are put onto the ledger at once.
const atOnce = 64

// sign signs the entry of a record.
func (k *committing) sign(t *trader, key signer.Signer, registry string, c *entry.CADTCommit) ([]byte, error) {
	payload, err := entry.EncodeCarbon(c)
	if err != nil {
		return nil, err
	}
	count, err := numbers{k.key}.next(t.state.NextCount(key.Public().ID(), 1))
	if err != nil {
		return nil, err
	}
	claims, err := (&entry.Claims{
		Issuer: "urn:wattmark:registry:" + registry, Audience: t.charter.Origin, IssuedAt: t.now() / 1000, Sequence: entry.Sequence{Boot: 1, Count: count},
	}).Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(key, signer.Header{Type: c.Type(), ContentType: entry.ContentCBOR, Claims: claims}, payload)
}
