// Package outbox keeps signed statements on disk until a receipt for them
// verifies. It knows bytes, not formats: what a statement says, whether a
// receipt verifies and when a second has passed are its callers' business.
//
// It promises, over any number of power cuts and killed processes:
//
//   - A [Number] that [Outbox.NextSeq] handed out is never handed out again,
//     whatever was lost.
//   - A statement is given to the uplink only after it is durable, and from
//     then on it is there until its receipt is durable. The one exception is
//     stated by [Outbox.State]: while the disk refuses to write, the outbox
//     lives in memory and gives out what it has.
//   - A statement whose receipt is durable is never given out again.
//   - A statement that replaces others ([Record.Replaces]) is there or they are.
//   - What is lost is said: as the range of numbers that the next statement
//     skips, or as a [Gap] that stays until a statement that carries it is
//     receipted.
//
// Beside statements it keeps facts, small values by name ([Outbox.Put]), with the
// same promise.
//
// The store is a log of preallocated segments of 256 kB, written at the end
// only; DESIGN.md beside this file has the layout of the bytes, the rules of
// recovery and the measured figures. A small state file holds the boot count
// and the kernel's boot_id.
//
// An Outbox starts no goroutine and reads no clock. It is safe for concurrent
// use by one appender (NextSeq, Append) and one uplink (Pending, Receipted,
// Refused) and any number of onlookers. Its lock is held during an fsync.
package outbox
