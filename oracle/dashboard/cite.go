package dashboard

import (
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle/dashboard/locale"
	"wattmark/signer"
)

// citation is a leaf that is about another one.
type citation struct {
	Is    string // in which way
	Leaf  uint64
	About string
	// Described is what ledger/audit says, which is in English.
	Described bool
}

// sequences finds statements by signer and number; an oracle's store does.
type sequences interface {
	Lookup(key signer.KeyID, boot, count uint64) (leaf uint64, ok bool, err error)
}

// cites describes a leaf and finds what is about it: outcomes of its block, and the
// statements of its signer before and after it, of which the later one has the hash of the
// earlier.
func cites(in language, l Ledger, index uint64, leaf []byte, height uint64) (*audit.Description, []citation, error) {
	about := audit.Describe(index, leaf)
	var out []citation
	if about.Err != nil || about.Kind != entry.LeafStatement {
		return about, nil, nil
	}
	m, err := signer.Parse(leaf)
	if err != nil {
		return about, nil, nil
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return about, nil, nil
	}
	b, err := l.BlockAt(height)
	if err != nil {
		return nil, nil, err
	}
	for i := b.First; i < b.Size; i++ {
		other, err := l.Leaf(i)
		if err != nil {
			return nil, nil, err
		}
		if entry.KindOf(other) != entry.LeafOutcome {
			continue
		}
		o, err := entry.ParseOutcome(other)
		if err != nil || o.Body != nil {
			continue
		}
		if o.Kind == entry.OutcomeFlagged && o.Leaf == index || o.Kind != entry.OutcomeFlagged && block.Hash(o.Hash) == block.Hash(m.Hash()) {
			out = append(out, citation{in.Say("outcome"), i, audit.Describe(i, other).Summary, true})
		}
	}
	if s, ok := l.(sequences); ok && c.Sequence.Count > 0 {
		for _, step := range []struct {
			is    string
			count uint64
		}{{locale.Text("its signer’s statement before it"), c.Sequence.Count - 1}, {locale.Text("its signer’s next statement, which has its hash"), c.Sequence.Count + 1}} {
			if i, ok, err := s.Lookup(m.KeyID, c.Sequence.Boot, step.count); err == nil && ok {
				out = append(out, citation{in.Say(step.is), i, in.Say("number %d-%d", c.Sequence.Boot, step.count), false})
			}
		}
	}
	return about, out, nil
}

// rawLine is a line of bytes whose parts can be told from one another.
type rawLine struct {
	hexLine
	Runs [][]hexRun
}

// taken gives the facts of a leaf and its bytes the same numbers.
func taken(l language, about *audit.Description, leaf []byte) (facts []fact, lines []rawLine) {
	parts := partsOf(leaf)
	numbers := numbered(parts)
	known := make(map[string]bool)
	for _, f := range about.Fields {
		n := numbers[f.Name]
		if known[f.Name] {
			n = 0
		}
		known[f.Name] = true
		facts = append(facts, fact{f.Name, f.Value, n})
	}
	for _, p := range parts {
		if !known[p.Name] && numbers[p.Name] > 0 {
			known[p.Name] = true
			facts = append(facts, fact{p.Name, l.Count(uint64(p.To-p.From), "%s byte", "%s bytes"), numbers[p.Name]})
		}
	}
	for i, line := range hexDump(leaf) {
		lines = append(lines, rawLine{line, runs(line, 16*i, parts, numbers)})
	}
	return facts, lines
}
