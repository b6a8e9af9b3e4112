package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"wattmark/ledger/block"
	"wattmark/oracle/broker"
	"wattmark/oracle/ingest"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// plainWork is to be a plain program in an oracle's place: the floor of a cluster. It
// bundles gateways' frames, has the same servers order them, verifies each statement of
// the order in batches, hashes it into a tree, makes it durable in one flat file, tells
// the others how far it is, and marks what a quorum holds as answered. It judges
// nothing, keeps no state and no index, proves nothing and does not sign.
type plainWork struct {
	Position int          `json:"position"` // among the oracles, from 0
	Oracles  int          `json:"oracles"`
	Quorum   int          `json:"quorum"`
	Dir      string       `json:"dir"`
	Origin   string       `json:"origin"`
	Route    broker.Route `json:"route"`
	Replicas int          `json:"replicas"`
	Alg      string       `json:"alg"`
	Seeds    [][32]byte   `json:"seeds"` // of all gateways' keys
}

// Bundles of plain programs are made as an oracle makes them.
const (
	plainPace    = 20 * time.Millisecond
	plainMost    = 512
	plainSubmits = 16
)

// plain is the program. Frames, order and votes each have a goroutine.
type plain struct {
	*plainWork
	conn     *nats.Conn
	order    *jetstream.Orderer
	subjects wire.Subjects
	verifier *signer.Verifier
	keys     map[signer.KeyID]signer.PublicKey
	file     *os.File
	tree     block.Tree
	frames   chan *nats.Msg
	failed   func(error)

	mu   sync.Mutex          // guards the fields below
	sent map[uint64][]string // gateways of the statements of a bundle, by the mark of its first
	owed []plainAnswer       // what is durable here, oldest first
	told []uint64            // how far each oracle is in the order
}

// plainAnswer is what a bundle's gateways wait for.
type plainAnswer struct {
	seq   uint64
	marks map[string][]byte
}

