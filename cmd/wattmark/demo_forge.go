package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/gateway"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle/dashboard"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// forgeWait is how long a forger waits for an oracle's answer.
const forgeWait = 10 * time.Second

// errNoAnswer is returned where no oracle has refused what was forged in time.
var errNoAnswer = errors.New("no oracle has answered it within 10 s; it is not on the ledger either: look whether oracles are behind, and press again")

// forgeries are the statements that were sent changed, until an oracle refuses them.
type forgeries struct {
	mu      sync.Mutex                       // guards what follows
	waiting map[block.Hash]chan entry.Reason // each has room for one
}

func (f *forgeries) await(statement []byte) (refused <-chan entry.Reason, done func()) {
	h, c := block.LeafHash(statement), make(chan entry.Reason, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting == nil {
		f.waiting = make(map[block.Hash]chan entry.Reason)
	}
	f.waiting[h] = c
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.waiting, h)
	}
}

// refused tells whoever has sent it. Every oracle refuses it; the first one is heard.
func (f *forgeries) refused(r *wire.Refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c, ok := f.waiting[r.Leaf]; ok {
		select {
		case c <- r.Reason:
		default:
		}
	}
}

// send plays somebody who got hold of a gateway's TLS key, but not of the key it signs with:
// it sends a frame in the gateway's name, and returns why an oracle refused it.
func (d *demo) send(ctx context.Context, g *demoGateway, f wire.Frame) (entry.Reason, error) {
	cfg, err := d.cluster.clientTLS(g.Name)
	if err != nil {
		return "", err
	}
	conn, err := nats.Connect(d.cluster.broker.NATSURL(), nats.Secure(cfg), nats.Timeout(5*time.Second))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	refused, done := d.forgeries.await(f.Statement)
	defer done()
	if err := conn.Publish(wire.For(d.cluster.charter.Origin).Up(g.Name), f.Encode()); err != nil {
		return "", err
	}
	if err := conn.FlushTimeout(5 * time.Second); err != nil {
		return "", err
	}
	late := time.NewTimer(forgeWait)
	defer late.Stop()
	select {
	case reason := <-refused:
		return reason, nil
	case <-late.C:
		return "", errNoAnswer
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// forgeOne forges a reading of a home that is asked for.
func (d *demo) forgeOne(ctx context.Context, name string) error {
	g := d.named(name)
	limited, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	f, what, err := forged(limited, g)
	if err != nil {
		return fmt.Errorf("%s has signed no reading just now: press again in a few seconds", name)
	}
	return d.sendAs(ctx, g, f, what)
}

// forged waits until the newest statement of a gateway is a reading, and changes that.
func forged(ctx context.Context, g *demoGateway) (f wire.Frame, what string, err error) {
	err = poll(ctx, func() (ok bool) {
		f, what, ok = forge(g.newest())
		return ok
	})
	return f, what, err
}

// sendAs sends what was forged, and tells what came of it.
func (d *demo) sendAs(ctx context.Context, g *demoGateway, f wire.Frame, what string) error {
	d.screen.event(d, fmt.Sprintf("somebody sends a statement of %s with %s", g.Name, what))
	reason, err := d.send(ctx, g, f)
	if err != nil {
		return fmt.Errorf("a statement in the name of %s: %w", g.Name, err)
	}
	d.notice(dashboard.Bad, "A statement of %s with %s was refused: %s, %s. Nothing of it is on the ledger.", g.Name, dashboard.Said(what), reason, dashboard.Said(reason.Remedy()))
	return nil
}

// forgedWh is what a forger adds to a register.
const forgedWh = 5000

// forge changes a reading: 5 kWh more in a register of energy, and where there is none the
// last bit of a number. What is committed to is changed with it, so that the signature alone
// can tell. It is false for what is no statement or holds no number.
func forge(s gateway.Signed) (f wire.Frame, what string, ok bool) {
	m, err := signer.Parse(s.Statement)
	if err != nil {
		return f, "", false
	}
	at := bytes.Index(s.Statement, m.Payload)
	records := m.Payload
	var hidden *entry.Committed
	if s.Pack != nil {
		if hidden, err = entry.ParseCommitted(s.Pack, m.Payload); err != nil {
			return f, "", false
		}
		records = hidden.Pack
	}
	pack, err := entry.ParsePack(records)
	if err != nil || at < 0 {
		return f, "", false
	}
	payload := func() []byte {
		b, err := pack.Encode()
		if err != nil {
			return nil
		}
		if hidden == nil {
			return b
		}
		changed := entry.Committed{Salt: hidden.Salt, Pack: b}
		if f.Pack, err = changed.Encode(); err != nil {
			return nil
		}
		sum := sha256.Sum256(f.Pack)
		return sum[:]
	}
	for _, change := range []struct {
		what string
		by   func(r *entry.Record) bool
	}{{"5 kWh more in its register", moreEnergy}, {"one bit of its reading changed", otherBit}} {
		for i := range pack.Records {
			r := &pack.Records[i]
			was := r.Value
			if r.Text != "" || !change.by(r) {
				continue
			}
			// Of another length it would not read as what it was.
			if p := payload(); len(p) == len(m.Payload) {
				f.Statement = bytes.Join([][]byte{s.Statement[:at], p, s.Statement[at+len(p):]}, nil)
				return f, change.what, true
			}
			r.Value = was
		}
	}
	return f, "", false
}

// moreEnergy adds to a register of energy taken from the grid.
func moreEnergy(r *entry.Record) bool {
	if r.Unit != "Wh" || !strings.HasSuffix(r.Name, "active_energy_import") || r.Value.Exponent > 0 || r.Value.Exponent < -9 {
		return false
	}
	add := int64(forgedWh)
	for e := r.Value.Exponent; e < 0; e++ {
		add *= 10
	}
	r.Value.Mantissa += add
	return true
}

func otherBit(r *entry.Record) bool {
	r.Value.Mantissa ^= 1
	return true
}
