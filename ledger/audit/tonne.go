package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// Trail is what one outcome of carbon accounting rests on: the statements and outcomes on
// the way from a block of units, a period or a bundle of certificates down to readings, and
// what each of them says again when it is computed again. Whoever makes evidence and whoever
// verifies it go the same way: the one to find the leaves, the other to see that they are
// there and no others, and that they agree.
//
// A Trail is made by [NewTrail], given the readings by [Trail.Read] in the order of leaves,
// and then asked.
type Trail struct {
	claim   uint64
	charter *entry.Charter
	points  []entry.Point // as enrolled

	outcomes   map[uint64]entry.Body       // with a body, by leaf
	bodies     map[uint64][]byte           // their bytes
	said       map[uint64]said             // entries of carbon accounting, by leaf
	order      []uint64                    // of said and outcomes, rising
	admissions map[signer.KeyID]*admission // of parties
	changes    []change                    // of parties' keys: revocations
	adopted    map[[32]byte][]uint64       // outcomes of adoption, by what they adopt
	flags      map[uint64][]flagOf         // of readings

	mentions map[string][]mention // of blocks and bundles, in order
	firsts   map[string]uint64    // entries that gave an id
	issuers  map[uint64]string    // of readings

	rests   map[uint64]bool
	targets []*target
	reads   map[string][]*target // by metering point; nil until the first reading
	root    *Node
	known   map[string]*Node // what was gone into before, by what it is
	faults  []error          // the walk's, and then those of computing again
	walked  int              // how many are the walk's
	gaps    []string         // what cannot be computed again, and why
}

// said is an entry of carbon accounting with who signed it.
type said struct {
	message *signer.Message
	claims  entry.Claims
	payload entry.Carbon
}

// admission is how a party came to its key.
type admission struct {
	key    KnownKey
	leaves []uint64 // of the statements
	hash   [32]byte // of their payload
	// agreed: it takes an outcome that says that enough oracles stated it.
	agreed bool
}

type change struct {
	leaf uint64
	ends signer.KeyID
	by   signer.KeyID
	hash [32]byte
}

type flagOf struct {
	leaf uint64
	o    *entry.Outcome
}

// target is one thing that is computed again from readings, those before a leaf.
type target struct {
	what     string
	recount  *state.Recount
	from, to int64
	before   uint64
	again    func(*state.Recount) error
	node     *Node
	used     []uint64
	formulas map[string]bool
}

// Node is one thing on a trail, with what it rests on.
type Node struct {
	// What says it in a line.
	What string `json:"what"`
	// Leaf is where it stands, nil for what is none.
	Leaf *uint64 `json:"leaf,omitempty"`
	// Signer is who signed it, empty for an outcome.
	Signer string `json:"signer,omitempty"`
	// Quality is "measured" or "declared", of figures.
	Quality string `json:"quality,omitempty"`
	// Uncertainty is in percent, of sources.
	Uncertainty string  `json:"uncertainty,omitempty"`
	Rests       []*Node `json:"rests_on,omitempty"`
}

// ErrNoTrail is returned for an outcome that is none of carbon accounting.
var ErrNoTrail = errors.New("no outcome of carbon accounting")

// carbonOutcome reads an outcome of carbon accounting, nil for another leaf.
func carbonOutcome(leaf []byte) (entry.Body, []byte) {
	if entry.KindOf(leaf) != entry.LeafOutcome {
		return nil, nil
	}
	o, err := entry.ParseOutcome(leaf)
	if err != nil || o.Body == nil {
		return nil, nil
	}
	b, err := o.ParseBody()
	if err != nil {
		return nil, nil
	}
	switch b.(type) {
	case *entry.Certified, *entry.Moved, *entry.Stated, *entry.Issued:
		return b, o.Body
	}
	return nil, nil
}

