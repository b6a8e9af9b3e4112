package main

import (
	"cmp"
	"path/filepath"
	"testing"
	"time"

	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/oracle/broker"
	"wattmark/oracle/founding"
	"wattmark/oracle/ingest"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// states has an oracle's operator sign an entry with the oracle's key and put it into the
// order.
func (m *node) states(t *testing.T, typ string, payload []byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := keyfile.Load(m.state.file(cmp.Or(m.keys, keysDir) + "/statement.pem"))
	must(err)
	claims, err := (&entry.Claims{Issuer: "urn:wattmark:oracle:" + m.name, Audience: origin, IssuedAt: time.Now().Unix()}).Encode()
	must(err)
	signed, err := signer.Sign(key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: claims}, payload)
	must(err)
	r, err := broker.ReadRoute(string(m.state))
	must(err)
	conn, err := r.Connect(broker.Patient()...)
	must(err)
	defer conn.Close()
	order, err := jetstream.Open(t.Context(), conn, jetstream.Config{Ledger: wire.ShortName(origin)})
	must(err)
	must(order.Submit(t.Context(), ingest.EncodeBundle([][]byte{signed})))
}

// TestSetOfOraclesChanges has the members of a cluster vote one oracle out and another one's
// keys new, with processes that are killed behind it: the oracles that stand go on at other
// places, the one with new keys takes them by itself, the one that is out watches, and all
// have the same ledger.
func TestSetOfOraclesChanges(t *testing.T) {
	if testing.Short() {
		t.Skip("seven processes")
	}
	c := newCluster(t, "home-1")
	c.meters[0].publish(5)
	c.meters[0].settle(len(c.nodes))

	// The last oracle asks for new keys and has them beside its own from its next start on.
	asks, out := c.nodes[3], c.nodes[1]
	request := filepath.Join(c.dir, "new.request")
	verb(t, "--config", asks.config, "rekey", "--request", request)
	asks.kill()
	asks.start()
	b, err := read(request)
	if err != nil {
		t.Fatal(err)
	}
	r, err := founding.OpenRequest(b)
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.nodes[0].state.agreed()
	if err != nil {
		t.Fatal(err)
	}
	before := a.charter.OracleSet()
	next := &entry.OracleSet{Replaces: before.Hash(), Quorum: 3, Governance: 3, Oracles: []entry.OracleKeys{before.Oracles[0], before.Oracles[2], r.Oracle}}
	body, err := next.Encode()
	if err != nil {
		t.Fatal(err)
	}
	until(t, asks.name+" is back", func() bool { s := asks.status(t); return s != nil && s.Running && s.CaughtUp })
	height := c.nodes[0].status(t).Height + 30
	motion := entry.Motion{Kind: entry.MotionOracles, Height: height, Body: body}
	payload, err := motion.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes[:3] {
		n.states(t, entry.TypeMotion, payload)
	}
	// Who was adopted has its rights at the servers before its block comes. Then blocks are
	// made until it has come.
	until(t, "the change is adopted", func() bool {
		_, sets, err := c.nodes[0].state.clients()
		return err == nil && len(sets) == 2
	})
	c.permit()
	policy, err := handover.PolicyOf(origin, next)
	if err != nil {
		t.Fatal(err)
	}
	c.meters[0].trust(policy)
	for {
		s := c.nodes[0].status(t)
		if s != nil && s.Oracles == 3 {
			break
		}
		c.meters[0].publish(1)
		time.Sleep(20 * time.Millisecond) // blocks are cut by time
	}
	c.permit() // the one that is out has no rights from here on

	for _, n := range []*node{c.nodes[0], c.nodes[2], asks} {
		until(t, n.name+" votes", func() bool {
			s := n.status(t)
			return s != nil && s.Oracles == 3 && s.Quorum == 3 && !s.Watching
		})
	}
	c.meters[0].publish(5)
	c.meters[0].settle(3) // to each place of the new set in turn

	for _, n := range c.nodes {
		n.kill()
	}
	c.nodes = []*node{c.nodes[0], c.nodes[2], asks} // no server lets the one that is out in
	for _, n := range c.nodes {
		n.start()
	}
	for _, n := range c.nodes {
		until(t, n.name+" runs again", func() bool { s := n.status(t); return s != nil && s.Running && s.CaughtUp && !s.Watching })
	}
	if exists(asks.state.file(nextKeys)) || !exists(asks.state.file(oldKeys)) {
		t.Error("the new keys are not in the place of the old ones")
	}
	c.meters[0].publish(5)
	c.meters[0].settle(3)
	if s, err := out.state.status(t.Context()); err != nil || s.Running {
		t.Errorf("the one that is out: %+v, %v", s, err)
	}
	c.level()
	c.agreed()
	c.compare()
}
