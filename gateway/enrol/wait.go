package enrol

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"wattmark/gateway/uplink"
	"wattmark/ledger/block"
	"wattmark/oracle/wire"
)

// Waiting is a request that is made on line, and waits there for its approval.
type Waiting struct {
	Transport uplink.Transport
	// Shared says that Transport has the certificate of all who have none of their own
	// yet: it is asked, and answered, elsewhere than with a gateway's own.
	Shared  bool
	Request *Request
	Trusted *block.Policy // see Accept
	Before  *Enrolment    // see Accept
	// Every is how often the request is sent again, as an oracle may have been away, or
	// have had no room: zero is 30 s. A fifth of it is left to chance.
	Every time.Duration
	// Again gives the time to wait before the n-th connection, from 1.
	Again func(n int) time.Duration
	// Tell, if set, is told what hinders: a connection that failed, an approval that
	// was refused.
	Tell func(error)
}

// waiting bounds the messages that lie between the connection and Run. Others are
// dropped: an approval is sent again.
const waiting = 8

// everySo is the usual time between two sendings of a request. An oracle forgets one that
// is not sent again for ten minutes.
const everySo = 30 * time.Second

// Run asks, and listens where the ledger answers, until an approval of the request is
// accepted, or ctx ends. Messages that are no approval are others' business.
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
	ask, answer := w.subjects()
	c, err := w.Transport.Connect(ctx, []string{answer}, func(_ string, message []byte) {
		select {
		case messages <- message:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if err := c.Publish(ctx, ask, wire.EncodeRequest(w.Request.Carried)); err != nil {
				return nil, err
			}
			again.Reset(w.every())
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

// subjects returns where it is asked and where the answer comes.
func (w *Waiting) subjects() (ask, answer string) {
	sub := wire.For(w.Request.Origin)
	if w.Shared {
		return sub.Enrol(), sub.Approval(w.Request.Public.ID())
	}
	return sub.EnrolBy(w.Request.Gateway), sub.Receipt(w.Request.Gateway)
}

// every is the time until the request is sent again: a street that comes back after an
// outage does not ask in step.
func (w *Waiting) every() time.Duration {
	d := w.Every
	if d <= 0 {
		d = everySo
	}
	return d - d/10 + rand.N(d/5+1)
}

func (w *Waiting) tell(err error) {
	if w.Tell != nil {
		w.Tell(err)
	}
}