// NewTrail goes from the outcome at leaf claim as far as entries and outcomes lead. leaves
// calls its argument with the leaves of a ledger in order, or those of an evidence file:
// what is no part of the trail is passed over. Everything that does not agree is kept for
// [Trail.Faults]; an error is of the charter, of leaves or of a claim that has no trail.
func NewTrail(claim uint64, leaves func(func(index uint64, leaf []byte) error) error) (*Trail, error) {
	t := &Trail{
		claim: claim, outcomes: make(map[uint64]entry.Body), bodies: make(map[uint64][]byte), said: make(map[uint64]said),
		admissions: make(map[signer.KeyID]*admission), adopted: make(map[[32]byte][]uint64), flags: make(map[uint64][]flagOf),
		mentions: make(map[string][]mention), firsts: make(map[string]uint64), issuers: make(map[uint64]string), rests: make(map[uint64]bool), known: make(map[string]*Node),
	}
	if err := leaves(t.take); err != nil {
		return nil, err
	}
	b := t.outcomes[claim]
	if b == nil {
		return nil, fmt.Errorf("%w: leaf %d", ErrNoTrail, claim)
	}
	if t.charter == nil {
		return nil, fmt.Errorf("%w: the charter, leaf 0, is missing", block.ErrForm)
	}
	t.index()
	t.rests[0] = true
	t.root = t.outcome(claim, b)
	t.walked = len(t.faults)
	return t, nil
}

// take keeps a leaf that a trail may lead over.
func (t *Trail) take(index uint64, leaf []byte) error {
	switch entry.KindOf(leaf) {
	case entry.LeafCharter:
		c, err := entry.ParseCharter(leaf)
		if err != nil {
			return err
		}
		t.charter = c
	case entry.LeafOutcome:
		if b, raw := carbonOutcome(leaf); b != nil {
			t.outcomes[index], t.bodies[index] = b, bytes.Clone(raw)
			t.order = append(t.order, index)
			return nil
		}
		o, err := entry.ParseOutcome(leaf)
		if err != nil {
			return nil
		}
		switch o.Kind {
		case entry.OutcomeAdopted:
			t.adopted[o.Hash] = append(t.adopted[o.Hash], index)
		case entry.OutcomeFlagged:
			t.flags[o.Leaf] = append(t.flags[o.Leaf], flagOf{index, o})
		}
	case entry.LeafStatement:
		t.statement(index, leaf)
	}
	return nil
}

func (t *Trail) statement(index uint64, leaf []byte) {
	m, err := signer.Parse(leaf)
	if err != nil || m.Hidden() || m.Type == entry.TypeReading {
		return
	}
	if m, err = signer.Parse(bytes.Clone(leaf)); err != nil { // a ledger's leaves are lent
		return
	}
	if c, err := ReadKeyChange(m); err == nil {
		t.points = append(t.points, c.Points...)
		if c.Ends != (signer.KeyID{}) {
			t.changes = append(t.changes, change{index, c.Ends, m.KeyID, sha256.Sum256(m.Payload)})
		}
		return
	}
	if m.Type != entry.TypeMember && !entry.IsCarbon(m.Type) {
		return
	}
	claims, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return
	}
	if m.Type == entry.TypeMember || m.Type == entry.TypeAppointment {
		t.admit(index, m, claims.Audience)
		return
	}
	c, err := entry.ParseCarbon(m.Type, m.Payload)
	if err != nil {
		return
	}
	t.said[index] = said{m, claims, c}
	t.order = append(t.order, index)
}

// admit notes who an admission is of.
func (t *Trail) admit(index uint64, m *signer.Message, ledger string) {
	k, agreed, ok := readAdmission(m, ledger)
	if !ok {
		return
	}
	a := t.admissions[k.Public.ID()]
	if hash := sha256.Sum256(m.Payload); a == nil || a.hash != hash {
		if a != nil && len(t.adopted[a.hash]) > 0 {
			return // a key is admitted once
		}
		a = &admission{key: k, hash: hash, agreed: agreed}
		t.admissions[k.Public.ID()] = a
	}
	a.leaves = append(a.leaves, index)
}

// Faults are what does not agree on the trail, in the order in which it was found: the rules
// would not have made these outcomes of these statements.
func (t *Trail) Faults() []error { return t.faults }

