package uplink_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/outbox"
	"wattmark/gateway/uplink"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// rig is an uplink on a transport without a network.
type rig struct {
	*uplink.Uplink
	t        *testing.T
	ledger   *ledger
	box      *box
	air      *air
	receipts []uplink.Receipt
	refusals []uplink.Refusal
	end      func()
}

func newRig(t *testing.T, change func(*uplink.Config)) *rig {
	t.Helper()
	r := &rig{t: t, ledger: newLedger(t), box: openBox(t, t.TempDir()), air: &air{}}
	cfg := uplink.Config{
		Gateway: gatewayName, Origin: ledgertest.Origin, Policy: r.ledger.Policy, OracleKeys: r.ledger.keys(),
		Outbox: r.box.Outbox, Transport: r.air, Jitter: func() float64 { return 0.5 },
		OnReceipt: func(x uplink.Receipt) { r.receipts = append(r.receipts, x) },
		OnRefusal: func(x uplink.Refusal) { r.refusals = append(r.refusals, x) },
	}
	if change != nil {
		change(&cfg)
	}
	u, err := uplink.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Uplink = u
	return r
}

// start runs the uplink until the test ends.
func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	r.end = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
		r.box.Close()
	}
	synctest.Wait()
}

func (r *rig) answer(rs *wire.Receipts) {
	r.air.answer(wire.For(ledgertest.Origin).Receipt(gatewayName), rs.Encode())
	synctest.Wait()
}

func (r *rig) refuse(b []byte) {
	r.air.answer(wire.For(ledgertest.Origin).Refusal(gatewayName), b)
	synctest.Wait()
}

// waits checks how many statements wait for a receipt.
func (r *rig) waits(want int) {
	r.t.Helper()
	if got := r.box.Stats().Pending; got != want {
		r.t.Errorf("%d statements wait in the outbox, want %d", got, want)
	}
}

func (r *rig) sent(want ...uint64) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.air.published()); diff != "" {
		r.t.Errorf("published (-want +got):\n%s", diff)
	}
}

// What gets no answer goes to one oracle after the other: one of them may be taking
// all frames and answering none.
func TestSentAgainToEachOracle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.box.add(t, 1)
		r.start()
		defer r.end()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		r.air.mu.Lock()
		got := slices.Clone(r.air.subjects)
		r.air.mu.Unlock()
		s := wire.For(ledgertest.Origin)
		want := []string{s.Up(gatewayName)}
		for i := range 5 { // four oracles, the third of which is drawn to be the first
			want = append(want, s.UpTo(gatewayName, (2+i)%4))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sent to (-want +got):\n%s", diff)
		}
	})
}

func TestSentAgainUntilReceipted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		s := r.box.add(t, 3)
		r.start()
		defer r.end()
		r.sent(1, 2, 3)
		time.Sleep(45*time.Second - time.Millisecond) // 30 s and half a step
		r.sent()
		r.answer(r.ledger.receipts(t, s[1]))
		time.Sleep(2 * time.Millisecond)
		r.sent(1, 3)
		time.Sleep(89 * time.Second) // 60 s and half a step
		r.sent()
		s = append(s, r.box.add(t, 1)...) // fresh ones go at once
		synctest.Wait()
		r.sent(4)
		time.Sleep(2 * time.Second)
		r.sent(1, 3)
		r.answer(r.ledger.receipts(t, s[0], s[2], s[3]))
		r.waits(0)
		time.Sleep(time.Hour)
		r.sent()
		stats := r.Stats()
		if stats.Published != 8 || stats.Resent != 4 || stats.Receipts != 4 || stats.InFlight != 0 {
			t.Errorf("stats %+v", stats)
		}
		for i, n := range []uint64{2, 1, 3, 4} {
			x := r.receipts[i]
			if x.Seq != n {
				t.Fatalf("receipt %d is of statement %d, want %d", i, x.Seq, n)
			}
			if _, err := x.Proof.Verify(r.ledger.Policy); err != nil {
				t.Errorf("tlog-proof of statement %d: %v", n, err)
			}
			back, list, err := block.DetachReceipts(x.Transparent)
			if err != nil || len(list) != 3 || !cmp.Equal(back, s[n-1]) {
				t.Errorf("transparent statement %d: %d receipts, %v", n, len(list), err)
			}
		}
		// What the outbox keeps makes the transparent statement again.
		kept, err := r.box.Receipts()
		if err != nil || len(kept) != 4 {
			t.Fatalf("%d receipts are kept, %v", len(kept), err)
		}
		rs, err := wire.ParseReceipts(kept[0].Receipt)
		if err != nil {
			t.Fatal(err)
		}
		a, err := rs.Accept(r.ledger.Policy)
		if err != nil {
			t.Fatal(err)
		}
		again, err := a.Transparent(&rs.Items[0], kept[0].Statement)
		if err != nil || !cmp.Equal(again, r.receipts[0].Transparent) {
			t.Errorf("the kept receipt does not make the same transparent statement: %v", err)
		}
	})
}

func TestReceiptsThatProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		s := r.box.add(t, 2)
		r.start()
		defer r.end()
		good := r.ledger.receipts(t, s[0])
		stranger := newLedger(t)
		stranger.Consortium = foreign(t)
		other := ledgertest.Key(t, signer.EdDSA, "another gateway")
		change := func(f func(*wire.Receipts)) *wire.Receipts {
			c, err := wire.ParseReceipts(good.Encode())
			if err != nil {
				t.Fatal(err)
			}
			f(c)
			return c
		}
		for name, rs := range map[string]*wire.Receipts{
			"two signatures where three are needed": change(func(c *wire.Receipts) { c.Signatures = c.Signatures[:2] }),
			"one signature three times":             change(func(c *wire.Receipts) { c.Signatures[1], c.Signatures[2] = c.Signatures[0], c.Signatures[0] }),
			"a signature that was changed":          change(func(c *wire.Receipts) { c.Signatures[0].Signature[5] ^= 1 }),
			"a checkpoint that was changed":         change(func(c *wire.Receipts) { c.Checkpoint[len(ledgertest.Origin)+1] ^= 1 }),
			"another index":                         change(func(c *wire.Receipts) { c.Items[0].Index++ }),
			"another statement's number":            change(func(c *wire.Receipts) { c.Items[0].Count = 2 }),
			"a number that does not exist":          change(func(c *wire.Receipts) { c.Items[0].Count = 77 }),
			"number 0":                              change(func(c *wire.Receipts) { c.Items[0].Count = 0 }),
			"another gateway's statement":           r.ledger.receipts(t, statement(t, other, 1, 1)),
			"another ledger":                        stranger.receipts(t, s[0]),
		} {
			r.answer(rs)
			if len(r.receipts) != 0 {
				t.Fatalf("%s: taken for a receipt", name)
			}
		}
		r.air.answer(wire.For(ledgertest.Origin).Receipt(gatewayName), []byte("nonsense"))
		synctest.Wait()
		r.waits(2)
		stats := r.Stats()
		if stats.Unverified+stats.Repeated != 11 || stats.Receipts != 0 {
			t.Errorf("stats %+v, want 11 receipts that prove nothing", stats)
		}
		r.answer(good)
		r.waits(1)
		r.answer(good) // doubled
		r.waits(1)
		if n := len(r.receipts); n != 1 {
			t.Errorf("%d receipts, want 1", n)
		}
	})
}

