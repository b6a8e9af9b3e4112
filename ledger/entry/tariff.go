package entry

import (
	"fmt"

	"wattmark/ledger/unit"
)

// Kinds of motion of the market.
const (
	MotionTariff   = "tariff"   // Body a Tariff
	MotionDecision = "decision" // Body a Decision
)

// Rules that a tariff names, as numbers of the format.
const (
	AuctionUniform  = 1
	AuctionPayAsBid = 2

	PoolMid          = 1
	PoolSupplyDemand = 2
)

// Tariff is the terms of a zone from an interval on: what energy costs there, and by
// which rules it is traded. Prices are in µ¤ per kWh.
type Tariff struct {
	Zone      string        `cbor:"1,keyasint"`
	From      unit.Interval `cbor:"2,keyasint"`
	Currency  string        `cbor:"3,keyasint"` // as EUR: 1 to 8 capitals
	FeedIn    unit.Price    `cbor:"4,keyasint"` // what the supplier pays
	Retail    unit.Price    `cbor:"5,keyasint"` // what the supplier charges
	Fee       unit.Price    `cbor:"6,keyasint"` // the network operator's, on local purchases
	Loss      unit.PPM      `cbor:"7,keyasint"` // share of Retail for losses, on local purchases
	Deviation unit.PPM      `cbor:"8,keyasint"` // share of Retail that a broken promise costs
	Auction   int           `cbor:"9,keyasint"`
	Pool      int           `cbor:"10,keyasint"`
	// Feeder is the meter that all of the zone hangs on, nil for none.
	Feeder *Feeder `cbor:"11,keyasint,omitempty"`
}

// Feeder is a zone's meter, against which the members' are held: import is what flows into
// the zone.
type Feeder struct {
	Subject string `cbor:"1,keyasint"`
	Import  string `cbor:"2,keyasint"`
	Export  string `cbor:"3,keyasint"`
	// Tolerance is how much may be missing, or too much, in an interval before that is an
	// alarm: cables lose energy.
	Tolerance unit.Energy `cbor:"4,keyasint"`
}

// Decision ends a dispute by the oracles' word.
type Decision struct {
	Member   string        `cbor:"1,keyasint"`
	Interval unit.Interval `cbor:"2,keyasint"`
	// Energy is what the interval is settled by from now on, nil where it stands as it
	// was.
	Energy *DecidedEnergy `cbor:"3,keyasint,omitempty"`
}

// DecidedEnergy is what oracles found that a member's meter should have shown.
type DecidedEnergy struct {
	_      struct{} `cbor:",toarray"`
	Import unit.Energy
	Export unit.Energy
}

// Encode writes the body of a motion of the kind MotionTariff.
func (t *Tariff) Encode() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(t)
}

// ParseTariff reads the body of a motion of the kind MotionTariff.
func ParseTariff(b []byte) (*Tariff, error) {
	var t Tariff
	if err := decode("tariff", b, &t); err != nil {
		return nil, err
	}
	return &t, t.check()
}

func (t *Tariff) check() error {
	if err := CheckID("a zone", t.Zone); err != nil {
		return err
	}
	if err := checkInterval(t.From); err != nil {
		return err
	}
	if len(t.Currency) < 1 || len(t.Currency) > 8 {
		return fmt.Errorf("%w: a currency of %d letters instead of 1 to 8", ErrForm, len(t.Currency))
	}
	for i := range len(t.Currency) {
		if c := t.Currency[i]; c < 'A' || c > 'Z' {
			return fmt.Errorf("%w: currency %q is not of capital letters", ErrForm, t.Currency)
		}
	}
	for _, p := range [...]unit.Price{t.FeedIn, t.Retail, t.Fee} {
		if err := p.Check(); err != nil {
			return fmt.Errorf("%w: tariff: %w", ErrForm, err)
		}
	}
	for _, p := range [...]unit.PPM{t.Loss, t.Deviation} {
		if err := p.Check(); err != nil {
			return fmt.Errorf("%w: tariff: %w", ErrForm, err)
		}
	}
	if f := t.Feeder; f != nil {
		c := Connection{Subject: f.Subject, Import: f.Import, Export: f.Export}
		if err := c.check(); err != nil {
			return err
		}
		if err := f.Tolerance.CheckQuantity(); err != nil || f.Export == "" {
			return fmt.Errorf("%w: a feeder with tolerance %d and export channel %q", ErrForm, int64(f.Tolerance), f.Export)
		}
	}
	switch {
	case t.Fee < 0:
		return fmt.Errorf("%w: a fee of %d is below 0", ErrForm, int64(t.Fee))
	case t.Auction != AuctionUniform && t.Auction != AuctionPayAsBid:
		return fmt.Errorf("%w: auction rule %d is not known", ErrForm, t.Auction)
	case t.Pool != PoolMid && t.Pool != PoolSupplyDemand:
		return fmt.Errorf("%w: pool rule %d is not known", ErrForm, t.Pool)
	case t.Pool == PoolSupplyDemand && t.FeedIn < 0:
		return fmt.Errorf("%w: the pool rule of supply and demand makes no price of a feed-in of %d", ErrForm, int64(t.FeedIn))
	}
	return nil
}

// Encode writes the body of a motion of the kind MotionDecision.
func (d *Decision) Encode() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(d)
}

// ParseDecision reads the body of a motion of the kind MotionDecision.
func ParseDecision(b []byte) (*Decision, error) {
	var d Decision
	if err := decode("decision", b, &d); err != nil {
		return nil, err
	}
	return &d, d.check()
}

func (d *Decision) check() error {
	if err := CheckID("a member", d.Member); err != nil {
		return err
	}
	if d.Energy != nil {
		for _, e := range [...]unit.Energy{d.Energy.Import, d.Energy.Export} {
			if err := e.CheckQuantity(); err != nil {
				return fmt.Errorf("%w: %w", ErrForm, err)
			}
		}
	}
	return checkInterval(d.Interval)
}
