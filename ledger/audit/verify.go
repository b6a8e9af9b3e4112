package audit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Trust is what a verifier brings along.
type Trust struct {
	// Policy says whose checkpoints and receipts count. Nil leaves quorum and
	// what hangs on it unchecked.
	Policy *block.Policy
	// Keys are the gateways' keys, or nil.
	Keys *KeySet
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

// signerCheck maps an error to false or, where a check could not run, unchecked.
func (r *Report) fail(c Check, err error) { r.set(c, False, "%v", err) }

func verifyTransparent(name string, b []byte, t Trust) *Report {
	r := newReport(name, "transparent statement")
	statement, receipts, err := block.DetachReceipts(b)
	if err != nil {
		return r.malformed(err)
	}
	proof := receipts[0].Proof
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
// enough of the policy's oracles signed.
func (r *Report) receipts(receipts []block.Receipt, leaf block.Hash, policy *block.Policy) {
	if policy == nil {
		r.set(CheckInclusion, Unchecked, "no policy: give one with --policy")
		r.set(CheckQuorum, Unchecked, "no policy: give one with --policy")
		return
	}
	signed := make(map[signer.KeyID]bool)
	unknown := 0
	for i := range receipts {
		k, ok := policy.Witness(receipts[i].KeyID)
		if !ok {
			unknown++
			continue
		}
		if _, err := receipts[i].Verify(k.Key, leaf); err != nil {
			r.fail(CheckInclusion, fmt.Errorf("receipt of %q: %w", k.Name, err))
			r.set(CheckQuorum, Unchecked, "a receipt is wrong")
			return
		}
		signed[receipts[i].KeyID] = true
	}
	p := receipts[0].Proof
	if len(signed) == 0 {
		r.set(CheckInclusion, False, "none of the %d receipts is of an oracle in the policy", len(receipts))
	} else {
		r.set(CheckInclusion, Holds, "leaf %d of a tree of %d", p.Index, p.Size)
	}
	if err := policy.Quorum(signed); err != nil {
		r.fail(CheckQuorum, err)
		return
	}
	r.set(CheckQuorum, Holds, "receipts of %d oracles of the policy%s", len(signed), strangers(unknown))
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
		if h.Size != index {
			r.set(CheckChain, False, "the header says it is leaf %d, the proof says %d", h.Size, index)
		}
	case entry.LeafOutcome:
		o, err := entry.ParseOutcome(leaf)
		if err != nil {
			r.fail(CheckRerun, err)
			return
		}
		r.Subject = fmt.Sprintf("outcome %s: %s %s", o.Kind, o.Code, o.Detail)
		r.set(CheckRerun, Unchecked, "re-running a rule needs the blocks before it: wattmark ledger audit does it")
	case entry.LeafCharter:
		c, err := entry.ParseCharter(leaf)
		if err != nil {
			r.fail(CheckChain, err)
			return
		}
		r.Subject = "charter of " + c.Origin
	default:
		r.set(CheckInclusion, False, "the leaf is nothing that a ledger holds")
	}
}

func (r *Report) statement(statement []byte, index uint64, t Trust, e *Evidence) {
	m, err := signer.Parse(statement)
	if err != nil {
		r.fail(CheckSignature, err)
		return
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		r.fail(CheckSignature, err)
		return
	}
	r.Subject = fmt.Sprintf("%s, %s, sequence %v", shortType(m.Type), c.Issuer, c.Sequence)
	r.time(&c, m.Type)
	if t.Policy != nil && c.Audience != t.Policy.Origin() {
		r.set(CheckSignature, False, "signed for ledger %q, the policy is for %q", c.Audience, t.Policy.Origin())
		return
	}
	r.calibration(m)
	r.disclosure(m, &c, e)
	r.signature(m, index, t, e)
}

func shortType(typ string) string {
	s := strings.TrimPrefix(typ, "application/vnd.wattmark.")
	return strings.TrimSuffix(s, "+cose")
}

// signature finds the key, says how it is known, and verifies under it.
func (r *Report) signature(m *signer.Message, index uint64, t Trust, e *Evidence) {
	if t.Policy != nil {
		_, log := t.Policy.Log(m.KeyID)
		_, cosigner := t.Policy.Witness(m.KeyID)
		if log || cosigner {
			r.set(CheckKey, False, "key %v signs checkpoints and receipts, and no statements", m.KeyID)
		}
	}
	k, from, ok := findKey(m.KeyID, t, e)
	if !ok {
		r.set(CheckSignature, Unchecked, "key %v is not known: give a key set with --keys", m.KeyID)
		r.set(CheckKey, Unchecked, "key %v is not known", m.KeyID)
		return
	}
	if _, err := signer.Verify(m, k.Public); err != nil {
		r.fail(CheckSignature, err)
	} else {
		r.set(CheckSignature, Holds, "%v of key %v", k.Public.Algorithm(), m.KeyID)
	}
	switch {
	case k.Role == RoleCosigner || k.Role == RoleLog:
		r.set(CheckKey, False, "key %v signs checkpoints and receipts, and no statements", m.KeyID)
	case k.Enrolled > 0 && index <= k.Enrolled:
		r.set(CheckKey, False, "the statement is leaf %d, its key was enrolled by leaf %d", index, k.Enrolled)
	case k.Revoked > 0 && index > k.Revoked:
		r.set(CheckKey, False, "the statement is leaf %d, its key was revoked by leaf %d", index, k.Revoked)
	default:
		r.set(CheckKey, Holds, "%s%s", from, nameOf(k))
	}
}

func nameOf(k KnownKey) string {
	if k.Name == "" {
		return ""
	}
	return fmt.Sprintf(", of %q", k.Name)
}

func findKey(id signer.KeyID, t Trust, e *Evidence) (KnownKey, string, bool) {
	if k, ok := t.Keys.Find(id); ok {
		return k, "listed in the key set", true
	}
	if k, ok := e.key(id); ok {
		return k, fmt.Sprintf("enrolled by leaf %d", k.Enrolled), true
	}
	return KnownKey{}, "", false
}

func (r *Report) time(c *entry.Claims, typ string) {
	switch {
	case c.Time == nil && typ != entry.TypeReading:
		r.set(CheckTime, NotApplicable, "a statement of an oracle: block time is the median of their clocks")
	case c.Time == nil || c.Time.Quality == entry.ClockUnsynced:
		r.set(CheckTime, Unchecked, "the gateway had no clock source: only the order of its statements is claimed")
	case c.Time.Quality == entry.ClockSimulated:
		r.set(CheckTime, Holds, "simulated: a demonstration's clock, not the world's")
	case c.Time.Uncertainty > 0:
		r.set(CheckTime, Holds, "%s, claimed within %d ms", c.Time.Quality, (c.Time.Uncertainty+999_999)/1_000_000)
	default:
		r.set(CheckTime, Holds, "%s, no bound claimed", c.Time.Quality)
	}
}

func (r *Report) calibration(m *signer.Message) {
	if m.Type == entry.TypeReading {
		r.set(CheckCalibration, NotApplicable, "no calibration record covers this device: its readings are measured, not calibrated")
	}
}

func (r *Report) disclosure(m *signer.Message, c *entry.Claims, e *Evidence) {
	if !m.Hidden() {
		if m.Type != entry.TypeReading {
			return
		}
		p, err := entry.ParsePack(m.Payload)
		if err != nil {
			r.fail(CheckDisclosure, err)
			return
		}
		r.set(CheckDisclosure, Holds, "an open pack of %d records", len(p.Records))
		return
	}
	if e != nil {
		for _, d := range e.Disclosures {
			if p, err := entry.ParseCommitted(d, m.Payload); err == nil {
				r.disclosed(p)
				return
			}
		}
		if len(e.Disclosures) > 0 && e.leaf(e.Claim) != nil && len(e.Leaves) == 1 {
			r.set(CheckDisclosure, False, "the pack disclosed is not the one whose hash was signed")
			return
		}
	}
	r.set(CheckDisclosure, NotApplicable, "the pack of %s is committed and not disclosed here", c.Subject)
}

func (r *Report) disclosed(c *entry.Committed) {
	p, err := entry.ParsePack(c.Pack)
	if err != nil {
		r.fail(CheckDisclosure, err)
		return
	}
	r.set(CheckDisclosure, Holds, "a committed pack of %d records, disclosed", len(p.Records))
}
