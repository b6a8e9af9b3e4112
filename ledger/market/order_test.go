package market_test

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// noon is an interval, 2026-06-01T12:00:00Z.
const noon unit.Interval = 1_780_315_200

func wantFault(t *testing.T, what string, err error, field string) {
	t.Helper()
	var fault *market.Fault
	switch {
	case field == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case field != "" && (!errors.As(err, &fault) || fault.Field != field):
		t.Errorf("%s: got %v, want a fault of %s", what, err, field)
	}
}

func TestCalendar(t *testing.T) {
	c := market.DefaultCalendar()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	at := func(text string) int64 {
		i, err := unit.ParseInterval(text)
		if err != nil {
			t.Fatal(err)
		}
		return i.StartMilli()
	}
	for _, test := range []struct {
		what string
		got  int64
		want string
	}{
		{"opens", c.Opens(noon), "2026-05-25T12:00:00Z"},
		{"gate", c.Gate(noon), "2026-06-01T11:45:00Z"},
		{"beacon", c.Beacon(noon), "2026-06-01T11:45:00Z"},
		{"R0", c.Due(noon, market.R0), "2026-06-02T12:00:00Z"},
		{"R1", c.Due(noon, market.R1), "2026-06-08T12:00:00Z"},
		{"RF", c.Due(noon, market.RF), "2026-08-30T12:00:00Z"},
	} {
		if want := at(test.want); test.got != want {
			t.Errorf("%s is at %d, want %d", test.what, test.got, want)
		}
	}
	wantFault(t, "too early", c.Takes(noon, c.Opens(noon)-1), "interval")
	wantFault(t, "first", c.Takes(noon, c.Opens(noon)), "")
	wantFault(t, "last", c.Takes(noon, c.Gate(noon)-1), "")
	wantFault(t, "at the gate", c.Takes(noon, c.Gate(noon)), "interval")
	wantFault(t, "not aligned", c.Takes(noon+1, c.Opens(noon)), "interval")
	wantFault(t, "not sealed", c.TakesOpened(noon, c.Gate(noon)), "interval")

	c.Sealed = true
	if got, want := c.Beacon(noon), c.Gate(noon)+600_000; got != want {
		t.Errorf("the beacon of sealed orders is at %d, want %d", got, want)
	}
	wantFault(t, "opened early", c.TakesOpened(noon, c.Gate(noon)-1), "interval")
	wantFault(t, "opened first", c.TakesOpened(noon, c.Gate(noon)), "")
	wantFault(t, "opened last", c.TakesOpened(noon, c.Beacon(noon)-1), "")
	wantFault(t, "opened late", c.TakesOpened(noon, c.Beacon(noon)), "interval")
	wantFault(t, "opened, not aligned", c.TakesOpened(noon+1, c.Gate(noon)), "interval")

	for field, change := range map[string]func(*market.Calendar){
		"lead":    func(c *market.Calendar) { c.Lead = -1 },
		"ahead":   func(c *market.Calendar) { c.Ahead = c.Lead },
		"reveal":  func(c *market.Calendar) { c.Reveal = math.MaxInt64 },
		"runs[0]": func(c *market.Calendar) { c.Runs[market.R0] = 86_399 },
		"runs[1]": func(c *market.Calendar) { c.Runs[market.R1] = c.Runs[market.R0] },
		"runs[2]": func(c *market.Calendar) { c.Runs[market.RF] = math.MaxInt64 },
	} {
		c := market.DefaultCalendar()
		change(&c)
		wantFault(t, "calendar with a bad "+field, c.Check(), field)
	}
}

func buy(nonce uint64, steps ...market.Step) market.Order {
	return market.Order{ID: strings.Repeat("b", 64), Zone: "z", Member: "anna", Interval: noon, Side: market.Buy, Nonce: nonce, Steps: steps}
}

