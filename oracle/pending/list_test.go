package pending_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/oracle/pending"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

const origin = "wattmark.example/pending"

func key(tb testing.TB, seed int) *signer.PrivateKey {
	tb.Helper()
	k, err := signer.FromSeed(signer.EdDSA, [32]byte{byte(seed), byte(seed >> 8)})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// asked is the message in which a key asks to sign for a gateway, with so many devices.
func asked(tb testing.TB, k signer.Signer, gateway string, devices int, at int64) []byte {
	tb.Helper()
	ask := entry.EnrolmentRequest{
		Gateway: gateway,
		Points: []entry.Point{{Subject: "mp-1", Mode: entry.ModeCommitted, Channels: []entry.Channel{
			{Name: "active_energy_import", Unit: "Wh", Kind: entry.KindCounter, Most: entry.Int(1_000_000_000)},
		}}},
		Devices: []entry.RequestDevice{},
	}
	for i := range devices {
		ask.Devices = append(ask.Devices, entry.RequestDevice{Model: "sdm120", Serial: fmt.Sprintf("%063d", i), Where: fmt.Sprintf("%063d", i)})
	}
	b, err := request.Sign(k, ask, origin, at)
	if err != nil {
		tb.Fatal(err)
	}
	return wire.EncodeRequest(b)
}

// desk is a list with a clock that the test moves.
type desk struct {
	*pending.List
	now  time.Time
	keys map[signer.KeyID]*signer.PrivateKey // that sign for home-01
}

func newDesk() *desk {
	d := &desk{now: time.Unix(1_767_225_600, 0), keys: make(map[signer.KeyID]*signer.PrivateKey)}
	d.List = pending.New(pending.Config{Origin: origin, Now: func() time.Time { return d.now }, Key: func(id signer.KeyID) (signer.PublicKey, string, bool) {
		k, ok := d.keys[id]
		if !ok {
			return signer.PublicKey{}, "", false
		}
		return k.Public(), "home-01", true
	}})
	return d
}

// offer offers a message a second after the one before.
func (d *desk) offer(t *testing.T, gateway string, message []byte) (*pending.Answer, error) {
	t.Helper()
	d.now = d.now.Add(time.Second)
	return d.Offer(gateway, message)
}

func (d *desk) wants(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, r := range d.Pending().Requests {
		o, err := request.Open(r.Statement, origin)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s by %q x%d", o.Gateway, r.Gateway, r.Times))
	}
	if !slices.Equal(got, want) {
		t.Errorf("pending are %q, want %q", got, want)
	}
}

func TestWaiting(t *testing.T) {
	d := newDesk()
	first, second := asked(t, key(t, 1), "home-01", 0, 1), asked(t, key(t, 2), "home-02", 3, 1)
	for _, m := range [][]byte{first, second, first} {
		if _, err := d.offer(t, "", m); err != nil {
			t.Fatal(err)
		}
	}
	d.wants(t, `home-01 by "" x2`, `home-02 by "" x1`)

	// With a certificate of its own a gateway asks for itself alone.
	if _, err := d.offer(t, "home-02", first); !errors.Is(err, pending.ErrSender) {
		t.Errorf("home-02 asks as home-01: %v", err)
	}
	if _, err := d.offer(t, "home-01", first); err != nil {
		t.Fatal(err)
	}
	d.wants(t, `home-01 by "" x2`, `home-02 by "" x1`, `home-01 by "home-01" x1`)
	// Its newest request counts, of those of one key as well.
	for i, m := range [][]byte{asked(t, key(t, 3), "home-01", 0, 1), asked(t, key(t, 3), "home-01", 1, 2)} {
		if _, err := d.offer(t, "home-01", m); err != nil {
			t.Fatal(i, err)
		}
	}
	d.wants(t, `home-01 by "" x2`, `home-02 by "" x1`, `home-01 by "home-01" x1`)

	// What nobody asks for any more lapses.
	d.now = d.now.Add(9 * time.Minute)
	if _, err := d.offer(t, "", second); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(5 * time.Minute)
	d.wants(t, `home-02 by "" x2`)
}

func TestRefused(t *testing.T) {
	d := newDesk()
	other, err := request.Sign(key(t, 1), entry.EnrolmentRequest{Gateway: "home-01", Points: []entry.Point{{Subject: "p", Mode: entry.ModeOpen, Channels: []entry.Channel{{Name: "co2", Unit: "ppm", Kind: entry.KindGauge}}}}}, "elsewhere.example/x", 1)
	if err != nil {
		t.Fatal(err)
	}
	forged := asked(t, key(t, 1), "home-01", 0, 1)
	forged[len(forged)-1] ^= 1
	for name, test := range map[string]struct {
		message []byte
		want    error
	}{
		"nonsense":         {[]byte("nonsense"), wire.ErrRequest},
		"another ledger":   {wire.EncodeRequest(other), request.ErrLedger},
		"a forged request": {forged, request.ErrRequest},
	} {
		if _, err := d.offer(t, "", test.message); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	d.wants(t)
}

// TestRotation: the key that is replaced signs for this gateway, and has signed.
func TestRotation(t *testing.T) {
	d := newDesk()
	old, next := key(t, 1), key(t, 2)
	rotation := func(gateway string) []byte {
		id := old.Public().ID()
		inner, err := request.Sign(next, entry.EnrolmentRequest{Gateway: gateway, Replaces: id[:]}, origin, 1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := request.Rotate(old, inner, gateway, origin, 1)
		if err != nil {
			t.Fatal(err)
		}
		return wire.EncodeRequest(b)
	}
	if _, err := d.offer(t, "home-01", rotation("home-01")); !errors.Is(err, request.ErrRequest) {
		t.Errorf("a key that signs for nobody: %v", err)
	}
	d.keys[old.Public().ID()] = old
	if _, err := d.offer(t, "home-02", rotation("home-02")); !errors.Is(err, request.ErrRequest) {
		t.Errorf("a key that signs for another gateway: %v", err)
	}
	d.keys[old.Public().ID()] = next
	if _, err := d.offer(t, "home-01", rotation("home-01")); !errors.Is(err, request.ErrRequest) {
		t.Errorf("a signature of another key: %v", err)
	}
	d.keys[old.Public().ID()] = old
	if _, err := d.offer(t, "home-01", rotation("home-01")); err != nil {
		t.Error(err)
	}
	d.wants(t, `home-01 by "home-01" x1`)
}

// TestApproved: what is approved waits no more, and who asks again is told again.
func TestApproved(t *testing.T) {
	d := newDesk()
	k := key(t, 1)
	m := asked(t, k, "home-01", 0, 1)
	if _, err := d.offer(t, "", m); err != nil {
		t.Fatal(err)
	}
	d.Approved(k.Public().ID(), []byte("approval"))
	d.wants(t)
	a, err := d.offer(t, "", m)
	if err != nil || a == nil || string(a.Approval) != "approval" || a.Key != k.Public().ID() || a.Gateway != "home-01" {
		t.Fatalf("asked again: %+v, %v", a, err)
	}
	d.Approved(k.Public().ID(), []byte("approval")) // another oracle gave it again
	if a, err := d.offer(t, "", m); a != nil || err != nil {
		t.Errorf("asked once more at once: %+v, %v", a, err)
	}
	d.now = d.now.Add(10 * time.Second)
	if a, err := d.offer(t, "", m); a == nil || err != nil {
		t.Errorf("asked later: %+v, %v", a, err)
	}
	d.wants(t)
	d.now = d.now.Add(2 * time.Hour)
	if a, err := d.offer(t, "", m); a != nil || err != nil {
		t.Errorf("asked when it is forgotten: %+v, %v", a, err)
	}
	d.wants(t, `home-01 by "" x1`)
}

// TestFlood: whoever has the shared certificate and makes as many keys and names as he
// likes keeps nobody out who has a certificate of his own, and nothing grows.
func TestFlood(t *testing.T) {
	d := newDesk()
	rate := 0
	for i := range 400 {
		d.now = d.now.Add(100 * time.Millisecond)
		if _, err := d.Offer("", asked(t, key(t, i), fmt.Sprintf("fake-%d", i), 64, 1)); errors.Is(err, pending.ErrRate) {
			rate++
		}
	}
	if _, err := d.Offer("home-01", asked(t, key(t, 1000), "home-01", 64, 1)); err != nil {
		t.Errorf("a gateway with a certificate of its own: %v", err)
	}
	p := d.Pending()
	if len(p.Requests) < 10 || len(p.Requests) > 49 || rate < 200 || p.Dropped < uint64(rate) {
		t.Errorf("%d requests wait, %d of 400 came too fast, %d were dropped", len(p.Requests), rate, p.Dropped)
	}
	if last := p.Requests[len(p.Requests)-1]; last.Gateway != "home-01" {
		t.Errorf("the last one came by %q", last.Gateway)
	}
}

// TestBounds: whatever comes in whatever order, the list stays within its bounds, no key
// or certificate has more than its share, and it can be sent.
func TestBounds(t *testing.T) {
	var messages [][]byte
	var names []string
	for i := range 90 {
		name := fmt.Sprintf("home-%d", i%9)
		names = append(names, name)
		messages = append(messages, asked(t, key(t, i%60), name, i%40, int64(i)))
	}
	rapid.Check(t, func(rt *rapid.T) {
		d := newDesk()
		for range rapid.IntRange(0, 200).Draw(rt, "steps") {
			d.now = d.now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(rt, "ms")) * time.Millisecond)
			i := rapid.IntRange(0, len(messages)-1).Draw(rt, "message")
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				d.Approved(key(t, i%60).Public().ID(), messages[i])
			case 1, 2, 3:
				_, _ = d.Offer(names[i], messages[i]) // it may be refused
			default:
				_, _ = d.Offer("", messages[i])
			}
		}
		p := d.Pending()
		if _, err := wire.ParsePending(p.Encode()); err != nil {
			rt.Fatal(err)
		}
		size, own, named := 0, make(map[string]int), make(map[string]int)
		for _, r := range p.Requests {
			size += len(r.Statement)
			o, err := request.Open(r.Statement, origin)
			if err != nil {
				rt.Fatal(err)
			}
			if r.Gateway != "" {
				own[r.Gateway]++
			} else {
				named[o.Gateway]++
			}
			if own[r.Gateway] > 1 || named[o.Gateway] > 4 {
				rt.Fatalf("%q has %d requests by its certificate and %d by the shared one", o.Gateway, own[r.Gateway], named[o.Gateway])
			}
			if d.now.Unix()-r.Last > 601 {
				rt.Fatalf("one waits that came last %d s ago", d.now.Unix()-r.Last)
			}
		}
		if len(p.Requests) > wire.MaxPending || size > wire.MaxPendingIn {
			rt.Fatalf("%d requests of %d bytes", len(p.Requests), size)
		}
	})
}

// TestRate: in no span more than the burst and what comes back within it.
func TestRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond, burst := rapid.IntRange(1, 50).Draw(t, "rate"), rapid.IntRange(1, 50).Draw(t, "burst")
		start := time.Unix(1_767_225_600, 0)
		r := pending.NewRate(perSecond, burst, start)
		now, passed := start, []time.Time{}
		for range rapid.IntRange(1, 200).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(-200, 1500).Draw(t, "ms")) * time.Millisecond)
			if r.Take(now) {
				passed = append(passed, now)
			}
		}
		last := start
		for _, p := range passed {
			if p.After(last) {
				last = p
			}
		}
		// One more for the division's rounding.
		if most := float64(burst) + 1 + last.Sub(start).Seconds()*float64(perSecond)*1.001; float64(len(passed)) > most {
			t.Fatalf("%d passed within %s at %d/s and a burst of %d", len(passed), last.Sub(start), perSecond, burst)
		}
	})
}
