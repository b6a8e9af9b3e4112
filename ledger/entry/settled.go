package entry

import (
	"fmt"

	"wattmark/ledger/unit"
)

// Kinds of outcome of the market. Both have bodies.
const (
	OutcomeCleared = "cleared" // a Cleared
	OutcomeSettled = "settled" // a Settled
)

// Cleared is what the auction of an interval came to.
type Cleared struct {
	Zone     string        `cbor:"1,keyasint"`
	Interval unit.Interval `cbor:"2,keyasint"`
	Beacon   [32]byte      `cbor:"3,keyasint"` // leaf hash of the gate block's header
	Auction  int           `cbor:"4,keyasint"` // rule
	Fee      unit.Price    `cbor:"5,keyasint"` // of the buyer, on a kWh
	Orders   uint64        `cbor:"6,keyasint"` // steps that stood at the gate
	Open     Passed        `cbor:"7,keyasint"`
	Green    Passed        `cbor:"8,keyasint"`
	// Root is that of the Merkle tree of the fills, those of bids before those of offers
	// and each by id as bytes.
	Root [32]byte `cbor:"9,keyasint"`
	// Void says why no order was filled where money could not have been counted; empty
	// for a clearing that was made.
	Void string `cbor:"10,keyasint,omitempty"`
}

// Passed is what one pass of an auction traded. Prices are the seller's.
type Passed struct {
	_      struct{} `cbor:",toarray"`
	Volume unit.Energy
	Price  unit.Price // 0 where nothing was traded, or each pair has its own
	Low    unit.Price
	High   unit.Price
}

// Filled is a leaf of a clearing's tree: what became of one step of an order.
type Filled struct {
	_        struct{} `cbor:",toarray"`
	Side     int
	ID       string // of the step: the order's id, a colon, the step from 0
	Member   string
	Quantity unit.Energy
	Green    unit.Energy // of it in the green pass
	Amount   unit.Money  // negative is paid, fee included
	Fee      unit.Money  // within Amount
}

// Runs of a settlement, as numbers of the format.
const (
	RunPreliminary = 0 // R0
	RunInvoiced    = 1 // R1
	RunCorrection  = 2 // RF
)

// Settled is what an interval was settled to. What each member's part is stands in the
// lines, of which there is the root alone: a household's energy is nobody's business.
type Settled struct {
	Zone     string        `cbor:"1,keyasint"`
	Interval unit.Interval `cbor:"2,keyasint"`
	Run      int           `cbor:"3,keyasint"`
	Version  uint64        `cbor:"4,keyasint"` // from 1; what is posted is a version less the one before
	Beacon   [32]byte      `cbor:"5,keyasint"` // that of the clearing
	Terms    Terms         `cbor:"6,keyasint"`
	// AuctionPrice is that of the open pass, nil if it had none.
	AuctionPrice *unit.Price `cbor:"7,keyasint,omitempty"`
	Members      uint64      `cbor:"8,keyasint"`
	// Totals are nil where fewer than LeastTotals members have readings: then they are a
	// line alone, the tree's first in any case.
	Totals *Totals `cbor:"9,keyasint,omitempty"`
	// Root is that of the Merkle tree of the lines: totals, then members by id as bytes.
	Root [32]byte `cbor:"10,keyasint"`
	// Void says why everybody counts as without a reading where money could not have been
	// counted; empty for a settlement that was made.
	Void string `cbor:"11,keyasint,omitempty"`
	// Unaccounted is what the feeder's meter says went into the zone and no member's meter
	// shows: nil where that is not known, or totals are not published.
	Unaccounted *unit.Energy `cbor:"12,keyasint,omitempty"`
	// Alarm says that it is more, either way, than the tariff tolerates: theft, a faulty
	// meter, or a stolen key. It stops nothing.
	Alarm bool `cbor:"13,keyasint,omitempty"`
}

// LeastTotals is of how many members with readings totals are published.
const LeastTotals = 5

// Terms are the tariff by which an interval was settled.
type Terms struct {
	_         struct{} `cbor:",toarray"`
	Currency  string
	Pool      int // rule
	FeedIn    unit.Price
	Retail    unit.Price
	Fee       unit.Price
	Loss      unit.PPM
	Deviation unit.PPM
}

