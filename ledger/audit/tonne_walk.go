package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
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
	case *entry.StorageCharge:
		if !slices.Contains(c.Bundles, id) || v.Status != carbon.CertificateClaimed.String() {
			bad("the charge with " + strings.Join(c.Bundles, " "))
		}
		n.What = fmt.Sprintf("charged into the storage %s, %s to %s", c.Storage, instant(c.From*1000), instant(c.To*1000))
		before.Owner = "" // the storage's owner signs
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
