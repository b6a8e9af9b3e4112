package uplink_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"

	"wattmark/gateway/outbox"
	"wattmark/gateway/uplink"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

const gatewayName = "home-01"

// ledger is a log of statements that four oracles sign, three of which suffice.
type ledger struct {
	*ledgertest.Consortium
	mu    sync.Mutex // guards the fields below
	tree  block.Tree
	nodes [][]block.Hash
	index map[block.Hash]uint64
}

func newLedger(t testing.TB) *ledger {
	return &ledger{Consortium: ledgertest.NewConsortium(t, 4), index: make(map[block.Hash]uint64)}
}

// Node implements block.Nodes.
func (l *ledger) Node(level int, index uint64) (block.Hash, error) { return l.nodes[level][index], nil }

func (l *ledger) keys() map[signer.KeyID]signer.PublicKey {
	keys := make(map[signer.KeyID]signer.PublicKey)
	for i := range l.Oracles {
		k := l.Oracles[i].Statement.Public()
		keys[k.ID()] = k
	}
	return keys
}

// log puts a statement into the tree, once.
func (l *ledger) log(statement []byte) uint64 {
	h := block.LeafHash(statement)
	if i, ok := l.index[h]; ok {
		return i
	}
	i := l.tree.Size()
	l.index[h] = i
	level := 0
	l.tree.Append(h, func(h block.Hash) {
		if level == len(l.nodes) {
			l.nodes = append(l.nodes, nil)
		}
		l.nodes[level] = append(l.nodes[level], h)
		level++
	})
	return i
}

// receipts answers statements, as so many oracles sign them; 0 is a quorum.
func (l *ledger) receipts(t testing.TB, statements ...[]byte) *wire.Receipts {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range statements {
		l.log(s)
	}
	cp := block.Checkpoint{Origin: ledgertest.Origin, Size: l.tree.Size(), Root: l.tree.Root()}
	r := &wire.Receipts{Checkpoint: l.Sign(t, cp)}
	for i := range 3 {
		c := l.Oracles[i].Cosigner
		sig, err := block.SignReceipts(c, cp)
		if err != nil {
			t.Fatal(err)
		}
		r.Signatures = append(r.Signatures, wire.ReceiptSignature{KeyID: c.Public().ID(), Signature: sig})
	}
	prover := block.NewProver(l, cp.Size)
	for _, s := range statements {
		p, err := prover.Prove(l.log(s))
		if err != nil {
			t.Fatal(err)
		}
		q := sequenceOf(t, s)
		r.Items = append(r.Items, wire.ReceiptItem{Boot: q.Boot, Count: q.Count, Index: p.Index, Path: p.Path})
	}
	return r
}

func sequenceOf(t testing.TB, statement []byte) entry.Sequence {
	t.Helper()
	m, err := signer.Parse(statement)
	if err != nil {
		t.Fatal(err)
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		t.Fatal(err)
	}
	return c.Sequence
}

// refusal is an oracle's, of any bytes.
func (l *ledger) refusal(t testing.TB, oracle int, statement []byte, q entry.Sequence, why entry.Reason) []byte {
	t.Helper()
	r := wire.Refusal{Leaf: block.LeafHash(statement), Boot: q.Boot, Count: q.Count, Reason: why}
	b, err := r.Sign(l.Oracles[oracle].Statement, l.Oracles[oracle].Name, ledgertest.Origin, ledgertest.Start/1000)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// box is an outbox that signs what it is filled with.
type box struct {
	*outbox.Outbox
	key *signer.PrivateKey
}

func openBox(t testing.TB, dir string) *box {
	t.Helper()
	o, _, err := outbox.Open(outbox.Disk, dir, outbox.Options{GatewayID: gatewayName})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() }) // it may be closed already
	if _, err := o.RaiseBoot("a boot"); err != nil {
		t.Fatal(err)
	}
	return &box{o, ledgertest.Key(t, signer.EdDSA, gatewayName)}
}

// add appends n statements, durably, and returns them.
func (b *box) add(t testing.TB, n int) (statements [][]byte) {
	t.Helper()
	for range n {
		boot, seq, _, err := b.NextSeq()
		if err != nil {
			t.Fatal(err)
		}
		s := statement(t, b.key, boot, seq)
		if err := b.Append(outbox.Record{Boot: boot, Seq: seq, Statement: s}); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, s)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	return statements
}

func statement(t testing.TB, key signer.Signer, boot, seq uint64) []byte {
	t.Helper()
	claims := entry.Claims{
		Issuer: "urn:wattmark:gateway:" + gatewayName, Subject: "mp-1", Audience: ledgertest.Origin,
		IssuedAt: ledgertest.Start / 1000, Sequence: entry.Sequence{Boot: boot, Count: seq},
	}
	raw, err := claims.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	s, err := signer.Sign(key, signer.Header{Type: entry.TypeReading, PreimageType: entry.ContentSalted, Claims: raw}, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// air is a transport without a network.
type air struct {
	mu       sync.Mutex // guards the fields below
	down     bool
	conn     *airConn
	dials    int
	sent     []entry.Sequence
	subjects []string // where it was sent
	deliver  func(string, []byte)
	took     chan struct{} // unless nil, gets a value for each publish
}

type airConn struct {
	air  *air
	once sync.Once
	done chan struct{}
}

var errCut = errors.New("the network is cut")

func (a *air) String() string { return "air" }

func (a *air) Connect(_ context.Context, _ []string, deliver func(string, []byte)) (uplink.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dials++
	if a.down {
		return nil, errCut
	}
	a.conn, a.deliver = &airConn{air: a, done: make(chan struct{})}, deliver
	return a.conn, nil
}

// cut ends the connection and lets no other one come up, or mends that.
func (a *air) cut(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
	if down && a.conn != nil {
		a.conn.Close()
	}
}

// answer delivers what an oracle says.
func (a *air) answer(subject string, b []byte) {
	a.mu.Lock()
	deliver := a.deliver
	a.mu.Unlock()
	deliver(subject, b)
}

func (a *air) dialled() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dials
}

// published returns and forgets the sequence numbers of what was sent.
func (a *air) published() (counts []uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range a.sent {
		counts = append(counts, q.Count)
	}
	a.sent = nil
	return counts
}

func (c *airConn) Publish(_ context.Context, subject string, b []byte) error {
	select {
	case <-c.done:
		return errCut
	default:
	}
	f, err := wire.ParseFrame(b)
	if err != nil {
		return err
	}
	m, err := signer.Parse(f.Statement)
	if err != nil {
		return err
	}
	claims, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return err
	}
	c.air.mu.Lock()
	defer c.air.mu.Unlock()
	c.air.sent = append(c.air.sent, claims.Sequence)
	c.air.subjects = append(c.air.subjects, subject)
	if c.air.took != nil {
		c.air.took <- struct{}{}
	}
	return nil
}

func (c *airConn) Done() <-chan struct{} { return c.done }
func (c *airConn) Err() error            { return errCut }
func (c *airConn) Close()                { c.once.Do(func() { close(c.done) }) }
