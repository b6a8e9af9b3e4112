// Package orderertest is the suite that every implementation of orderer.Orderer passes.
package orderertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/oracle/orderer"
)

// patience is how long the suite waits for what must come.
const patience = 30 * time.Second

// Service is an order under test: the servers behind it, which several oracles use at once.
type Service struct {
	// Open returns a client of the order of its own, as another oracle would have. The service closes it when the test ends.
	Open func(t testing.TB) orderer.Orderer
	// Restart stops the servers and starts them again with what they had on disk. Clients that are open stay open and must recover.
	Restart func(t testing.TB)
	// Replace stops the servers and starts them again with an empty order: what a lost disk or a wrong backup looks like.
	Replace func(t testing.TB)
	// Close closes the client c, which Open returned, while it may be in use.
	Close func(t testing.TB, c orderer.Orderer)
	// Deafen keeps the servers' answers from the client c, which Open returned, while letting its messages through. The function it
	// returns ends that, at the latest by letting c reconnect.
	Deafen func(t testing.TB, c orderer.Orderer) (restore func())
}

// Run tests the orders that start makes, one for each test.
func Run(t *testing.T, start func(t testing.TB) Service) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Service)
	}{
		{"Empty", testEmpty},
		{"OneOrder", testOneOrder},
		{"RefusesSizes", testSizes},
		{"DuplicatesOnce", testDuplicates},
		{"DeliverFrom", testDeliverFrom},
		{"DeliverStops", testDeliverStops},
		{"KeepsBytes", testKeepsBytes},
		{"AtAndBounds", testAt},
		{"Restart", testRestart},
		{"RestartWhileSubmitting", testRestartWhileSubmitting},
		{"LostAcknowledgement", testLostAck},
		{"CancelledSubmit", testCancelled},
		{"ClosedClient", testClosed},
		{"RewoundIsSeen", testRewound},
		{"DivergenceIsSeen", testDiverged},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, start(t)) })
	}
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func submit(t testing.TB, o orderer.Orderer, msgs ...string) {
	t.Helper()
	for _, m := range msgs {
		if err := o.Submit(within(t), []byte(m)); err != nil {
			t.Fatalf("submitting %.40q: %v", m, err)
		}
	}
}

// numbered is n different messages.
func numbered(prefix string, n int) []string {
	msgs := make([]string, n)
	for i := range msgs {
		msgs[i] = fmt.Sprintf("%s %d", prefix, i)
	}
	return msgs
}

// submitAll submits from several goroutines at once.
func submitAll(t testing.TB, o orderer.Orderer, msgs []string) {
	t.Helper()
	ctx := within(t)
	errs := make(chan error, len(msgs))
	for _, m := range msgs {
		go func() { errs <- o.Submit(ctx, []byte(m)) }()
	}
	for range msgs {
		if err := <-errs; err != nil {
			t.Errorf("submitting: %v", err)
		}
	}
}

// errEnough ends a Deliver that has what it wanted.
var errEnough = errors.New("enough")

// receive delivers n messages from sequence from, checking that sequences follow one another.
func receive(t testing.TB, o orderer.Orderer, from uint64, n int) []string {
	t.Helper()
	var got []string
	err := o.Deliver(within(t), from, func(first uint64, msgs [][]byte) error {
		if want := from + uint64(len(got)); first != want {
			return fmt.Errorf("batch begins at %d, want %d", first, want)
		}
		if len(msgs) == 0 {
			return errors.New("empty batch")
		}
		for _, m := range msgs {
			got = append(got, string(m))
		}
		if len(got) >= n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("delivering from %d: got %d of %d messages and error %v", from, len(got), n, err)
	}
	return got
}

// bounds asks until there is an answer: a client may still be on its way back to restarted servers.
func bounds(t testing.TB, o orderer.Orderer) (first, last uint64) {
	t.Helper()
	ctx := within(t)
	for {
		first, last, err := o.Bounds(ctx)
		if err == nil {
			return first, last
		}
		if ctx.Err() != nil {
			t.Fatalf("asking for bounds: %v", err)
		}
	}
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s: got %.400q, want %.400q", what, g, w)
	}
}

// sameSet checks that got holds each of want once and nothing else.
func sameSet(t testing.TB, got, want []string) {
	t.Helper()
	count := make(map[string]int)
	for _, m := range got {
		count[m]++
	}
	for _, m := range want {
		count[m]--
	}
	for m, n := range count {
		if n != 0 {
			t.Errorf("message %.40q: %+d times too often", m, n)
		}
	}
}

