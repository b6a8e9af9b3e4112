package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wattmark/oracle/orderer"
)

const (
	// pullExpiry and pullHeartbeat bound how long a dead server goes unnoticed: twice the heartbeat.
	pullExpiry    = 2 * time.Second
	pullHeartbeat = 500 * time.Millisecond

	// ahead is how many messages, and aheadBytes how many bytes of one pull, are fetched before fn has taken the earlier ones.
	ahead      = 512
	aheadBytes = 8 << 20
	// batchBytes ends a batch; one batch holds at most ahead messages.
	batchBytes = 4 << 20

	// firstPause is the time from an interruption to the next try; it doubles up to a second.
	firstPause = 20 * time.Millisecond

	// settle is how long a replicated order may look too short before that is believed: a replica that has just begun to lead answers
	// before it has applied all that it holds.
	settle = 5 * time.Second
)

// Causes of a new consumer.
var (
	errGap       = errors.New("message lost on the way from the order")
	errReconnect = errors.New("the connection to the order was lost")
	errStalled   = errors.New("the order has messages that do not come")
)

// stalled is how long nothing may come before the order is asked whether there is nothing.
const stalled = 5 * time.Second

// Deliver calls fn for each message from sequence from on; see orderer.Orderer.
func (o *Orderer) Deliver(ctx context.Context, from uint64, fn func(first uint64, msgs [][]byte) error) error {
	if from == 0 {
		return errors.New("sequence 0: an order begins at 1")
	}
	d := delivery{o: o, fn: fn, next: from}
	defer d.dropping.Wait()
	pause := firstPause
	for {
		before := d.next
		err := d.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var end stop
		if errors.As(err, &end) {
			return end.err
		}
		if d.next > before {
			pause = firstPause
		}
		d.interrupted(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
}

// stop wraps the error that ends a Deliver.
type stop struct{ err error }

func (s stop) Error() string { return s.err.Error() }

// delivery is one call of Deliver; only its goroutine touches it.
type delivery struct {
	o    *Orderer
	fn   func(first uint64, msgs [][]byte) error
	next uint64
	// last is message next-1 if this call delivered one.
	last  []byte
	began bool
	// short is when the order was first found to end before next.
	short time.Time
	// tries counts the interruptions since the last message.
	tries    int
	dropping sync.WaitGroup // consumers that are being deleted
}

// patience is how long to wait for an answer: what was asked of a server that was killed
// is answered by nobody, and asked again soon.
func (d *delivery) patience() time.Duration {
	return d.o.cfg.patience(d.tries)
}

// interrupted logs the first of several failures; resumed, that they are over.
func (d *delivery) interrupted(err error) {
	if d.tries++; d.tries == 1 {
		d.o.cfg.Log.Warn("delivery from the order interrupted", "next_seq", d.next, "error", err)
		return
	}
	d.o.cfg.Log.Debug("delivery from the order still interrupted", "next_seq", d.next, "tries", d.tries, "error", err)
}

func (d *delivery) resumed() {
	if d.tries > 0 {
		d.o.cfg.Log.Info("delivery from the order resumed", "next_seq", d.next, "tries", d.tries)
		d.tries = 0
	}
}

// run delivers over one consumer until that fails.
func (d *delivery) run(ctx context.Context) error {
	conn := d.o.js.Conn()
	// A consumer that lived through a lost connection may wait for an answer that went to
	// the old one, for good.
	changed := conn.StatusChanged(nats.RECONNECTING, nats.CONNECTED)
	defer conn.RemoveStatusListener(changed)
	if conn.IsClosed() {
		return stop{nats.ErrConnectionClosed}
	}
	begin, cancel := context.WithTimeout(ctx, d.patience())
	defer cancel()
	if err := d.check(begin); err != nil {
		return err
	}
	cons, err := d.consumer(begin)
	if err != nil {
		return err
	}
	defer func() { d.dropping.Go(func() { d.drop(cons) }) }()

	msgs := make(chan jetstream.Msg, ahead)
	faults := make(chan error, 1)
	done := make(chan struct{})
	consuming, err := cons.Consume(
		func(m jetstream.Msg) {
			select {
			case msgs <- m:
			case <-done:
			}
		},
		jetstream.PullMaxMessagesWithBytesLimit(ahead, aheadBytes),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			select {
			case faults <- err:
			default: // the first fault already ends this consumer
			}
		}),
	)
	if err != nil {
		return fmt.Errorf("consuming the order: %w", err)
	}
	defer func() {
		close(done)
		consuming.Stop()
		<-consuming.Closed()
	}()
	look := time.NewTicker(stalled)
	defer look.Stop()
	for seen := d.next; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-faults:
			return err
		case <-changed:
			return errReconnect
		case <-look.C:
			if d.next == seen && len(msgs) == 0 {
				if err := d.stalled(ctx); err != nil {
					return err
				}
			}
			seen = d.next
		case m := <-msgs:
			if err := d.hand(m, msgs); err != nil {
				return err
			}
		}
	}
}

