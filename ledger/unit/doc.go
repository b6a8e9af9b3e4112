// Package unit holds Wattmark's units of account as integer types: what a
// quantity is counted in is part of its type, every sum and product is checked,
// and nothing is ever a float.
//
//	type      counts                               String and Parse    decimals
//	Energy    watt-hours (Wh)                      kWh                 3
//	Price     millionths of ¤ per kWh (µ¤/kWh)     ¤ per kWh           6
//	Money     billionths of ¤ (n¤)                 ¤                   9
//	Cents     hundredths of ¤, on invoices only    ¤                   2
//	Mass      milligrams (mg)                      tonnes              9
//	PPM       parts per million                    share of one        6
//	Amount    what its asset counts in             plain integer       -
//	Interval  start, Unix seconds                  RFC 3339, UTC, Z    -
//
// ¤ is the community's currency unit, whatever that is. The scales are chosen so
// that the frequent product is exact: a Price times an Energy is a Money without
// a remainder, since µ¤/kWh times Wh is n¤. Only an invoice rounds ([Money.Cents]).
//
// Checked arithmetic ([Add], [Sub], [Mul], [Sum] and their like) returns
// [ErrOverflow] where an int64 would wrap. Ratios ([MulDiv], [Div]) are computed
// over a 128-bit product and rounded once, by a [Rounding] that has a name:
// half, down, up, half-even. [LargestRemainder] splits a total without losing or
// inventing a unit, and [TieKey] decides between equals.
//
// A decimal in text is an optional minus, digits without a leading zero, and
// optionally a point and digits: no exponent, plus sign, space or -0. String
// always writes all the decimals of the table, so one value has one text; Parse
// takes fewer decimals too, and refuses more rather than rounding them.
//
// Formulas are computed as exact fractions, without a type or a limit in between:
// [ParseRat] reads a factor, [FormatRat] rounds once and prints, and [SqrtUp] is
// the one root there is.
//
// Encoded as JSON or CBOR the types are plain integers of the unit in the second
// column. The package is pure: no clock, files, randomness or map order, so that
// the same inputs give the same bytes on every architecture. Which quantities a
// rule accepts is the business of the rule; the Check methods only hold values to
// the ranges that every rule shares.
package unit
