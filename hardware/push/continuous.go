package push

import (
	"context"
	"fmt"
	"time"

	"wattmark/hardware"
)

// again is how long after a failure the part is listened to again: a port that is gone
// fails at once.
const again = time.Second

// Continuous is a driver's SenseContinuous: it samples with sense one time after the
// other until ctx ends, and hands on at most one batch in each period of the given
// length; zero is all of them. A sample that failed gives none.
//
// It keeps the part for itself, as nobody else may use its line meanwhile: on a bus it is
// called in a job that lasts until ctx ends.
func Continuous(ctx context.Context, every time.Duration, sense func(ctx context.Context, dst *hardware.Batch) error) (<-chan hardware.Batch, error) {
	if every < 0 {
		return nil, fmt.Errorf("a batch every %s cannot be", every)
	}
	ch := make(chan hardware.Batch, 1)
	go func() {
		defer close(ch) // also where a line that was given up ends the goroutine
		var next time.Duration
		for ctx.Err() == nil {
			var b hardware.Batch // it is the receiver's, with its storage
			if err := sense(ctx, &b); err != nil {
				pause(ctx, again)
				continue
			}
			if b.At < next {
				continue
			}
			// A part's own rhythm is not exact: one that comes a little early counts.
			next = b.At + every - every/10
			hand(ch, b)
		}
	}()
	return ch, nil
}

// hand gives b to the receiver. One that was not taken is lost, and b marked for it. Only
// the sender puts something in, so there is room then.
func hand(ch chan hardware.Batch, b hardware.Batch) {
	select {
	case ch <- b:
		return
	default:
	}
	select {
	case <-ch:
		for i := range b.Values {
			b.Values[i].Quality |= hardware.Late
		}
	default: // it was taken in this moment
	}
	ch <- b
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
