package enrol

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wattmark/gateway/uplink"
	"wattmark/ledger/block"
	"wattmark/oracle/wire"
)

// Waiting is a request that waits on line for its approval.
type Waiting struct {
	Transport uplink.Transport
	Request   *Request
	Trusted   *block.Policy // see Accept
	Before    *Enrolment    // see Accept
	// Again gives the time to wait before the n-th connection, from 1.
	Again func(n int) time.Duration
	// Tell, if set, is told what hinders: a connection that failed, an approval that
	// was refused.
	Tell func(error)
}

// waiting bounds the messages that lie between the connection and Run. Others are
// dropped: an approval is sent again.
const waiting = 8

// Run listens where the ledger answers this gateway until an approval of the request
// is accepted, or ctx ends. Messages that are no approval are others' business.
func (w *Waiting) Run(ctx context.Context) (*Enrolment, error) {
	for n := 1; ctx.Err() == nil; n++ {
		e, err := w.listen(ctx)
		if e != nil {
			return e, nil
		}
		if ctx.Err() != nil {
			break
		}
		w.tell(fmt.Errorf("the connection to %s: %w", w.Transport, err))
		select {
		case <-ctx.Done():
		case <-time.After(w.Again(n)):
		}
	}
	return nil, ctx.Err()
}

// listen waits over one connection.
func (w *Waiting) listen(ctx context.Context) (*Enrolment, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages := make(chan []byte, waiting)
	subject := wire.For(w.Request.Origin).Receipt(w.Request.Gateway)
	c, err := w.Transport.Connect(ctx, []string{subject}, func(_ string, message []byte) {
		select {
		case messages <- message:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.Done():
			if err := c.Err(); err != nil {
				return nil, err
			}
			return nil, errors.New("it was closed")
		case b := <-messages:
			a, err := ParseApproval(b)
			if err != nil {
				continue
			}
			e, err := Accept(a, w.Request, w.Trusted, w.Before)
			if err == nil {
				return e, nil
			}
			w.tell(err)
		}
	}
}

func (w *Waiting) tell(err error) {
	if w.Tell != nil {
		w.Tell(err)
	}
}