func (t *Trail) fault(format string, args ...any) {
	t.faults = append(t.faults, fmt.Errorf(format, args...))
}

// Points are the metering points whose readings the trail rests on.
func (t *Trail) Points() []string {
	var out []string
	for _, g := range t.targets {
		out = append(out, g.recount.Points()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Read takes a reading and its pack, which is nil where it is not at hand. Readings come in
// the order of their leaves.
func (t *Trail) Read(index uint64, claims *entry.Claims, pack *entry.Pack) {
	if pack == nil {
		return
	}
	var flags []*entry.Outcome
	for _, f := range t.flags[index] {
		flags = append(flags, f.o)
	}
	if t.reads == nil {
		t.reads = make(map[string][]*target)
		for _, g := range t.targets {
			for _, p := range g.recount.Points() {
				t.reads[p] = append(t.reads[p], g)
			}
		}
	}
	first, last := span(pack)
	t.issuers[index] = claims.Issuer
	for _, g := range t.reads[claims.Subject] {
		if index >= g.before || last < g.from-unit.IntervalSeconds || first > g.to+unit.IntervalSeconds {
			continue
		}
		g.recount.Read(index, claims, pack, flags)
		for i := range pack.Records {
			if r := &pack.Records[i]; strings.HasSuffix(r.Name, methodSuffix) && r.Text != "" {
				g.formulas[r.Text] = true
			}
		}
	}
}

// span returns the first and the last time of a pack's records, in Unix seconds.
func span(p *entry.Pack) (first, last int64) {
	for i := range p.Records {
		at := p.Records[i].Time / 1000
		if i == 0 || at < first {
			first = at
		}
		last = max(last, at)
	}
	return first, last
}

const methodSuffix = ".method"

// knownFormulas are those of derived values that this program knows: what made a value
// before it was signed.
var knownFormulas = []string{"mass-flow/1"}

// Finish computes everything again from the readings that were taken, and returns the
// leaves that the trail rests on, rising: readings and what flags them among them, but not
// the lives of the keys that signed readings, calibrations and headers.
func (t *Trail) Finish() []uint64 {
	for _, g := range t.targets {
		g.used = g.recount.Needs(g.from, g.to)
		for _, leaf := range g.used {
			t.rests[leaf] = true
			for _, f := range t.flags[leaf] {
				t.rests[f.leaf] = true
			}
		}
		if err := g.again(g.recount); err != nil {
			t.fault("%s: %w", g.what, err)
		}
		for f := range g.formulas {
			if !slices.Contains(knownFormulas, f) {
				t.gaps = append(t.gaps, fmt.Sprintf("%s rests on values by the formula %q, which this program does not know", g.what, f))
			}
		}
		g.node.Rests = append(g.node.Rests, t.readingsOf(g))
	}
	slices.Sort(t.gaps)
	out := make([]uint64, 0, len(t.rests))
	for leaf := range t.rests {
		out = append(out, leaf)
	}
	slices.Sort(out)
	return out
}

// Readings are the leaves of the readings that the trail rests on, rising. It is asked after
// [Trail.Finish].
func (t *Trail) Readings() []uint64 {
	var out []uint64
	for _, g := range t.targets {
		out = append(out, g.used...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Root is the tree of what the claim rests on.
func (t *Trail) Root() *Node { return t.root }

// readingsOf is the node of a target's readings, with the registers that they tell.
func (t *Trail) readingsOf(g *target) *Node {
	n := &Node{What: fmt.Sprintf("%s at the edges of intervals", count(len(g.used), "reading", "readings")), Quality: entry.ClassMeasured}
	for _, f := range knownFormulas {
		if g.formulas[f] {
			n.What += ", values by " + f
		}
	}
	for _, m := range g.recount.Marks(g.from, g.to) {
		k := (&Node{What: fmt.Sprintf("%s at %s: register %d %s", m.Source, instant(m.Time), m.Value, m.Unit), Signer: t.issuers[m.Leaf]}).at(m.Leaf)
		n.Rests = append(n.Rests, k)
	}
	return n
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
