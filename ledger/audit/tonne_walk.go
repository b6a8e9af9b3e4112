package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// readAdmission reads who a member's admission or an appointment is of, and whether it takes
// more than one oracle.
func readAdmission(m *signer.Message, ledger string) (k KnownKey, agreed, ok bool) {
	if m.Type == entry.TypeMember {
		e, err := entry.ParseMember(m.Payload)
		if err != nil {
			return k, false, false
		}
		r, err := request.OpenMember(e.Request, ledger)
		if err != nil {
			return k, false, false
		}
		return KnownKey{Public: r.Public, Name: r.Member, Role: RoleMember}, false, true
	}
	e, err := entry.ParseCarbon(m.Type, m.Payload)
	if err != nil {
		return k, false, false
	}
	r, err := request.OpenParty(e.(*entry.Appointment).Request, ledger)
	if err != nil {
		return k, false, false
	}
	return KnownKey{Public: r.Public, Name: r.Name, Role: r.Role}, true, true
}

// node begins what a key names, or returns what is there.
func (t *Trail) node(key, format string, args ...any) (n *Node, fresh bool) {
	if had, ok := t.known[key]; ok {
		return &Node{What: had.What + " (above)", Leaf: had.Leaf}, false
	}
	n = &Node{What: fmt.Sprintf(format, args...)}
	t.known[key] = n
	return n, true
}

func (n *Node) at(leaf uint64) *Node {
	n.Leaf = &leaf
	return n
}

// outcome goes into an outcome of carbon accounting.
func (t *Trail) outcome(leaf uint64, b entry.Body) *Node {
	t.rests[leaf] = true
	switch b := b.(type) {
	case *entry.Moved:
		return t.moved(leaf, b)
	case *entry.Issued:
		return t.issued(leaf, b)
	case *entry.Stated:
		return t.stated(leaf, b)
	case *entry.Certified:
		return t.certified(leaf, b)
	}
	panic(fmt.Sprintf("internal error: an outcome %T", b))
}

// entryAt goes into the entry at a leaf, which the outcome of a kind names, and into how its
// signer came to the key. It returns nil where it is missing.
func (t *Trail) entryAt(leaf uint64, of string) (entry.Carbon, string, *Node) {
	s, ok := t.said[leaf]
	if !ok {
		t.fault("%s names leaf %d, which is no entry of carbon accounting in the file", of, leaf)
		return nil, "", nil
	}
	t.rests[leaf] = true
	who := t.signer(s.message.KeyID)
	n := (&Node{What: shortType(s.message.Type), Signer: who}).at(leaf)
	return s.payload, nameIn(who), n
}

// signer goes into how a key was admitted, and returns role and name.
func (t *Trail) signer(id signer.KeyID) string {
	a := t.admissions[id]
	if a == nil {
		return ""
	}
	for _, leaf := range a.leaves {
		t.rests[leaf] = true
	}
	for _, leaf := range t.adopted[a.hash] {
		t.rests[leaf] = true
	}
	for _, c := range t.changes {
		if c.ends != id {
			continue
		}
		t.rests[c.leaf] = true
		for _, leaf := range t.adopted[c.hash] {
			t.rests[leaf] = true
		}
	}
	return a.key.Role + " " + a.key.Name
}

func nameIn(who string) string {
	_, name, _ := strings.Cut(who, " ")
	return name
}

// party returns the key of a party as its admission has it, and where it began and ended.
func (t *Trail) party(id signer.KeyID) (KnownKey, bool) {
	a := t.admissions[id]
	if a == nil {
		return KnownKey{}, false
	}
	k := a.key
	adopted := t.adopted[a.hash]
	if a.agreed && len(adopted) == 0 {
		return KnownKey{}, false
	}
	for _, leaf := range a.leaves {
		if len(adopted) == 0 || leaf < adopted[0] {
			k.Enrolled = leaf
		}
	}
	for _, c := range t.changes {
		if end := t.adopted[c.hash]; c.ends == id && (c.by == id || len(end) > 0 && c.leaf < end[0]) {
			k.Revoked = c.leaf
		}
	}
	return k, k.Enrolled > 0
}