// foreign is a consortium with other keys under the same names.
func foreign(t *testing.T) *ledgertest.Consortium {
	c := ledgertest.NewConsortium(t, 4)
	for i := range c.Oracles {
		c.Oracles[i].Cosigner = ledgertest.Key(t, signer.EdDSA, c.Oracles[i].Name+" somebody else's")
	}
	return c
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		s := r.box.add(t, 2)
		r.start()
		defer r.end()
		r.sent(1, 2)
		q := entry.Sequence{Boot: 1, Count: 1}

		// Of something else under this number: it is told and changes nothing.
		r.refuse(r.ledger.refusal(t, 0, []byte("a changed statement"), q, entry.ReasonBadSignature))
		// For a reason that passes, by as many as like.
		for i := range 4 {
			r.refuse(r.ledger.refusal(t, i, s[0], q, entry.ReasonUnknownKey))
		}
		// For a lasting reason, by one oracle, twice.
		r.refuse(r.ledger.refusal(t, 2, s[0], q, entry.ReasonWrongMode))
		r.refuse(r.ledger.refusal(t, 2, s[0], q, entry.ReasonWrongMode))
		// By somebody who is no oracle.
		w := wire.Refusal{Leaf: block.LeafHash(s[0]), Boot: 1, Count: 1, Reason: entry.ReasonWrongMode}
		forged, err := w.Sign(r.box.key, "somebody", ledgertest.Origin, 1)
		if err != nil {
			t.Fatal(err)
		}
		r.refuse(forged)
		r.waits(2)
		stats := r.Stats()
		want := map[entry.Reason]uint64{entry.ReasonUnknownKey: 4, entry.ReasonWrongMode: 2}
		if diff := cmp.Diff(want, stats.Refusals); diff != "" || stats.Foreign != 1 || stats.BadRefusals != 1 {
			t.Errorf("%d foreign, %d bad, refusals (-want +got):\n%s", stats.Foreign, stats.BadRefusals, diff)
		}
		time.Sleep(46 * time.Second)
		r.sent(1, 2) // as if nothing had been said

		// A second oracle says so: one of the two is honest.
		r.refuse(r.ledger.refusal(t, 0, s[0], q, entry.ReasonWrongMode))
		r.waits(1)
		if last := r.refusals[len(r.refusals)-1]; !last.Lasting || !last.Ours || last.Seq != 1 {
			t.Errorf("last refusal %+v, want a lasting one of statement 1", last)
		}
		time.Sleep(2 * time.Minute)
		r.sent(2)

		// The operator mends it.
		if err := r.Resend(outbox.Number{Boot: 1, Seq: 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.sent(1)
		r.waits(2)

		// Refused again, and then a receipt comes after all.
		r.refuse(r.ledger.refusal(t, 1, s[0], q, entry.ReasonWrongMode))
		r.refuse(r.ledger.refusal(t, 3, s[0], q, entry.ReasonWrongMode))
		r.waits(1)
		wrong := r.ledger.receipts(t, s[0])
		wrong.Items[0].Index++
		r.answer(wrong)
		if got := r.box.Refusals(); len(got) != 1 {
			t.Errorf("a receipt that does not verify changed the refusals: %v", got)
		}
		r.answer(r.ledger.receipts(t, s[0]))
		if got := r.box.Refusals(); len(got) != 0 || len(r.receipts) != 1 {
			t.Errorf("refusals %v and %d receipts after the receipt, want none and 1", got, len(r.receipts))
		}
	})
}

func TestCutAndCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *uplink.Config) { c.Reconnect = uplink.Backoff{First: time.Second, Most: 8 * time.Second} })
		first := r.box.add(t, 2)
		r.start()
		defer r.end()
		r.sent(1, 2)
		time.Sleep(10 * time.Second)
		r.air.cut(true)
		later := r.box.add(t, 3)
		dials := r.air.dialled()
		time.Sleep(20 * time.Second)
		// Waits of half of 1, 2, 4, 8, 8, 8 and 8 s.
		if got := r.air.dialled() - dials; got != 7 {
			t.Errorf("%d attempts in 20 s, want 7", got)
		}
		if s := r.Stats(); s.Connected || s.Failure != errCut.Error() {
			t.Errorf("while it is cut: %+v", s)
		}
		r.sent()
		r.air.cut(false)
		time.Sleep(4 * time.Second)
		r.sent(3, 4, 5)
		r.answer(r.ledger.receipts(t, append(first, later...)...))
		r.waits(0)
	})
}

func TestFreshGoesBeforeBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *uplink.Config) { c.MaxRate = 20_000 })
		r.box.add(t, 300)
		r.start()
		defer r.end()
		sent := r.air.published()
		if len(sent) != 64 {
			t.Fatalf("%d sent at once, want a batch of 64", len(sent))
		}
		r.box.add(t, 1)
		synctest.Wait()
		r.sent(301) // while the line is kept free
		time.Sleep(20 * time.Second)
		all := r.air.published()
		for i, n := range all {
			if n != uint64(65+i) {
				t.Fatalf("the backlog is sent in the order %v", all)
			}
		}
		if len(all) != 300-64 {
			t.Errorf("%d of the backlog sent in 20 s, want %d", len(all), 300-64)
		}
	})
}

func TestRestartKeepsTheBacklog(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := openBox(t, dir)
		b.add(t, 5)
		l := newLedger(t)
		s, err := b.Pending(outbox.Number{}, 5)
		if err != nil {
			t.Fatal(err)
		}
		// One receipt is marked, and then the process is gone.
		rs := l.receipts(t, s[1].Statement)
		if err := b.Receipted(1, 2, rs.Encode()); err != nil {
			t.Fatal(err)
		}
		b.Close()

		r := newRig(t, func(c *uplink.Config) {})
		r.box.Close()
		r = &rig{t: t, ledger: l, box: openBox(t, dir), air: &air{}}
		u, err := uplink.New(uplink.Config{
			Gateway: gatewayName, Origin: ledgertest.Origin, Policy: l.Policy, OracleKeys: l.keys(), Outbox: r.box.Outbox, Transport: r.air,
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Uplink = u
		r.start()
		defer r.end()
		r.sent(1, 3, 4, 5)
		r.box.add(t, 1)
		synctest.Wait()
		r.sent(6)
	})
}

func TestReconnectsSpreadEvenly(t *testing.T) {
	const gateways, slots = 1000, 10
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	b := uplink.Backoff{First: time.Second, Most: 5 * time.Minute}
	for attempt := range 12 {
		step := b.Step(attempt)
		if want := min(time.Second<<attempt, 5*time.Minute); step != want {
			t.Errorf("step %d is %s, want %s", attempt, step, want)
		}
		var count [slots]int
		for range gateways {
			count[int(b.Wait(attempt, r.Float64())*slots/step)]++
		}
		for i, n := range count {
			if n < 50 || n > 150 { // 100 expected, with a deviation of 9.5
				t.Errorf("attempt %d: %d of %d gateways in tenth %d of the step", attempt, n, gateways, i)
			}
		}
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	l, b := newLedger(t), openBox(t, t.TempDir())
	good := uplink.Config{
		Gateway: gatewayName, Origin: ledgertest.Origin, Policy: l.Policy, OracleKeys: l.keys(), Outbox: b.Outbox, Transport: &air{},
	}
	if _, err := uplink.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*uplink.Config){
		"a policy of another ledger":  func(c *uplink.Config) { c.Origin = "another" },
		"a name with a dot":           func(c *uplink.Config) { c.Gateway = "a.b" },
		"no transport":                func(c *uplink.Config) { c.Transport = nil },
		"no oracle keys":              func(c *uplink.Config) { c.OracleKeys = nil },
		"a negative rate":             func(c *uplink.Config) { c.MaxRate = -1 },
		"a negative step":             func(c *uplink.Config) { c.Resend.First = -1 },
		"a first step above the last": func(c *uplink.Config) { c.Reconnect = uplink.Backoff{First: 2, Most: 1} },
	} {
		cfg := good
		change(&cfg)
		if _, err := uplink.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
