package audit

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/signer"
)

// carbonClaim returns the claim of a file that shows what an outcome of carbon accounting
// rests on, nil for another file: one with that outcome alone shows nothing.
func (e *Evidence) carbonClaim() entry.Body {
	if e == nil || e.leaf(0) == nil {
		return nil
	}
	b, _ := carbonOutcome(e.leaf(e.Claim))
	return b
}

// tonneFile is a file of evidence for a claim of carbon accounting, taken apart.
type tonneFile struct {
	rest     *Evidence // without readings
	readings []reading
	packs    map[[32]byte][]byte // disclosures, by their digest
}

func (e *Evidence) apart() *tonneFile {
	f := &tonneFile{rest: &Evidence{Claim: e.Claim, Checkpoint: e.Checkpoint}, packs: make(map[[32]byte][]byte)}
	for _, d := range e.Disclosures {
		f.packs[sha256.Sum256(d)] = d
	}
	for _, l := range e.Leaves {
		if entry.KindOf(l.Leaf) == entry.LeafStatement {
			if m, err := signer.Parse(l.Leaf); err == nil && m.Type == entry.TypeReading {
				f.readings = append(f.readings, reading{index: l.Index, leaf: l.Leaf, message: m})
				continue
			}
		}
		f.rest.Leaves = append(f.rest.Leaves, l)
	}
	return f
}

// with returns the file without readings, and with the disclosure of one.
func (f *tonneFile) with(m *signer.Message) *Evidence {
	e := *f.rest
	if m.Hidden() {
		var digest [32]byte
		copy(digest[:], m.Payload)
		if d := f.packs[digest]; d != nil {
			e.Disclosures = [][]byte{d}
		}
	}
	return &e
}

