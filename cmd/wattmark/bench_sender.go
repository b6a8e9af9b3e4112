package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"wattmark/gateway/uplink"
	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

const (
	// resendAfter is how long a statement waits for its answer before it is sent
	// again.
	resendAfter = 10 * time.Second
	// answerTimeout is for connecting, and for the broker to acknowledge.
	answerTimeout = 20 * time.Second
)

// benchReconnect is how long a gateway waits between connections.
var benchReconnect = uplink.Backoff{First: 100 * time.Millisecond, Most: 5 * time.Second}

// sender is one gateway of a bench. It speaks to the broker as gateways do, over
// their transport, and like them sends again what is not answered. What it sends
// was signed before; it keeps nothing on disk.
type sender struct {
	name      string
	origin    string
	subjects  wire.Subjects
	transport uplink.Transport
	accepted  *acceptances
	oracles   map[signer.KeyID]signer.PublicKey
	marked    func(mark uint64, at time.Time) // where answers are marks
	replies   chan reply
	news      chan struct{} // holds one: something was answered

	frames [][]byte
	window int // how many may wait for an answer, in a closed loop
	rate   int // of all gateways together, in an open one
	every  int // how many gateways there are, and
	at     int // which one this is

	// Owned by the goroutine of run, and by connect before it.
	conn       uplink.Conn
	next       int      // the first frame that was not sent
	flights    []flight // what was sent, in order of sending
	resent     int
	reconnects int

	mu   sync.Mutex  // guards the fields below
	due  []time.Time // when frame i was to be sent
	took []int64     // nanoseconds from then to its answer, 0 while there is none
	left int         // without an answer
}

// flight is a frame that was sent, and when.
type flight struct {
	index int
	sent  time.Time
}

// reply is a message for a gateway.
type reply struct {
	subject string
	body    []byte
	at      time.Time
}

func newSender(name, origin string, frames [][]byte, accepted *acceptances, oracles map[signer.KeyID]signer.PublicKey) (*sender, error) {
	if err := entry.CheckGateway(name); err != nil {
		return nil, err
	}
	return &sender{
		name: name, origin: origin, subjects: wire.For(origin), frames: frames, accepted: accepted, oracles: oracles,
		replies: make(chan reply, 1024), news: make(chan struct{}, 1),
		due: make([]time.Time, len(frames)), took: make([]int64, len(frames)), left: len(frames),
	}, nil
}

// transport is gateway i's way to the broker.
func (o *generation) transport(i int, name string) (uplink.Transport, error) {
	cert, roots, err := o.TLS[i].Load()
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}
	l := uplink.Link{URL: o.URLs[i%len(o.URLs)], TLS: cfg, ClientID: name, Timeout: answerTimeout}
	if o.Transport == "nats" {
		return uplink.NATS(l)
	}
	return uplink.MQTT(l)
}

func (s *sender) connect(ctx context.Context) (err error) {
	listen := []string{s.subjects.Receipt(s.name), s.subjects.Refusal(s.name)}
	s.conn, err = s.transport.Connect(ctx, listen, func(subject string, body []byte) {
		select {
		case s.replies <- reply{subject, body, time.Now()}:
		case <-ctx.Done():
		}
	})
	return err
}

func (s *sender) disconnect() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// run sends every frame until it is answered, over as many connections as it takes.
func (s *sender) run(ctx context.Context, start time.Time) {
	for attempt := 0; s.unanswered() > 0 && ctx.Err() == nil; attempt++ {
		if s.conn == nil {
			wait := time.NewTimer(benchReconnect.Step(attempt))
			select {
			case <-wait.C:
			case <-ctx.Done():
			}
			wait.Stop()
			if s.connect(ctx) != nil {
				continue // tried again, until too long nothing was answered
			}
			s.reconnects++
			for i := range s.flights { // all of it may be lost
				s.flights[i].sent = time.Time{}
			}
		}
		if s.session(ctx, start) > 0 {
			attempt = 0
		}
		s.disconnect()
	}
}

