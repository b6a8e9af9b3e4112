package entry

import "fmt"

// Kinds of outcomes of carbon accounting. Each has a body.
const (
	OutcomeCertified = "certified" // certificates were issued: Certified
	OutcomeMoved     = "moved"     // bundles or blocks got another status or owner: Moved
	OutcomeStated    = "stated"    // a period was closed or restated: Stated
	OutcomeIssued    = "issued"    // units were issued: Issued
	OutcomeAdjusted  = "adjusted"  // units went to another country for the first time: Adjusted
)

// Certified are certificates that were issued, one a Wh, as one bundle.
type Certified struct {
	Leaf   uint64 `cbor:"1,keyasint"` // of the statement that asked for them
	ID     string `cbor:"2,keyasint"` // of the issue, and of the bundle that is all of it
	Source string `cbor:"3,keyasint"`
	From   int64  `cbor:"4,keyasint"`
	To     int64  `cbor:"5,keyasint"`
	Wh     int64  `cbor:"6,keyasint"`
	First  int64  `cbor:"7,keyasint"` // serial
	Owner  string `cbor:"8,keyasint"` // a member
	// Readings are the leaves whose registers the energy was told by, rising.
	Readings []uint64 `cbor:"9,keyasint"`
	// Origin is, of a discharge, the issue whose energy was stored, and Consumed how
	// much of it is gone.
	Origin   string `cbor:"10,keyasint,omitempty"`
	Consumed int64  `cbor:"11,keyasint,omitempty"`
}

// OutcomeKind returns [OutcomeCertified].
func (*Certified) OutcomeKind() string { return OutcomeCertified }

// Check reports what decoding alone does not show.
func (c *Certified) Check() error {
	if err := checkHour(c.Source, c.From, c.To); err != nil {
		return err
	}
	if c.Wh < 1 || c.First < 1 || c.Consumed < 0 || (c.Origin == "") != (c.Consumed == 0) || len(c.Readings) > 64 {
		return fmt.Errorf("%w: %d certificates from %d", ErrForm, c.Wh, c.First)
	}
	if c.Origin != "" {
		if err := CheckID("origin", c.Origin); err != nil {
			return err
		}
	}
	return checkIDs("issue", c.ID, "owner", c.Owner)
}

// What moved.
const (
	MovedBundle = "bundle"
	MovedBlock  = "block"
)

// Move is what a bundle or a block is after something was done to it.
type Move struct {
	_      struct{} `cbor:",toarray"`
	ID     string
	Status string
	Owner  string
	First  int64 // serials
	Last   int64
}

// Moved is what one statement did to bundles or to blocks of units.
type Moved struct {
	Leaf uint64 `cbor:"1,keyasint"`
	What string `cbor:"2,keyasint"`
	// Moves are in the order in which they were made; the parts of a split after it.
	Moves []Move `cbor:"3,keyasint"`
	// Debtor owes Owed tonnes after it, where a reversal or a restatement was not covered
	// or a debt was paid.
	Debtor string `cbor:"4,keyasint,omitempty"`
	Owed   int64  `cbor:"5,keyasint,omitempty"`
}

// OutcomeKind returns [OutcomeMoved].
func (*Moved) OutcomeKind() string { return OutcomeMoved }

// Check reports what decoding alone does not show.
func (m *Moved) Check() error {
	if m.What != MovedBundle && m.What != MovedBlock {
		return fmt.Errorf("%w: %q has moved", ErrForm, m.What)
	}
	for i := range m.Moves {
		v := &m.Moves[i]
		if err := checkIDs(m.What, v.ID, "owner", v.Owner); err != nil {
			return err
		}
		if err := text("status", v.Status, 16); err != nil {
			return err
		}
		if v.First < 1 || v.Last < v.First {
			return fmt.Errorf("%w: serials %d to %d", ErrForm, v.First, v.Last)
		}
	}
	if m.Owed < 0 {
		return fmt.Errorf("%w: %d tonnes are owed", ErrForm, m.Owed)
	}
	if m.Debtor != "" {
		return CheckID("debtor", m.Debtor)
	}
	return nil
}

