package audit

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/request"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// Shown is a line of a settled interval with its place in the settlement's tree: the
// bytes of an entry.Disclosed, and the path of its leaf hash.
type Shown struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Line  []byte
	Path  []block.Hash
}

// settledClaim is what the evidence of a bill's line holds, read.
type settledClaim struct {
	settled *entry.Settled
	totals  *entry.Totals
	line    *entry.Line
}

// settledClaim reads the claim of evidence for a bill's line, nil for evidence of another kind.
func (e *Evidence) settledClaim() *entry.Settled {
	if e == nil || len(e.Lines) == 0 {
		return nil
	}
	o, err := entry.ParseOutcome(e.leaf(e.Claim))
	if err != nil || o.Kind != entry.OutcomeSettled {
		return nil
	}
	body, err := o.ParseBody()
	if err != nil {
		return nil
	}
	return body.(*entry.Settled)
}

// bill answers for one member's line of a settled interval: what was disclosed is in the
// settlement's tree, the readings at both ends are signed and say so, and the auction
// and the member's part of the pool come out the same again.
func (r *Report) bill(s *entry.Settled, t Trust, e *Evidence) {
	c, err := e.shownLines(s)
	if err != nil {
		r.fail(CheckDisclosure, err)
		r.set(CheckRerun, Unchecked, "the line that is shown is not of this settlement")
		return
	}
	readings := e.readings()
	for i := range readings {
		sub := newReport("", "")
		sub.statement(readings[i].leaf, readings[i].index, t, e)
		r.worse(sub, i == 0)
	}
	r.Subject = fmt.Sprintf("bill line of %s, %s of zone %s, %s, version %d", c.line.Member, s.Interval, s.Zone, runName(s.Run), s.Version)
	if len(readings) == 0 {
		r.set(CheckTime, NotApplicable, "the interval has no reading")
	}
	if r.answer(CheckDisclosure) != False {
		r.set(CheckDisclosure, Holds, "the line and the totals are in the settlement's tree, %d readings of it disclosed", len(readings))
	}
	if err := r.rerun(s, c, readings, e); err != nil {
		r.fail(CheckRerun, err)
	}
}

func runName(run int) string { return [...]string{"R0", "R1", "RF"}[run] }

func (r *Report) answer(c Check) Answer {
	for _, v := range r.Verdicts {
		if v.Check == c {
			return v.Verdict
		}
	}
	return NotApplicable
}

// worse takes over what another report says of a statement, where it is worse.
func (r *Report) worse(o *Report, first bool) {
	rank := map[Answer]int{NotApplicable: 0, Holds: 1, Unchecked: 2, False: 3}
	for i, v := range o.Verdicts {
		switch v.Check {
		case CheckSignature, CheckKey, CheckCalibration, CheckTime, CheckDisclosure:
			if had := r.Verdicts[i]; first || rank[v.Verdict] > rank[had.Verdict] {
				r.Verdicts[i] = v
			}
		}
	}
}

// shownLines checks that the totals and the line are leaves of the settlement's tree.
func (e *Evidence) shownLines(s *entry.Settled) (*settledClaim, error) {
	c := &settledClaim{settled: s}
	for i := range e.Lines {
		l := &e.Lines[i]
		p := block.Proof{Index: l.Index, Size: s.Members + 1, Path: l.Path}
		root, err := p.Root(block.LeafHash(l.Line))
		if err != nil || root != s.Root {
			return nil, fmt.Errorf("%w: a line that is shown is not at place %d of the settlement's tree", block.ErrProof, l.Index)
		}
		d, err := entry.ParseDisclosed(l.Line)
		if err != nil {
			return nil, err
		}
		switch {
		case l.Index == 0 && d.Totals != nil:
			c.totals = d.Totals
		case l.Index > 0 && d.Line != nil && c.line == nil:
			c.line = d.Line
		default:
			return nil, fmt.Errorf("%w: a line that is shown has no place in it", block.ErrProof)
		}
	}
	if c.totals == nil || c.line == nil {
		return nil, fmt.Errorf("%w: totals and one member's line are shown together", block.ErrProof)
	}
	if s.Totals != nil && *s.Totals != *c.totals {
		return nil, fmt.Errorf("%w: the totals shown are not those of the outcome", block.ErrProof)
	}
	return c, nil
}

