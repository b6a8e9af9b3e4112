package audit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/signer"
)

// Trust is what a verifier brings along.
type Trust struct {
	// Policy says whose checkpoints and receipts count. Nil leaves quorum and
	// what hangs on it unchecked.
	Policy *block.Policy
	// Spans, if set, are what Follow came to from Policy: each file is held against the
	// oracles that were in force at its checkpoint.
	Spans []handover.Span
	// Keys are the gateways' keys, or nil.
	Keys *KeySet
}

// at returns the trust for a checkpoint of so many leaves.
func (t Trust) at(size uint64) Trust {
	if p := handover.PolicyFor(t.Spans, size); p != nil {
		t.Policy = p
	}
	return t
}

// under is at for a signed checkpoint; what does not read is found out later.
func (t Trust) under(note []byte) Trust {
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	c, err := block.ParseCheckpoint(string(text) + "\n")
	if err != nil {
		return t
	}
	return t.at(c.Size)
}

// Verify answers every question about one file. The kind is told by the name's
// ending, else by the first bytes.
func Verify(name string, b []byte, t Trust) *Report {
	switch {
	case strings.HasSuffix(name, ".tlog-proof") || bytes.HasPrefix(b, []byte("c2sp.org/tlog-proof@")):
		return verifyLogProof(name, b, t)
	case strings.HasSuffix(name, ".evidence"):
		return verifyEvidence(name, b, t)
	case strings.HasSuffix(name, ".cose") || len(b) > 0 && b[0] == 0xd2:
		return verifyTransparent(name, b, t)
	case len(b) > 0 && b[0]>>5 == 5: // a CBOR map
		return verifyEvidence(name, b, t)
	}
	return Unreadable(name, errors.New("neither a *.cose, a *.tlog-proof nor an *.evidence file"))
}

func (r *Report) fail(c Check, err error) { r.set(c, False, "%v", err) }

func verifyTransparent(name string, b []byte, t Trust) *Report {
	r := newReport(name, "transparent statement")
	statement, receipts, err := block.DetachReceipts(b)
	if err != nil {
		return r.malformed(err)
	}
	proof := receipts[0].Proof
	t = t.at(proof.Size)
	for i := range receipts {
		if p := receipts[i].Proof; p.Index != proof.Index {
			r.fail(CheckInclusion, fmt.Errorf("%w: receipts name the leaves %d and %d", block.ErrProof, proof.Index, p.Index))
			return r
		}
	}
	r.receipts(receipts, block.LeafHash(statement), t.Policy)
	r.statement(statement, proof.Index, t, nil)
	return r
}

// receipts verifies every receipt: inclusion is what each proves, quorum whether
// enough of the policy's oracles signed the one tree.
func (r *Report) receipts(receipts []block.Receipt, leaf block.Hash, policy *block.Policy) {
	if policy == nil {
		r.set(CheckInclusion, Unchecked, "no policy: give one with --policy")
		r.set(CheckQuorum, Unchecked, "no policy: give one with --policy")
		return
	}
	wrong := func(err error) {
		r.fail(CheckInclusion, err)
		r.set(CheckQuorum, Unchecked, "a receipt is wrong")
	}
	signed := make(map[signer.KeyID]bool)
	var tree block.Checkpoint
	var strange []*block.Receipt
	for i := range receipts {
		k, ok := policy.Witness(receipts[i].KeyID)
		if !ok {
			strange = append(strange, &receipts[i])
			continue
		}
		root, err := receipts[i].Verify(k.Key, leaf)
		if err != nil {
			wrong(fmt.Errorf("receipt of %q: %w", k.Name, err))
			return
		}
		got := block.Checkpoint{Size: receipts[i].Proof.Size, Root: root}
		if len(signed) > 0 && got != tree {
			wrong(fmt.Errorf("%w: the receipts are for different trees, of %d and of %d leaves", block.ErrProof, tree.Size, got.Size))
			return
		}
		tree = got
		signed[receipts[i].KeyID] = true
	}
	if name := renamedReceipt(strange, leaf, policy, signed); name != "" {
		wrong(fmt.Errorf("%w: a receipt is signed by %q and names another key", signer.ErrSignature, name))
		return
	}
	if len(signed) == 0 {
		r.set(CheckInclusion, False, "none of the %d receipts is of an oracle in the policy", len(receipts))
	} else {
		r.set(CheckInclusion, Holds, "leaf %d of a tree of %d", receipts[0].Proof.Index, tree.Size)
	}
	if err := policy.OracleQuorum(signed); err != nil {
		r.fail(CheckQuorum, err)
		return
	}
	detail := fmt.Sprintf("receipts of %d oracles of the policy%s", len(signed), strangers(len(strange)))
	if policy.Quorum(signed) != nil {
		// The file is what it should be, and less than the policy asks for: whoever handed
		// it over can hand over the checkpoint too.
		r.set(CheckQuorum, Unchecked, "%s; no receipt shows that the policy's witnesses signed: ask for the tlog-proof or the evidence", detail)
		return
	}
	r.set(CheckQuorum, Holds, "%s", detail)
}

func strangers(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d of others, passed over", n)
}