// GasMass is a booked mass of one gas in mg.
type GasMass struct {
	_    struct{} `cbor:",toarray"`
	Gas  string
	Mass int64
}

// StatedLine is one source's part of a period, or what was declared under a label.
type StatedLine struct {
	Source string `cbor:"1,keyasint"`
	Kind   string `cbor:"2,keyasint"` // a Source constant, or "declared"
	// Class is "measured", or "declared".
	Class string    `cbor:"3,keyasint"`
	Gases []GasMass `cbor:"4,keyasint"`
	CO2e  int64     `cbor:"5,keyasint"` // mg, of scope 1
	// Measured and Missing count intervals.
	Measured int64 `cbor:"6,keyasint"`
	Missing  int64 `cbor:"7,keyasint"`
	// Of a load: Wh, and the three figures in mg of Gases' one gas.
	Wh            int64  `cbor:"8,keyasint,omitempty"`
	Location      int64  `cbor:"9,keyasint,omitempty"`
	Market        int64  `cbor:"10,keyasint,omitempty"`
	Hourly        int64  `cbor:"11,keyasint,omitempty"`
	HourlyMatched int64  `cbor:"12,keyasint,omitempty"` // Wh
	Gas           string `cbor:"13,keyasint,omitempty"`
}

// ClassDeclared and ClassMeasured say how good a line is; LineDeclared is the kind of
// one that a person declared.
const (
	ClassMeasured = "measured"
	ClassDeclared = "declared"
	LineDeclared  = "declared"
)

// StatedRange are the statements of a key that a closed period rests on.
type StatedRange struct {
	_     struct{} `cbor:",toarray"`
	Key   []byte
	Boot  uint64
	First uint64
	Last  uint64
}

// Stated is a version of a period: its lines, and what they were computed from.
type Stated struct {
	Leaf    uint64       `cbor:"1,keyasint"` // of the statement that closed or restated it
	Period  string       `cbor:"2,keyasint"`
	Version uint64       `cbor:"3,keyasint"`
	Site    string       `cbor:"4,keyasint"`
	From    int64        `cbor:"5,keyasint"`
	To      int64        `cbor:"6,keyasint"`
	Set     string       `cbor:"7,keyasint"`
	Packs   []Edition    `cbor:"8,keyasint"`
	Lines   []StatedLine `cbor:"9,keyasint"`  // by source, declared ones after
	CO2e    int64        `cbor:"10,keyasint"` // mg, of scope 1
	// Declared is the share of CO2e that was declared, in millionths, up.
	Declared int64         `cbor:"11,keyasint,omitempty"`
	Ranges   []StatedRange `cbor:"12,keyasint"` // by key and boot
	// Materiality is |new - old| / old of a restatement, in millionths, up; -1 for a
	// change from nothing.
	Materiality int64 `cbor:"13,keyasint,omitempty"`
}

// OutcomeKind returns [OutcomeStated].
func (*Stated) OutcomeKind() string { return OutcomeStated }

// MostLines and MostRanges bound what a period's outcome lists: it has to fit a leaf.
const (
	MostLines  = 160
	MostRanges = 256
)

