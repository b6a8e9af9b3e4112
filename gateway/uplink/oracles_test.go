package uplink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/uplink"
	"wattmark/ledger/handover"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
)

// exchanged is what shows that the four oracles of a ledger were exchanged one by one,
// and the oracles after each step; the first are those at the beginning.
func exchanged(t *testing.T) (list []*handover.Handover, oracles [][]ledgertest.Oracle) {
	t.Helper()
	c := ledgertest.New(t, 4)
	oracles = append(oracles, slices.Clone(c.Oracles))
	for i := range 4 {
		next := slices.Clone(c.Oracles)
		next[i] = ledgertest.NewOracle(t, fmt.Sprintf("ledgertest.example/new%d", i+1))
		list = append(list, c.HandedOver(next...))
		oracles = append(oracles, next)
	}
	return list, oracles
}

// followRig is an uplink on a ledger whose oracles are exchanged.
type followRig struct {
	*rig
	kept   [][]*handover.Handover
	full   error // what Keep says
	births int
}

func newFollowRig(t *testing.T, change func(*uplink.Config)) *followRig {
	f := new(followRig)
	f.rig = newRig(t, func(cfg *uplink.Config) {
		cfg.Keep = func(list []*handover.Handover) error {
			if f.full == nil {
				f.kept = append(f.kept, slices.Clone(list))
			}
			return f.full
		}
		cfg.Birth = func(context.Context) ([]byte, error) {
			f.births++
			return nil, errors.New("no birth in this test")
		}
		cfg.Transport = &telling{f.air(cfg)}
		if change != nil {
			change(cfg)
		}
	})
	for i := range 100 { // more leaves than any handover's checkpoint has
		f.ledger.log(fmt.Append(nil, "leaf ", i))
	}
	return f
}

func (f *followRig) air(cfg *uplink.Config) *air { return cfg.Transport.(*air) }

// telling is air with a subject for the birth.
type telling struct{ *air }

type tellingConn struct{ uplink.Conn }

func (c tellingConn) Announce(context.Context, []byte) error { return nil }

func (t *telling) Connect(ctx context.Context, listen []string, deliver func(string, []byte)) (uplink.Conn, error) {
	c, err := t.air.Connect(ctx, listen, deliver)
	if err != nil {
		return nil, err
	}
	return tellingConn{c}, nil
}

func (f *followRig) send(b []byte) {
	f.rig.air.answer(wire.For(ledgertest.Origin).Receipt(gatewayName), b)
	synctest.Wait()
}

// TestFollowsTheOracles exchanges the oracles one by one until none of the first is left.
// The uplink takes the receipts of each set, and of none before.
func TestFollowsTheOracles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list, oracles := exchanged(t)
		f := newFollowRig(t, nil)
		f.start()
		defer f.end()
		for i, h := range list {
			s := f.box.add(t, 1)[0]
			synctest.Wait()
			f.send(h.Encode())
			f.send(h.Encode()) // each oracle sends it
			if i < 3 {         // three of four sign, and one of them was exchanged
				f.answer(f.ledger.receipts(t, s))
				f.waits(1)
			}
			f.ledger.Oracles = oracles[i+1]
			f.answer(f.ledger.receipts(t, s))
			f.waits(0)
		}
		o := f.Oracles()
		if o.Followed != 4 || o.Height != list[3].Height() || !o.Behind.IsZero() || o.Failure != "" || len(o.Names) != 4 || o.Last.IsZero() {
			t.Errorf("after four changes it says %+v", o)
		}
		if len(f.kept) != 4 || len(f.kept[3]) != 4 {
			t.Errorf("kept %d times", len(f.kept))
		}
		for i, h := range list {
			f.send(h.Encode())
			if got := f.Oracles(); got.Height != o.Height || got.Failure != "" {
				t.Errorf("handover %d once more: %+v", i, got)
			}
		}
		// Proofs of before are held against the oracles of their time.
		if p := f.PolicyFor(1); p.String() != f.ledger.Policy.String() || f.PolicyFor(1<<20).String() == p.String() {
			t.Error("a proof is held against the oracles of another time")
		}
	})
}