// session sends over one connection until it fails or all is answered. It returns
// how many messages it sent.
func (s *sender) session(ctx context.Context, start time.Time) (sent int) {
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	for {
		now := time.Now()
		frame, at, any := s.choose(now, start)
		if frame != nil {
			if s.conn.Publish(ctx, s.subjects.Up(s.name), frame) != nil {
				return sent
			}
			sent++
			continue
		}
		if !any {
			return sent
		}
		wake.Reset(at.Sub(now))
		select {
		case <-s.news:
		case <-wake.C:
		case <-s.conn.Done():
			return sent
		case <-ctx.Done():
			return sent
		}
	}
}

// choose returns the frame to send now, or until when to wait for one; any is false
// once all is answered.
func (s *sender) choose(now, start time.Time) (frame []byte, at time.Time, any bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return nil, at, false
	}
	for len(s.flights) > 0 && s.took[s.flights[0].index] != 0 {
		s.flights = s.flights[1:]
	}
	at = now.Add(time.Hour)
	if len(s.flights) > 0 {
		f := s.flights[0]
		if at = f.sent.Add(resendAfter); !at.After(now) {
			s.flights = append(s.flights[1:], flight{f.index, now})
			s.resent++
			return s.frames[f.index], at, true
		}
	}
	if s.next == len(s.frames) {
		return nil, at, true
	}
	due := now
	if s.rate > 0 {
		k := time.Duration(s.next*s.every + s.at)
		due = start.Add(k * time.Second / time.Duration(s.rate))
		if due.After(now) {
			if due.Before(at) {
				at = due
			}
			return nil, at, true
		}
	} else if s.next-(len(s.frames)-s.left) >= s.window {
		return nil, at, true
	}
	i := s.next
	s.next++
	s.due[i] = due
	s.flights = append(s.flights, flight{i, now})
	return s.frames[i], at, true
}

// answered notes that frame i was answered.
func (s *sender) answered(i int, at time.Time) {
	s.mu.Lock()
	if s.took[i] != 0 {
		s.mu.Unlock()
		return
	}
	s.took[i] = max(1, at.Sub(s.due[i]).Nanoseconds())
	s.left--
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *sender) unanswered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}

// check works through what comes back, as a gateway does: what the oracles signed,
// and each statement's place against the exact bytes that were sent. Anything wrong
// ends the bench.
func (s *sender) check(ctx context.Context, fail func(error)) {
	receipts := s.subjects.Receipt(s.name)
	for {
		var r reply
		select {
		case r = <-s.replies:
		case <-ctx.Done():
			return
		}
		err := error(nil)
		switch {
		case r.subject != receipts:
			err = s.refusal(r)
		case s.marked != nil:
			for b := r.body; len(b) >= markSize; b = b[markSize:] {
				s.marked(markOf(b[:markSize]), r.at)
			}
		default:
			err = s.receipts(r)
		}
		if err != nil {
			fail(fmt.Errorf("gateway %s: %w", s.name, err))
			return
		}
	}
}

func (s *sender) receipts(m reply) error {
	r, err := wire.ParseReceipts(m.body)
	if err != nil {
		return err
	}
	a, err := s.accepted.accept(r)
	if err != nil {
		return err
	}
	for i := range r.Items {
		it := &r.Items[i]
		if it.Count < 1 || it.Count > uint64(len(s.frames)) {
			return fmt.Errorf("a receipt for statement %d of %d", it.Count, len(s.frames))
		}
		n := int(it.Count - 1)
		f, err := wire.ParseFrame(s.frames[n])
		if err == nil {
			err = a.Check(it, f.Statement)
		}
		if err != nil {
			return fmt.Errorf("receipt of statement %d: %w", it.Count, err)
		}
		s.answered(n, m.at)
	}
	return nil
}

func (s *sender) refusal(m reply) error {
	r, err := wire.OpenRefusal(m.body, s.origin, func(id signer.KeyID) (signer.PublicKey, bool) {
		k, ok := s.oracles[id]
		return k, ok
	})
	if err != nil {
		return err
	}
	return fmt.Errorf("statement %d was refused as %s: %s", r.Count, r.Reason, r.Reason.Remedy())
}