// start opens the program and runs it; end waits until it has stopped.
func (w *plainWork) start(ctx context.Context, stderr io.Writer) (end func(), err error) {
	load, err := newWorkload(w.Alg, 0, 0, w.Seeds)
	if err != nil {
		return nil, err
	}
	p := &plain{
		plainWork: w, subjects: wire.For(w.Origin), verifier: signer.NewVerifier(), keys: make(map[signer.KeyID]signer.PublicKey),
		frames: make(chan *nats.Msg, 1<<15), sent: make(map[uint64][]string), told: make([]uint64, w.Oracles),
	}
	for _, k := range load.keys {
		p.keys[k.Public().ID()] = k.Public()
	}
	log := benchLog(stderr)
	p.failed = func(err error) {
		if ctx.Err() == nil {
			log.Error("a plain program stopped", "error", err)
		}
	}
	var conns []*nats.Conn
	closeAll := func() {
		for _, c := range conns {
			c.Close()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	for range 3 { // as an oracle has
		c, err := w.Route.Connect(broker.Patient()...)
		if err != nil {
			return nil, err
		}
		conns = append(conns, c)
	}
	p.conn = conns[0]
	if p.order, _, err = openOrder(ctx, conns[1], jetstream.Config{Ledger: wire.ShortName(w.Origin), Replicas: w.Replicas, Log: log}); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(w.Dir, 0o700); err != nil {
		return nil, err
	}
	if p.file, err = os.Create(filepath.Join(w.Dir, "statements")); err != nil {
		return nil, err
	}
	up, err := conns[2].ChanQueueSubscribe(p.subjects.Up("*"), wire.QueueGroup, p.frames)
	if err == nil {
		_, err = p.conn.Subscribe(p.subjects.Vote(), p.vote)
	}
	if err = errors.Join(err, conns[2].Flush(), p.conn.Flush()); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	var running sync.WaitGroup
	running.Go(func() { p.bundle(ctx) })
	running.Go(func() {
		if err := p.order.Deliver(ctx, 1, p.take); err != nil {
			p.failed(err)
		}
	})
	return func() {
		running.Wait()
		up.Unsubscribe()
		closeAll()
		p.file.Close()
	}, nil
}

// bundle puts frames into the order.
func (p *plain) bundle(ctx context.Context) {
	var submitting sync.WaitGroup
	defer submitting.Wait()
	open := make(chan struct{}, plainSubmits)
	var began time.Time
	for {
		var list []*nats.Msg
		select {
		case m := <-p.frames:
			list = append(list, m)
		case <-ctx.Done():
			return
		}
		if wait := time.Until(began.Add(plainPace)); wait > 0 && len(p.frames) < plainMost {
			time.Sleep(wait)
		}
		began = time.Now()
		for len(list) < plainMost && len(p.frames) > 0 {
			list = append(list, <-p.frames)
		}
		open <- struct{}{}
		submitting.Go(func() {
			defer func() { <-open }()
			if err := p.submit(ctx, list); err != nil {
				p.failed(err)
			}
		})
	}
}

func (p *plain) submit(ctx context.Context, list []*nats.Msg) error {
	statements, gateways := make([][]byte, len(list)), make([]string, len(list))
	for i, m := range list {
		f, err := wire.ParseFrame(m.Data)
		if err != nil {
			return err
		}
		statements[i], gateways[i] = f.Statement, m.Subject[len(p.subjects.Up("")):]
	}
	p.mu.Lock()
	p.sent[markOf(statements[0])] = gateways
	p.mu.Unlock()
	return p.order.Submit(ctx, ingest.EncodeBundle(statements))
}

// take verifies what the order holds, and makes it durable.
func (p *plain) take(first uint64, msgs [][]byte) error {
	var jobs []signer.Job
	var out []byte
	var answers []plainAnswer
	for i, m := range msgs {
		statements, err := ingest.ParseBundle(m)
		if err != nil {
			return err
		}
		for _, s := range statements {
			m, err := signer.Parse(s)
			if err != nil {
				return err
			}
			jobs = append(jobs, signer.Job{Message: m, Key: p.keys[m.KeyID]})
			p.tree.Append(block.LeafHash(s), nil)
			out = append(out, s...)
		}
		if a := p.answer(first+uint64(i), statements); a != nil {
			answers = append(answers, *a)
		}
	}
	p.verifier.VerifyAll(jobs)
	for i := range jobs {
		if jobs[i].Err != nil {
			return jobs[i].Err
		}
	}
	root := p.tree.Root()
	if _, err := p.file.Write(append(out, root[:]...)); err != nil {
		return err
	}
	if err := unix.Fdatasync(int(p.file.Fd())); err != nil {
		return err
	}
	p.mu.Lock()
	p.owed = append(p.owed, answers...)
	p.mu.Unlock()
	vote := binary.BigEndian.AppendUint64([]byte{byte(p.Position)}, first+uint64(len(msgs))-1)
	if err := p.conn.Publish(p.subjects.Vote(), append(vote, root[:]...)); err != nil {
		return err
	}
	return p.tell(p.Position, first+uint64(len(msgs))-1)
}

// answer is what this program owes for a bundle, if it is one of its own.
func (p *plain) answer(seq uint64, statements [][]byte) *plainAnswer {
	if len(statements) == 0 {
		return nil
	}
	p.mu.Lock()
	gateways := p.sent[markOf(statements[0])]
	delete(p.sent, markOf(statements[0]))
	p.mu.Unlock()
	if len(gateways) != len(statements) {
		return nil
	}
	a := &plainAnswer{seq, make(map[string][]byte)}
	for i, s := range statements {
		a.marks[gateways[i]] = append(a.marks[gateways[i]], s[len(s)-markSize:]...)
	}
	return a
}

// vote takes another's message.
func (p *plain) vote(m *nats.Msg) {
	if len(m.Data) < 9 || int(m.Data[0]) >= p.Oracles {
		return
	}
	if err := p.tell(int(m.Data[0]), binary.BigEndian.Uint64(m.Data[1:])); err != nil {
		p.failed(err)
	}
}

// tell notes how far a program is, and answers what a quorum holds, with one message for
// each gateway.
func (p *plain) tell(position int, seq uint64) error {
	marks := make(map[string][]byte)
	p.mu.Lock()
	p.told[position] = max(p.told[position], seq)
	far := slices.Sorted(slices.Values(p.told))[p.Oracles-p.Quorum]
	for len(p.owed) > 0 && p.owed[0].seq <= far {
		for gateway, b := range p.owed[0].marks {
			marks[gateway] = append(marks[gateway], b...)
		}
		p.owed = p.owed[1:]
	}
	p.mu.Unlock()
	var errs []error
	for gateway, b := range marks {
		if err := p.conn.Publish(p.subjects.Receipt(gateway), b); err != nil {
			errs = append(errs, fmt.Errorf("answering %s: %w", gateway, err))
		}
	}
	return errors.Join(errs...)
}
