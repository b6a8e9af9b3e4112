package uplink

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"wattmark/gateway/outbox"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// batch is how many statements go before fresh ones are looked for again.
const batch = 64

// window is how many statements may be without an answer before the backlog waits:
// it bounds the memory that a silent oracle costs. Seven days of packs fit in.
const window = 1 << 14

// While crowd statements are without an answer, a batch of the backlog goes each
// crowdWait: a fresh statement then waits at most behind so many at the oracles, and
// oracles that withhold answers hold nothing up for long.
const (
	crowd     = 512
	crowdWait = 250 * time.Millisecond
)

// idle is how long nothing is looked for when nothing is known to come.
const idle = time.Minute

// send publishes all that is to be sent now, and returns when to look again.
func (u *Uplink) send(ctx context.Context, conn Conn) (time.Duration, error) {
	for {
		// What is fresh goes first, until there is no more of it.
		sent, err := u.sendFresh(ctx, conn)
		if err != nil {
			return 0, err
		}
		if sent {
			continue
		}
		if left := time.Until(u.backlogAt); left > 0 {
			return left, nil
		}
		if sent, err = u.sendBacklog(ctx, conn); err == nil && !sent {
			sent, err = u.sendAgain(ctx, conn)
		}
		if err != nil {
			return 0, err
		}
		if !sent {
			return u.nextDue(), nil
		}
	}
}

func (u *Uplink) sendFresh(ctx context.Context, conn Conn) (bool, error) {
	list, err := u.pending(u.live, batch)
	for i := range list {
		if err := u.publish(ctx, conn, &list[i]); err != nil {
			return false, err
		}
		u.live = list[i].Number()
	}
	return len(list) > 0, err
}

// sendBacklog sends what is from before the connection and was not sent yet.
func (u *Uplink) sendBacklog(ctx context.Context, conn Conn) (bool, error) {
	if u.backlog.Compare(u.backlogEnd) >= 0 || u.unanswered() >= window {
		return false, nil
	}
	list, err := u.pending(u.backlog, batch)
	if err != nil {
		return false, err
	}
	bytes, whole := 0, true
	for i := range list {
		if whole = !u.enough(bytes); !whole {
			break
		}
		n := list[i].Number()
		if n.Compare(u.backlogEnd) > 0 {
			list = list[:i]
			break
		}
		if !u.sentBefore(n) {
			if err := u.publish(ctx, conn, &list[i]); err != nil {
				return false, err
			}
			bytes += len(list[i].Statement) + len(list[i].Pack)
		}
		u.backlog = n
	}
	if whole && len(list) < batch {
		u.backlog = u.backlogEnd
	}
	u.pace(bytes)
	if u.unanswered() >= crowd {
		if wait := time.Now().Add(crowdWait); wait.After(u.backlogAt) {
			u.backlogAt = wait
		}
	}
	return true, nil
}

// enough reports whether so many bytes take the line a second: then fresh
// statements are looked for again, whatever the size of a batch.
func (u *Uplink) enough(bytes int) bool { return u.cfg.MaxRate > 0 && bytes >= u.cfg.MaxRate }

func (u *Uplink) unanswered() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.flights.byNumber)
}

// pace gives the line time for what was sent, at half of its rate.
func (u *Uplink) pace(bytes int) {
	if u.cfg.MaxRate > 0 {
		u.backlogAt = time.Now().Add(time.Duration(bytes) * 2 * time.Second / time.Duration(u.cfg.MaxRate))
	}
}

func (u *Uplink) sentBefore(n outbox.Number) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.flights.byNumber[n]
	return ok
}

// sendAgain sends what is due to be sent again, in the order of numbers.
func (u *Uplink) sendAgain(ctx context.Context, conn Conn) (bool, error) {
	u.mu.Lock()
	due := u.flights.due(time.Now(), batch)
	u.mu.Unlock()
	bytes := 0
	for _, n := range due {
		if u.enough(bytes) {
			break // the others stay due
		}
		rec, ok, err := u.statement(n)
		if err != nil {
			return false, err
		}
		if !ok { // receipted or refused meanwhile, or dropped at the outbox's limit
			u.mu.Lock()
			u.flights.remove(n)
			u.mu.Unlock()
			continue
		}
		if err := u.publish(ctx, conn, &rec); err != nil {
			return false, err
		}
		bytes += len(rec.Statement) + len(rec.Pack)
	}
	u.pace(bytes)
	return len(due) > 0, nil
}

func (u *Uplink) nextDue() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if next, ok := u.flights.next(); ok {
		return min(max(time.Until(next), 0), idle)
	}
	return idle
}