// Check reports what decoding alone does not show.
func (s *Stated) Check() error {
	if err := checkIDs("period", s.Period, "site", s.Site); err != nil {
		return err
	}
	if err := checkSpan(s.From, s.To); err != nil {
		return err
	}
	if err := checkSet(s.Set, false); err != nil {
		return err
	}
	if err := checkEditions(s.Packs); err != nil {
		return err
	}
	if s.Version == 0 || len(s.Lines) > MostLines || len(s.Ranges) > MostRanges || s.Declared < 0 || s.Materiality < -1 {
		return fmt.Errorf("%w: version %d of period %q with %d lines", ErrForm, s.Version, s.Period, len(s.Lines))
	}
	for i := range s.Lines {
		l := &s.Lines[i]
		if err := text("source or label", l.Source, maxLabel); err != nil {
			return err
		}
		if err := text("kind of a line", l.Kind, 16); err != nil {
			return err
		}
		if l.Class != ClassMeasured && l.Class != ClassDeclared {
			return fmt.Errorf("%w: class %q", ErrForm, l.Class)
		}
		if l.Measured < 0 || l.Missing < 0 || l.Wh < 0 || l.HourlyMatched < 0 || len(l.Gases) > 32 {
			return fmt.Errorf("%w: line %d of period %q", ErrForm, i, s.Period)
		}
		for _, g := range l.Gases {
			if err := text("gas", g.Gas, maxGas); err != nil {
				return err
			}
		}
		if err := optional("gas", l.Gas, maxGas); err != nil {
			return err
		}
	}
	for _, r := range s.Ranges {
		if err := checkKeyID(r.Key); err != nil {
			return err
		}
	}
	return nil
}

// Issued are units that were issued for a project's period.
type Issued struct {
	Leaf    uint64 `cbor:"1,keyasint"` // of the statement that asked for them
	ID      string `cbor:"2,keyasint"` // of the issuance
	Project string `cbor:"3,keyasint"`
	Period  string `cbor:"4,keyasint"`
	Version uint64 `cbor:"5,keyasint"`
	Vintage int64  `cbor:"6,keyasint"`
	// Reduced is what the project came to in mg, and HalfWidth the half-width of its 95 %
	// interval, up.
	Reduced   int64 `cbor:"7,keyasint"`
	HalfWidth int64 `cbor:"8,keyasint"`
	Units     int64 `cbor:"9,keyasint"` // whole tonnes of what is surely there
	// Blocks are what was issued: to the owner, and into the buffer.
	Blocks []Move `cbor:"10,keyasint"`
	Prefix string `cbor:"11,keyasint"`
}

// OutcomeKind returns [OutcomeIssued].
func (*Issued) OutcomeKind() string { return OutcomeIssued }

// Check reports what decoding alone does not show.
func (u *Issued) Check() error {
	if u.Version == 0 || u.HalfWidth < 0 || u.Units < 1 || len(u.Blocks) == 0 || len(u.Blocks) > 2 {
		return fmt.Errorf("%w: %d units in %d blocks", ErrForm, u.Units, len(u.Blocks))
	}
	again := Moved{What: MovedBlock, Moves: u.Blocks}
	if err := again.Check(); err != nil {
		return err
	}
	return checkIDs("issuance", u.ID, "project", u.Project, "period", u.Period, "prefix", u.Prefix)
}

// Adjusted are the corresponding adjustments of two countries for units that went from one
// to the other for the first time: the host adds Units tonnes to its emissions, and the
// acquirer takes as many off. There is none without the other.
type Adjusted struct {
	Leaf     uint64 `cbor:"1,keyasint"` // of the statement that passed the block on
	Block    string `cbor:"2,keyasint"`
	Issuance string `cbor:"3,keyasint"`
	Host     string `cbor:"4,keyasint"` // countries
	Acquirer string `cbor:"5,keyasint"`
	Units    int64  `cbor:"6,keyasint"`
	// Authorization is the leaf of the host's letter.
	Authorization uint64 `cbor:"7,keyasint"`
}

// OutcomeKind returns [OutcomeAdjusted].
func (*Adjusted) OutcomeKind() string { return OutcomeAdjusted }

// Check reports what decoding alone does not show.
func (a *Adjusted) Check() error {
	for _, country := range []string{a.Host, a.Acquirer} {
		if err := checkCountry(country); err != nil {
			return err
		}
	}
	if a.Units < 1 || a.Host == a.Acquirer {
		return fmt.Errorf("%w: %d units from %s to %s", ErrForm, a.Units, a.Host, a.Acquirer)
	}
	return checkIDs("block", a.Block, "issuance", a.Issuance)
}
