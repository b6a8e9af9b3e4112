// Package carbon turns readings into tonnes, certificates and carbon units, and
// keeps each of them from being counted twice.
//
// What comes in is exact and what goes out is rounded once: inputs are decimals
// ([unit.ParseRat]), formulas are evaluated as fractions, and each result names its
// rounding. Gas masses are primary, in whole mg; CO2e is computed from the booked
// mg, gas by gas, and always carries the [Set] of potentials it was computed with.
//
//	emissions     [Stack] (monitors), [Fuel] and [Carbon] (meters), [Electricity]
//	doubt         [Substitute] (missing hours), [SumDoubt], [ProductDoubt]
//	inventories   [Line], [Class], [PeriodStatus], [Materiality]
//	certificates  [Issue], [Bundle]: split, transfer, cancel, claim; [Discharge]
//	units         [Block], [Status], [Owned]: their life, as postings; [Reverse]
//	twice         [CheckBlocks] and its like for what stands, [Register] for appends
//
// [Emissions], [Convert], [CheckUnits], [Export] and [Import] are the same rules on
// JSON files: one object in, one line out, or the first [Fault] and nothing. Export
// and Import know the tables of CAD Trust from the data in the folder cadt.
//
// Sources: 40 CFR 60 appendix A method 19; 40 CFR 75 appendices D, F and G and
// §75.33; 40 CFR 98 subpart C with tables C-1 and C-2 (81 FR 89188); IPCC tables of
// global warming potentials, as openclimatedata/globalwarmingpotentials has them.
//
// The package is pure: no clock, files, randomness, floats, goroutines or map
// order. Who may write what is for ledger/state to decide, which keeps what these
// rules need between entries; DESIGN.md says how it calls them.
package carbon
