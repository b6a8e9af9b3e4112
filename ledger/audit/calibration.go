package audit

import (
	"fmt"
	"slices"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Calibrations returns the identities of the calibrations that a pack names, in order
// of their first mention.
func Calibrations(p *entry.Pack) [][32]byte {
	var out [][32]byte
	for i := range p.Records {
		if _, identity, ok := p.Records[i].Calibrated(); ok && !slices.Contains(out, identity) {
			out = append(out, identity)
		}
	}
	return out
}

// calibration says by which calibrations a reading's values were made, as far as its
// pack is at hand.
func (r *Report) calibration(m *signer.Message, c *entry.Claims, e *Evidence) {
	if m.Type != entry.TypeReading {
		return
	}
	p := e.Pack(m)
	if p == nil {
		r.set(CheckCalibration, NotApplicable, "what the pack says of calibrations is not disclosed here")
		return
	}
	var covered, undone []string
	for i := range p.Records {
		name, identity, ok := p.Records[i].Calibrated()
		if !ok {
			continue
		}
		channel, ours := strings.CutPrefix(name, p.Base)
		k, leaf, found := e.calibration(identity)
		switch {
		case !found:
			r.set(CheckCalibration, Unchecked, "channel %q names calibration %x, which is not in the file: give the evidence", channel, identity[:8])
			return
		case !ours || k.claims.Subject != c.Subject || k.message.Type != entry.TypeCalibration || !k.covers(channel):
			r.set(CheckCalibration, False, "channel %q names leaf %d, which is no calibration of it", channel, leaf)
			return
		case len(k.said.Undoes) > 0:
			undone = append(undone, fmt.Sprintf("%s by leaf %d", channel, leaf))
		default:
			covered = append(covered, fmt.Sprintf("%s by leaf %d (%s, %s)", channel, leaf, k.said.Method, instant(k.said.Time)[:10]))
		}
	}
	switch {
	case len(covered) > 0:
		r.set(CheckCalibration, Holds, "calibrated: %s", strings.Join(covered, "; "))
	case len(undone) > 0:
		r.set(CheckCalibration, NotApplicable, "its calibration was undone, %s: its readings are measured, not calibrated", strings.Join(undone, "; "))
	default:
		r.set(CheckCalibration, NotApplicable, "no calibration record covers this device: its readings are measured, not calibrated")
	}
}

// calibrated is a calibration in a file, as it was logged. It need not be verified
// under its key: only a quorum's rules have let it into the log.
type calibrated struct {
	message *signer.Message
	claims  entry.Claims
	said    *entry.Calibration
}

func (k *calibrated) covers(channel string) bool {
	return slices.ContainsFunc(k.said.Corrections, func(c entry.Correction) bool { return c.Channel == channel })
}

// calibration finds a calibration by its identity.
func (e *Evidence) calibration(identity [32]byte) (k *calibrated, leaf uint64, found bool) {
	if e == nil {
		return nil, 0, false
	}
	for i := range e.Leaves {
		if entry.KindOf(e.Leaves[i].Leaf) != entry.LeafStatement {
			continue
		}
		m, err := signer.Parse(e.Leaves[i].Leaf)
		if err != nil || m.Hash() != identity {
			continue
		}
		c, err := entry.ParseClaims(m.Claims)
		if err != nil {
			continue
		}
		said, err := entry.ParseCalibration(m.Payload)
		if err != nil {
			said = &entry.Calibration{} // something else: it covers nothing
		}
		return &calibrated{m, c, said}, e.Leaves[i].Index, true
	}
	return nil, 0, false
}

// Pack returns the pack of a reading if it is open, or disclosed in the file, else
// nil. Of no file, a nil Evidence, open ones are known.
func (e *Evidence) Pack(m *signer.Message) *entry.Pack {
	if m.Type != entry.TypeReading {
		return nil
	}
	if !m.Hidden() {
		p, err := entry.ParsePack(m.Payload)
		if err != nil {
			return nil
		}
		return p
	}
	if e == nil {
		return nil
	}
	for _, d := range e.Disclosures {
		if c, err := entry.ParseCommitted(d, m.Payload); err == nil {
			if p, err := entry.ParsePack(c.Pack); err == nil {
				return p
			}
		}
	}
	return nil
}