// tonne answers for a claim of carbon accounting: every statement that it rests on is
// signed by who may sign it, down to the readings, and the rules give the same outcomes
// again.
func (r *Report) tonne(t Trust, e *Evidence) {
	f := e.apart()
	trail, err := NewTrail(e.Claim, func(fn func(uint64, []byte) error) error {
		for _, l := range f.rest.Leaves {
			if err := fn(l.Index, l.Leaf); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.fail(CheckRerun, err)
		return
	}
	missing := r.sensed(f, trail, t)
	signed := r.stateds(f, trail, t)
	rests := trail.Finish()
	r.Subject, r.Tree = trail.root.What, trail.root
	if r.answer(CheckSignature) == Holds {
		r.set(CheckSignature, Holds, "of %s and of %s of members, registries, verifiers and oracles", count(len(f.readings), "reading", "readings"), count(signed, "statement", "statements"))
	}
	if r.answer(CheckKey) == Holds {
		r.set(CheckKey, Holds, "each was enrolled or admitted before it signed, to sign such, and ended before by no leaf in the file")
	}
	if r.answer(CheckDisclosure) == Holds {
		r.set(CheckDisclosure, Holds, "%s of readings, open or disclosed", count(len(f.readings)-missing, "pack", "packs"))
	}
	faults := trail.Faults()
	switch {
	case len(faults) > trail.walked && missing > 0 && trail.walked == 0:
		r.set(CheckRerun, Unchecked, "%s not in the file, and the figures cannot be computed again", count(missing, "pack of readings is", "packs of readings are"))
	case len(faults) > 0:
		more := ""
		if len(faults) > 1 {
			more = fmt.Sprintf("; and %d more", len(faults)-1)
		}
		r.set(CheckRerun, False, "%v%s", faults[0], more)
	case len(trail.gaps) > 0:
		r.set(CheckRerun, Unchecked, "%s", trail.gaps[0])
	default:
		r.set(CheckRerun, Holds, "%s, factors and entries give the same figures again", count(len(trail.Readings()), "reading", "readings"))
	}
	r.nothingElse(f, trail, rests)
}

// sensed verifies the readings and gives them to the trail. It returns how many have no
// pack at hand.
func (r *Report) sensed(f *tonneFile, trail *Trail, t Trust) (missing int) {
	for i := range f.readings {
		d := &f.readings[i]
		e := f.with(d.message)
		sub := newReport("", "")
		sub.statement(d.leaf, d.index, t, e)
		for k := range sub.Verdicts {
			if v := &sub.Verdicts[k]; v.Verdict == False || v.Verdict == Unchecked {
				v.Detail = fmt.Sprintf("leaf %d, a reading: %s", d.index, v.Detail)
			}
		}
		r.worse(sub, i == 0)
		d.pack = e.Pack(d.message)
		if d.pack == nil {
			missing++
		}
		if c, err := entry.ParseClaims(d.message.Claims); err == nil {
			d.subject = c.Subject
			trail.Read(d.index, &c, d.pack)
		}
	}
	if len(f.readings) == 0 {
		r.set(CheckTime, NotApplicable, "it rests on no reading")
	}
	return missing
}

// stateds verifies what is no reading: entries of carbon accounting, admissions and
// calibrations. It returns how many there are.
func (r *Report) stateds(f *tonneFile, trail *Trail, t Trust) (n int) {
	keys := make(map[signer.KeyID]KnownKey)
	for i := range f.rest.Leaves {
		l := &f.rest.Leaves[i]
		if entry.KindOf(l.Leaf) != entry.LeafStatement {
			continue
		}
		m, err := signer.Parse(l.Leaf)
		if err != nil || !entry.IsCarbon(m.Type) && m.Type != entry.TypeMember && m.Type != entry.TypeCalibration {
			continue
		}
		n++
		sub := newReport("", "")
		k, ok := keys[m.KeyID]
		if !ok {
			if k, ok = trail.keyOf(m.KeyID, t, f.rest); ok {
				keys[m.KeyID] = k
			}
		}
		sub.signed(m, l.Index, k, ok, t)
		r.worse(sub, n == 1 && len(f.readings) == 0)
	}
	return n
}

// keyOf finds a key in the verifier's set, the lives of keys in the file, and the admissions
// of parties there.
func (trail *Trail) keyOf(id signer.KeyID, t Trust, e *Evidence) (KnownKey, bool) {
	if k, _, ok := findKey(id, t, e); ok {
		if p, admitted := trail.party(id); admitted {
			k.Enrolled, k.Revoked = max(k.Enrolled, p.Enrolled), max(k.Revoked, p.Revoked)
		}
		return k, true
	}
	return trail.party(id)
}

// signed verifies one statement under a key.
func (r *Report) signed(m *signer.Message, index uint64, k KnownKey, known bool, t Trust) {
	what := fmt.Sprintf("leaf %d, a %s", index, shortType(m.Type))
	if !known {
		r.set(CheckSignature, Unchecked, "%s: key %v is not known", what, m.KeyID)
		r.set(CheckKey, Unchecked, "%s: key %v is not known", what, m.KeyID)
		return
	}
	c, err := entry.ParseClaims(m.Claims)
	switch _, bad := signer.Verify(m, k.Public); {
	case err != nil:
		r.set(CheckSignature, False, "%s: %v", what, err)
	case bad != nil:
		r.set(CheckSignature, False, "%s: %v", what, bad)
	case t.Policy != nil && c.Audience != t.Policy.Origin():
		r.set(CheckSignature, False, "%s: signed for ledger %q, the policy is for %q", what, c.Audience, t.Policy.Origin())
	default:
		r.set(CheckSignature, Holds, "")
	}
	switch {
	case !maySign(k.Role, m.Type):
		r.set(CheckKey, False, "%s: key %v is of the role %q, whose keys sign no such", what, m.KeyID, k.Role)
	case k.Enrolled > 0 && index <= k.Enrolled:
		r.set(CheckKey, False, "%s: its key was admitted by leaf %d", what, k.Enrolled)
	case k.Revoked > 0 && index > k.Revoked:
		r.set(CheckKey, False, "%s: its key was revoked by leaf %d", what, k.Revoked)
	default:
		r.set(CheckKey, Holds, "")
	}
}

// nothingElse refuses leaves that the claim does not rest on.
func (r *Report) nothingElse(f *tonneFile, trail *Trail, rests []uint64) {
	holds := func(index uint64) bool { _, ok := slices.BinarySearch(rests, index); return ok }
	refuse := func(index uint64) {
		r.set(CheckInclusion, False, "leaf %d is in the file and the claim, leaf %d, does not rest on it", index, f.rest.Claim)
	}
	signers := make(map[signer.KeyID]bool)
	firmware := make(map[string]*signer.Message)
	var named [][32]byte
	for i := range f.readings {
		d := &f.readings[i]
		if !holds(d.index) && d.pack != nil {
			refuse(d.index)
			return
		}
		signers[d.message.KeyID] = true
		if c, err := entry.ParseClaims(d.message.Claims); err == nil && len(c.Firmware) > 0 {
			firmware[string(c.Firmware)] = d.message
		}
		if d.pack != nil {
			for _, id := range Calibrations(d.pack) {
				if !slices.Contains(named, id) {
					named = append(named, id)
				}
			}
		}
	}
	for i := range f.rest.Leaves {
		if m, err := signer.Parse(f.rest.Leaves[i].Leaf); err == nil && m.Type == entry.TypeCalibration {
			signers[m.KeyID] = true
		}
	}
	agreed := make(map[[32]byte]bool)
	for i := range f.rest.Leaves {
		l := &f.rest.Leaves[i]
		ok := holds(l.Index)
		switch entry.KindOf(l.Leaf) {
		case entry.LeafHeader, entry.LeafCharter:
			ok = true
		case entry.LeafStatement:
			m, err := signer.Parse(l.Leaf)
			if err != nil {
				break
			}
			if c, err := ReadKeyChange(m); err == nil && (signers[c.Ends] || !c.Begins.IsZero() && signers[c.Begins.ID()]) {
				ok, agreed[sha256.Sum256(m.Payload)] = true, true
			}
			_, set := handover.MotionOf(l.Leaf)
			ok = ok || m.Type == entry.TypeCalibration && slices.Contains(named, m.Hash()) || set != nil && f.rest.rests(l.Leaf, m, m)
			for _, by := range firmware {
				ok = ok || releases(m, by)
			}
		case entry.LeafOutcome:
			if o, err := entry.ParseOutcome(l.Leaf); err == nil && o.Kind == entry.OutcomeAdopted {
				ok = ok || agreed[o.Hash] || o.Code == entry.MotionOracles && f.rest.stated(o.Hash)
			}
		}
		if !ok {
			refuse(l.Index)
			return
		}
	}
}
