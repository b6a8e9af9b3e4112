package ledger

import (
	"bytes"
	"slices"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// What became of a proposal.
const (
	ProposalOpen    = "open"     // it waits for oracles to agree
	ProposalAdopted = "adopted"  // and waits for its block
	ProposalInForce = "in_force" // it took effect
	ProposalVoid    = "void"     // it was adopted, and could not take effect any more
	ProposalLapsed  = "lapsed"   // its block came, or thirty days or other oracles, before enough agreed
)

// Proposal is a motion and what became of it.
type Proposal struct {
	entry.Motion
	Hash   [32]byte
	Leaf   uint64         // of the statement that put it forward
	Voices []signer.KeyID // in the order in which they agreed
	By     uint64         // leaf of the statement that completed its adoption, 0 for none
	Status string
	Reason string // why it is void
}

// OracleSetsOf returns the oracle set that is in force behind the leaves of a ledger, and
// those that were adopted and wait for their block. It goes by the log alone.
func OracleSetsOf(src Source, size uint64) (now *entry.OracleSet, coming []*entry.OracleSet, err error) {
	list, err := ProposalsOf(src, size)
	if err != nil {
		return nil, nil, err
	}
	err = src.Leaves(0, 1, func(_ uint64, leaf []byte) error {
		charter, err := entry.ParseCharter(leaf)
		if err == nil {
			now = charter.OracleSet()
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	height := uint64(0)
	for i := range list {
		p := &list[i]
		if p.Kind != entry.MotionOracles || p.Status != ProposalInForce && p.Status != ProposalAdopted {
			continue
		}
		set, err := entry.ParseOracleSet(p.Body)
		if err != nil {
			return nil, nil, err
		}
		if p.Status == ProposalAdopted {
			coming = append(coming, set)
		} else if p.Height > height {
			now, height = set, p.Height
		}
	}
	return now, coming, nil
}

// ProposalsOf reads the motions of a ledger of size leaves, in the order in which they
// were put forward. It goes by the log alone, whose statements were judged.
func ProposalsOf(src Source, size uint64) ([]Proposal, error) {
	var list []*Proposal
	byHash := make(map[[32]byte]*Proposal)
	var began []int64 // time of the block of each
	var time int64    // of the last block
	next := uint64(0) // height of the block being read
	first := 0        // of the list, whose block is being read
	void := []byte(entry.OutcomeVoid)
	err := src.Leaves(0, size, func(i uint64, leaf []byte) error {
		switch kind := entry.KindOf(leaf); {
		case kind == entry.LeafHeader:
			h, err := block.ParseHeader(leaf)
			if err != nil {
				return err
			}
			next, time = h.Height+1, h.Time
			for ; first < len(list); first++ {
				began[first] = time
			}
			settle(list, began, next, time)
		case kind == entry.LeafOutcome && (bytes.Contains(leaf, void) || bytes.Contains(leaf, []byte(entry.OutcomeAdopted))):
			o, err := entry.ParseOutcome(leaf)
			if err != nil {
				return nil
			}
			p := byHash[o.Hash]
			switch {
			case p == nil:
			case o.Kind == entry.OutcomeVoid:
				p.Status, p.Reason = ProposalVoid, o.Code
			case o.Kind == entry.OutcomeAdopted:
				p.Status = ProposalAdopted
			}
		case kind == entry.LeafStatement && aboutMotions(leaf):
			hash, _ := audit.VoiceFor(leaf)
			s, err := signer.Parse(leaf)
			if hash == ([32]byte{}) || err != nil {
				return nil
			}
			p := byHash[hash]
			if s.Type == entry.TypeMotion && (p == nil || p.Status == ProposalLapsed) {
				m, err := entry.ParseMotion(s.Payload)
				if err != nil {
					return nil
				}
				p = &Proposal{Motion: *m, Hash: hash, Leaf: i, Status: ProposalOpen}
				byHash[hash] = p
				list, began = append(list, p), append(began, 0)
			}
			if p != nil && !slices.Contains(p.Voices, s.KeyID) {
				p.Voices = append(p.Voices, s.KeyID)
				if p.Status == ProposalOpen {
					p.By = i
				}
			}
		}
		return nil
	})
	out := make([]Proposal, len(list))
	for i, p := range list {
		if p.Status == ProposalOpen || p.Status == ProposalLapsed {
			p.By = 0
		}
		out[i] = *p
	}
	return out, err
}

// lapsesAfter is how long a motion waits for voices, in milliseconds: see ledger/state.
const lapsesAfter = 30 * 24 * 3600 * 1000

// settle does at the end of a block what the rules do there.
func settle(list []*Proposal, began []int64, next uint64, time int64) {
	oracles := false
	for _, p := range list {
		if p.Height <= next && p.Status == ProposalAdopted {
			p.Status = ProposalInForce
			oracles = oracles || p.Kind == entry.MotionOracles
		}
	}
	for i, p := range list {
		if p.Status == ProposalOpen && (p.Height <= next || oracles || time-began[i] > lapsesAfter) {
			p.Status = ProposalLapsed
		}
	}
}