// TestCatchesUp has an uplink that was away through four changes: it sees receipts that
// it does not take, asks, and comes to the oracles in force by all of the steps; and in a
// new run from what it kept.
func TestCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list, oracles := exchanged(t)
		f := newFollowRig(t, nil)
		s := f.box.add(t, 2)
		f.ledger.Oracles = oracles[4]
		f.start()
		if f.births != 1 {
			t.Errorf("it said %d times whom it trusts, want once", f.births)
		}
		f.answer(f.ledger.receipts(t, s[0]))
		f.waits(2)
		o := f.Oracles()
		if o.Behind.IsZero() || f.births != 2 {
			t.Errorf("after a receipt that it cannot take: %+v, said %d times", o, f.births)
		}
		for range 20 { // it does not ask for each
			f.answer(f.ledger.receipts(t, s[0]))
		}
		if f.births != 2 {
			t.Errorf("it asked %d times in an instant", f.births-1)
		}
		time.Sleep(31 * time.Second)
		f.answer(f.ledger.receipts(t, s[0]))
		if f.births != 3 {
			t.Errorf("half a minute later it has asked %d times, want twice", f.births-1)
		}
		f.send(list[2].Encode()) // one that came alone
		if o := f.Oracles(); o.Height != 0 || o.Failure == "" {
			t.Errorf("a step that misses others: %+v", o)
		}
		for _, h := range list {
			f.send(h.Encode())
		}
		stats := f.Stats()
		if o := f.Oracles(); o.Followed != 4 || !o.Behind.IsZero() || o.Failure != "" {
			t.Errorf("after all steps: %+v", o)
		}
		if stats.Unverified != 22 || stats.Superseded != 22 {
			t.Errorf("%d receipts did not verify, %d of them for want of a handover; want 22 of both", stats.Unverified, stats.Superseded)
		}
		time.Sleep(31 * time.Second) // what waited long is sent again within a step
		synctest.Wait()
		f.answer(f.ledger.receipts(t, s...))
		f.waits(0)
		f.end()

		again := newFollowRig(t, func(c *uplink.Config) { c.Followed = f.kept[len(f.kept)-1] })
		again.ledger.Oracles = oracles[4]
		s = again.box.add(t, 1)
		again.start()
		defer again.end()
		if o := again.Oracles(); o.Height != list[3].Height() || !o.Last.IsZero() {
			t.Errorf("a new run begins with %+v", o)
		}
		again.answer(again.ledger.receipts(t, s...))
		again.waits(0)
	})
}

// TestRefusesHandovers sends what is forged, torn or too large: nothing changes, and the
// receipts of the oracles who are trusted count as before.
func TestRefusesHandovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list, _ := exchanged(t)
		f := newFollowRig(t, nil)
		f.start()
		defer f.end()
		before := f.Oracles()
		good := list[0].Encode()
		strangers := ledgertest.NewOracle(t, "ledgertest.example/stranger")
		alone := ledgertest.New(t, 1)
		alone.Oracles = []ledgertest.Oracle{strangers}
		lies := map[string][]byte{
			"of other oracles": (&handover.Handover{Checkpoint: alone.Note(), Leaves: list[0].Leaves}).Encode(),
			"two steps on":     list[1].Encode(),
			"one byte":         good[:1],
			"torn":             good[:len(good)/2],
			"longer":           append(slices.Clone(good), 0),
			"too large":        append(slices.Clone(good), make([]byte, wire.MaxHandover)...),
			"without leaves":   (&handover.Handover{Checkpoint: list[0].Checkpoint}).Encode(),
		}
		// In the checkpoint a name can be changed to that of a stranger, whose signature
		// nobody counts.
		for i := len(list[0].Checkpoint) + 16; i < len(good); i += 97 {
			b := bytes.Clone(good)
			b[i] ^= 4
			lies[fmt.Sprint("byte ", i)] = b
		}
		for what, b := range lies {
			f.send(b)
			got := f.Oracles()
			if got.Height != 0 || got.Policy != before.Policy || len(f.kept) > 0 {
				t.Errorf("%s: it trusts %+v", what, got)
			}
		}
		s := f.box.add(t, 1)
		synctest.Wait()
		f.answer(f.ledger.receipts(t, s...))
		f.waits(0)
		f.send(good)
		if f.Oracles().Height != list[0].Height() {
			t.Error("the handover itself is not followed, so this shows nothing")
		}
	})
}