// Totals are the sums over a zone's members in an interval.
type Totals struct {
	_          struct{} `cbor:",toarray"`
	Surplus    unit.Energy
	Deficit    unit.Energy
	Local      unit.Energy // shared among neighbours
	LocalPrice unit.Price  // the seller's; means nothing where Local is 0
	GridExport unit.Energy
	GridImport unit.Energy
	Network    unit.Money // what the network operator gets
	Fund       unit.Money
	Loss       unit.Money
	Supplier   unit.Money
	Measured   uint64 // members by the quality of their readings
	Estimated  uint64
	Missing    uint64
}

// Line is one member's part of a settled interval: what went in and what came out.
type Line struct {
	_       struct{} `cbor:",toarray"`
	Member  string
	Quality int // 0 measured, 1 estimated, 2 missing
	Import  unit.Energy
	Export  unit.Energy
	// AuctionSold and AuctionBought are what the auction filled.
	AuctionSold   unit.Energy
	AuctionBought unit.Energy
	MinSell       *unit.Price // of the standing entry in force, nil for none
	MaxBuy        *unit.Price
	Joined        bool
	Sold          unit.Energy // to neighbours
	Bought        unit.Energy
	GridExport    unit.Energy
	GridImport    unit.Energy
	Deviation     unit.Energy
	Charge        unit.Money
	Amount        unit.Money // what the member gets, apart from the auction
	// Counterfactual is what the same reading would have come to with the supplier alone.
	Counterfactual unit.Money
	Corrected      bool // settled again, alone, after R1
}

// SaltSize is the length of a line's salt.
const SaltSize = 16

// Disclosed is a line as it is hashed into the tree, behind its salt: without the salt
// the root says nothing of what it covers.
type Disclosed struct {
	_    struct{} `cbor:",toarray"`
	Salt []byte
	// One of the two.
	Totals *Totals
	Line   *Line
}

// Encode writes the bytes of which the tree's leaf hash is taken.
func (d *Disclosed) Encode() []byte { return encode(d) }

// ParseDisclosed reads what Encode wrote.
func ParseDisclosed(b []byte) (*Disclosed, error) {
	var d Disclosed
	if err := decode("settled line", b, &d); err != nil {
		return nil, err
	}
	if len(d.Salt) != SaltSize || (d.Totals == nil) == (d.Line == nil) {
		return nil, fmt.Errorf("%w: a settled line has a salt of %d bytes, and either totals or a member's part", ErrForm, len(d.Salt))
	}
	if d.Line != nil {
		return &d, CheckID("a member", d.Line.Member)
	}
	return &d, nil
}

// Encode writes the bytes of which the tree's leaf hash is taken.
func (f *Filled) Encode() []byte { return encode(f) }

// ParseFilled reads what Encode wrote.
func ParseFilled(b []byte) (*Filled, error) {
	var f Filled
	if err := decode("fill", b, &f); err != nil {
		return nil, err
	}
	return &f, text("id of a fill", f.ID, 80)
}

// OutcomeKind implements Body.
func (*Cleared) OutcomeKind() string { return OutcomeCleared }

// OutcomeKind implements Body.
func (*Settled) OutcomeKind() string { return OutcomeSettled }

// Check implements Body.
func (c *Cleared) Check() error {
	if err := CheckID("a zone", c.Zone); err != nil {
		return err
	}
	if err := optional("why a clearing is void", c.Void, maxText); err != nil {
		return err
	}
	return checkInterval(c.Interval)
}

// Check implements Body.
func (s *Settled) Check() error {
	if err := CheckID("a zone", s.Zone); err != nil {
		return err
	}
	if s.Run < RunPreliminary || s.Run > RunCorrection || s.Version < 1 {
		return fmt.Errorf("%w: run %d, version %d of a settlement", ErrForm, s.Run, s.Version)
	}
	if err := text("currency", s.Terms.Currency, 8); err != nil {
		return err
	}
	if err := optional("why a settlement is void", s.Void, maxText); err != nil {
		return err
	}
	return checkInterval(s.Interval)
}
