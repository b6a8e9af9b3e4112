package oracle

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger/state"
	"wattmark/oracle/broker"
	"wattmark/oracle/pending"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// BootstrapRights is what those may do at the broker who have no certificate of their own
// yet, and share one: ask for an enrolment and hear what comes of it.
func BootstrapRights(origin string) broker.Gateway {
	publish, subscribe := wire.For(origin).Bootstrap()
	return broker.Gateway{Name: "bootstrap", Identity: broker.BootstrapIdentity(wire.ShortName(origin)), Publish: publish, Subscribe: subscribe}
}

// Bounds of what waits to be looked at: more is dropped by the connection, and asked
// again.
const (
	requestsQueued = 128
	requestsBytes  = 4 << 20
)

// hearRequests keeps the requests that come on line for this oracle's operator, and
// tells which wait, until ctx ends. A halted oracle does so too: it is the operators who
// decide.
func (n *Node) hearRequests(ctx context.Context) error {
	list := pending.New(pending.Config{Origin: n.origin, Now: time.Now, Key: n.keyOf})
	var subs []*nats.Subscription
	defer func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // the connection may be gone already
		}
	}()
	listen := func(subject string, hear nats.MsgHandler) (*nats.Subscription, error) {
		s, err := n.cfg.Conn.Subscribe(subject, hear)
		if err == nil {
			err = s.SetPendingLimits(requestsQueued, requestsBytes)
		}
		if err != nil {
			return nil, fmt.Errorf("listening to requests for enrolment: %w", err)
		}
		return s, nil
	}
	for subject, hear := range map[string]nats.MsgHandler{
		n.subjects.Enrol():      func(m *nats.Msg) { n.takeRequest(list, "", m.Data) },
		n.subjects.EnrolBy("*"): func(m *nats.Msg) { n.takeRequest(list, n.subjects.Gateway(m.Subject), m.Data) },
		n.subjects.Approvals():  func(m *nats.Msg) { n.noteApproval(list, m) },
	} {
		s, err := listen(subject, hear)
		if err != nil {
			return err
		}
		subs = append(subs, s)
	}
	return n.atEachPlace(ctx, func(position int) (func(), error) {
		s, err := listen(n.subjects.Pending(position), func(m *nats.Msg) { n.tellPending(list, m) })
		if err != nil {
			return nil, err
		}
		return func() { _ = s.Unsubscribe() }, nil // the connection may be gone already
	})
}

// keyOf returns a key that signs for a gateway now.
func (n *Node) keyOf(id signer.KeyID) (key signer.PublicKey, gateway string, ok bool) {
	n.ledger.View(func(s *state.State) {
		if k, known := s.Key(id); known && k.Revoked == 0 {
			key, gateway, ok = k.Public, k.Gateway, true
		}
	})
	return key, gateway, ok
}

func (n *Node) takeRequest(list *pending.List, gateway string, message []byte) {
	answer, err := list.Offer(gateway, message)
	if err != nil {
		n.cfg.Log.Debug("dropped a request for enrolment", "gateway", gateway, "error", err)
		return
	}
	if answer == nil {
		return
	}
	subject := n.subjects.Approval(answer.Key)
	if gateway != "" {
		subject = n.subjects.Receipt(gateway)
	}
	if err := n.cfg.Conn.Publish(subject, answer.Approval); err != nil {
		n.cfg.Log.Warn("did not give an approval again", "gateway", answer.Gateway, "error", err)
	}
}

// noteApproval takes in what an operator published, or another oracle gave again.
func (n *Node) noteApproval(list *pending.List, m *nats.Msg) {
	b, err := hex.DecodeString(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	if err != nil || len(b) != len(signer.KeyID{}) {
		return
	}
	list.Approved(signer.KeyID(b), m.Data)
}

func (n *Node) tellPending(list *pending.List, m *nats.Msg) {
	if err := m.Respond(list.Pending().Encode()); err != nil {
		n.cfg.Log.Warn("did not tell which requests wait", "error", err)
	}
}
