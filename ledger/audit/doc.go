// Package audit is a verifier's library: bytes and a policy in, verdicts out. It
// needs no network, no files and nobody's permission, and it never looks into a
// store, so that it cannot come to trust one.
//
// [Verify] takes one file that somebody handed over: a transparent statement
// (*.cose), a C2SP proof (*.tlog-proof) or an evidence file (*.evidence), and
// gives a verdict on each question by itself: signature, key, calibration, time,
// inclusion, quorum, chain, disclosure, rerun. FORMAT.md says what each means, and
// how evidence files and key sets are laid out.
//
// Of a claim of carbon accounting it goes the [Trail] from a tonne to its readings, and
// computes all of it again.
//
// [Auditor] takes a whole ledger, leaf by leaf, and does all of it again: tree,
// header chain, every signature, every rule.
//
// Trust comes from the policy alone; the keys of gateways come from a JWK set
// that the verifier has, or from the ledger's own enrolments in the evidence.
package audit
