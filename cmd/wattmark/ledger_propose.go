package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/oracle/founding"
	"wattmark/signer"
)

// proposing is the command line of everything that puts a motion forward.
type proposing struct {
	memberFlags
	at     uint64
	in     uint64
	out    string
	asJSON bool
}

func (f *proposing) flags(c *cobra.Command) {
	f.add(c)
	c.Flags().Uint64Var(&f.at, "at", 0, "`HEIGHT` of the first block that it holds for")
	c.Flags().Uint64Var(&f.in, "in", 1000, "or so many `BLOCKS` from now")
	c.Flags().StringVar(&f.out, "out", "", "write the signed statement to `FILE`, and put nothing onto the ledger")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print the proposal as JSON")
}

func newLedgerPropose() *cobra.Command {
	c := noun("propose", "Put a change of the ledger's rules to the oracles' vote",
		newProposeOracles(), newProposeParameter(), newProposeRules(), newProposeDecision())
	c.Long = `Propose states a change as your oracle, which thereby agrees to it. It holds
from the block of --at on, once as many oracles agree as the governance
threshold asks for: each gives 'wattmark ledger vote HASH'. Leave them time.`
	return c
}

func newProposeParameter() *cobra.Command {
	var f proposing
	c := &cobra.Command{
		Use:   "parameter NAME VALUE --dir DIR",
		Short: "Change a number that the rules use",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is no whole number", args[1])
			}
			p := entry.Parameter{Name: args[0], Value: v}
			return failed(f.propose(cmd, entry.MotionParameter, p.Encode()))
		},
	}
	f.flags(c)
	return c
}

func newProposeRules() *cobra.Command {
	var f proposing
	c := &cobra.Command{
		Use:   "rules NAME VERSION --dir DIR",
		Short: "Put a newer version of rules in force",
		Long: `A version of rules must be known to every oracle's program: install it on all
of them first. An oracle that does not know it goes on with another ledger
than the others, and is out.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := strconv.ParseUint(args[1], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is no version", args[1])
			}
			r := entry.RuleVersion{Rules: args[0], Version: v}
			return failed(f.propose(cmd, entry.MotionRules, r.Encode()))
		},
	}
	f.flags(c)
	return c
}

// setChange is what propose oracles changes of the set in force.
type setChange struct {
	proposing
	add, remove        []string
	quorum, governance uint64
	witnesses          []string
	unwitness          []string
	witnessQuorum      uint64
}

func newProposeOracles() *cobra.Command {
	var f setChange
	c := &cobra.Command{
		Use:   "oracles --dir DIR",
		Short: "Change the oracles, their keys, the thresholds or the witnesses",
		Long: `The proposal states the whole next set. --add takes the request that the new
oracle's 'wattmark-oracle init' has written, and may be given again; a request
of an oracle that is in the set already gives it those keys instead of its old
ones. Thresholds are more than two thirds of the oracles where none are given.

An oracle that is taken in must have the ledger by then: 'wattmark ledger
join'. One that changes its keys keeps the old ones until the set is in force.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(f.add)+len(f.remove)+len(f.witnesses)+len(f.unwitness) == 0 &&
				!cmd.Flags().Changed("quorum") && !cmd.Flags().Changed("governance") && !cmd.Flags().Changed("witness-quorum") {
				return errors.New("say what is to change: --add, --remove, --quorum, --governance, --witness, --no-witness, --witness-quorum")
			}
			return failed(f.run(cmd))
		},
	}
	f.flags(c)
	c.Flags().StringArrayVar(&f.add, "add", nil, "request `FILE` of an oracle")
	c.Flags().StringArrayVar(&f.remove, "remove", nil, "`NAME` of an oracle that goes")
	c.Flags().Uint64Var(&f.quorum, "quorum", 0, "`N` oracles that must cosign a checkpoint")
	c.Flags().Uint64Var(&f.governance, "governance", 0, "`N` oracles that must agree to a change")
	c.Flags().StringArrayVar(&f.witnesses, "witness", nil, "C2SP verifier `KEY` of a witness to ask for, too")
	c.Flags().StringArrayVar(&f.unwitness, "no-witness", nil, "verifier `KEY` of a witness to ask no more")
	c.Flags().Uint64Var(&f.witnessQuorum, "witness-quorum", 0, "`N` witnesses that must cosign (default: as before, or all)")
	return c
}

