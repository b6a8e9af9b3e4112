package jetstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"wattmark/oracle/orderer"
)

// Submit puts msg into the order; see orderer.Orderer. A publish that is not acknowledged in time is repeated under the same id, for
// at most a minute.
func (o *Orderer) Submit(ctx context.Context, msg []byte) error {
	if len(msg) == 0 {
		return orderer.ErrEmpty
	}
	if len(msg) > o.MaxSize() {
		return fmt.Errorf("%w: %d bytes, at most %d", orderer.ErrTooLarge, len(msg), o.MaxSize())
	}
	sum := sha256.Sum256(msg)
	id := hex.EncodeToString(sum[:])
	return o.retry(ctx, func(ctx context.Context) error {
		m := &nats.Msg{Subject: o.subject, Data: msg, Header: nats.Header{jetstream.MsgIDHeader: {id}}}
		ack, err := o.js.PublishMsg(ctx, m)
		if err != nil {
			return err
		}
		if ack.Stream != o.stream {
			return final{fmt.Errorf("%w: subject %s is taken by stream %s", ErrSettings, o.subject, ack.Stream)}
		}
		if !ack.Duplicate {
			return nil
		}
		// The id is only what a publisher said. Someone who published other bytes under this id would otherwise make ours vanish
		// with an acknowledgement.
		held, err := o.At(ctx, ack.Sequence)
		if err != nil {
			return fmt.Errorf("checking a duplicate at sequence %d: %w", ack.Sequence, err)
		}
		if bytes.Equal(held, msg) {
			return nil
		}
		id = hex.EncodeToString(sum[:]) + "." + nuid.Next()
		return errTakenID
	})
}

// errTakenID is the cause of a retry when other bytes stand in the order under this message's id.
var errTakenID = errors.New("message id is taken by other bytes")

// final wraps an error that no repetition can mend; nothing was stored.
type final struct{ err error }

func (f final) Error() string { return f.err.Error() }
func (f final) Unwrap() error { return f.err }

// retry calls try, each time for as long as patience says, until it succeeds, cannot succeed, ctx ends or a minute is over. Its error is
// orderer.ErrNotOrdered if each failed attempt surely stored nothing, else orderer.ErrUnknown.
func (l link) retry(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	var cause error
	maybe, tries := false, 0
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if err := ctx.Err(); err != nil {
			return outcome(maybe, errors.Join(err, cause))
		}
		attempt, done := context.WithTimeout(ctx, l.cfg.patience(tries))
		tries++
		err := try(attempt)
		done()
		if err == nil {
			return nil
		}
		cause = err
		if permanent(err) {
			return outcome(maybe, err)
		}
		maybe = maybe || !surelyNot(err)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

func outcome(maybe bool, cause error) error {
	if errors.Is(cause, nats.ErrMaxPayload) || errors.Is(cause, jetstream.ErrStreamMessageExceedsMaximum) {
		return fmt.Errorf("%w: %w", orderer.ErrTooLarge, cause)
	}
	if maybe {
		return fmt.Errorf("%w: %w", orderer.ErrUnknown, cause)
	}
	return fmt.Errorf("%w: %w", orderer.ErrNotOrdered, cause)
}

// permanent says whether repeating cannot help.
func permanent(err error) bool {
	var f final
	return errors.As(err, &f) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrMaxPayload) ||
		errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum)
}

// surelyNot says whether the failed attempt surely stored nothing: the server said so, nobody listened, or nothing was sent. A server
// whose disk fails answers nothing at all, which is why silence is never a "no".
func surelyNot(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrReconnectBufExceeded) ||
		errors.Is(err, errTakenID) || errors.Is(err, errTakenPack) || permanent(err)
}