// mention is one outcome that says what became of a block or a bundle.
type mention struct {
	leaf  uint64       // of the outcome
	of    uint64       // of the statement that it follows
	moved *entry.Moved // nil for the outcome that made it
	move  entry.Move
}

// index notes what each outcome mentions, and which entry was the first of an id.
func (t *Trail) index() {
	note := func(what, id string, m mention) {
		t.mentions[what+" "+id] = append(t.mentions[what+" "+id], m)
	}
	first := func(what, id string, leaf uint64) {
		if _, ok := t.firsts[what+" "+id]; !ok {
			t.firsts[what+" "+id] = leaf
		}
	}
	for _, leaf := range t.order {
		switch b := t.outcomes[leaf].(type) {
		case *entry.Issued:
			for _, m := range b.Blocks {
				note(entry.MovedBlock, m.ID, mention{leaf, b.Leaf, nil, m})
			}
		case *entry.Certified:
			note(entry.MovedBundle, b.ID, mention{leaf, b.Leaf, nil, entry.Move{ID: b.ID, Status: carbon.CertificateActive.String(), Owner: b.Owner, First: b.First, Last: b.First + b.Wh - 1}})
		case *entry.Moved:
			for _, m := range b.Moves {
				note(b.What, m.ID, mention{leaf, b.Leaf, b, m})
			}
		}
		switch c := t.said[leaf].payload.(type) {
		case *entry.CarbonSource:
			first("source", c.ID, leaf)
		case *entry.CarbonProject:
			first("project", c.ID, leaf)
		case *entry.PeriodOpen:
			first("period", c.ID, leaf)
		}
	}
}

// entryOf returns the entry that gave an id to a source, a project or a period, if it stands
// before a leaf.
func entryOf[T entry.Carbon](t *Trail, what, id string, before uint64) (c T, leaf uint64, ok bool) {
	leaf, ok = t.firsts[what+" "+id]
	if !ok || leaf >= before {
		return c, 0, false
	}
	c, ok = t.said[leaf].payload.(T)
	return c, leaf, ok
}

// history returns what the outcomes of statements up to a leaf say of a block or bundle:
// first where it came from, then what became of it.
func (t *Trail) history(what, id string, upto uint64) []mention {
	all := t.mentions[what+" "+id]
	n := len(all)
	for n > 0 && all[n-1].of > upto {
		n--
	}
	return all[:n]
}

// moved goes into what one statement did to blocks or bundles.
func (t *Trail) moved(leaf uint64, m *entry.Moved) *Node {
	n, fresh := t.node(fmt.Sprintf("moved %d", leaf), "%s", "")
	if !fresh {
		return n
	}
	n.at(leaf)
	var words []string
	for _, v := range m.Moves {
		words = append(words, fmt.Sprintf("%s %s %s (%d to %d), %s", m.What, v.ID, strings.ToLower(v.Status), v.First, v.Last, v.Owner))
	}
	n.What = strings.Join(words, "; ")
	for _, v := range m.Moves {
		if part, whole := t.parentOf(leaf, m, v); !part || !whole {
			n.Rests = append(n.Rests, t.life(m.What, v.ID, m.Leaf))
		}
	}
	return n
}

// parentOf reports whether a move is a part that its outcome made of another block or
// bundle, and whether that one is in the outcome as it should be.
func (t *Trail) parentOf(leaf uint64, m *entry.Moved, v entry.Move) (part, whole bool) {
	if !strings.HasPrefix(v.ID, fmt.Sprintf("%s-%d-", partPrefix(m.What), m.Leaf)) {
		return false, false
	}
	return true, slices.ContainsFunc(m.Moves, func(p entry.Move) bool {
		return p.Status == carbon.Split.String() && p.ID != v.ID && p.First <= v.First && v.Last <= p.Last
	})
}

func partPrefix(what string) string {
	if what == entry.MovedBlock {
		return "u"
	}
	return "gc"
}