func testEmpty(t *testing.T, s Service) {
	o := s.Open(t)
	if first, last := bounds(t, o); first != 1 || last != 0 {
		t.Errorf("bounds of an empty order: got %d and %d, want 1 and 0", first, last)
	}
	if _, err := o.At(within(t), 1); !errors.Is(err, orderer.ErrBeyond) {
		t.Errorf("message 1 of an empty order: got error %v, want ErrBeyond", err)
	}
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	err := o.Deliver(ctx, 1, func(uint64, [][]byte) error { return errors.New("delivered something") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("delivering with an ended context: got error %v, want context.Canceled", err)
	}
}

func testOneOrder(t *testing.T, s Service) {
	a, b, late := s.Open(t), s.Open(t), s.Open(t)
	want := append(numbered("a", 100), numbered("b", 100)...)
	streams := make([][]string, 2)
	var readers sync.WaitGroup
	for i, o := range []orderer.Orderer{a, b} {
		readers.Go(func() { streams[i] = receiveQuietly(within(t), o, len(want)) })
	}
	var writers sync.WaitGroup
	writers.Go(func() { submitAll(t, a, want[:100]) })
	writers.Go(func() { submitAll(t, b, want[100:]) })
	writers.Wait()
	readers.Wait()
	sameSet(t, streams[0], want)
	equal(t, "second oracle", streams[1], streams[0])
	equal(t, "late oracle", receive(t, late, 1, len(want)), streams[0])
}

// receiveQuietly is receive for goroutines, which may not end the test.
func receiveQuietly(ctx context.Context, o orderer.Orderer, n int) []string {
	var got []string
	err := o.Deliver(ctx, 1, func(_ uint64, msgs [][]byte) error {
		for _, m := range msgs {
			got = append(got, string(m))
		}
		if len(got) >= n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		got = append(got, fmt.Sprintf("error: %v", err))
	}
	return got
}

func testSizes(t *testing.T, s Service) {
	o := s.Open(t)
	if err := o.Submit(within(t), nil); !errors.Is(err, orderer.ErrEmpty) {
		t.Errorf("empty message: got error %v, want ErrEmpty", err)
	}
	if o.MaxSize() < 512<<10 {
		t.Errorf("largest message is %d bytes, want at least 512 KiB for a bundle", o.MaxSize())
	}
	big := bytes.Repeat([]byte{0xa5}, o.MaxSize()+1)
	if err := o.Submit(within(t), big); !errors.Is(err, orderer.ErrTooLarge) {
		t.Errorf("message of %d bytes: got error %v, want ErrTooLarge", len(big), err)
	}
	if err := o.Submit(within(t), big[1:]); err != nil {
		t.Errorf("message of %d bytes: %v", len(big)-1, err)
	}
	if got := receive(t, o, 1, 1); got[0] != string(big[1:]) {
		t.Errorf("largest message came back with %d bytes, changed", len(got[0]))
	}
	if _, last := bounds(t, o); last != 1 {
		t.Errorf("last sequence: got %d, want 1", last)
	}
}

func testDuplicates(t *testing.T, s Service) {
	a, b := s.Open(t), s.Open(t)
	submit(t, a, "x", "x")
	submit(t, b, "x", "y")
	submitAll(t, a, []string{"z", "z", "z", "z", "z", "z", "z", "z"})
	equal(t, "order", receive(t, a, 1, 3), []string{"x", "y", "z"})
	s.Restart(t)
	submit(t, b, "x", "end")
	equal(t, "order after restart", receive(t, b, 1, 4), []string{"x", "y", "z", "end"})
	if _, last := bounds(t, a); last != 4 {
		t.Errorf("last sequence: got %d, want 4", last)
	}
}

func testDeliverFrom(t *testing.T, s Service) {
	o := s.Open(t)
	msgs := numbered("m", 20)
	submit(t, o, msgs...)
	for _, from := range []uint64{1, 2, 19, 20} {
		equal(t, fmt.Sprintf("from %d", from), receive(t, o, from, 21-int(from)), msgs[from-1:])
	}
	if err := o.Deliver(within(t), 0, nil); err == nil {
		t.Error("delivering from 0: got no error")
	}
	err := o.Deliver(within(t), 22, func(uint64, [][]byte) error { return nil })
	if !errors.Is(err, orderer.ErrBeyond) {
		t.Errorf("delivering from 22 of 20: got error %v, want ErrBeyond", err)
	}
	// From the next one on, what is already there is not delivered.
	got := make(chan string, 1)
	go func() { got <- receiveQuietly1(within(t), o, 21) }()
	submit(t, o, "new")
	if m := <-got; m != "new" {
		t.Errorf("from 21: got %q, want %q", m, "new")
	}
}

func receiveQuietly1(ctx context.Context, o orderer.Orderer, from uint64) string {
	var got string
	err := o.Deliver(ctx, from, func(_ uint64, msgs [][]byte) error {
		got = string(msgs[0])
		return errEnough
	})
	if !errors.Is(err, errEnough) {
		return fmt.Sprintf("error: %v", err)
	}
	return got
}

func testDeliverStops(t *testing.T, s Service) {
	o := s.Open(t)
	submit(t, o, numbered("m", 5)...)
	mine := errors.New("mine")
	if err := o.Deliver(within(t), 1, func(uint64, [][]byte) error { return mine }); err != mine {
		t.Errorf("got error %v, want fn's own, unchanged", err)
	}
	ctx, cancel := context.WithCancel(within(t))
	err := o.Deliver(ctx, 1, func(first uint64, msgs [][]byte) error {
		if first+uint64(len(msgs)) > 5 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}

// testKeepsBytes checks that what fn was given is fn's, and that Submit leaves its argument alone.
func testKeepsBytes(t *testing.T, s Service) {
	o := s.Open(t)
	msgs := numbered("m", 50)
	for _, m := range msgs {
		b := []byte(m)
		if err := o.Submit(within(t), b); err != nil {
			t.Fatal(err)
		}
		if string(b) != m {
			t.Errorf("Submit changed %q to %q", m, b)
		}
		clear(b)
	}
	var kept [][]byte
	err := o.Deliver(within(t), 1, func(_ uint64, batch [][]byte) error {
		kept = append(kept, batch...)
		clear(batch)
		if len(kept) == len(msgs) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	var got []string
	for _, b := range kept {
		got = append(got, string(b))
		clear(b)
	}
	equal(t, "kept", got, msgs)
	equal(t, "delivered again", receive(t, o, 1, len(msgs)), msgs)
}

func testAt(t *testing.T, s Service) {
	o := s.Open(t)
	msgs := numbered("m", 3)
	submit(t, o, msgs...)
	if first, last := bounds(t, o); first != 1 || last != 3 {
		t.Errorf("bounds: got %d and %d, want 1 and 3", first, last)
	}
	for i, want := range msgs {
		got, err := o.At(within(t), uint64(i+1))
		if err != nil || string(got) != want {
			t.Errorf("sequence %d: got %q and error %v, want %q", i+1, got, err, want)
		}
	}
	if _, err := o.At(within(t), 4); !errors.Is(err, orderer.ErrBeyond) {
		t.Errorf("sequence 4: got error %v, want ErrBeyond", err)
	}
	if _, err := o.At(within(t), 0); err == nil {
		t.Error("sequence 0: got no error")
	}
}

// follow delivers in the background from the first message on.
type follow struct {
	got  chan string
	done chan error
	stop context.CancelFunc
}

func newFollow(t testing.TB, o orderer.Orderer) *follow {
	ctx, cancel := context.WithCancel(within(t))
	f := &follow{got: make(chan string, 4096), done: make(chan error, 1), stop: cancel}
	go func() {
		f.done <- o.Deliver(ctx, 1, func(_ uint64, msgs [][]byte) error {
			for _, m := range msgs {
				f.got <- string(m)
			}
			return nil
		})
	}()
	t.Cleanup(cancel)
	return f
}

func (f *follow) next(t testing.TB, n int) []string {
	t.Helper()
	var got []string
	limit := time.After(patience)
	for len(got) < n {
		select {
		case m := <-f.got:
			got = append(got, m)
		case err := <-f.done:
			t.Fatalf("delivery ended after %d of %d messages: %v", len(got), n, err)
		case <-limit:
			t.Fatalf("got %d of %d messages", len(got), n)
		}
	}
	return got
}

func testRestart(t *testing.T, s Service) {
	o := s.Open(t)
	f := newFollow(t, o)
	before := numbered("before", 30)
	submit(t, o, before...)
	equal(t, "before the restart", f.next(t, 30), before)
	s.Restart(t)
	equal(t, "kept", receive(t, s.Open(t), 1, 30), before)
	after := numbered("after", 30)
	submit(t, o, after...)
	equal(t, "the same delivery after the restart", f.next(t, 30), after)
	if first, last := bounds(t, o); first != 1 || last != 60 {
		t.Errorf("bounds: got %d and %d, want 1 and 60", first, last)
	}
}

func testRestartWhileSubmitting(t *testing.T, s Service) {
	o := s.Open(t)
	f := newFollow(t, o)
	msgs := numbered("m", 400)
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for _, m := range msgs[i*100 : (i+1)*100] {
				if err := o.Submit(within(t), []byte(m)); err != nil {
					t.Errorf("submitting: %v", err)
				}
			}
		})
	}
	first := f.next(t, 10)
	s.Restart(t)
	writers.Wait()
	got := append(first, f.next(t, len(msgs)-10)...)
	sameSet(t, got, msgs)
	equal(t, "read again", receive(t, s.Open(t), 1, len(msgs)), got)
}

func testLostAck(t *testing.T, s Service) {
	o, other := s.Open(t), s.Open(t)
	submit(t, o, "first")
	restore := s.Deafen(t, o)
	result := make(chan error, 1)
	go func() { result <- o.Submit(within(t), []byte("second")) }()
	equal(t, "ordered without an answer", receive(t, other, 2, 1), []string{"second"})

	short, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	if err := o.Submit(short, []byte("third")); !errors.Is(err, orderer.ErrUnknown) {
		t.Errorf("no answer until the context ended: got error %v, want ErrUnknown", err)
	}
	restore()
	if err := <-result; err != nil {
		t.Errorf("submitting with the first answer lost: %v", err)
	}
	submit(t, o, "third", "fourth")
	equal(t, "order", receive(t, other, 1, 4), []string{"first", "second", "third", "fourth"})
}

func testCancelled(t *testing.T, s Service) {
	o := s.Open(t)
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	if err := o.Submit(ctx, []byte("never")); !errors.Is(err, orderer.ErrNotOrdered) {
		t.Errorf("submitting with an ended context: got error %v, want ErrNotOrdered", err)
	}
	submit(t, o, "only")
	equal(t, "order", receive(t, o, 1, 1), []string{"only"})
}

func testClosed(t *testing.T, s Service) {
	o := s.Open(t)
	f := newFollow(t, o)
	submit(t, o, "m")
	f.next(t, 1)
	s.Close(t, o)
	select {
	case err := <-f.done:
		if err == nil {
			t.Error("delivery over a closed client ended without an error")
		}
	case <-time.After(patience):
		t.Error("delivery over a closed client goes on")
	}
	if err := o.Submit(within(t), []byte("late")); err == nil {
		t.Error("submitting over a closed client: got no error")
	}
}

func testRewound(t *testing.T, s Service) {
	o := s.Open(t)
	f := newFollow(t, o)
	submit(t, o, numbered("m", 5)...)
	f.next(t, 5)
	s.Replace(t)
	// A client that opens the order now finds an empty one.
	fresh := s.Open(t)
	if first, last := bounds(t, fresh); first != 1 || last != 0 {
		t.Fatalf("bounds of the replaced order: got %d and %d, want 1 and 0", first, last)
	}
	ended(t, f, orderer.ErrBeyond)
	err := fresh.Deliver(within(t), 6, func(uint64, [][]byte) error { return nil })
	if !errors.Is(err, orderer.ErrBeyond) {
		t.Errorf("delivering from 6: got error %v, want ErrBeyond", err)
	}
}

func testDiverged(t *testing.T, s Service) {
	o := s.Open(t)
	submit(t, o, numbered("m", 5)...)
	// While this oracle is busy with a batch, the order is replaced and grows as long as before.
	took, resume := make(chan struct{}), make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	ctx := within(t)
	go func() {
		n := 0
		done <- o.Deliver(ctx, 1, func(first uint64, msgs [][]byte) error {
			if n += len(msgs); n == 5 {
				once.Do(func() { close(took); <-resume })
			}
			if n > 5 {
				return fmt.Errorf("delivered %q at %d", msgs[0], first)
			}
			return nil
		})
	}()
	<-took
	s.Replace(t)
	submit(t, s.Open(t), numbered("other", 7)...)
	close(resume)
	if err := <-done; !errors.Is(err, orderer.ErrDiverged) {
		t.Errorf("delivering over a replaced order: got error %v, want ErrDiverged", err)
	}
}

func ended(t testing.TB, f *follow, want error) {
	t.Helper()
	select {
	case err := <-f.done:
		if !errors.Is(err, want) {
			t.Errorf("delivery ended with %v, want %v", err, want)
		}
	case <-time.After(patience):
		t.Errorf("delivery goes on, want %v", want)
	}
}
