// Package carbon turns readings into tonnes, certificates and carbon units, and
// keeps each of them from being counted twice.
//
// What comes in is exact and what goes out is rounded once: inputs are decimals
// ([unit.ParseRat]), formulas are evaluated as fractions, and each result names its
// rounding. Gas masses are primary, in whole mg; CO2e is computed from the booked
// mg, gas by gas, and always carries the [Set] of potentials it was computed with.
//
//	emissions     [Stack] (monitors), [Fuel] (meters), [Electricity] (scope 2)
//	doubt         [Substitute] (missing hours), [SumDoubt] and [ProductDoubt]
//	certificates  [Certificate], [Charge]: issue, split, cancel, claim, storage
//	units         [Block], [Status]: the life of carbon units, as postings
//	twice         [Check] for what stands written, [Register] for what is appended
//
// [Emissions], [Convert] and [CheckUnits] are the same rules on JSON files: one
// object in, one line out, or the first [Fault] and nothing. Package
// [wattmark/ledger/carbon/cadt] writes and reads the tables of CAD Trust.
//
// Sources: 40 CFR 60 appendix A method 19; 40 CFR 75 appendices D, F and G and
// §75.33; 40 CFR 98 subpart C with tables C-1 and C-2 (81 FR 89188); IPCC tables of
// global warming potentials, as openclimatedata/globalwarmingpotentials has them.
//
// The package is pure: no clock, files, randomness, floats, goroutines or map
// order. Who may write what is for ledger/state to decide, which keeps what these
// rules need between entries; DESIGN.md says how it calls them.
package carbon
