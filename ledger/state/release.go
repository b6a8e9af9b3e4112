package state

import (
	"wattmark/ledger/entry"
)

// release is the newest release of an origin for a board.
type release struct {
	Origin  string   `cbor:"1,keyasint"`
	Board   string   `cbor:"2,keyasint"`
	Version uint64   `cbor:"3,keyasint"`
	Root    [32]byte `cbor:"4,keyasint"`
	Leaf    uint64   `cbor:"5,keyasint"`
}

// releasePrefix starts the store keys of releases.
const releasePrefix = 'w'

func (r *release) storeKey() string { return string(releasePrefix) + releaseName(r.Origin, r.Board) }

// releaseName joins what versions rise for; neither part holds a space.
func releaseName(origin, board string) string { return origin + " " + board }

func (s *State) loadRelease(v []byte) error {
	var r release
	if err := decMode.Unmarshal(v, &r); err != nil {
		return err
	}
	s.releases[releaseName(r.Origin, r.Board)] = &r
	return nil
}

// judgeRelease lets an oracle put a release onto the ledger. Any one may: what counts is
// that it stands there, and whose releases a gateway takes is the gateway's to know. Of
// one version there is one image, so that nobody can be given another in secret.
func (s *State) judgeRelease(p *plan) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	_, r, err := entry.ParseLoggedRelease(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	if last := s.releases[releaseName(r.Origin, r.Board)]; last != nil && r.Version <= last.Version {
		return entry.ReasonAlreadyKnown
	}
	p.release = r
	return ""
}

// publish notes a judged release.
func (s *State) publish(p *plan, leaf uint64) {
	r := &release{Origin: p.release.Origin, Board: p.release.Board, Version: p.release.Version, Root: p.release.Root, Leaf: leaf}
	s.releases[releaseName(r.Origin, r.Board)] = r
	s.touch(r)
}
