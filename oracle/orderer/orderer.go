// Package orderer says what oracles need from whatever puts their messages into one order.
//
// An order is one unbroken, append-only sequence of messages, numbered from 1, that every oracle sees alike. Oracles put bundles of
// statements, clock messages and cut messages into it and execute what comes out, in sequence. The order decides only the sequence: it
// is trusted neither for the truth of a message (every oracle verifies every signature itself) nor for finality (that takes a quorum of
// oracles). What it can do is delay, stop or drop messages; DESIGN.md says what each implementation's operator can get away with.
//
// Implementations live in child packages (jetstream) or in modules of their own; orderertest is the suite that each must pass. The
// interface uses standard types only.
package orderer

import (
	"context"
	"errors"
)

// Orderer puts messages into one total order that every oracle sees alike. All methods are safe for concurrent use.
type Orderer interface {
	// Submit puts msg into the order and returns nil once it is durably there. It may be called from many goroutines at once, and
	// that is how messages are pipelined; calls in flight together may be ordered in any sequence. The caller keeps msg and must not
	// change it before Submit returns.
	//
	// The same bytes submitted again within the implementation's window (minutes), by anyone, are ordered once, and Submit returns
	// nil for each of them. After the window they may be ordered again, so execution must bear a repeated message.
	//
	// Errors: ErrEmpty and ErrTooLarge for a message that no order takes; ErrNotOrdered when the message surely is not in the order;
	// ErrUnknown when it may be. After either of the last two the same bytes may be submitted again at once. An implementation
	// retries by itself until ctx ends or its own limit, which lies within the window.
	Submit(ctx context.Context, msg []byte) error

	// Deliver calls fn for all messages from sequence from on, in order, each once, and then for new ones as they come. One call of
	// fn gets one or more messages with the sequences first, first+1, and so on; calls do not overlap. The byte slices are fn's to
	// keep, but not to change; the slice that holds them is not. Deliver blocks until ctx ends (and returns its error), fn returns an error (and
	// returns that unchanged), or the order cannot continue: ErrTrimmed, ErrBeyond, ErrDiverged. It outlives lost connections and
	// restarts of the order's servers without losing or repeating a message, but not its own client being closed. A from of 0 is an
	// error.
	Deliver(ctx context.Context, from uint64, fn func(first uint64, msgs [][]byte) error) error

	// At returns the message at a sequence, so that an oracle can compare the order's history with its own chain. Errors: ErrTrimmed
	// and ErrBeyond, or another one when the order could not be asked.
	At(ctx context.Context, seq uint64) ([]byte, error)

	// Bounds returns the first sequence still kept and the last one. When nothing is kept, first is last+1: an order that never had
	// a message has the bounds 1 and 0.
	Bounds(ctx context.Context) (first, last uint64, err error)

	// MaxSize is the length of the largest message, in bytes, that Submit takes.
	MaxSize() int
}

var (
	// ErrEmpty is returned for a message of no bytes. It was not ordered.
	ErrEmpty = errors.New("empty message")

	// ErrTooLarge is returned for a message longer than MaxSize. It was not ordered.
	ErrTooLarge = errors.New("message larger than the order takes")

	// ErrNotOrdered says that a submitted message surely is not in the order.
	ErrNotOrdered = errors.New("message was not ordered")

	// ErrUnknown says that a submitted message may or may not be in the order.
	ErrUnknown = errors.New("unknown whether the message was ordered")

	// ErrTrimmed says that the order no longer keeps the sequence asked for; the blocks do.
	ErrTrimmed = errors.New("sequence is older than what the order keeps")

	// ErrBeyond says that the order ends before the sequence asked for. An oracle whose chain rests on that sequence has an order that
	// was rewound, or another order, and must halt.
	ErrBeyond = errors.New("order ends before the sequence: not there yet, or rewound")

	// ErrDiverged says that the order now holds another message at a sequence than it held before, or none. An oracle must halt.
	ErrDiverged = errors.New("order diverged from what it delivered")
)