func verifyLogProof(name string, b []byte, t Trust) *Report {
	r := newReport(name, "tlog-proof")
	p, err := block.ParseLogProof(b)
	if err != nil {
		return r.malformed(err)
	}
	if len(p.Extra) == 0 {
		return Unreadable(name, errors.New("the proof has no extra line, so its leaf is not known"))
	}
	t = t.under(p.Checkpoint)
	if s := r.checkpoint(p.Checkpoint, t.Policy); s != nil {
		proof := block.Proof{Index: p.Index, Size: s.Size, Path: p.Path}
		r.inclusion(&proof, p.Extra, s.Root)
	}
	r.leaf(p.Extra, p.Index, t, nil)
	return r
}

// checkpoint answers quorum, and returns the checkpoint if its signatures are
// right, even where they are too few.
func (r *Report) checkpoint(note []byte, policy *block.Policy) *block.Signed {
	if policy == nil {
		r.set(CheckInclusion, Unchecked, "no policy: give one with --policy")
		r.set(CheckQuorum, Unchecked, "no policy: give one with --policy")
		return nil
	}
	s, err := policy.Verify(note)
	if err != nil {
		r.fail(CheckQuorum, err)
		if s == nil {
			r.set(CheckInclusion, Unchecked, "the checkpoint does not verify")
		}
		return s
	}
	if name := renamedLine(note, policy, s); name != "" {
		r.set(CheckQuorum, False, "a line under the checkpoint is signed by %q and names another key", name)
		return s
	}
	r.set(CheckQuorum, Holds, "checkpoint of %d leaves signed by %d log and %d cosigners of the policy", s.Size, len(s.Logs), len(s.Witnesses))
	return s
}

func (r *Report) inclusion(p *block.Proof, leaf []byte, root block.Hash) bool {
	got, err := p.Root(block.LeafHash(leaf))
	if err == nil && got != root {
		err = fmt.Errorf("%w: the leaf is not at index %d of the checkpoint's tree", block.ErrProof, p.Index)
	}
	if err != nil {
		r.fail(CheckInclusion, err)
		return false
	}
	r.set(CheckInclusion, Holds, "leaf %d of a tree of %d", p.Index, p.Size)
	return true
}

// leaf answers what a leaf of any sort can be asked by itself.
func (r *Report) leaf(leaf []byte, index uint64, t Trust, e *Evidence) {
	switch entry.KindOf(leaf) {
	case entry.LeafStatement:
		r.statement(leaf, index, t, e)
	case entry.LeafHeader:
		h, err := block.ParseHeader(leaf)
		if err != nil {
			r.fail(CheckChain, err)
			return
		}
		r.Subject = fmt.Sprintf("header of block %d of %s", h.Height, h.Origin)
		switch {
		case h.Size != index:
			r.set(CheckChain, False, "the header says it is leaf %d, the proof says %d", h.Size, index)
		case t.Policy != nil && h.Origin != t.Policy.Origin():
			r.set(CheckChain, False, "a header of ledger %q, the policy is for %q", h.Origin, t.Policy.Origin())
		default:
			r.set(CheckChain, Holds, "it closes block %d, leaves %d to %d", h.Height, h.First, h.Size)
		}
	case entry.LeafOutcome:
		o, err := entry.ParseOutcome(leaf)
		if err != nil {
			r.fail(CheckRerun, err)
			return
		}
		r.Subject = fmt.Sprintf("outcome %s: %s %s", o.Kind, o.Code, o.Detail)
		r.set(CheckRerun, Unchecked, "re-running a rule needs the blocks before it: wattmark ledger audit does it")
		if s := e.settledClaim(); s != nil {
			r.bill(s, t, e)
			return
		}
		switch b, _ := carbonOutcome(leaf); {
		case b == nil:
		case e.carbonClaim() != nil:
			r.tonne(t, e)
			return
		default:
			r.set(CheckRerun, Unchecked, "what it rests on is not in the file: wattmark carbon prove puts it into one")
		}
		if statement := e.leaf(o.Leaf); o.Kind == entry.OutcomeFlagged && statement != nil {
			r.statement(statement, o.Leaf, t, e)
			if by, ok := e.forgotten(statement); ok {
				r.set(CheckRerun, Unchecked, "forgotten by entry %d: nobody has the readings any more", by)
			}
			r.Subject = fmt.Sprintf("flag %s %s of %s", o.Code, o.Detail, r.Subject)
		}
	case entry.LeafCharter:
		c, err := entry.ParseCharter(leaf)
		if err != nil {
			r.fail(CheckChain, err)
			return
		}
		r.Subject = "charter of " + c.Origin
		switch {
		case index != 0:
			r.set(CheckChain, False, "a charter is leaf 0, the proof says %d", index)
		case t.Policy != nil && c.Origin != t.Policy.Origin():
			r.set(CheckChain, False, "the charter of ledger %q, the policy is for %q", c.Origin, t.Policy.Origin())
		default:
			r.set(CheckChain, Holds, "the ledger begins with it")
		}
	default:
		r.set(CheckInclusion, False, "the leaf is nothing that a ledger holds")
	}
}