// reading is a reading in the file, with its pack where that is open or disclosed.
type reading struct {
	index   uint64
	leaf    []byte
	message *signer.Message
	subject string
	pack    *entry.Pack
}

func (e *Evidence) readings() (out []reading) {
	for i := range e.Leaves {
		l := &e.Leaves[i]
		m, err := signer.Parse(l.Leaf)
		if err != nil || m.Type != entry.TypeReading {
			continue
		}
		c, err := entry.ParseClaims(m.Claims)
		if err != nil {
			continue
		}
		out = append(out, reading{l.Index, l.Leaf, m, c.Subject, e.Pack(m)})
	}
	return out
}

// rerun does all of the interval again that this line rests on.
func (r *Report) rerun(s *entry.Settled, c *settledClaim, readings []reading, e *Evidence) error {
	if err := market.CheckLine(s, c.totals, c.line); err != nil {
		return err
	}
	auction, err := e.clearAgain(s, c.line)
	if err != nil {
		return err
	}
	member, err := e.memberOf(c.line.Member)
	if err != nil {
		return err
	}
	switch {
	case member == nil:
		r.set(CheckRerun, Unchecked, "the file does not hold the admission of %q: whose registers these are is not known", c.line.Member)
		return nil
	case market.Quality(c.line.Quality) != market.Measured:
		r.set(CheckRerun, Holds, "the interval has quality %v and counts for the grid alone: %s; how it was estimated, 'wattmark ledger audit' finds out", market.Quality(c.line.Quality), auction)
		return nil
	}
	imported, exported, err := e.measureAgain(s.Interval, member, readings)
	if err != nil {
		return err
	}
	if imported != c.line.Import || exported != c.line.Export {
		return fmt.Errorf("the registers advanced by %d Wh in and %d Wh out, the line says %d and %d", int64(imported), int64(exported), int64(c.line.Import), int64(c.line.Export))
	}
	r.set(CheckRerun, Holds, "registers give %d Wh in and %d Wh out; %s; pool, grid and amount of %d n¤ come out the same", int64(imported), int64(exported), auction, int64(c.line.Amount))
	return nil
}

func rootOf(leaves []block.Hash) block.Hash {
	var t block.Tree
	for _, h := range leaves {
		t.Append(h, nil)
	}
	return t.Root()
}

func (e *Evidence) holdsHeader(hash block.Hash) bool {
	return slices.ContainsFunc(e.Leaves, func(l EvidenceLeaf) bool {
		return entry.KindOf(l.Leaf) == entry.LeafHeader && block.LeafHash(l.Leaf) == hash
	})
}

// memberOf returns the newest admission of a member in the file that an oracle of the
// charter has signed, nil for none.
func (e *Evidence) memberOf(id string) (*request.Member, error) {
	oracles := make(map[signer.KeyID]signer.PublicKey)
	var found *request.Member
	for i := range e.Leaves {
		l := &e.Leaves[i]
		if entry.KindOf(l.Leaf) == entry.LeafCharter {
			c, err := entry.ParseCharter(l.Leaf)
			if err != nil {
				return nil, err
			}
			for _, o := range c.Oracles {
				if k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key); err == nil {
					oracles[k.ID()] = k
				}
			}
		}
		r := admissionOf(l.Leaf)
		if r == nil || r.Member != id {
			continue
		}
		m, err := signer.Parse(l.Leaf)
		if err != nil {
			return nil, err
		}
		if k, ok := oracles[m.KeyID]; ok {
			if _, err := signer.Verify(m, k); err != nil {
				return nil, fmt.Errorf("the admission of %q: %w", id, err)
			}
			found = r
		}
	}
	return found, nil
}

// admissionOf returns the request that a leaf admits a member by, nil for another leaf.
func admissionOf(leaf []byte) *request.Member {
	if entry.KindOf(leaf) != entry.LeafStatement {
		return nil
	}
	m, err := signer.Parse(leaf)
	if err != nil || m.Type != entry.TypeMember {
		return nil
	}
	a, err := entry.ParseMember(m.Payload)
	if err != nil {
		return nil
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return nil
	}
	r, err := request.OpenMember(a.Request, c.Audience)
	if err != nil {
		return nil
	}
	return r
}