// life goes through the life of a block or bundle up to a statement, back to where its units or
// certificates were issued.
func (t *Trail) life(what, id string, upto uint64) *Node {
	n, fresh := t.node(fmt.Sprintf("%s %s %d", what, id, upto), "%s %s", what, id)
	if !fresh {
		return n
	}
	all := t.history(what, id, upto)
	if len(all) == 0 {
		t.fault("no outcome in the file says where %s %s came from", what, id)
		return n
	}
	for i, h := range all {
		t.rests[h.leaf] = true
		if i > 0 && (h.move.First != all[0].move.First || h.move.Last != all[0].move.Last) {
			t.fault("%s %s has serials %d to %d, and %d to %d before", what, id, h.move.First, h.move.Last, all[0].move.First, all[0].move.Last)
		}
		if i > 0 && !mayBecome(what, all[i-1].move.Status, h.move.Status) {
			t.fault("%s %s cannot become %s: it was %s", what, id, h.move.Status, all[i-1].move.Status)
		}
		if h.moved == nil {
			n.Rests = append(n.Rests, t.outcome(h.leaf, t.outcomes[h.leaf]))
			continue
		}
		before := entry.Move{}
		if i > 0 {
			before = all[i-1].move
		}
		if made := t.step(h, before); made != nil {
			n.Rests = append(n.Rests, made)
		}
	}
	first := all[0]
	if first.moved == nil {
		return n
	}
	// It is a part: what it was split from comes next.
	part, whole := t.parentOf(first.leaf, first.moved, first.move)
	if !part || !whole {
		t.fault("%s %s is neither issued nor part of another one", what, id)
		return n
	}
	for _, p := range first.moved.Moves {
		if p.Status == carbon.Split.String() && p.ID != id && p.First <= first.move.First && first.move.Last <= p.Last {
			n.Rests = append(n.Rests, t.life(what, p.ID, first.moved.Leaf))
		}
	}
	return n
}

func mayBecome(what, from, to string) bool {
	if what == entry.MovedBundle {
		for s := carbon.CertificateActive; s <= carbon.CertificateWithdrawn; s++ {
			for z := carbon.CertificateActive; z <= carbon.CertificateWithdrawn; z++ {
				if s.String() == from && z.String() == to {
					return s.CanBecome(z)
				}
			}
		}
		return false
	}
	s, err1 := carbon.ParseStatus(from)
	z, err2 := carbon.ParseStatus(to)
	return err1 == nil && err2 == nil && s.CanBecome(z)
}

// step holds what became of a block or bundle against the entry that asked for it, and
// against whose it was.
func (t *Trail) step(h mention, before entry.Move) *Node {
	c, who, n := t.entryAt(h.moved.Leaf, fmt.Sprintf("what became of %s", h.move.ID))
	if c == nil {
		return nil
	}
	key := fmt.Sprintf("step %d", h.moved.Leaf)
	if t.known[key] != nil {
		return nil // it stands above
	}
	t.known[key] = n
	id, v := h.move.ID, h.move
	bad := func(want string) {
		t.fault("leaf %d asks for %s, the outcome of it says that %s is %s of %s", h.moved.Leaf, want, id, v.Status, v.Owner)
	}
	owned := true
	switch c := c.(type) {
	case *entry.UnitRetire:
		if c.Block != id || v.Status != carbon.Retired.String() || v.Owner != who {
			bad("the retirement of " + c.Block)
		}
		n.What = fmt.Sprintf("retired for %s: %s, for %s to %s", c.Beneficiary, c.Reason, day(c.From), day(c.To))
	case *entry.UnitCancel:
		if c.Block != id || v.Status != carbon.Cancelled.String() || v.Owner != who {
			bad("the cancellation of " + c.Block)
		}
	case *entry.UnitTransfer:
		if c.Block != id || v.Owner != c.To {
			bad(fmt.Sprintf("the transfer of %s to %s", c.Block, c.To))
		}
		n.What = "transfer to " + c.To
	case *entry.FirstTransfer:
		if c.Block != id || v.Owner != c.To {
			bad(fmt.Sprintf("the transfer of %s to %s", c.Block, c.To))
		}
		n.What = "first transfer to " + c.To + ", " + c.Acquirer
	case *entry.GCTransfer:
		if c.Bundle != id || v.Owner != c.To {
			bad(fmt.Sprintf("the transfer of %s to %s", c.Bundle, c.To))
		}
		n.What = "transfer to " + c.To
	case *entry.GCCancel:
		if c.Bundle != id || v.Status != carbon.CertificateCancelled.String() || v.Owner != who {
			bad("the cancellation of " + c.Bundle)
		}
		n.What = "cancelled for " + c.Beneficiary
	case *entry.GCClaim:
		if !slices.Contains(c.Bundles, id) || v.Status != carbon.CertificateClaimed.String() {
			bad("the claim of " + strings.Join(c.Bundles, " "))
		}
		n.What = fmt.Sprintf("claimed for the load %s, %s to %s", c.Load, instant(c.From*1000), instant(c.To*1000))
		before.Owner = "" // the load's owner signs
	case *entry.UnitSplit:
		t.split(h.moved, c.Block, c.Sizes)
		n.What = "split of " + c.Block
		before.Owner = h.moved.Moves[0].Owner
	case *entry.GCSplit:
		t.split(h.moved, c.Bundle, c.Sizes)
		n.What = "split of " + c.Bundle
		before.Owner = h.moved.Moves[0].Owner
	default: // reversals, restatements and discharges say what they do to many
		owned = false
	}
	if owned && before.Owner != "" && who != before.Owner {
		t.fault("leaf %d is signed by %q, and %s was of %q", h.moved.Leaf, who, id, before.Owner)
	}
	return n
}

