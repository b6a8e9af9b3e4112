// Package gateway runs one gateway: devices on their buses are sampled, packs are
// signed and kept in the outbox, and the uplink carries them to the oracles until
// receipts verify.
//
//	hardware/<part> → sampler → sign (here) → outbox → uplink ══ broker
//	                                            ▲ receipt: only now is it forgotten
//
// The package wires what its children do, and signs. Each stage is cut off from the
// next by something bounded: a device that hangs, a key that fails, a disk that is
// full or a network that is gone holds up nothing before it, and what is lost is
// said in a signed statement (see the packages sampler and outbox).
//
// Signing is serial, in one goroutine: a statement takes the next sequence number,
// names the identity of the one before, and is logged before the next is signed. A
// number that was handed out and not signed is skipped, and the next statement says
// so (entry.Claims.Skipped); numbers whose statements the outbox lost are told as
// records "outbox.gap" of the next statement's pack, with the text
// "boot first last count reason".
//
// When the outbox nears its limit, readings of one metering point and interval are
// replaced by one that keeps their registers, tells that gap with the reason "thinned"
// and, as "clock.quality", what the clock was worth then. A clock map is signed when
// time arrives after statements without one, and when the clock is moved by more than
// a second. A calibration ([Gateway.Calibrate]) is signed between two packs and kept as
// a fact of the outbox.
//
// catalog.go is the one table from a model's name to its driver.
package gateway
