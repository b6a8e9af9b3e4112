package bus

import (
	"context"
	"fmt"
	"slices"
	"time"

	"wattmark/hardware"
)

// request is what a caller wants: a sample of a device, or do.
type request struct {
	device *device
	due    time.Time
	dst    *hardware.Batch
	do     func(ctx context.Context) error
}

// job is a request in the queue, or in work. Its fields are guarded by Bus.mu until
// it is taken, then they are the worker's; err is the caller's once done was sent.
type job struct {
	request
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // holds one
	err    error
	// dropped: the caller has gone, its batch must not be written any more.
	dropped bool
}

func (j *job) finish(err error) {
	j.err = err
	j.done <- struct{}{}
}

// enqueue queues r and waits until it is done or ctx has ended.
func (b *Bus) enqueue(ctx context.Context, r *request) error {
	j, err := b.admit(ctx, r)
	if err != nil {
		return err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if b.withdraw(j) {
			j.cancel()
			return &hardware.Error{Class: hardware.ErrTimeout, Bus: b.config.Name, Op: "waiting for the bus", Err: ctx.Err()}
		}
		<-j.done // it runs, and ends with ctx
	}
	j.cancel()
	err = j.err
	b.mu.Lock()
	defer b.mu.Unlock()
	if !j.dropped {
		j.request, j.ctx, j.cancel, j.err = request{}, nil, nil, nil
		b.free = append(b.free, j)
	}
	return err
}

// admit puts r in the queue, if its device may be tried now.
func (b *Bus) admit(ctx context.Context, r *request) (*job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, fmt.Errorf("%s: %w", b.config.Name, ErrClosed)
	}
	if len(b.queue) >= b.config.Queue {
		b.stats.Refused++
		return nil, fmt.Errorf("%s: %w", b.config.Name, ErrBusy)
	}
	if r.device != nil {
		if err := r.device.held(b.config.Clock.Now(), time.Now()); err != nil {
			b.stats.Held++
			return nil, hardware.Locate(err, r.device.name, b.config.Name)
		}
	}
	j := b.spare()
	j.request = *r
	j.ctx, j.cancel = context.WithCancel(ctx)
	b.queue = append(b.queue, j)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return j, nil
}

// spare returns a job to fill; the mutex is held.
func (b *Bus) spare() *job {
	if n := len(b.free); n > 0 {
		j := b.free[n-1]
		b.free = b.free[:n-1]
		return j
	}
	return &job{done: make(chan struct{}, 1)}
}

// withdraw takes j out of the queue, if it is still there.
func (b *Bus) withdraw(j *job) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, j)
	if i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
	return i >= 0
}

// take removes and returns the job that is due first, the earlier queued of two. The
// mutex is held. A bus has few devices: a scan is as quick as a heap.
func (b *Bus) take() *job {
	if len(b.queue) == 0 {
		return nil
	}
	first := 0
	for i, j := range b.queue {
		if j.due.Before(b.queue[first].due) {
			first = i
		}
	}
	j := b.queue[first]
	b.queue = slices.Delete(b.queue, first, first+1)
	return j
}