func day(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.DateOnly) }

// split holds the parts of a block or bundle against what was asked for: they are all of
// it, in the order of serials.
func (t *Trail) split(m *entry.Moved, of string, sizes []int64) {
	if len(m.Moves) != len(sizes)+1 || m.Moves[0].ID != of || m.Moves[0].Status != carbon.Split.String() {
		t.fault("leaf %d asks to split %s into %d parts, and its outcome does not", m.Leaf, of, len(sizes))
		return
	}
	parent, next := m.Moves[0], m.Moves[0].First
	for i, v := range m.Moves[1:] {
		if v.ID != fmt.Sprintf("%s-%d-%d", partPrefix(m.What), m.Leaf, i+1) || v.First != next || v.Last != next+sizes[i]-1 || v.Owner != parent.Owner {
			t.fault("part %s of %s has serials %d to %d, where %d are asked for from %d on", v.ID, of, v.First, v.Last, sizes[i], next)
		}
		next = v.Last + 1
	}
	if next != parent.Last+1 {
		t.fault("the parts of %s end at %d and not at %d", of, next-1, parent.Last)
	}
}

// issued goes into an issuance of units: the project and its baseline, the verified version
// of the period, and how many tonnes are surely there.
func (t *Trail) issued(leaf uint64, u *entry.Issued) *Node {
	n, fresh := t.node(fmt.Sprintf("issued %d", leaf), "issuance %s of project %s: %s, the whole tonnes of %s t less %s t, vintage %d, serials %s",
		u.ID, u.Project, count(int(u.Units), "unit", "units"), unit.Mass(u.Reduced), unit.Mass(u.HalfWidth), u.Vintage, serialsOf(u))
	if !fresh {
		return n
	}
	n.at(leaf)
	t.rests[leaf] = true
	c, registry, asked := t.entryAt(u.Leaf, "issuance "+u.ID)
	if c == nil {
		return n
	}
	n.Rests = append(n.Rests, asked)
	ask, ok := c.(*entry.UnitIssue)
	if !ok || ask.Project != u.Project || ask.Period != u.Period || ask.Version != u.Version || ask.Vintage != u.Vintage {
		t.fault("issuance %s is not the one that leaf %d asks for", u.ID, u.Leaf)
		return n
	}
	project, at, ok := entryOf[*entry.CarbonProject](t, "project", u.Project, u.Leaf)
	if !ok {
		t.fault("project %q is not in the file", u.Project)
		return n
	}
	_, by, pn := t.entryAt(at, "")
	pn.What = fmt.Sprintf("project %s of %s: %s from %s kg of CO2e an hour, buffer %d basis points, %s", project.ID, project.Owner, project.Direction, project.Baseline, project.BufferBP, project.Methodology)
	n.Rests = append(n.Rests, pn)
	if by != registry {
		t.fault("units of %s are issued by %q, and %q has registered it", project.ID, registry, by)
	}
	t.blocks(u, project, registry)
	stated, statedAt := t.version(u.Period, u.Version, u.Leaf)
	if stated == nil {
		t.fault("version %d of period %q is not in the file", u.Version, u.Period)
		return n
	}
	if year := func(s int64) int64 { return int64(time.Unix(s, 0).UTC().Year()) }; u.Vintage < year(stated.From) || u.Vintage > year(stated.To-1) {
		t.fault("vintage %d is outside the period", u.Vintage)
	}
	n.Rests = append(n.Rests, t.verified(stated, statedAt, u.Leaf)...)
	n.Rests = append(n.Rests, t.outcome(statedAt, stated))
	g := t.aim("issuance "+u.ID, stated.From, stated.To, u.Leaf, n, func(r *state.Recount) error {
		mg, half, units, err := r.Reduced(project, stated)
		switch {
		case err != nil:
			return err
		case mg != u.Reduced || half != u.HalfWidth || units != u.Units:
			return fmt.Errorf("the readings give %d units of %s t less %s t, the outcome says %d of %s t less %s t",
				units, unit.Mass(mg), unit.Mass(half), u.Units, unit.Mass(u.Reduced), unit.Mass(u.HalfWidth))
		}
		return nil
	})
	for _, id := range project.Sources {
		t.source(g, id, u.Leaf, true, n)
	}
	t.factors(g, stated.Packs, u.Leaf, n)
	return n
}