// stalled returns an error where the order holds messages and none of them came.
func (d *delivery) stalled(ctx context.Context) error {
	_, last, err := d.o.Bounds(ctx)
	if err == nil && last >= d.next {
		return errStalled
	}
	return err
}

// hand gives fn the message m and those that wait behind it.
func (d *delivery) hand(m jetstream.Msg, waiting <-chan jetstream.Msg) error {
	batch := make([][]byte, 0, 1+len(waiting))
	size := 0
	lost := error(nil)
	for {
		meta, err := m.Metadata()
		if err != nil {
			lost = fmt.Errorf("message without a sequence from the order: %w", err)
			break
		}
		if got, want := meta.Sequence.Stream, d.next+uint64(len(batch)); got != want {
			lost = fmt.Errorf("%w: got sequence %d, want %d", errGap, got, want)
			break
		}
		batch = append(batch, m.Data())
		size += len(m.Data())
		if len(batch) == ahead || size >= batchBytes {
			break
		}
		select {
		case m = <-waiting:
			continue
		default:
		}
		break
	}
	if len(batch) == 0 {
		return lost
	}
	d.resumed()
	first := d.next
	if err := d.fn(first, batch); err != nil {
		return stop{err}
	}
	d.next += uint64(len(batch))
	d.last, d.began = batch[len(batch)-1], true
	return lost
}

// check asks whether the order can go on at next: that it still keeps it, reaches it, and holds before it what was delivered.
func (d *delivery) check(ctx context.Context) error {
	first, last, err := d.o.Bounds(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return d.unless(fmt.Errorf("%w: the stream is gone: %w", orderer.ErrDiverged, err))
	}
	if err != nil {
		return err
	}
	if d.next < first {
		return stop{fmt.Errorf("%w: %d, first kept is %d", orderer.ErrTrimmed, d.next, first)}
	}
	if d.next > last+1 {
		return d.tooShort(fmt.Errorf("%w: %d, last is %d", orderer.ErrBeyond, d.next, last))
	}
	d.short = time.Time{}
	if !d.began || d.next-1 < first {
		return nil
	}
	held, err := d.o.At(ctx, d.next-1)
	switch {
	case errors.Is(err, orderer.ErrTrimmed):
		return nil
	case errors.Is(err, orderer.ErrDiverged):
		return stop{err}
	case err != nil:
		return err
	case !bytes.Equal(held, d.last):
		return stop{fmt.Errorf("%w: at sequence %d", orderer.ErrDiverged, d.next-1)}
	}
	return nil
}

// tooShort stops for an order that ends too early: at once where there is one server,
// else unless that passes.
func (d *delivery) tooShort(err error) error {
	if d.o.cfg.Replicas == 1 {
		return stop{err}
	}
	return d.unless(err)
}

// unless stops for what a server that is starting may say too, once it has said so
// for long.
func (d *delivery) unless(err error) error {
	if d.short.IsZero() {
		d.short = time.Now()
	}
	if time.Since(d.short) > settle {
		return stop{err}
	}
	return err
}

// consumer makes a consumer that begins at next. It lives in the server's memory and needs no acknowledgements: where to go on is known
// here, and a gap is seen here.
func (d *delivery) consumer(ctx context.Context) (jetstream.Consumer, error) {
	cons, err := d.o.js.CreateConsumer(ctx, d.o.stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       d.next,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: 30 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("opening a consumer at sequence %d: %w", d.next, err)
	}
	return cons, nil
}

// drop deletes the consumer; if that cannot be done now, the server drops it as inactive.
func (d *delivery) drop(cons jetstream.Consumer) {
	if !d.o.js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := d.o.js.DeleteConsumer(ctx, d.o.stream, cons.CachedInfo().Name); err != nil {
		d.o.cfg.Log.Debug("left a consumer to expire", "error", err)
	}
}
