package uplink

import (
	"context"
	"errors"
	"slices"
	"time"

	"wattmark/gateway/outbox"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// answers works through what comes back, until ctx ends.
func (u *Uplink) answers(ctx context.Context) {
	receipts := u.subjects.Receipt(u.cfg.Gateway)
	for {
		select {
		case m := <-u.incoming:
			switch {
			case m.subject != receipts:
				u.refusal(m.body)
			case wire.IsHandover(m.body):
				u.takeHandover(m.body)
			case wire.IsCertificate(m.body):
				u.takeCertificate(m.body)
			default:
				u.receipts(m.body)
			}
		case <-ctx.Done():
			return
		}
	}
}

// takeCertificate takes another client certificate, if whoever holds the present one finds
// it good. The next connection shows it.
func (u *Uplink) takeCertificate(der []byte) {
	if u.cfg.Renew == nil {
		return
	}
	renewed, err := u.cfg.Renew(der)
	if err != nil {
		u.cfg.Log.Warn("a new client certificate", "error", err)
	}
	if renewed {
		u.cfg.Log.Info("has a new client certificate, for its next connection")
		u.Announce() // that it needs none
	}
}

// count changes the statistics.
func (u *Uplink) count(f func(*Stats)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f(&u.stats)
}

// receipts takes a message of receipts.
func (u *Uplink) receipts(body []byte) {
	r, err := wire.ParseReceipts(body)
	var a *wire.Accepted
	if err == nil {
		if u.superseded(r) {
			u.count(func(s *Stats) { s.Repeated++ })
			return
		}
		a, err = r.Accept(u.trust.Load().now().Policy)
	}
	if err != nil {
		u.distrust(err)
		u.cfg.Log.Warn("receipts that do not verify", "error", err)
		return
	}
	u.trustworthy()
	for i := range r.Items {
		u.receipt(r, a, &r.Items[i])
	}
}

// receipt takes one item of accepted receipts.
func (u *Uplink) receipt(r *wire.Receipts, a *wire.Accepted, it *wire.ReceiptItem) {
	n := outbox.Number{Boot: it.Boot, Seq: it.Count}
	rec, waits, ok := u.find(n)
	if !ok || !waits {
		u.count(func(s *Stats) { s.Repeated++ })
		return
	}
	done := Receipt{Number: n, Statement: rec.Statement}
	err := a.Check(it, rec.Statement)
	if err == nil {
		done.Transparent, err = a.Transparent(it, rec.Statement)
	}
	if err != nil {
		u.count(func(s *Stats) { s.Unverified++ })
		u.cfg.Log.Warn("receipt that does not verify", "statement", n.String(), "error", err)
		return
	}
	done.Proof = a.LogProof(it, rec.Statement)
	// What is kept is the message as it came, with this item alone: all that is
	// needed to make the transparent statement again.
	kept := (&wire.Receipts{Checkpoint: r.Checkpoint, Signatures: r.Signatures, Items: []wire.ReceiptItem{*it}}).Encode()
	if len(kept) > outbox.MaxReceipt {
		kept = nil
	}
	if err := u.cfg.Outbox.Receipted(n.Boot, n.Seq, kept); err != nil {
		u.cfg.Log.Warn("did not mark statement as receipted", "statement", n.String(), "error", err)
		return
	}
	u.mu.Lock()
	u.flights.remove(n)
	room := len(u.flights.byNumber) == window-1
	u.stats.Receipts++
	u.stats.LastReceipt = time.Now()
	u.mu.Unlock()
	if room {
		u.wake() // the backlog waits for it
	}
	if u.cfg.OnReceipt != nil {
		u.cfg.OnReceipt(done)
	}
}

// find returns the statement of a number if the outbox has it, and whether it waits
// for a receipt, refused or not.
func (u *Uplink) find(n outbox.Number) (rec outbox.Record, waits, ok bool) {
	rec, waits, err := u.cfg.Outbox.Statement(n)
	if err != nil && !errors.Is(err, outbox.ErrUnknown) {
		u.cfg.Log.Warn("did not read statement", "statement", n.String(), "error", err)
	}
	return rec, waits, err == nil
}

// refusal takes a refusal.
func (u *Uplink) refusal(body []byte) {
	r, err := wire.OpenRefusal(body, u.cfg.Origin, func(id signer.KeyID) (signer.PublicKey, bool) {
		k, ok := u.trust.Load().keys[id]
		if !ok {
			u.askOracles() // of an oracle that is new, maybe
		}
		return k, ok
	})
	if err != nil {
		u.count(func(s *Stats) { s.BadRefusals++ })
		u.cfg.Log.Warn("refusal that does not verify", "error", err)
		return
	}
	out := Refusal{Number: outbox.Number{Boot: r.Boot, Seq: r.Count}, Reason: r.Reason, Leaf: r.Leaf}
	rec, waits, ok := u.find(out.Number)
	out.Ours = ok && block.LeafHash(rec.Statement) == r.Leaf
	if out.Ours && !waits {
		u.count(func(s *Stats) { s.Repeated++ }) // a quorum signed a receipt for it
		return
	}
	if out.Ours && slices.ContainsFunc(u.cfg.Outbox.Refusals(), func(x outbox.Refusal) bool { return x.Number == out.Number }) {
		out.Lasting = true // enough oracles said so before
	} else if out.Ours && lasting(r.Reason) && u.agreed(out.Number, body) {
		if err := u.cfg.Outbox.Refused(r.Boot, r.Count, string(r.Reason)); err != nil {
			u.cfg.Log.Warn("did not mark statement as refused", "statement", out.Number.String(), "error", err)
		} else {
			out.Lasting = true
		}
	}
	u.mu.Lock()
	if out.Ours {
		u.stats.Refusals[r.Reason]++
	} else {
		u.stats.Foreign++
	}
	if out.Lasting {
		u.flights.remove(out.Number)
	}
	u.mu.Unlock()
	u.cfg.Log.Warn("refused", "statement", out.Number.String(), "reason", string(r.Reason), "ours", out.Ours, "lasting", out.Lasting, "remedy", r.Reason.Remedy())
	if u.cfg.OnRefusal != nil {
		u.cfg.OnRefusal(out)
	}
}

// agreed notes the oracle that signed a lasting refusal, and reports whether more
// than a third of all oracles have: then one of them is honest.
func (u *Uplink) agreed(n outbox.Number, body []byte) bool {
	m, err := signer.Parse(body)
	if err != nil {
		return false // it verified a moment ago
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.flights.byNumber[n]
	if f == nil { // an answer to a process before this one
		f = &flight{number: n, due: time.Now().Add(u.cfg.Resend.First)}
		u.flights.put(f)
	}
	if !slices.Contains(f.refused, m.KeyID) {
		f.refused = append(f.refused, m.KeyID)
	}
	return u.trust.Load().oneHonest(f.refused)
}

// lasting reports whether a reason stays as it is until somebody acts. The others
// pass: an enrolment becomes final, a clock catches up, a backlog is sent.
func lasting(r entry.Reason) bool {
	switch r {
	case entry.ReasonTooLarge, entry.ReasonMalformed, entry.ReasonRevokedKey, entry.ReasonWrongGateway,
		entry.ReasonBadSignature, entry.ReasonWrongLedger, entry.ReasonWrongType, entry.ReasonNotAuthorised,
		entry.ReasonSequenceUsed, entry.ReasonWrongMode, entry.ReasonPackMismatch, entry.ReasonBadPayload:
		return true
	}
	return false
}