func serialsOf(u *entry.Issued) string {
	last := u.Blocks[len(u.Blocks)-1].Last
	return fmt.Sprintf("%s %d to %d", u.Prefix, u.Blocks[0].First, last)
}

// blocks holds the blocks of an issuance against its units: the owner's and the buffer's
// part, one after the other.
func (t *Trail) blocks(u *entry.Issued, p *entry.CarbonProject, registry string) {
	buffer, err := carbon.BufferShare(unit.Amount(u.Units), p.BufferBP)
	if err != nil {
		t.fault("issuance %s: %w", u.ID, err)
		return
	}
	next := u.Blocks[0].First
	var want []entry.Move
	for i, part := range []entry.Move{
		{Status: carbon.Held.String(), Owner: p.Owner, Last: u.Units - int64(buffer)},
		{Status: carbon.Buffer.String(), Owner: registry, Last: int64(buffer)},
	} {
		if part.Last == 0 {
			continue
		}
		part.ID, part.First, part.Last = fmt.Sprintf("u-%d-%d", u.Leaf, i+1), next, next+part.Last-1
		next = part.Last + 1
		want = append(want, part)
	}
	if !slices.Equal(want, u.Blocks) || u.ID != fmt.Sprintf("iss-%d", u.Leaf) || u.Prefix != p.Prefix {
		t.fault("the blocks of issuance %s are not those of %d units with a buffer of %d", u.ID, u.Units, int64(buffer))
	}
}

// version returns the outcome that stated a version of a period before a leaf.
func (t *Trail) version(period string, version, before uint64) (*entry.Stated, uint64) {
	for _, leaf := range t.order {
		if s, ok := t.outcomes[leaf].(*entry.Stated); ok && s.Period == period && s.Version == version && s.Leaf < before {
			return s, leaf
		}
	}
	return nil, 0
}

// verified goes into the verification of a version: the newest before a leaf.
func (t *Trail) verified(s *entry.Stated, at, before uint64) []*Node {
	var found *entry.Verification
	var leaf uint64
	for _, i := range t.order {
		if v, ok := t.said[i].payload.(*entry.Verification); ok && i < before && v.Period == s.Period && v.Version == s.Version {
			found, leaf = v, i
		}
	}
	if found == nil {
		t.fault("version %d of period %q was verified by nobody in the file", s.Version, s.Period)
		return nil
	}
	_, who, n := t.entryAt(leaf, "")
	sum := sha256.Sum256(t.bodies[at])
	if string(found.Digest) != string(sum[:]) {
		t.fault("%q verified another statement of period %q: digest %s, the outcome's is %s", who, s.Period, hex.EncodeToString(found.Digest[:8]), hex.EncodeToString(sum[:8]))
	}
	n.What = fmt.Sprintf("verified with %s assurance", found.Level)
	return []*Node{n}
}

