package unit

import "fmt"

// Energy is a quantity of energy or the reading of a cumulative register, in Wh.
type Energy int64

// Price is a price of energy in millionths of a currency unit per kWh. Negative
// prices are legal: the seller pays.
type Price int64

// Money is an amount in billionths of a currency unit. Negative is owed or paid.
type Money int64

// Cents is an invoiced amount in hundredths of a currency unit. Only invoices
// use it; the rest that rounding leaves is carried to the next one.
type Cents int64

// Mass is a mass of one gas, or of CO2e under one GWP set, in mg. Which gas and
// which set belongs to the type or field that holds the mass.
type Mass int64

// PPM is a share in parts per million.
type PPM int64

// Amount is an amount of some asset on an account, in the smallest unit of that
// asset: n¤ of money, Wh of energy and certificates, whole carbon units. Convert to
// and from it only where the asset is known.
type Amount int64

// Limits of a single value that enters a rule. Sums may be larger: they are
// bounded by int64 and checked.
const (
	// MaxQuantity is the largest quantity of one order or one interval, in Wh.
	MaxQuantity Energy = 1_000_000_000
	// MaxPrice bounds a price on both sides, in µ¤ per kWh: 1000 ¤ per kWh.
	MaxPrice Price = 1_000_000_000
	// Million is the whole as a share: 1,000,000 parts per million.
	Million PPM = 1_000_000
)

// nanoPerCent is a hundredth of a currency unit in n¤.
const nanoPerCent int64 = 10_000_000

// Quantity is any of the types that may be added to their own kind. An Interval
// is a place in time rather than an amount, and has its own arithmetic.
type Quantity interface {
	Energy | Price | Money | Cents | Mass | PPM | Amount
}

// CheckQuantity returns an error unless e is a quantity that one interval or one
// order may hold: 0 to [MaxQuantity]. Registers and sums need no such limit.
func (e Energy) CheckQuantity() error {
	if e < 0 || e > MaxQuantity {
		return fmt.Errorf("unit: energy of %d Wh is outside 0 to %d", int64(e), int64(MaxQuantity))
	}
	return nil
}

// Check returns an error unless p is within [MaxPrice] of zero.
func (p Price) Check() error {
	if p < -MaxPrice || p > MaxPrice {
		return fmt.Errorf("unit: price of %d millionths per kWh is outside -%d to %d", int64(p), int64(MaxPrice), int64(MaxPrice))
	}
	return nil
}

// Check returns an error unless r is a share of a whole: 0 to [Million].
func (r PPM) Check() error {
	if r < 0 || r > Million {
		return fmt.Errorf("unit: share of %d parts per million is outside 0 to %d", int64(r), int64(Million))
	}
	return nil
}

// Cents rounds m half to even, as invoices do, and returns the signed rest that
// is carried to the next invoice: m is always cents of 10,000,000 n¤ plus rest.
func (m Money) Cents() (cents Cents, rest Money) {
	q := int64(m) / nanoPerCent
	r := int64(m) % nanoPerCent
	half := nanoPerCent / 2
	switch {
	case r > half || r == half && q%2 != 0:
		q, r = q+1, r-nanoPerCent
	case r < -half || r == -half && q%2 != 0:
		q, r = q-1, r+nanoPerCent
	}
	return Cents(q), Money(r)
}