func sell(nonce uint64, steps ...market.Step) market.Order {
	return market.Order{ID: strings.Repeat("c", 64), Zone: "z", Member: "anna", Interval: noon, Side: market.Sell, Nonce: nonce, Steps: steps}
}

func at(price unit.Price, quantity unit.Energy) market.Step {
	return market.Step{Price: price, Quantity: quantity}
}

func TestBookRefuses(t *testing.T) {
	home := &market.Party{Zone: "z", Power: 4000} // 1000 Wh in an interval
	roof := &market.Party{Zone: "z", Power: 4000, Renewable: true}
	with := func(o market.Order, change func(*market.Order)) market.Order { change(&o); return o }
	step := func(change func(*market.Step)) market.Order {
		s := at(5, 5)
		s.Class = market.Green
		change(&s)
		return buy(9, at(5, 5), s)
	}
	offer := func(change func(*market.Step)) market.Order {
		s := at(300, 5)
		change(&s)
		return sell(9, s)
	}
	for _, test := range []struct {
		what  string
		order market.Order
		party *market.Party
		field string
	}{
		{"the same nonce", buy(3, at(5, 5)), home, "nonce"},
		{"an old nonce", buy(2), home, "nonce"},
		{"another zone", with(buy(9), func(o *market.Order) { o.Zone = "y" }), home, "zone"},
		{"a party of another zone", buy(9), &market.Party{Zone: "y", Power: 4000}, "zone"},
		{"another interval", with(buy(9), func(o *market.Order) { o.Interval += 900 }), home, "interval"},
		{"no side", with(buy(9), func(o *market.Order) { o.Side = 0 }), home, "side"},
		{"a third side", with(buy(9), func(o *market.Order) { o.Side = 3 }), home, "side"},
		{"no member", with(buy(9), func(o *market.Order) { o.Member = "" }), home, "member"},
		{"a long id", with(buy(9), func(o *market.Order) { o.ID += strings.Repeat("b", 15) }), home, "id"},
		{"eleven steps", buy(9, slices.Repeat([]market.Step{at(5, 1)}, 11)...), home, "steps"},
		{"too much for the connection", buy(9, at(5, 500), at(4, 501)), home, "steps"},
		{"no power", buy(9, at(5, 1)), &market.Party{Zone: "z", Power: -5}, "steps"},
		{"a negative quantity", buy(9, at(5, -5)), home, "steps[0].quantity"},
		{"nothing", buy(9, at(5, 5), at(5, 0)), home, "steps[1].quantity"},
		{"too dear", buy(9, at(unit.MaxPrice+1, 5)), home, "steps[0].price"},
		{"a premium on any", step(func(s *market.Step) { s.Class, s.Premium = market.Any, 1 }), home, "steps[1].premium"},
		{"a negative premium", step(func(s *market.Step) { s.Premium = -1 }), home, "steps[1].premium"},
		{"herself", step(func(s *market.Step) { s.Prefer = []string{"ben", "anna"} }), home, "steps[1].prefer"},
		{"one twice", step(func(s *market.Step) { s.Prefer = []string{"ben", "ben"} }), home, "steps[1].prefer"},
		{"no name", step(func(s *market.Step) { s.Prefer = []string{"ben", "b n"} }), home, "steps[1].prefer[1]"},
		{"a green offer without the sun", offer(func(s *market.Step) { s.Class = market.Green }), home, "steps[0].class"},
		{"a green-first offer", offer(func(s *market.Step) { s.Class = market.GreenFirst }), roof, "steps[0].class"},
		{"an offer with a premium", offer(func(s *market.Step) { s.Class, s.Premium = market.Green, 1 }), roof, "steps[0].premium"},
		{"an offer with preferences", offer(func(s *market.Step) { s.Prefer = []string{"ben"} }), roof, "steps[0].prefer"},
		{"crossing her own bid", sell(9, at(300, 5), at(90, 5)), home, "steps[1].price"},
		{"crossing its premium", sell(9, at(100, 5)), home, "steps[0].price"},
		// These may stand.
		{"just above her own bid", sell(9, at(101, 5)), home, ""},
		{"a green offer", offer(func(s *market.Step) { s.Class = market.Green }), roof, ""},
		{"all the connection carries", buy(9, at(5, 500), at(4, 500)), home, ""},
		{"another one", buy(4, at(90, 5)), home, ""},
		{"none", buy(4), home, ""},
	} {
		b := &market.Book{Zone: "z", Interval: noon, Fee: 10}
		green := market.Step{Price: 100, Quantity: 7, Class: market.GreenFirst, Premium: 10, Prefer: []string{"ben"}}
		if err := b.Place(buy(3, green, at(80, 5)), home); err != nil {
			t.Fatal(err)
		}
		before := b.Orders()
		err := b.Place(test.order, test.party)
		wantFault(t, test.what, err, test.field)
		if diff := gocmp.Diff(before, b.Orders()); err != nil && diff != "" {
			t.Errorf("%s: refused, and the book has changed:\n%s", test.what, diff)
		}
	}
}