// stated goes into a version of a period: who opened and closed it, its sources, its
// factors, and the certificates that stand for its loads.
func (t *Trail) stated(leaf uint64, s *entry.Stated) *Node {
	n, fresh := t.node(fmt.Sprintf("stated %d", leaf), "period %s of site %s, version %d, %s to %s: %s t CO2e by %s, %d ppm of it declared",
		s.Period, s.Site, s.Version, instant(s.From*1000), instant(s.To*1000), unit.Mass(s.CO2e), s.Set, s.Declared)
	if !fresh {
		return n
	}
	n.at(leaf)
	t.rests[leaf] = true
	c, who, asked := t.entryAt(s.Leaf, fmt.Sprintf("version %d of period %q", s.Version, s.Period))
	if c == nil {
		return n
	}
	n.Rests = append(n.Rests, asked)
	open, at, ok := entryOf[*entry.PeriodOpen](t, "period", s.Period, s.Leaf)
	if !ok {
		t.fault("period %q is opened by no entry in the file", s.Period)
		return n
	}
	_, by, on := t.entryAt(at, "")
	n.Rests = append(n.Rests, on)
	if by != who {
		t.fault("period %q was opened by %q and stated by %q", s.Period, by, who)
	}
	version := &entry.Stated{Version: 1, Set: open.Set, Packs: open.Packs}
	var declared []entry.Declared
	var before *entry.Stated
	switch c := c.(type) {
	case *entry.PeriodClose:
		declared = c.Declared
		if c.Period != s.Period || s.Version != 1 {
			t.fault("leaf %d does not close version %d of period %q", s.Leaf, s.Version, s.Period)
		}
	case *entry.Restatement:
		declared = c.Declared
		version = &entry.Stated{Version: c.Version, Set: c.Set, Packs: c.Packs}
		asked.What = "restated: " + c.Reason
		var beforeAt uint64
		if before, beforeAt = t.version(s.Period, c.Version-1, s.Leaf); before == nil {
			t.fault("version %d of period %q, which was restated, is not in the file", c.Version-1, s.Period)
			return n
		}
		t.rests[beforeAt] = true
		if c.Period != s.Period {
			t.fault("leaf %d does not restate period %q", s.Leaf, s.Period)
		}
	default:
		t.fault("leaf %d neither closes nor restates a period", s.Leaf)
		return n
	}
	g := t.aim(fmt.Sprintf("version %d of period %s", s.Version, s.Period), s.From, s.To, s.Leaf, n, func(r *state.Recount) error {
		got, err := r.Stated(open, version, declared, before)
		if err != nil {
			return err
		}
		return sameStated(got, s)
	})
	for i := range s.Lines {
		l := &s.Lines[i]
		n.Rests = append(n.Rests, &Node{What: lineWords(l), Quality: l.Class})
	}
	for _, at := range t.order {
		if src, ok := t.said[at].payload.(*entry.CarbonSource); ok && at < s.Leaf && src.Site == s.Site {
			if src.Owner != who {
				t.fault("period %q is stated by %q, and its sources are of %q", s.Period, who, src.Owner)
			}
			t.source(g, src.ID, s.Leaf, true, n)
			if src.Kind == entry.SourceLoad {
				t.claims(g, src, s, n)
			}
		}
	}
	t.factors(g, s.Packs, s.Leaf, n)
	return n
}

func lineWords(l *entry.StatedLine) string {
	var words []string
	for _, g := range l.Gases {
		words = append(words, fmt.Sprintf("%s t %s", unit.Mass(g.Mass), g.Gas))
	}
	if l.Kind == entry.SourceLoad {
		words = append(words, fmt.Sprintf("%d Wh: location %s t, market %s t, hourly %s t %s, %d Wh matched", l.Wh, unit.Mass(l.Location), unit.Mass(l.Market), unit.Mass(l.Hourly), l.Gas, l.HourlyMatched))
	}
	text := fmt.Sprintf("line %s (%s): %s", l.Source, l.Kind, strings.Join(words, ", "))
	if l.Class == entry.ClassMeasured {
		text += fmt.Sprintf("; %s measured, %d missing", count(int(l.Measured), "interval", "intervals"), l.Missing)
	}
	return text
}

