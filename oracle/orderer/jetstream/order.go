package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wattmark/oracle/orderer"
)

// Orderer is an order in a JetStream stream. It implements orderer.Orderer, starts no goroutine that outlives a call, and holds nothing
// that needs closing; the connection stays the caller's.
type Orderer struct {
	link
	stream, subject string
	// history reads single messages. Its Info is never called: that would write what concurrent reads look at.
	history jetstream.Stream
}

// Open finds or creates the ledger's order over nc, which should reconnect for ever (nats.MaxReconnects(-1)). It returns ErrSettings
// when the stream exists with settings that would break the order's promises.
//
// A stream that was lost is created anew, empty: that an order is the one its chain rests on, the oracle must check with At and Bounds.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Orderer, error) {
	l, err := newLink(nc, cfg)
	if err != nil {
		return nil, err
	}
	o := &Orderer{link: l, stream: "ORDER-" + cfg.Ledger, subject: "order." + cfg.Ledger}
	o.history, err = o.ensure(ctx, o.settings())
	if err != nil {
		return nil, err
	}
	return o, nil
}

// settings are those of the stream that is the order.
func (o *Orderer) settings() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              o.stream,
		Description:       "the one order of a ledger's messages",
		Subjects:          []string{o.subject},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		Replicas:          o.cfg.Replicas,
		MaxAge:            o.cfg.MaxAge,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        maxStored,
		Duplicates:        dedupeWindow,
		DenyDelete:        true,
		DenyPurge:         true,
		// AllowDirect stays off: direct reads may be answered by a replica that lags, and a lagging answer looks like a rewound order.
	}
}

// MaxSize is the length of the largest message Submit takes: 1 MiB less 4 KiB for headers.
func (o *Orderer) MaxSize() int { return maxStored - headerRoom }

// Bounds returns the first sequence still kept and the last one; see orderer.Orderer.
func (o *Orderer) Bounds(ctx context.Context) (first, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.AckWait)
	defer cancel()
	stream, err := o.js.Stream(ctx, o.stream)
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the order's bounds: %w", err)
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return state.LastSeq + 1, state.LastSeq, nil
	}
	return state.FirstSeq, state.LastSeq, nil
}

// At returns the message at seq; see orderer.Orderer. With replicas it asks again, for as long as a server that has just begun to lead
// may know less than it holds, before it says that the order ends too early or has a hole.
func (o *Orderer) At(ctx context.Context, seq uint64) ([]byte, error) {
	for begin := time.Now(); ; {
		data, err := o.at(ctx, seq)
		missing := errors.Is(err, orderer.ErrBeyond) || errors.Is(err, orderer.ErrDiverged)
		if !missing || o.cfg.Replicas == 1 || time.Since(begin) > settle {
			return data, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(settle / 10):
		}
	}
}

func (o *Orderer) at(ctx context.Context, seq uint64) ([]byte, error) {
	if seq == 0 {
		return nil, errors.New("sequence 0: an order begins at 1")
	}
	data, err := o.read(ctx, seq)
	if err == nil {
		return data, nil
	}
	if !errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("reading sequence %d of the order: %w", seq, err)
	}
	first, last, err := o.Bounds(ctx)
	switch {
	case err != nil:
		return nil, err
	case seq < first:
		return nil, fmt.Errorf("%w: %d, first kept is %d", orderer.ErrTrimmed, seq, first)
	case seq > last:
		return nil, fmt.Errorf("%w: %d, last is %d", orderer.ErrBeyond, seq, last)
	}
	// It may have been written between the two questions.
	if data, err = o.read(ctx, seq); err == nil {
		return data, nil
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("%w: no message at sequence %d, between %d and %d", orderer.ErrDiverged, seq, first, last)
	}
	return nil, fmt.Errorf("reading sequence %d of the order: %w", seq, err)
}

func (o *Orderer) read(ctx context.Context, seq uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.AckWait)
	defer cancel()
	m, err := o.history.GetMsg(ctx, seq)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}