func TestBookCancels(t *testing.T) {
	b := &market.Book{Zone: "z", Interval: noon, Fee: 10}
	home := &market.Party{Zone: "z", Power: 4000}
	for _, o := range []market.Order{sell(1, at(50, 5), at(60, 6)), sell(2), buy(1, at(70, 7))} {
		if err := b.Place(o, home); err != nil {
			t.Fatal(err)
		}
	}
	want := &market.Auction{Rule: market.Uniform, Fee: 10, Offers: []market.Offer{},
		Bids: []market.Bid{{ID: strings.Repeat("b", 64) + ":0", Member: "anna", Price: 70, Quantity: 7}}}
	if diff := gocmp.Diff(want, b.Auction(market.Uniform, [32]byte{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantFault(t, "an offer from before it was taken back", b.Place(sell(2, at(90, 5)), home), "nonce")
}

// TestBookIsFull fills one side of a book: a replacement counts once, and the other
// side not at all.
func TestBookIsFull(t *testing.T) {
	b := &market.Book{Zone: "z", Interval: noon}
	home := &market.Party{Zone: "z", Power: 4000}
	steps := slices.Repeat([]market.Step{at(5, 1)}, market.MaxSteps)
	order := func(n int, nonce uint64, steps []market.Step) market.Order {
		return market.Order{ID: "x", Zone: "z", Member: fmt.Sprintf("m%06d", n), Interval: noon, Side: market.Buy, Nonce: nonce, Steps: steps}
	}
	const full = market.MaxOrders / market.MaxSteps
	for n := range full {
		if err := b.Place(order(n, 1, steps), home); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, "one more", b.Place(order(full, 1, steps[:1]), home), "steps")
	wantFault(t, "another of the last", b.Place(order(full-1, 2, steps), home), "")
	wantFault(t, "one step less", b.Place(order(full-1, 3, steps[1:]), home), "")
	wantFault(t, "too much", b.Place(order(full, 2, steps[:2]), home), "steps")
	wantFault(t, "what fits", b.Place(order(full, 2, steps[:1]), home), "")
	wantFault(t, "the other side", b.Place(sell(1, at(9, 1)), home), "")
	if a := b.Auction(market.Uniform, [32]byte{}); len(a.Bids) != market.MaxOrders || len(a.Offers) != 1 {
		t.Errorf("the auction has %d bids and %d offers", len(a.Bids), len(a.Offers))
	}
}

// TestBookOfWhatWasPlaced places drawn orders: the book holds each one's last, in
// whatever order members came, and its auction is one that Check passes.
func TestBookOfWhatWasPlaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type key struct {
			member string
			side   market.Side
		}
		last := map[key]market.Order{}
		b := &market.Book{Zone: "z", Interval: noon, Fee: 20}
		roof := &market.Party{Zone: "z", Power: 400, Renewable: true}
		for n := range rapid.IntRange(0, 40).Draw(t, "orders") {
			o := market.Order{
				ID: fmt.Sprint(n), Zone: "z", Interval: noon, Member: member(rapid.IntRange(0, 4).Draw(t, "member")),
				Side: rapid.SampledFrom([]market.Side{market.Buy, market.Sell}).Draw(t, "side"), Nonce: rapid.Uint64Range(1, 9).Draw(t, "nonce"),
			}
			for range rapid.IntRange(0, 3).Draw(t, "steps") {
				s := at(unit.Price(rapid.Int64Range(0, 200).Draw(t, "price")), unit.Energy(rapid.Int64Range(1, 60).Draw(t, "quantity")))
				if s.Class = market.Class(rapid.IntRange(0, 1).Draw(t, "green")); s.Class == market.Green && o.Side == market.Buy {
					s.Premium = unit.Price(rapid.Int64Range(0, 50).Draw(t, "premium"))
				}
				o.Steps = append(o.Steps, s)
			}
			k := key{o.Member, o.Side}
			if err := b.Place(o, roof); err == nil {
				last[k] = o
			} else if was, ok := last[k]; (!ok || o.Nonce > was.Nonce) && !strings.HasPrefix(err.Error(), "steps") {
				t.Fatal(err)
			}
		}
		var want []market.Order
		for _, o := range last {
			want = append(want, o)
		}
		slices.SortFunc(want, func(x, y market.Order) int {
			return cmp.Or(cmp.Compare(x.Member, y.Member), cmp.Compare(x.Side, y.Side))
		})
		if diff := gocmp.Diff(want, b.Orders()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		a := b.Auction(market.PayAsBid, [32]byte{1})
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		again := &market.Book{Zone: "z", Interval: noon, Fee: 20}
		for _, o := range b.Orders() {
			if err := again.Place(o, roof); err != nil {
				t.Fatal(err)
			}
		}
		if diff := gocmp.Diff(a, again.Auction(market.PayAsBid, [32]byte{1})); diff != "" {
			t.Fatalf("stored and placed again (-want +got):\n%s", diff)
		}
	})
}

func TestStanding(t *testing.T) {
	good := market.Standing{Member: "anna", MinSell: new(unit.Price(-5)), Premium: 7, Prefer: []string{"ben"}, From: noon}
	wantFault(t, "before it begins", good.Check(noon.StartMilli()), "")
	wantFault(t, "after", good.Check(noon.StartMilli()+1), "from")
	for field, change := range map[string]func(*market.Standing){
		"member":   func(s *market.Standing) { s.Member = "an na" },
		"min_sell": func(s *market.Standing) { s.MinSell = new(unit.MaxPrice + 1) },
		"max_buy":  func(s *market.Standing) { s.MaxBuy = new(-unit.MaxPrice - 1) },
		"premium":  func(s *market.Standing) { s.Premium = -1 },
		"prefer":   func(s *market.Standing) { s.Prefer = []string{"anna"} },
		"from":     func(s *market.Standing) { s.From++ },
	} {
		s := good
		change(&s)
		wantFault(t, "a bad "+field, s.Check(0), field)
	}

	entries := []market.Standing{{Premium: 1, From: noon}, {Premium: 2, From: noon + 1800}, {Premium: 3, From: noon + 900}, {Premium: 4, From: noon + 900}}
	for n, want := range []unit.Price{1, 4, 2, 2} {
		if s := market.InForce(entries, noon+unit.Interval(n*900)); s == nil || s.Premium != want {
			t.Errorf("%d intervals later: got %+v, want %d", n, s, want)
		}
	}
	if s := market.InForce(entries, noon-900); s != nil {
		t.Errorf("before all of them: got %+v", s)
	}
	m := market.Meter{MaxBuy: new(unit.Price(3))}
	if m.Limit(&good); m.MinSell != good.MinSell || m.MaxBuy != nil {
		t.Errorf("got %+v", m)
	}
	if m.Limit(nil); m.MinSell != nil {
		t.Errorf("got %+v", m)
	}
}