// sameStated compares what was computed with what an outcome says; which statements a
// gateway sent is not computed.
func sameStated(got, said *entry.Stated) error {
	if len(got.Lines) != len(said.Lines) {
		return fmt.Errorf("there are %d lines, the outcome has %d", len(got.Lines), len(said.Lines))
	}
	for i := range got.Lines {
		if a, b := lineWords(&got.Lines[i]), lineWords(&said.Lines[i]); a != b || got.Lines[i].CO2e != said.Lines[i].CO2e {
			return fmt.Errorf("the readings and factors give %q, %s t CO2e, the outcome says %q, %s t", a, unit.Mass(got.Lines[i].CO2e), b, unit.Mass(said.Lines[i].CO2e))
		}
	}
	switch {
	case got.Version != said.Version || got.Site != said.Site || got.From != said.From || got.To != said.To || got.Set != said.Set || !slices.Equal(got.Packs, said.Packs):
		return fmt.Errorf("it is not of the period, the potentials and the factors that were asked for")
	case got.CO2e != said.CO2e || got.Declared != said.Declared:
		return fmt.Errorf("the lines add up to %s t with %d ppm declared, the outcome says %s t with %d", unit.Mass(got.CO2e), got.Declared, unit.Mass(said.CO2e), said.Declared)
	case got.Materiality != said.Materiality:
		return fmt.Errorf("it changes the version before by %d ppm, the outcome says %d", got.Materiality, said.Materiality)
	}
	return nil
}

// aim begins what is computed again from readings before a leaf.
func (t *Trail) aim(what string, from, to int64, before uint64, n *Node, again func(*state.Recount) error) *target {
	r, err := state.NewRecount(t.charter)
	if err != nil {
		t.fault("%w", err)
		r = nil
	}
	g := &target{what: what, recount: r, from: from, to: to, before: before, again: again, node: n, formulas: make(map[string]bool)}
	if r != nil {
		for i := range t.points {
			r.AddPoint(&t.points[i])
		}
		t.targets = append(t.targets, g)
	}
	return g
}

// source goes into the registration of a source before a leaf.
func (t *Trail) source(g *target, id string, before uint64, counted bool, on *Node) *entry.CarbonSource {
	src, at, ok := entryOf[*entry.CarbonSource](t, "source", id, before)
	if !ok {
		t.fault("source %q is not in the file", id)
		return nil
	}
	if g.recount != nil {
		g.recount.AddSource(at, src, counted)
	}
	n, fresh := t.node("source "+id, "source %s (%s) of %s: %s of metering point %s", id, src.Kind, src.Owner, strings.Join(src.Channels, " "), src.Point)
	if fresh {
		_, _, by := t.entryAt(at, "")
		n.at(at).Signer = by.Signer
		n.Uncertainty = fmt.Sprintf("%s%% random, %s%% bias", src.Random, src.Bias)
	}
	t.rests[at] = true
	on.Rests = append(on.Rests, n)
	return src
}

// factors goes into the editions that a figure is computed with: the oracles' statements of
// the one that was put in force.
func (t *Trail) factors(g *target, editions []entry.Edition, before uint64, on *Node) {
	for _, e := range editions {
		found := false
		for _, at := range t.order {
			p, ok := t.said[at].payload.(*entry.FactorPack)
			if !ok || at >= before || p.ID != e.Pack || p.Edition != e.Edition {
				continue
			}
			agreed := t.adopted[sha256.Sum256(t.said[at].message.Payload)]
			if len(agreed) == 0 || agreed[0] < at {
				continue
			}
			t.rests[at], t.rests[agreed[0]] = true, true
			if found {
				continue
			}
			found = true
			if g.recount != nil {
				if err := g.recount.AddPack(p); err != nil {
					t.fault("%w", err)
				}
			}
			n, fresh := t.node("pack "+e.Pack+" "+e.Edition, "factors %s %s, region %s, from %s", e.Pack, e.Edition, p.Region, p.Source)
			if fresh {
				n.at(agreed[0]).Signer = "oracles"
				for i := range p.Rows {
					r := &p.Rows[i]
					n.Rests = append(n.Rests, &Node{What: strings.TrimSpace(fmt.Sprintf("%s: %s %s %s", r.Key, r.Value, r.Unit, r.Gas))})
				}
			}
			on.Rests = append(on.Rests, n)
		}
		if !found {
			t.fault("factors %s %s were put in force by nothing in the file", e.Pack, e.Edition)
		}
	}
}

