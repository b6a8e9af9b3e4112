package ledger

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Moment is where in a ledger something took effect. Height and Time are 0 where the
// block is not closed yet.
type Moment struct {
	Leaf   uint64
	Height uint64
	Time   int64 // of the block, Unix milliseconds UTC
}

// KeyLife is what a ledger says of one key of a gateway.
type KeyLife struct {
	Key     signer.PublicKey
	Gateway string
	Points  []entry.Point // as enrolled; after a rotation those of the key before
	// Proven: the key has signed the request for its own enrolment.
	Proven bool
	From   Moment
	// To is where it ended, nil if it has not.
	To *Moment
	// ReplacedBy is the key that a rotation put into its place, nil where it ended
	// otherwise; Reason is then why.
	ReplacedBy *signer.PublicKey
	Reason     string
}

// CalibrationAt is a calibration and where it took effect.
type CalibrationAt struct {
	Moment
	entry.Calibration
	Key      signer.KeyID // that signed it
	Point    string
	Identity [32]byte // by which readings name it
}

// Lives are the keys and calibrations of all gateways, in the order of the ledger.
type Lives struct {
	Keys         []KeyLife
	Calibrations []CalibrationAt
	// Waiting are statements about keys that took no effect so far: other oracles have
	// to state the same payload.
	Waiting []Waiting
}

// Waiting is a change of keys that some oracles have stated.
type Waiting struct {
	audit.KeyChange
	Oracles []signer.KeyID // in the order in which they stated it
	Since   Moment
}

// lives reads them. It goes by the log alone: what is in it was judged, and it follows
// the rules only in what took effect at once and what waited for others.
type lives struct {
	Lives
	byKey   map[signer.KeyID]int
	named   map[string]bool // gateways, and points behind a slash, that had a key
	pending []*waited
	headers []*block.Header
}

type waited struct {
	hash    [32]byte // of type and payload
	payload [32]byte // of the payload alone, by which an outcome names it
	change  *audit.KeyChange
	voters  []signer.KeyID
	leaves  []uint64 // of the voters' statements
}

// LivesOf reads the ledger up to size leaves.
func LivesOf(src Source, size uint64) (*Lives, error) {
	l := &lives{byKey: make(map[signer.KeyID]int), named: make(map[string]bool)}
	calibration, adopted := []byte(entry.TypeCalibration), []byte(entry.OutcomeAdopted)
	err := src.Leaves(0, size, func(i uint64, leaf []byte) error {
		switch entry.KindOf(leaf) {
		case entry.LeafHeader:
			h, err := block.ParseHeader(leaf)
			l.headers = append(l.headers, h)
			return err
		case entry.LeafOutcome:
			if bytes.Contains(leaf, adopted) {
				l.adopt(leaf)
			}
		case entry.LeafStatement:
			if !aboutKeys(leaf) && !bytes.Contains(leaf, calibration) {
				return nil // the others need not be parsed
			}
			m, err := signer.Parse(leaf)
			if err != nil {
				return nil
			}
			if m.Type == entry.TypeCalibration {
				l.calibrate(i, m)
			} else {
				l.change(i, m)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, p := range l.pending {
		l.Waiting = append(l.Waiting, Waiting{*p.change, p.voters, Moment{Leaf: p.leaves[0]}})
	}
	// What an outcome completes took effect at a leaf before the outcome.
	slices.SortFunc(l.Keys, func(a, b KeyLife) int { return cmp.Compare(a.From.Leaf, b.From.Leaf) })
	l.place()
	return &l.Lives, nil
}

// place tells of each moment which block it is in.
func (l *lives) place() {
	at := func(m *Moment) {
		i, _ := slices.BinarySearchFunc(l.headers, m.Leaf, func(h *block.Header, leaf uint64) int { return cmp.Compare(h.Size, leaf) })
		if i < len(l.headers) {
			m.Height, m.Time = l.headers[i].Height, l.headers[i].Time
		}
	}
	for i := range l.Keys {
		at(&l.Keys[i].From)
		if l.Keys[i].To != nil {
			at(l.Keys[i].To)
		}
	}
	for i := range l.Calibrations {
		at(&l.Calibrations[i].Moment)
	}
	for i := range l.Waiting {
		at(&l.Waiting[i].Since)
	}
}

// change takes a statement about keys.
func (l *lives) change(leaf uint64, m *signer.Message) {
	c, err := audit.ReadKeyChange(m)
	if err != nil {
		return
	}
	if !l.governed(c, m.KeyID) {
		l.apply(c, leaf)
		return
	}
	hash := sha256.Sum256(append([]byte(m.Type), m.Payload...))
	i := slices.IndexFunc(l.pending, func(p *waited) bool { return p.hash == hash })
	if i < 0 {
		i = len(l.pending)
		l.pending = append(l.pending, &waited{hash: hash, payload: sha256.Sum256(m.Payload), change: c})
	}
	p := l.pending[i]
	p.voters, p.leaves = append(p.voters, m.KeyID), append(p.leaves, leaf)
}

// governed reports whether a change takes effect only when enough oracles have stated
// it: see ledger/state.
func (l *lives) governed(c *audit.KeyChange, by signer.KeyID) bool {
	if c.Begins.IsZero() {
		return c.Ends != by
	}
	if c.Ends != (signer.KeyID{}) {
		return false // a rotation
	}
	had := l.named[c.Gateway]
	for _, p := range c.Points {
		had = had || l.named["/"+p.Subject]
	}
	return had
}

func (l *lives) adopt(leaf []byte) {
	o, err := entry.ParseOutcome(leaf)
	if err != nil || o.Kind != entry.OutcomeAdopted {
		return
	}
	i := slices.IndexFunc(l.pending, func(p *waited) bool { return p.payload == o.Hash })
	if i < 0 {
		return
	}
	p := l.pending[i]
	l.pending = slices.Delete(l.pending, i, i+1)
	l.apply(p.change, p.leaves[len(p.leaves)-1])
}

func (l *lives) apply(c *audit.KeyChange, leaf uint64) {
	points := c.Points
	if i, ok := l.byKey[c.Ends]; ok {
		old := &l.Keys[i]
		old.To, old.Reason = &Moment{Leaf: leaf}, c.Reason
		if !c.Begins.IsZero() {
			next := c.Begins
			old.ReplacedBy, points = &next, old.Points
		}
	}
	if c.Begins.IsZero() {
		return
	}
	l.named[c.Gateway] = true
	for _, p := range points {
		l.named["/"+p.Subject] = true
	}
	l.byKey[c.Begins.ID()] = len(l.Keys)
	l.Keys = append(l.Keys, KeyLife{Key: c.Begins, Gateway: c.Gateway, Points: points, Proven: c.Proven, From: Moment{Leaf: leaf}})
}

func (l *lives) calibrate(leaf uint64, m *signer.Message) {
	c, err := entry.ParseCalibration(m.Payload)
	if err != nil {
		return
	}
	claims, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return
	}
	l.Calibrations = append(l.Calibrations, CalibrationAt{Moment{Leaf: leaf}, *c, m.KeyID, claims.Subject, m.Hash()})
}