func (f *setChange) run(cmd *cobra.Command) error {
	m, err := f.open()
	if err != nil {
		return err
	}
	now, err := m.oracles()
	if err != nil {
		return err
	}
	next := *now
	next.Replaces, next.Oracles = now.Hash(), slices.Clone(now.Oracles)
	for _, name := range f.remove {
		n := len(next.Oracles)
		next.Oracles = slices.DeleteFunc(next.Oracles, func(o entry.OracleKeys) bool { return o.Name == name })
		if len(next.Oracles) == n {
			return fmt.Errorf("no oracle %q is in the set in force", name)
		}
	}
	for _, file := range f.add {
		b, err := readLimited(file, 1<<20)
		if err != nil {
			return err
		}
		r, err := founding.OpenRequest(b)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if r.Origin != m.charter.Origin {
			return fmt.Errorf("%s: the request is for the ledger %q, this is %q", file, r.Origin, m.charter.Origin)
		}
		if i := slices.IndexFunc(next.Oracles, func(o entry.OracleKeys) bool { return o.Name == r.Oracle.Name }); i >= 0 {
			next.Oracles[i] = r.Oracle
		} else {
			next.Oracles = append(next.Oracles, r.Oracle)
		}
	}
	usual := uint64(2*len(next.Oracles)/3 + 1)
	if len(next.Oracles) != len(now.Oracles) {
		next.Quorum, next.Governance = usual, usual
	}
	if f.quorum > 0 {
		next.Quorum = f.quorum
	}
	if f.governance > 0 {
		next.Governance = f.governance
	}
	f.witness(&next, now)
	body, err := next.Encode()
	if err != nil {
		return err
	}
	return f.propose(cmd, entry.MotionOracles, body)
}

func (f *setChange) witness(next, now *entry.OracleSet) {
	next.Witnesses = slices.DeleteFunc(slices.Clone(now.Witnesses), func(w string) bool { return slices.Contains(f.unwitness, w) })
	next.Witnesses = append(next.Witnesses, f.witnesses...)
	n := uint64(len(next.Witnesses))
	switch {
	case f.witnessQuorum > 0:
		next.WitnessQuorum = f.witnessQuorum
	case now.WitnessQuorum == 0 || now.WitnessQuorum > n:
		next.WitnessQuorum = n
	}
}

// oracles returns the oracle set in force: that of the last handover, or the charter's.
func (m *member) oracles() (*entry.OracleSet, error) {
	r, _, err := store.OpenReader(m.dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return oraclesOf(r, m.charter)
}

func oraclesOf(r *store.Reader, charter *entry.Charter) (*entry.OracleSet, error) {
	list, err := ledger.HistoryOf(r)
	if err != nil || len(list) == 0 {
		return charter.OracleSet(), err
	}
	set := list[len(list)-1].Next()
	if set == nil {
		return nil, errors.New("the last handover states no oracle set: look with 'wattmark ledger check'")
	}
	return set, nil
}

// shownProposal is a proposal as it is printed.
type shownProposal struct {
	Hash    string   `json:"hash"`
	Kind    string   `json:"kind"`
	Height  uint64   `json:"height"`
	Status  string   `json:"status,omitempty"`
	Says    string   `json:"says"`
	Leaf    uint64   `json:"leaf,omitempty"`
	Oracles []string `json:"oracles,omitempty"`
	Needed  uint64   `json:"needed,omitempty"`
	By      uint64   `json:"adopted_by_leaf,omitempty"`
	Reason  string   `json:"reason,omitempty"`
}

// propose signs a motion, puts it into the order and waits until it is final.
func (f *proposing) propose(cmd *cobra.Command, kind string, body []byte) error {
	m, err := f.open()
	if err != nil {
		return err
	}
	motion := entry.Motion{Kind: kind, Height: f.at, Body: body}
	if motion.Height == 0 {
		h, err := m.height()
		if err != nil {
			return err
		}
		motion.Height = h + f.in
	}
	payload, err := motion.Encode()
	if err != nil {
		return err
	}
	statement, err := m.sign(entry.TypeMotion, payload)
	if err != nil {
		return err
	}
	hash := motion.Hash()
	s := shownProposal{Hash: hex.EncodeToString(hash[:]), Kind: kind, Height: motion.Height, Says: saying(&motion)}
	return m.voice(cmd, f.out, f.asJSON, statement, s)
}

// voice brings a motion or a consent onto the ledger and says what came of it.
func (m *member) voice(cmd *cobra.Command, out string, asJSON bool, statement []byte, s shownProposal) error {
	w := cmd.OutOrStdout()
	if out != "" {
		p := newPage(cmd.ErrOrStderr())
		if err := offLine(p, out, statement); err != nil {
			return err
		}
	} else {
		done, err := m.place(cmd.Context(), statement, s.Hash)
		if err != nil {
			return err
		}
		s = *done
	}
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	return printProposals(w, []shownProposal{s})
}

// place submits a voice and waits for it in a final block.
func (m *member) place(ctx context.Context, statement []byte, hash string) (*shownProposal, error) {
	msg, err := signer.Parse(statement)
	if err != nil {
		return nil, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer l.conn.Close()
	ctx, cancel := context.WithTimeout(ctx, finalWithin)
	defer cancel()
	from, err := m.newFrom(statement)
	if err != nil {
		return nil, err
	}
	if err := l.submit(ctx, statement); err != nil {
		return nil, err
	}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		list, err := m.proposals(msg, from)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if list[i].Hash == hash {
				return &list[i], nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("it is in the order, and in no final block after %v: see that a quorum of oracles runs, and look at 'wattmark ledger proposals'", finalWithin)
		case <-poll.C:
		}
	}
}

// proposals returns those under the final checkpoint once a statement is there, or an
// error where it was refused.
func (m *member) proposals(msg *signer.Message, from uint64) ([]shownProposal, error) {
	r, _, signed, err := openFinal(m.dir, m.policy)
	if errors.Is(err, errNoFinal) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	at, err := search(r, msg, from, signed.Size)
	if err != nil || at == nil {
		return nil, err
	}
	return shownProposals(r, signed.Checkpoint)
}

func shownProposals(r *store.Reader, cp block.Checkpoint) ([]shownProposal, error) {
	charter, err := charterOf(r)
	if err != nil {
		return nil, err
	}
	now, err := oraclesOf(r, charter)
	if err != nil {
		return nil, err
	}
	list, err := ledger.ProposalsOf(r, cp.Size)
	if err != nil {
		return nil, err
	}
	names := make(map[signer.KeyID]string)
	for _, set := range append([]*entry.OracleSet{charter.OracleSet(), now}, setsIn(list)...) {
		for _, o := range set.Oracles {
			if k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key); err == nil {
				names[k.ID()] = o.Name
			}
		}
	}
	out := make([]shownProposal, len(list))
	for i, p := range list {
		s := shownProposal{Hash: hex.EncodeToString(p.Hash[:]), Kind: p.Kind, Height: p.Height, Status: p.Status, Says: saying(&p.Motion), Leaf: p.Leaf, By: p.By, Reason: p.Reason}
		for _, id := range p.Voices {
			name, ok := names[id]
			if !ok {
				name = id.String()
			}
			s.Oracles = append(s.Oracles, name)
		}
		if p.Status == ledger.ProposalOpen {
			s.Needed = now.Governance
		}
		out[i] = s
	}
	return out, nil
}