// claims goes into the certificates that stand for a load within a period.
func (t *Trail) claims(g *target, load *entry.CarbonSource, s *entry.Stated, on *Node) {
	for _, at := range t.order {
		c, ok := t.said[at].payload.(*entry.GCClaim)
		if !ok || at >= s.Leaf || c.Load != load.ID || c.From < s.From || c.To > s.To {
			continue
		}
		for _, id := range c.Bundles {
			all := t.history(entry.MovedBundle, id, at)
			if len(all) == 0 || all[len(all)-1].moved == nil || all[len(all)-1].moved.Leaf != at {
				t.fault("no outcome in the file says that %s stands for %s", id, load.ID)
				continue
			}
			last := all[len(all)-1]
			on.Rests = append(on.Rests, t.life(entry.MovedBundle, id, at))
			issue := t.issueOf(id, at)
			if issue == nil {
				continue
			}
			if t.source(g, issue.Source, s.Leaf, false, on) != nil && g.recount != nil {
				g.recount.AddBundle(state.ClaimedBundle{
					ID: id, Source: issue.Source, Load: load.ID, From: issue.From, First: last.move.First, Last: last.move.Last, ClaimFrom: c.From, ClaimTo: c.To,
				})
			}
		}
	}
}

// issueOf returns the issue that a bundle is part of.
func (t *Trail) issueOf(id string, upto uint64) *entry.Certified {
	for range maxSplits {
		all := t.history(entry.MovedBundle, id, upto)
		if len(all) == 0 {
			break
		}
		first := all[0]
		if first.moved == nil {
			return t.outcomes[first.leaf].(*entry.Certified)
		}
		parent := ""
		for _, p := range first.moved.Moves {
			if p.Status == carbon.CertificateSplit.String() && p.First <= first.move.First && first.move.Last <= p.Last {
				parent = p.ID
			}
		}
		if parent == "" || parent == id {
			break
		}
		id, upto = parent, first.moved.Leaf
	}
	t.fault("no outcome in the file says where the certificates of %s are from", id)
	return nil
}

// maxSplits bounds how often a bundle was split, for files in which that goes round.
const maxSplits = 1 << 10

// certified goes into an issue of certificates: the energy that its generator's register
// tells.
func (t *Trail) certified(leaf uint64, c *entry.Certified) *Node {
	n, fresh := t.node(fmt.Sprintf("certified %d", leaf), "certificates %s: %d Wh of %s from %s to %s, serials from %d, issued to %s", c.ID, c.Wh, c.Source, instant(c.From*1000), instant(c.To*1000), c.First, c.Owner)
	if !fresh {
		return n
	}
	n.at(leaf).Quality = entry.ClassMeasured
	t.rests[leaf] = true
	e, who, asked := t.entryAt(c.Leaf, "issue "+c.ID)
	if e == nil {
		return n
	}
	n.Rests = append(n.Rests, asked)
	ask, ok := e.(*entry.GCIssue)
	if !ok {
		t.gaps = append(t.gaps, fmt.Sprintf("certificates %s are of stored energy, which is not traced further", c.ID))
		return n
	}
	if ask.Source != c.Source || ask.From != c.From || ask.To != c.To || c.ID != fmt.Sprintf("gc-%d", c.Leaf) || c.Owner != who {
		t.fault("issue %s is not the one that leaf %d asks for", c.ID, c.Leaf)
	}
	g := t.aim("issue "+c.ID, c.From, c.To, c.Leaf, n, func(r *state.Recount) error {
		wh, readings, err := r.Certified(c.Source, c.From, c.To)
		switch {
		case err != nil:
			return err
		case wh != c.Wh:
			return fmt.Errorf("the register advanced by %d Wh, the outcome says %d", wh, c.Wh)
		case !slices.Equal(readings, c.Readings):
			return fmt.Errorf("the outcome names other readings than those that tell it")
		}
		return nil
	})
	if src := t.source(g, c.Source, c.Leaf, true, n); src != nil {
		if src.Owner != c.Owner {
			t.fault("certificates %s are of %q, and the source is of %q", c.ID, c.Owner, src.Owner)
		}
		if _, err := carbon.IssueCertificates(c.ID, c.Source, c.From, c.To, unit.Energy(c.Wh), src.CapacityW, c.First-1); err != nil {
			t.fault("%w", err)
		}
	}
	return n
}