// subject is where the next sending of a statement goes: at first to whichever oracle
// is free, then to one oracle after the other.
func (u *Uplink) subject(n outbox.Number) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.flights.byNumber[n]
	if f == nil || f.sends == 0 {
		return u.subjects.Up(u.cfg.Gateway)
	}
	return u.subjects.UpTo(u.cfg.Gateway, (u.firstOracle+f.sends-1)%len(u.trust.Load().keys))
}

// publish sends one statement and notes when it is to be sent again.
func (u *Uplink) publish(ctx context.Context, conn Conn, rec *outbox.Record) error {
	frame := wire.Frame{Statement: rec.Statement, Pack: rec.Pack}
	if err := conn.Publish(ctx, u.subject(rec.Number()), frame.Encode()); err != nil {
		return fmt.Errorf("publishing statement %s: %w", rec.Number(), err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.flights.byNumber[rec.Number()]
	u.stats.Published++
	if f == nil {
		f = &flight{number: rec.Number()}
	} else if f.sends > 0 {
		u.stats.Resent++
	}
	step := u.cfg.Resend.Step(f.sends)
	f.due = time.Now().Add(step + u.cfg.Resend.Wait(f.sends, u.cfg.Jitter()))
	f.sends++
	u.flights.put(f)
	return nil
}

// pending is Outbox.Pending with what was read before an error dropped: it is read
// again.
func (u *Uplink) pending(after outbox.Number, most int) ([]outbox.Record, error) {
	list, err := u.cfg.Outbox.Pending(after, most)
	if len(list) > 0 {
		return list, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return nil, nil
}

// statement returns one statement that waits for a receipt.
func (u *Uplink) statement(n outbox.Number) (outbox.Record, bool, error) {
	if n.Seq == 0 {
		return outbox.Record{}, false, nil
	}
	list, err := u.pending(outbox.Number{Boot: n.Boot, Seq: n.Seq - 1}, 1)
	if err != nil || len(list) == 0 || list[0].Number() != n {
		return outbox.Record{}, false, err
	}
	return list[0], true, nil
}

// flight is a statement that was sent and has no receipt.
type flight struct {
	number  outbox.Number
	due     time.Time // when it is sent again
	sends   int
	refused []signer.KeyID // the oracles that refused it for good
	place   int            // in the heap
}

// flights are all of them, with the one that is due first at hand.
type flights struct {
	byNumber map[outbox.Number]*flight
	heap     flightHeap
}

func newFlights() flights { return flights{byNumber: make(map[outbox.Number]*flight)} }

// put adds f, or moves it to its new time.
func (x *flights) put(f *flight) {
	switch x.byNumber[f.number] {
	case f:
		heap.Fix(&x.heap, f.place)
		return
	case nil:
	default:
		x.remove(f.number)
	}
	x.byNumber[f.number] = f
	heap.Push(&x.heap, f)
}

func (x *flights) remove(n outbox.Number) {
	if f := x.byNumber[n]; f != nil {
		heap.Remove(&x.heap, f.place)
		delete(x.byNumber, n)
	}
}

// sooner moves what is due later than a step from now to a time within it.
func (x *flights) sooner(now time.Time, step time.Duration, jitter func() float64) {
	for _, f := range x.heap {
		if f.due.After(now.Add(step)) {
			f.due = now.Add(time.Duration(jitter() * float64(step)))
		}
	}
	heap.Init(&x.heap)
}

func (x *flights) next() (time.Time, bool) {
	if len(x.heap) == 0 {
		return time.Time{}, false
	}
	return x.heap[0].due, true
}

// due returns at most so many numbers that are due by now, ascending. They stay.
func (x *flights) due(now time.Time, most int) []outbox.Number {
	var list []*flight
	for len(x.heap) > 0 && len(list) < most && !x.heap[0].due.After(now) {
		list = append(list, heap.Pop(&x.heap).(*flight))
	}
	numbers := make([]outbox.Number, len(list))
	for i, f := range list {
		numbers[i] = f.number
		heap.Push(&x.heap, f)
	}
	slices.SortFunc(numbers, outbox.Number.Compare)
	return numbers
}

type flightHeap []*flight

func (h flightHeap) Len() int           { return len(h) }
func (h flightHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h flightHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *flightHeap) Push(x any) {
	f := x.(*flight)
	f.place = len(*h)
	*h = append(*h, f)
}

// Pop implements heap.Interface.
func (h *flightHeap) Pop() any {
	old := *h
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return f
}
