package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// Types of carbon accounting are named without what they have in common.
const (
	typePrefix = "application/vnd.wattmark."
	typeSuffix = "+cose"
)

// statedByOracles are the entries that oracles state, each with its own key; all others
// are signed by a member, a verifier or a registry.
var statedByOracles = map[string]bool{entry.TypeAppointment: true, entry.TypeFactorPack: true}

// enteredCarbon is what carbon enter prints.
type enteredCarbon struct {
	Type   string `json:"type"`
	By     string `json:"by"`
	Leaf   uint64 `json:"leaf"`
	Block  uint64 `json:"block"`
	Result []fact `json:"result"`
}

// fact is a line of what followed.
type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func newCarbonEnter() *cobra.Command {
	var f memberFlags
	var key string
	var asJSON bool
	c := &cobra.Command{
		Use:   "enter TYPE [FIELD=VALUE ...] --dir DIR [--key FILE]",
		Short: "Sign any entry of carbon accounting, and put it onto the ledger",
		Long: `Enter makes an entry of carbon accounts from its fields, signs it with the key of
the member, verifier or registry whose part it is, puts it onto the ledger over
the oracle's broker, waits until it is final, and prints what followed. Without
--key the oracle of DIR states it: appointments and factor packs, which take
effect when enough oracles have stated the same.

Lists are separated by commas, times are as 2026-06-17T10:00:00Z, digests in
hexadecimal; packs are NAME:EDITION, what is declared LABEL:GAS:MG, and rows of
factors and a request come from a file, as @FILE. 'enter TYPE' without fields
lists them. The types:

` + enterTypes() + `

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Example: `  wattmark carbon enter unit-transfer block=u-700-1 to=carla --dir DIR --key anna.pem
  wattmark carbon enter verification period=june version=1 digest=3f… level=limited --dir DIR --key verifier.pem`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			typ := typePrefix + args[0] + typeSuffix
			c := entry.EmptyCarbon(typ)
			switch {
			case c == nil:
				return fmt.Errorf("%q is no type of carbon accounting: see --help", args[0])
			case statedByOracles[typ] && key != "":
				return fmt.Errorf("%s is stated by oracles: leave --key out, and give the command at each", args[0])
			case len(args) == 1:
				p := newPage(cmd.OutOrStdout())
				for _, field := range fieldsOf(c) {
					p.line(2, "%s=%s", field.name, field.form)
				}
				return p.err
			}
			if err := fill(c, args[1:]); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			payload, err := entry.EncodeCarbon(c)
			if err != nil {
				return err
			}
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			e := &enteredCarbon{Type: args[0], Result: []fact{}}
			var statement []byte
			switch {
			case statedByOracles[typ]:
				e.By = "oracle"
				statement, err = m.sign(typ, payload)
			case key == "":
				return errors.New("give --key FILE: the key of the member, verifier or registry whose entry it is")
			default:
				e.By, statement, err = m.signAs(cmd, key, typ, payload)
			}
			if err != nil {
				return failed(err)
			}
			if e.Leaf, e.Block, err = m.put(cmd.Context(), statement); err != nil {
				return failed(err)
			}
			if err := m.followed(e); err != nil {
				return failed(err)
			}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(e))
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "%s by %s: leaf %d, final in block %d", e.Type, e.By, e.Leaf, e.Block)
			for _, r := range e.Result {
				p.line(4, "  %s: %s", r.Name, r.Value)
			}
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&key, "key", "", "`FILE` with the key of whose entry it is")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// enterTypes lists the types for the help, some a line.
func enterTypes() string {
	var lines []string
	line := "  "
	for _, typ := range entry.CarbonTypes() {
		name := strings.TrimSuffix(strings.TrimPrefix(typ, typePrefix), typeSuffix)
		if len(line)+len(name) > 76 {
			lines, line = append(lines, line), "  "
		}
		line += name + " "
	}
	return strings.Join(append(lines, line), "\n")
}

// signAs signs with the key of a party of the ledger, with its next number.
func (m *member) signAs(cmd *cobra.Command, path, typ string, payload []byte) (by string, statement []byte, err error) {
	key, err := keyfile.Load(path)
	if err != nil {
		return "", nil, err
	}
	st, _, err := replayed(cmd.Context(), m.dir, m.policy)
	if err != nil {
		return "", nil, err
	}
	id := key.Public().ID()
	p, ok := st.Party(id)
	if !ok {
		return "", nil, fmt.Errorf("key %v is of no member, verifier or registry of %s", id, m.charter.Origin)
	}
	count, err := numbers{path}.next(st.NextCount(id, 1))
	if err != nil {
		return "", nil, err
	}
	t := &trader{member: m, state: st}
	c := entry.Claims{Issuer: "urn:wattmark:" + p.Role + ":" + p.Name, Audience: m.charter.Origin, IssuedAt: t.now() / 1000, Sequence: entry.Sequence{Boot: 1, Count: count}}
	claims, err := c.Encode()
	if err != nil {
		return "", nil, err
	}
	statement, err = signer.Sign(key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: claims}, payload)
	return p.Role + " " + p.Name, statement, err
}

// followed reads what followed from an entry: the outcomes of its block that name its leaf.
func (m *member) followed(e *enteredCarbon) error {
	r, _, err := store.OpenReader(m.dir)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := r.BlockAt(e.Block)
	if err != nil {
		return err
	}
	about := fmt.Sprint(e.Leaf)
	return r.Leaves(b.First, b.Size, func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafOutcome {
			return nil
		}
		d := audit.Describe(i, leaf)
		for _, f := range d.Fields {
			if f.Name != "follows from leaf" || f.Value != about {
				continue
			}
			for _, f := range d.Fields[1:] {
				e.Result = append(e.Result, fact{f.Name, f.Value})
			}
		}
		return nil
	})
}
