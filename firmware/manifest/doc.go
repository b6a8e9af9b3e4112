// Package manifest says what a release of a gateway's firmware is: a C2SP signed note
// (FORMAT.md) that names one root file system by its digest, for one board, with a
// version that only rises; and what it takes for a gateway to believe one: the
// signature of a release key that the gateway holds, and a C2SP tlog-proof that the
// manifest stands on the ledger, under a checkpoint that satisfies the gateway's policy.
//
// The text of a manifest is that of [entry.Release], so that whoever reads the ledger,
// also without this package, reads which releases there are. What may be installed on
// one machine at one time is for package update.
package manifest
