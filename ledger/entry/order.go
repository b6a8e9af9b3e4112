package entry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"wattmark/ledger/unit"
)

// Types of what members sign for the market.
const (
	TypeOrder    = "application/vnd.wattmark.order+cose"
	TypeStanding = "application/vnd.wattmark.standing+cose"
	TypeDispute  = "application/vnd.wattmark.dispute+cose"
)

// Sides and classes of orders, as numbers of the format.
const (
	SideBuy  = 1
	SideSell = 2

	ClassAny        = 0
	ClassGreen      = 1
	ClassGreenFirst = 2
)

// Order is what a member wants of one interval on one side. It takes the place of the
// member's order before for the same; one without steps takes that back.
type Order struct {
	Zone     string        `cbor:"1,keyasint"`
	Interval unit.Interval `cbor:"2,keyasint"`
	Member   string        `cbor:"3,keyasint"`
	Side     int           `cbor:"4,keyasint"`
	Steps    []OrderStep   `cbor:"5,keyasint"` // at most MaxSteps
	Nonce    uint64        `cbor:"6,keyasint"` // above that of the order before, from 1
}

// OrderStep is one price of an order with what is wanted at it.
type OrderStep struct {
	Price    unit.Price  `cbor:"1,keyasint"`
	Quantity unit.Energy `cbor:"2,keyasint"`
	Class    int         `cbor:"3,keyasint,omitempty"`
	Premium  unit.Price  `cbor:"4,keyasint,omitempty"`
	Prefer   []string    `cbor:"5,keyasint,omitempty"`
}

// Standing is what a member wants of every interval from one on. Its limits act where
// energy is shared, and are in the terms of ledger/market.
type Standing struct {
	Member  string        `cbor:"1,keyasint"`
	MinSell *unit.Price   `cbor:"2,keyasint,omitempty"`
	MaxBuy  *unit.Price   `cbor:"3,keyasint,omitempty"`
	Premium unit.Price    `cbor:"4,keyasint,omitempty"`
	Prefer  []string      `cbor:"5,keyasint,omitempty"`
	From    unit.Interval `cbor:"6,keyasint"`
}

// Dispute says that a member's interval was settled by a wrong value.
type Dispute struct {
	Member   string        `cbor:"1,keyasint"`
	Interval unit.Interval `cbor:"2,keyasint"`
	Import   unit.Energy   `cbor:"3,keyasint"` // what the member claims
	Export   unit.Energy   `cbor:"4,keyasint"`
	Evidence []byte        `cbor:"5,keyasint"` // SHA-256 of what the member has to show
}

// Limits of orders. What an order may say beside is for the market's rules.
const (
	MaxSteps  = 10
	MaxPrefer = 10
)

// ID names the order: the SHA-256 of its payload in lower-case hexadecimal.
func (o *Order) ID() string {
	sum := sha256.Sum256(encode(o))
	return hex.EncodeToString(sum[:])
}

// Encode writes the payload of an order.
func (o *Order) Encode() ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(o)
}

// ParseOrder reads the payload of an order.
func ParseOrder(b []byte) (*Order, error) {
	var o Order
	if err := decode("order", b, &o); err != nil {
		return nil, err
	}
	return &o, o.check()
}

func (o *Order) check() error {
	if err := CheckID("a zone", o.Zone); err != nil {
		return err
	}
	if err := CheckID("a member", o.Member); err != nil {
		return err
	}
	if err := checkInterval(o.Interval); err != nil {
		return err
	}
	switch {
	case o.Side != SideBuy && o.Side != SideSell:
		return fmt.Errorf("%w: side %d of an order is neither buy (1) nor sell (2)", ErrForm, o.Side)
	case o.Nonce < 1 || o.Nonce > 1<<53:
		return fmt.Errorf("%w: nonce %d of an order is out of range", ErrForm, o.Nonce)
	case len(o.Steps) > MaxSteps:
		return fmt.Errorf("%w: an order has %d steps, more than %d", ErrForm, len(o.Steps), MaxSteps)
	}
	for i := range o.Steps {
		s := &o.Steps[i]
		if s.Class < ClassAny || s.Class > ClassGreenFirst {
			return fmt.Errorf("%w: class %d of step %d is none", ErrForm, s.Class, i)
		}
		if err := checkPrefer(s.Prefer); err != nil {
			return err
		}
	}
	return nil
}

func checkPrefer(members []string) error {
	if len(members) > MaxPrefer {
		return fmt.Errorf("%w: %d preferred members, more than %d", ErrForm, len(members), MaxPrefer)
	}
	for _, m := range members {
		if err := CheckID("a preferred member", m); err != nil {
			return err
		}
	}
	return nil
}

// Encode writes the payload of a standing entry.
func (s *Standing) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(s)
}

// ParseStanding reads the payload of a standing entry.
func ParseStanding(b []byte) (*Standing, error) {
	var s Standing
	if err := decode("standing entry", b, &s); err != nil {
		return nil, err
	}
	return &s, s.check()
}

func (s *Standing) check() error {
	if err := CheckID("a member", s.Member); err != nil {
		return err
	}
	if err := checkPrefer(s.Prefer); err != nil {
		return err
	}
	return checkInterval(s.From)
}

// Encode writes the payload of a dispute.
func (d *Dispute) Encode() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(d)
}

// ParseDispute reads the payload of a dispute.
func ParseDispute(b []byte) (*Dispute, error) {
	var d Dispute
	if err := decode("dispute", b, &d); err != nil {
		return nil, err
	}
	return &d, d.check()
}

func (d *Dispute) check() error {
	if err := CheckID("a member", d.Member); err != nil {
		return err
	}
	if len(d.Evidence) != 32 {
		return fmt.Errorf("%w: a dispute's evidence has a hash of %d bytes instead of 32", ErrForm, len(d.Evidence))
	}
	for _, e := range [...]unit.Energy{d.Import, d.Export} {
		if err := e.CheckQuantity(); err != nil {
			return fmt.Errorf("%w: %w", ErrForm, err)
		}
	}
	return checkInterval(d.Interval)
}
