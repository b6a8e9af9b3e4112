package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Kinds of what evidence of carbon accounting is about.
const (
	CarbonUnits       = "units"       // a block of units, or an issuance
	CarbonPeriod      = "period"      // a period of a site's inventory
	CarbonCertificate = "certificate" // a bundle of certificates
)

// CarbonOutcomes finds the newest outcome about an id under a checkpoint, of each kind of
// thing that has it: ids of one kind alone are told apart by the rules.
func CarbonOutcomes(src Source, size uint64, id string) (map[string]uint64, error) {
	out := make(map[string]uint64)
	name := []byte(id)
	err := src.Leaves(0, size, func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafOutcome || !bytes.Contains(leaf, name) {
			return nil
		}
		o, err := entry.ParseOutcome(leaf)
		if err != nil || o.Body == nil {
			return nil
		}
		b, err := o.ParseBody()
		if err != nil {
			return nil
		}
		about := func(m entry.Move) bool { return m.ID == id }
		switch b := b.(type) {
		case *entry.Issued:
			if b.ID == id || slices.ContainsFunc(b.Blocks, about) {
				out[CarbonUnits] = i
			}
		case *entry.Certified:
			if b.ID == id {
				out[CarbonCertificate] = i
			}
		case *entry.Stated:
			if b.Period == id {
				out[CarbonPeriod] = i
			}
		case *entry.Moved:
			if slices.ContainsFunc(b.Moves, about) {
				out[map[string]string{entry.MovedBlock: CarbonUnits, entry.MovedBundle: CarbonCertificate}[b.What]] = i
			}
		}
		return nil
	})
	return out, err
}

// ErrNotShown is returned where the readings at hand do not give the figure again: what it
// rests on is in no vault any more.
var ErrNotShown = errors.New("the readings at hand do not give the figure again")

// CarbonEvidence makes the evidence for an outcome of carbon accounting under a final
// checkpoint: the outcomes and entries on the way down to readings (audit.Trail), the
// readings that tell registers at the edges of intervals, and the lives of all keys. packs
// gives the preimages of committed packs; those that are needed are disclosed. It reads the
// ledger from the first leaf to the last, a few times.
func CarbonEvidence(src Source, note []byte, cp block.Checkpoint, claim uint64, packs func(digest []byte) []byte) (*audit.Evidence, error) {
	if claim >= cp.Size {
		return nil, fmt.Errorf("%w: leaf %d, checkpoint of %d leaves", ErrNotFinal, claim, cp.Size)
	}
	trail, err := audit.NewTrail(claim, func(fn func(uint64, []byte) error) error { return src.Leaves(0, cp.Size, fn) })
	if err != nil {
		return nil, err
	}
	missing, err := readAll(src, cp.Size, trail, packs)
	if err != nil {
		return nil, err
	}
	want := make(map[uint64]bool)
	for _, leaf := range trail.Finish() {
		want[leaf] = true
	}
	if faults := trail.Faults(); len(faults) > 0 {
		if missing > 0 {
			faults = append(faults, fmt.Errorf("%d packs of its metering points are in no vault here: make it at an oracle that has them, unless they were forgotten", missing))
		}
		return nil, fmt.Errorf("%w: %w", ErrNotShown, errors.Join(faults...))
	}
	disclosures, err := restOf(src, cp.Size, trail.Readings(), packs, want)
	if err != nil {
		return nil, err
	}
	if err := closingHeader(src, cp.Size, claim, want); err != nil {
		return nil, err
	}
	if len(want) > audit.MaxEvidenceLeaves {
		return nil, fmt.Errorf("it rests on %d leaves, over the limit of %d for one file: show a shorter period", len(want), audit.MaxEvidenceLeaves)
	}
	e, err := assemble(src, note, cp, claim, want)
	if err != nil {
		return nil, err
	}
	e.Disclosures = disclosures
	return e, nil
}

// readAll gives a trail the readings of its metering points, and returns of how many the
// pack is not at hand.
func readAll(src Source, size uint64, trail *audit.Trail, packs func([]byte) []byte) (missing int, err error) {
	points := trail.Points()
	typ := []byte(entry.TypeReading)
	err = src.Leaves(0, size, func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafStatement || !bytes.Contains(leaf, typ) {
			return nil
		}
		m, err := signer.Parse(leaf)
		if err != nil || m.Type != entry.TypeReading {
			return nil
		}
		c, err := entry.ParseClaims(m.Claims)
		if err != nil {
			return nil
		}
		if _, ok := slices.BinarySearch(points, c.Subject); ok {
			pack, _ := packOf(m, packs)
			if pack == nil {
				missing++
			}
			trail.Read(i, &c, pack)
		}
		return nil
	})
	return missing, err
}

// packOf returns the pack of a reading, nil where it is not at hand, and what discloses it.
func packOf(m *signer.Message, packs func([]byte) []byte) (*entry.Pack, []byte) {
	if !m.Hidden() {
		return (*audit.Evidence)(nil).Pack(m), nil
	}
	if packs == nil {
		return nil, nil
	}
	d := packs(m.Payload)
	if d == nil {
		return nil, nil
	}
	return (&audit.Evidence{Disclosures: [][]byte{d}}).Pack(m), d
}

// restOf finds what readings rest on beside the trail: calibrations, firmware, and the lives
// of the keys that signed them. It returns the disclosures of committed packs.
func restOf(src Source, size uint64, readings []uint64, packs func([]byte) []byte, want map[uint64]bool) (disclosures [][]byte, err error) {
	signers := make(map[signer.KeyID]bool)
	firmwares := make(map[string]*signer.Message)
	named := make(map[[32]byte]bool)
	var last *signer.Message
	for _, i := range readings {
		leaf, err := src.Leaf(i)
		if err != nil {
			return nil, err
		}
		m, err := signer.Parse(leaf)
		if err != nil {
			return nil, err
		}
		last = m
		signers[m.KeyID] = true
		if c, err := entry.ParseClaims(m.Claims); err == nil && len(c.Firmware) > 0 {
			firmwares[string(c.Firmware)] = m
		}
		pack, d := packOf(m, packs)
		if d != nil {
			disclosures = append(disclosures, d)
		}
		if pack != nil {
			for _, id := range audit.Calibrations(pack) {
				named[id] = true
			}
		}
	}
	if len(named) > 0 {
		typ := []byte(entry.TypeCalibration)
		err := src.Leaves(0, size, func(i uint64, leaf []byte) error {
			if entry.KindOf(leaf) != entry.LeafStatement || !bytes.Contains(leaf, typ) {
				return nil
			}
			if m, err := signer.Parse(leaf); err == nil && m.Type == entry.TypeCalibration && named[m.Hash()] {
				want[i], signers[m.KeyID] = true, true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(signers), func(a, b signer.KeyID) int { return bytes.Compare(a[:], b[:]) }) {
		if err := keyHistory(src, size, id, want); err != nil {
			return nil, err
		}
	}
	for _, f := range slices.Sorted(maps.Keys(firmwares)) {
		if err := firmware(src, size, firmwares[f], want); err != nil {
			return nil, err
		}
	}
	if last == nil {
		last = new(signer.Message) // which oracles signed is asked of all leaves
	}
	return disclosures, governing(src, size, last, want)
}
