package entry

import (
	"crypto/sha256"
	"fmt"

	"wattmark/ledger/unit"
)

// Types of what members sign where a market seals its orders.
const (
	TypeSealedOrder = "application/vnd.wattmark.sealed-order+cose"
	TypeOpenedOrder = "application/vnd.wattmark.opened-order+cose"
)

// SealSalt is the size of the salt that hides a sealed order.
const SealSalt = 32

// SealedOrder is an order that nobody can read until its gate has closed: all but whose it
// is, for what and on which side stands behind a hash. It takes the place of the member's
// seal before for the same.
type SealedOrder struct {
	Zone     string        `cbor:"1,keyasint"`
	Interval unit.Interval `cbor:"2,keyasint"`
	Member   string        `cbor:"3,keyasint"`
	Side     int           `cbor:"4,keyasint"`
	Nonce    uint64        `cbor:"5,keyasint"` // of the order, above that of the seal before
	Seal     []byte        `cbor:"6,keyasint"` // SHA-256 of the salt and the order's payload
}

// OpenedOrder shows the order that a seal has hidden.
type OpenedOrder struct {
	Salt  []byte `cbor:"1,keyasint"`
	Order []byte `cbor:"2,keyasint"` // payload of the order
}

// Seal returns the seal of an order with a salt.
func (o *Order) Seal(salt []byte) (*SealedOrder, error) {
	opened, err := o.Open(salt)
	if err != nil {
		return nil, err
	}
	seal := opened.Seal()
	return &SealedOrder{Zone: o.Zone, Interval: o.Interval, Member: o.Member, Side: o.Side, Nonce: o.Nonce, Seal: seal[:]}, nil
}

// Open returns what opens the seal of an order with that salt.
func (o *Order) Open(salt []byte) (*OpenedOrder, error) {
	payload, err := o.Encode()
	if err != nil {
		return nil, err
	}
	out := &OpenedOrder{Salt: salt, Order: payload}
	return out, out.check()
}

// Seal returns the hash that the seal of it has.
func (o *OpenedOrder) Seal() [32]byte {
	h := sha256.New()
	h.Write(o.Salt)
	h.Write(o.Order)
	return [32]byte(h.Sum(nil))
}

// Opens reports whether an opened order is the one of the seal.
func (s *SealedOrder) Opens(opened *OpenedOrder, o *Order) bool {
	seal := opened.Seal()
	return string(seal[:]) == string(s.Seal) && o.Zone == s.Zone && o.Interval == s.Interval && o.Member == s.Member && o.Side == s.Side && o.Nonce == s.Nonce
}

// Encode writes the payload of a sealed order.
func (s *SealedOrder) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(s)
}

// ParseSealedOrder reads the payload of a sealed order.
func ParseSealedOrder(b []byte) (*SealedOrder, error) {
	var s SealedOrder
	if err := decode("sealed order", b, &s); err != nil {
		return nil, err
	}
	return &s, s.check()
}

func (s *SealedOrder) check() error {
	if len(s.Seal) != sha256.Size {
		return fmt.Errorf("%w: the seal of an order has %d bytes instead of %d", ErrForm, len(s.Seal), sha256.Size)
	}
	about := Order{Zone: s.Zone, Interval: s.Interval, Member: s.Member, Side: s.Side, Nonce: s.Nonce}
	return about.check()
}

// Encode writes the payload of an opened order.
func (o *OpenedOrder) Encode() ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(o)
}

// ParseOpenedOrder reads the payload of an opened order, and the order in it.
func ParseOpenedOrder(b []byte) (*OpenedOrder, *Order, error) {
	var o OpenedOrder
	if err := decode("opened order", b, &o); err != nil {
		return nil, nil, err
	}
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	order, err := ParseOrder(o.Order)
	if err != nil {
		return nil, nil, err
	}
	return &o, order, nil
}

func (o *OpenedOrder) check() error {
	if len(o.Salt) != SealSalt {
		return fmt.Errorf("%w: the salt of a sealed order has %d bytes instead of %d", ErrForm, len(o.Salt), SealSalt)
	}
	return nil
}

// OrderIn returns the order that a statement of a type places with its payload, nil where
// statements of that type place none: a seal does not before it is opened.
func OrderIn(typ string, payload []byte) (*Order, error) {
	switch typ {
	case TypeOrder:
		return ParseOrder(payload)
	case TypeOpenedOrder:
		_, o, err := ParseOpenedOrder(payload)
		return o, err
	}
	return nil, nil
}
