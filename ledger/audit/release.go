package audit

import (
	"encoding/hex"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// CheckRelease asks which release of firmware made a statement, and whether it was
// logged before it. It is asked of statements that name what they ran from, and is no
// part of other reports.
const CheckRelease Check = "release"

// ReadRelease reads a statement that puts a release onto the ledger.
func ReadRelease(m *signer.Message) (*entry.Release, error) {
	if m.Type != entry.TypeRelease || m.ContentType != entry.ContentCBOR {
		return nil, fmt.Errorf("%w: a statement of type %q is no release", entry.ErrForm, m.Type)
	}
	_, r, err := entry.ParseLoggedRelease(m.Payload)
	return r, err
}

// release names the release whose digest a statement claims to run from. That the
// release is in the log is shown as for every leaf of the evidence, by inclusion; whose
// signature the manifest has is asked by those who install it.
func (r *Report) release(c *entry.Claims, index uint64, e *Evidence) {
	if len(c.Firmware) == 0 {
		return
	}
	digest := hex.EncodeToString(c.Firmware)
	r.Verdicts = append(r.Verdicts, Verdict{CheckRelease, Unchecked, fmt.Sprintf("signed on firmware %s, and its release is not in the file: the ledger has none, or the evidence is of before it", digest)})
	if e == nil {
		r.set(CheckRelease, Unchecked, "signed on firmware %s: give the evidence to be told of its release", digest)
		return
	}
	for i := range e.Leaves {
		l := &e.Leaves[i]
		if entry.KindOf(l.Leaf) != entry.LeafStatement {
			continue
		}
		m, err := signer.Parse(l.Leaf)
		if err != nil || m.Type != entry.TypeRelease {
			continue
		}
		rel, err := ReadRelease(m)
		if err != nil || string(rel.Root[:]) != string(c.Firmware) {
			continue
		}
		words := fmt.Sprintf("release %d for %s of %s, commit %s, logged by leaf %d", rel.Version, rel.Board, rel.Origin, rel.Commit[:12], l.Index)
		if l.Index > index {
			r.set(CheckRelease, False, "%s: after it was used", words)
			return
		}
		r.set(CheckRelease, Holds, "%s", words)
		return
	}
}

// releases reports whether a statement s puts the release onto the ledger on whose
// firmware m was signed.
func releases(s, m *signer.Message) bool {
	if s.Type != entry.TypeRelease {
		return false
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil || len(c.Firmware) == 0 {
		return false
	}
	r, err := ReadRelease(s)
	return err == nil && string(r.Root[:]) == string(c.Firmware)
}