func setsIn(list []ledger.Proposal) (out []*entry.OracleSet) {
	for i := range list {
		if set, err := entry.ParseOracleSet(list[i].Body); list[i].Kind == entry.MotionOracles && err == nil {
			out = append(out, set)
		}
	}
	return out
}

// saying puts a motion into words.
func saying(m *entry.Motion) string {
	switch m.Kind {
	case entry.MotionParameter:
		if p, err := entry.ParseParameter(m.Body); err == nil {
			return fmt.Sprintf("%s = %d", p.Name, p.Value)
		}
	case entry.MotionRules:
		if r, err := entry.ParseRuleVersion(m.Body); err == nil {
			return fmt.Sprintf("rules %s version %d", r.Rules, r.Version)
		}
	case entry.MotionDecision:
		if d, err := entry.ParseDecision(m.Body); err == nil {
			if d.Energy == nil {
				return fmt.Sprintf("interval %s of %s stands as it was settled", d.Interval, d.Member)
			}
			return fmt.Sprintf("interval %s of %s is settled by %d Wh in and %d Wh out", d.Interval, d.Member, int64(d.Energy.Import), int64(d.Energy.Export))
		}
	case entry.MotionForget:
		if g, err := entry.ParseForgetting(m.Body); err == nil {
			return fmt.Sprintf("forget %s: %s", g.Subject, g.Reason)
		}
	case entry.MotionOracles:
		if s, err := entry.ParseOracleSet(m.Body); err == nil {
			words := fmt.Sprintf("quorum %d, governance %d of", s.Quorum, s.Governance)
			for _, o := range s.Oracles {
				words += " " + o.Name
			}
			if len(s.Witnesses) > 0 {
				words += fmt.Sprintf("; %d of %d witnesses", s.WitnessQuorum, len(s.Witnesses))
			}
			return words
		}
	}
	return fmt.Sprintf("%d bytes of the kind %q", len(m.Body), m.Kind)
}

func printProposals(w io.Writer, list []shownProposal) error {
	p := newPage(w)
	for _, s := range list {
		p.line(2, "%s %s, from block %d", s.Kind, s.Status, s.Height)
		p.line(4, "  %s", s.Says)
		p.line(4, "  hash %s", s.Hash)
		switch {
		case s.Needed > 0:
			p.line(4, "  %d of %d agree: %s", len(s.Oracles), s.Needed, joined(s.Oracles))
			p.line(4, "  to agree: wattmark ledger vote %s --dir DIR", s.Hash[:16])
		case len(s.Oracles) > 0:
			p.line(4, "  agreed: %s", joined(s.Oracles))
		}
		if s.Reason != "" {
			p.line(4, "  void: %s: %s", s.Reason, entry.Reason(s.Reason).Remedy())
		}
	}
	if len(list) == 0 {
		p.line(2, "nothing was proposed")
	}
	return p.err
}

func joined(names []string) (out string) {
	for i, n := range names {
		if i > 0 {
			out += ", "
		}
		out += n
	}
	return out
}

// height is that of the oracle's last block.
func (m *member) height() (uint64, error) {
	r, _, err := store.OpenReader(m.dir)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	last, _ := r.Last()
	return last.Height, nil
}
