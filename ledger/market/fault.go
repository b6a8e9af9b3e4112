package market

import (
	"errors"
	"fmt"
	"strconv"

	"wattmark/ledger/unit"
)

// Limits of one auction, of one pool and of one order.
const (
	// MaxOrders is the most bids, and the most offers, of one auction.
	MaxOrders = 1_000_000
	// MaxMembers is the most members of one pool.
	MaxMembers = 10_000_000
	// MaxPrefer is the most neighbours that a bid may prefer.
	MaxPrefer = 10
	maxOrder  = 80 // bytes of an order's id
	maxMember = 64 // bytes of a member's id
)

// MaxFee bounds the fee of a book or zone, and a premium, in µ¤ per kWh: they run
// from 0 to as much as a price.
const MaxFee = unit.MaxPrice

// Fault says what is wrong with input, and where. It is all that is wrong with it
// that anybody looked for: the first fault ends the search.
type Fault struct {
	// Field is the path of the field at fault, as in bids[3].price, or "input".
	Field string
	// Reason says what is wrong with it, without naming it again.
	Reason string
}

// Error returns the field and the reason.
func (f *Fault) Error() string { return f.Field + ": " + f.Reason }

// ErrBroken is wrapped by errors about a result that breaks an invariant. It cannot
// be the caller's fault, so nothing may be done with the result.
var ErrBroken = errors.New("internal error: market: invariant broken")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrBroken}, args...)...)
}

// where is a place in the input. Its path is only spelled out for a fault.
type where struct {
	list  string // "" for the top, "tariff" for an object, "bids" for an element
	index int    // of the element, -1 if it is none
}

var top = where{index: -1}

func (w where) String() string {
	if w.index < 0 {
		return w.list
	}
	return w.list + "[" + strconv.Itoa(w.index) + "]"
}

// field returns the path of a field of the place.
func (w where) field(name string) string {
	if w.list == "" {
		return name
	}
	return w.String() + "." + name
}

// fault returns a fault of a field of the place.
func (w where) fault(name, format string, args ...any) *Fault {
	return &Fault{w.field(name), fmt.Sprintf(format, args...)}
}

// id checks the id of an order or member.
func (w where) id(name, id string, most int) error {
	if id == "" || len(id) > most {
		return w.fault(name, "%d bytes, want 1 to %d", len(id), most)
	}
	for i := range len(id) {
		switch b := id[i]; {
		case '0' <= b && b <= '9', 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z', b == '.', b == '_', b == ':', b == '-':
		default:
			return w.fault(name, "characters other than 0-9 A-Z a-z . _ : -")
		}
	}
	return nil
}

// within checks that a number is in its range.
func within[Q ~int64](w where, name string, v, low, high Q) error {
	if v < low || v > high {
		return w.fault(name, "%d is outside %d to %d", int64(v), int64(low), int64(high))
	}
	return nil
}

func (w where) price(name string, p unit.Price) error {
	return within(w, name, p, -unit.MaxPrice, unit.MaxPrice)
}

// first returns the first error of a list of checks that are made anyway.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