// Admits returns the id of the member that a leaf admits, empty for another leaf.
func Admits(leaf []byte) string {
	if r := admissionOf(leaf); r != nil {
		return r.Member
	}
	return ""
}

// measureAgain subtracts the registers that the disclosed packs show at the interval's
// ends.
func (e *Evidence) measureAgain(at unit.Interval, member *request.Member, readings []reading) (imported, exported unit.Energy, err error) {
	next, err := at.Plus(1)
	if err != nil {
		return 0, 0, err
	}
	for i := range member.Connections {
		c := &member.Connections[i]
		for _, w := range [...]struct {
			channel string
			sum     *unit.Energy
		}{{c.Import, &imported}, {c.Export, &exported}} {
			if w.channel == "" {
				continue
			}
			before, ok1 := registerIn(readings, c.Subject, w.channel, at)
			after, ok2 := registerIn(readings, c.Subject, w.channel, next)
			if !ok1 || !ok2 {
				return 0, 0, fmt.Errorf("the file does not show register %s of %s at both ends of the interval", w.channel, c.Subject)
			}
			e, err := market.Measure(before, after, 1)
			if err != nil {
				return 0, 0, err
			}
			*w.sum += e
		}
	}
	return imported, exported, nil
}

// registerIn returns a register's value at an interval's start: the earliest in it that
// the packs show, or that of the pack that replaces another.
func registerIn(readings []reading, subject, channel string, at unit.Interval) (unit.Energy, bool) {
	var value unit.Energy
	var when int64
	found := false
	for i := range readings {
		p := readings[i].pack
		if p == nil || readings[i].subject != subject {
			continue
		}
		replaces := slices.ContainsFunc(p.Records, func(r entry.Record) bool { return r.Text != "" && r.Name == p.Base+entry.ReplacesName })
		for k := range p.Records {
			r := &p.Records[k]
			if r.Text != "" || r.Name != p.Base+channel || !at.Contains(r.Time/1000) || found && r.Time >= when && !replaces {
				continue
			}
			v, ok := r.Value.Whole()
			if !ok {
				continue
			}
			value, when, found = unit.Energy(v), r.Time, true
		}
	}
	return value, found
}

// neededForBill reports whether a leaf is one that a bill's line rests on.
func (e *Evidence) neededForBill(s *entry.Settled) func(l *EvidenceLeaf) bool {
	var named [][32]byte
	signers := make(map[signer.KeyID]bool)
	readings := e.readings()
	for i := range readings {
		signers[readings[i].message.KeyID] = true
		if p := readings[i].pack; p != nil {
			named = append(named, Calibrations(p)...)
		}
	}
	agreed := make(map[[32]byte]bool)
	line := ""
	if c, err := e.shownLines(s); err == nil {
		line = c.line.Member
	}
	return func(l *EvidenceLeaf) bool {
		switch entry.KindOf(l.Leaf) {
		case entry.LeafHeader, entry.LeafCharter:
			return true
		case entry.LeafOutcome:
			if l.Index == e.Claim || clearedOf(l.Leaf, s) != nil {
				return true
			}
			o, err := entry.ParseOutcome(l.Leaf)
			return err == nil && o.Kind == entry.OutcomeAdopted && agreed[o.Hash]
		case entry.LeafStatement:
			m, err := signer.Parse(l.Leaf)
			if err != nil {
				return false
			}
			if a := admissionOf(l.Leaf); a != nil && a.Member == line {
				agreed[sha256.Sum256(m.Payload)] = true
				return true
			}
			if c, err := ReadKeyChange(m); err == nil {
				for id := range signers {
					if c.concerns(id) {
						agreed[sha256.Sum256(m.Payload)] = true
						return true
					}
				}
			}
			if m.Type == entry.TypeReading || ofAuction(m, s) || m.Type == entry.TypeCalibration && slices.Contains(named, m.Hash()) {
				return true
			}
			return slices.ContainsFunc(readings, func(r reading) bool { return releases(m, r.message) })
		}
		return false
	}
}
