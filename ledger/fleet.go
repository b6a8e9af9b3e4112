package ledger

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Fleet is what a ledger's leaves say of its gateways, as of the leaves that it has read:
// what each has signed last, with which clock and firmware. It goes by statements that the
// oracles have judged, and verifies nothing. The zero Fleet has read nothing.
type Fleet struct {
	next     uint64 // leaf to read next
	time     int64  // of the last block, Unix milliseconds
	releases map[string]Released
	gateways map[string]*Heard
	fresh    []*Heard // of the block that is being read
}

// Heard is the last that was heard of a gateway.
type Heard struct {
	Gateway  string
	Key      signer.KeyID // that signed it
	Sequence entry.Sequence
	Leaf     uint64
	IssuedAt int64              // when it was signed, Unix seconds
	Block    int64              // time of its block, Unix milliseconds
	Clock    *entry.TimeQuality // nil where it says nothing
	// Root is the digest of the firmware that it was signed on, nil for none, and Since
	// when the gateway signed its first statement on it.
	Root  []byte
	Since int64
	// Release is the one with that root, nil where the ledger has none.
	Release *Released
	// Highest is the highest version that the gateway has signed on.
	Highest uint64
	// Calibrated is when it stated its last calibration, Unix seconds, 0 for never.
	Calibrated int64
}

// WentBack is the version that the gateway has signed on and signs on no more, 0 for none.
func (h *Heard) WentBack() uint64 {
	if h.Release != nil && h.Highest <= h.Release.Release.Version {
		return 0
	}
	return h.Highest
}

// gatewayIssuer begins the issuer in what gateways sign.
const gatewayIssuer = "urn:wattmark:gateway:"

// Read reads the leaves that came since, up to size.
func (f *Fleet) Read(src Source, size uint64) error {
	if f.gateways == nil {
		f.gateways, f.releases = make(map[string]*Heard), make(map[string]Released)
	}
	if f.next >= size {
		return nil
	}
	issuer := []byte(gatewayIssuer)
	err := src.Leaves(f.next, size, func(i uint64, leaf []byte) error {
		f.next = i + 1
		switch entry.KindOf(leaf) {
		case entry.LeafHeader:
			h, err := block.ParseHeader(leaf)
			if err != nil {
				return err
			}
			f.time = h.Time
			for _, s := range f.fresh {
				s.Block = h.Time
			}
			f.fresh = f.fresh[:0]
		case entry.LeafStatement:
			if bytes.Contains(leaf, issuer) || bytes.Contains(leaf, releaseType) {
				f.statement(i, leaf)
			}
		}
		return nil
	})
	for _, s := range f.gateways {
		s.Release = nil
		if r, ok := f.releases[string(s.Root)]; ok {
			s.Release = &r
		}
	}
	return err
}

func (f *Fleet) statement(i uint64, leaf []byte) {
	m, err := signer.Parse(leaf)
	if err != nil {
		return
	}
	if m.Type == entry.TypeRelease {
		if l, r, err := entry.ParseLoggedRelease(m.Payload); err == nil {
			f.releases[string(r.Root[:])] = Released{i, *r, l.Manifest, m.KeyID}
		}
		return
	}
	c, err := entry.ParseClaims(m.Claims)
	name, ours := strings.CutPrefix(c.Issuer, gatewayIssuer)
	if err != nil || !ours || c.Sequence.Count == 0 {
		return
	}
	s := f.gateways[name]
	if s == nil {
		s = &Heard{Gateway: name}
		f.gateways[name] = s
	}
	if r, ok := f.releases[string(c.Firmware)]; ok {
		s.Highest = max(s.Highest, r.Release.Version)
	}
	if m.Type == entry.TypeCalibration {
		s.Calibrated = max(s.Calibrated, c.IssuedAt)
	}
	if c.Sequence.Less(s.Sequence) { // a backlog that came late
		return
	}
	if string(s.Root) != string(c.Firmware) || s.Since == 0 {
		s.Root, s.Since = c.Firmware, c.IssuedAt
	}
	s.Key, s.Sequence, s.Leaf, s.IssuedAt, s.Clock = m.KeyID, c.Sequence, i, c.IssuedAt, c.Time
	f.fresh = append(f.fresh, s)
}

// Time is that of the last block that was read, in Unix milliseconds.
func (f *Fleet) Time() int64 { return f.time }

// Gateways returns copies of what was heard, by name.
func (f *Fleet) Gateways() []Heard {
	var out []Heard
	for _, name := range slices.Sorted(maps.Keys(f.gateways)) {
		out = append(out, *f.gateways[name])
	}
	return out
}