// TestGoesOnWithoutADisk follows where nothing can be kept, and keeps it once it can.
func TestGoesOnWithoutADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list, oracles := exchanged(t)
		f := newFollowRig(t, nil)
		f.full = errors.New("no space left on device")
		f.ledger.Oracles = oracles[1]
		s := f.box.add(t, 2)
		f.start()
		defer f.end()
		f.send(list[0].Encode())
		f.answer(f.ledger.receipts(t, s[0]))
		f.waits(1)
		if o := f.Oracles(); o.Height != list[0].Height() || o.Unkept != f.full.Error() {
			t.Errorf("with a full disk: %+v", o)
		}
		f.full = nil
		time.Sleep(time.Minute)
		f.answer(f.ledger.receipts(t, s[1]))
		f.waits(0)
		if o := f.Oracles(); o.Unkept != "" || len(f.kept) != 1 {
			t.Errorf("with space again: %+v, kept %d times", o, len(f.kept))
		}
	})
}

// TestRefusalsOfTheOraclesInForce counts those alone who are in force.
func TestRefusalsOfTheOraclesInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list, oracles := exchanged(t)
		f := newFollowRig(t, nil)
		s := f.box.add(t, 1)[0]
		f.start()
		defer f.end()
		q := sequenceOf(t, s)
		f.refuse(f.ledger.refusal(t, 0, s, q, "bad_signature"))
		for _, h := range list {
			f.send(h.Encode())
		}
		f.refuse(f.ledger.refusal(t, 1, s, q, "bad_signature"))
		f.ledger.Oracles = oracles[4]
		f.refuse(f.ledger.refusal(t, 0, s, q, "bad_signature"))
		stats := f.Stats()
		if diff := cmp.Diff([]uint64{2, 1, 0}, []uint64{uint64(len(f.refusals)), stats.BadRefusals, uint64(f.box.Stats().Refused)}); diff != "" {
			t.Errorf("refusals taken, not taken, and statements refused for good (-want +got):\n%s", diff)
		}
		f.refuse(f.ledger.refusal(t, 1, s, q, "bad_signature"))
		if f.box.Stats().Refused != 1 {
			t.Error("two of four oracles in force refuse it, and it is sent again")
		}
	})
}

// TestTakesACertificate: what a gateway is sent in DER goes to whoever has the certificate,
// and once it is in use that is announced.
func TestTakesACertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got [][]byte
		used, wrong := true, error(nil)
		f := newFollowRig(t, func(cfg *uplink.Config) {
			cfg.Renew = func(der []byte) (bool, error) {
				got = append(got, der)
				return used, wrong
			}
		})
		f.start()
		defer f.end()
		f.send([]byte{0x30, 1})
		if len(got) != 1 || f.births != 2 {
			t.Errorf("given %x, announced %d times", got, f.births)
		}
		wrong = errors.New("the disk is full") // it is in use all the same
		f.send([]byte{0x30, 2})
		used = false
		f.send([]byte{0x30, 3})
		wrong = nil
		f.send([]byte{0x30, 3})
		if len(got) != 4 || f.births != 3 {
			t.Errorf("given %x, announced %d times", got, f.births)
		}
		if s := f.Stats(); s.Unverified != 0 {
			t.Errorf("%d receipts that do not verify", s.Unverified)
		}
	})
}
