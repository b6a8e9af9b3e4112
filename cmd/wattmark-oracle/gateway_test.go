package main

import (
	"crypto/tls"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// meter is a gateway of a test: it signs readings, publishes them over NATS and sends
// again what has no receipt, to one oracle after the other.
type meter struct {
	t       *testing.T
	name    string
	key     *signer.PrivateKey
	policy  *block.Policy
	later   *block.Policy // nil for none
	conn    *nats.Conn
	channel string
	sub     wire.Subjects

	mu       sync.Mutex // guards what follows
	frames   [][]byte
	previous []byte
	places   map[uint64]uint64 // leaf of each receipted statement, by its number
	refused  []string
}

func newMeter(t *testing.T, name string, policy []byte) *meter {
	t.Helper()
	p, err := block.ParsePolicy(policy)
	if err != nil {
		t.Fatal(err)
	}
	k, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	return &meter{t: t, name: name, key: k, policy: p, sub: wire.For(origin), channel: "active_energy_import", places: make(map[uint64]uint64)}
}

// trust has it go by another policy besides, which somebody told it.
func (m *meter) trust(p *block.Policy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.later = p
}

// connect connects with a certificate of files.
func (m *meter) connect(servers string, files broker.Files) error {
	cert, roots, err := files.Load()
	if err != nil {
		return err
	}
	opts := append(broker.Patient(), nats.Secure(&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.refused = append(m.refused, err.Error())
		}))
	if m.conn, err = nats.Connect(servers, opts...); err != nil {
		return err
	}
	m.t.Cleanup(m.conn.Close)
	for subject, take := range map[string]func(*nats.Msg){m.sub.Receipt(m.name): m.receipts, m.sub.Refusal(m.name): m.refusal} {
		if _, err := m.conn.Subscribe(subject, take); err != nil {
			return err
		}
	}
	return m.conn.Flush()
}

func (m *meter) receipts(msg *nats.Msg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := wire.ParseReceipts(msg.Data)
	if err != nil {
		return // an approval goes the same way
	}
	a, err := r.Accept(m.policy)
	if err != nil && m.later != nil {
		a, err = r.Accept(m.later)
	}
	if err != nil {
		m.t.Errorf("%s: receipts that the policy does not take: %v", m.name, err)
		return
	}
	for i := range r.Items {
		it := &r.Items[i]
		f, err := wire.ParseFrame(m.frames[it.Count-1])
		if err == nil {
			err = a.Check(it, f.Statement)
		}
		if err != nil {
			m.t.Errorf("%s: receipt of statement %d: %v", m.name, it.Count, err)
			continue
		}
		if at, ok := m.places[it.Count]; ok && at != it.Index {
			m.t.Errorf("%s: statement %d is at leaf %d and at %d", m.name, it.Count, at, it.Index)
		}
		m.places[it.Count] = it.Index
	}
}

func (m *meter) refusal(msg *nats.Msg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = append(m.refused, fmt.Sprintf("a refusal of %d bytes", len(msg.Data)))
}

// publish signs n readings and publishes them.
func (m *meter) publish(n int) {
	m.t.Helper()
	for range n {
		m.mu.Lock()
		frame, err := m.sign(uint64(len(m.frames) + 1))
		m.mu.Unlock()
		if err == nil {
			err = m.conn.Publish(m.sub.Up(m.name), frame)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

// sign signs reading number count, and keeps it. The caller holds the lock.
func (m *meter) sign(count uint64) ([]byte, error) {
	now := time.Now()
	base := "mp-" + m.name + "/"
	p := entry.Pack{Base: base, Records: []entry.Record{{
		Name: base + m.channel, Unit: "Wh", Time: now.UnixMilli(), Value: entry.Decimal{Mantissa: int64(1000 + count)},
	}}}
	pack, err := p.Encode()
	if err != nil {
		return nil, err
	}
	claims, err := (&entry.Claims{
		Issuer: "urn:wattmark:gateway:" + m.name, Subject: "mp-" + m.name, Audience: origin, IssuedAt: now.Unix(),
		Sequence: entry.Sequence{Boot: 1, Count: count}, Previous: m.previous,
		Time: &entry.TimeQuality{Quality: entry.ClockNTP, Uncertainty: 10_000_000, Monotonic: count},
	}).Encode()
	if err != nil {
		return nil, err
	}
	s, err := signer.Sign(m.key, signer.Header{Type: entry.TypeReading, ContentType: entry.ContentSenML, Claims: claims}, pack)
	if err != nil {
		return nil, err
	}
	msg, err := signer.Parse(s)
	if err != nil {
		return nil, err
	}
	id := msg.Hash()
	m.previous = id[:]
	m.frames = append(m.frames, wire.Frame{Statement: s}.Encode())
	return m.frames[count-1], nil
}

// answered reports whether each statement has a verified receipt.
func (m *meter) answered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.places) == len(m.frames)
}

// settle sends again what has no receipt, to each oracle in turn, until all have one.
func (m *meter) settle(oracles int) {
	m.t.Helper()
	to, at := 0, time.Now()
	until(m.t, m.name+" has all receipts", func() bool {
		if m.answered() {
			return true
		}
		if time.Since(at) < 2*time.Second {
			return false
		}
		at = time.Now()
		m.mu.Lock()
		var again [][]byte
		for i, f := range m.frames {
			if _, ok := m.places[uint64(i+1)]; !ok {
				again = append(again, f)
			}
		}
		m.mu.Unlock()
		for _, f := range again {
			if err := m.conn.Publish(m.sub.UpTo(m.name, to%oracles), f); err != nil {
				m.t.Fatal(err)
			}
		}
		to++
		return false
	})
}

// leaves are the places of its statements, sorted: each has one of its own.
func (m *meter) leaves() []uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []uint64
	for _, at := range m.places {
		list = append(list, at)
	}
	slices.Sort(list)
	return list
}
