package market_test

import (
	"errors"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// TestLinesAddUp adds up every member's lines of whole intervals: they come to what is
// posted, and each is energy times price.
func TestLinesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, p := drawAuction(t, 60, 20), drawPool(t, 20, 2000)
		c, s := clear(t, a), settle(t, p)
		ahead, err := c.Postings(0)
		if err != nil {
			t.Fatal(err)
		}
		for n, postings := range [][]market.Posting{ahead, s.Postings()} {
			lines, err := c.Lines(noon, market.R0)
			if n == 1 {
				lines, err = s.Lines(noon, market.R0)
			}
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]unit.Money{}
			for i, l := range lines {
				got[market.MemberOwner(l.Member)] += l.Amount
				if size := unit.Money(int64(l.Energy) * int64(l.Price)); l.Energy <= 0 || l.Amount != size && l.Amount != -size || l.Run != market.R0 || l.Interval != noon {
					t.Fatalf("%+v", l)
				}
				if i > 0 && l.Member < lines[i-1].Member {
					t.Fatalf("%s stands behind %s", l.Member, lines[i-1].Member)
				}
			}
			for _, posting := range postings {
				if strings.HasPrefix(posting.Owner, "member:") && got[posting.Owner] != posting.Amount {
					t.Fatalf("the lines of %s come to %d, %d is posted", posting.Owner, got[posting.Owner], posting.Amount)
				}
			}
		}
	})
}

// TestBillOfAnna bills the worked example's members of that name.
func TestBillOfAnna(t *testing.T) {
	auction := &market.Auction{Rule: market.Uniform, Fee: 20_000,
		Bids:   []market.Bid{{ID: "b4", Member: "anna", Price: 180_000, Quantity: 500, Class: market.GreenFirst, Premium: 30_000}},
		Offers: []market.Offer{{ID: "o1", Member: "eva", Price: 90_000, Quantity: 500, Class: market.Green}}}
	c, err := market.Clear(auction)
	if err != nil {
		t.Fatal(err)
	}
	s, err := market.Settle(&market.Pool{Rule: market.MidMarket, Tariff: market.Tariff{FeedIn: 50_000, Retail: 250_000, Fee: 20_000},
		Members: []market.Meter{{Member: "anna", Import: 1700, Bought: 500}, {Member: "eva", Export: 1544, Sold: 500}}})
	if err != nil {
		t.Fatal(err)
	}
	var mine []market.Line
	for _, from := range []interface {
		Lines(unit.Interval, market.Run) ([]market.Line, error)
	}{c, s} {
		lines, err := from.Lines(noon, market.R1)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Member == "anna" {
				mine = append(mine, l)
			}
		}
	}
	want := `interval,run,kind,wh,price_micro_per_kwh,amount_nano,quality,block
2026-06-01T12:00:00Z,R1,fee,500,20000,-10000000,M,0
2026-06-01T12:00:00Z,R1,fee,1044,20000,-20880000,M,0
2026-06-01T12:00:00Z,R1,green-buy,500,140000,-70000000,M,0
2026-06-01T12:00:00Z,R1,grid-import,156,250000,-39000000,M,0
2026-06-01T12:00:00Z,R1,pool-buy,1044,140000,-146160000,M,0
`
	if diff := gocmp.Diff(want, string(market.AppendCSV(nil, mine))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := market.Bill(mine, s.Members[0].Counterfactual, 4_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(market.Invoice{
		Total: -286_040_000, Carried: 4_000_000, Cents: -28, CarriedOut: -2_040_000,
		Counterfactual: -425_000_000, Saving: 138_960_000, Local: 908_235, Green: 294_117,
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNothingIsLostInRounding carries the rest from invoice to invoice.
func TestNothingIsLostInRounding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var carried, total unit.Money
		var cents unit.Cents
		for range rapid.IntRange(1, 20).Draw(t, "invoices") {
			line := market.Line{Kind: market.GridImport, Energy: 1, Amount: unit.Money(rapid.Int64Range(-1_000_000_000_000, 1_000_000_000_000).Draw(t, "amount"))}
			v, err := market.Bill([]market.Line{line}, 0, carried)
			if err != nil {
				t.Fatal(err)
			}
			total += line.Amount
			cents += v.Cents
			if carried = v.CarriedOut; carried < -5_000_000 || carried > 5_000_000 {
				t.Fatalf("%d n¤ are carried, more than half a cent", carried)
			}
		}
		if unit.Money(cents)*10_000_000+carried != total {
			t.Fatalf("%d cents and %d n¤ are not %d", cents, carried, total)
		}
	})
	if _, err := market.Bill([]market.Line{{Amount: 1 << 62}, {Amount: 1 << 62}}, 0, 0); !errors.Is(err, unit.ErrOverflow) {
		t.Errorf("got %v", err)
	}
}

// TestCorrections corrects drawn streets one member after the other: only that member,
// the supplier and the fund notice, and what the differences add up to is the last
// version.
func TestCorrections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPool(t, 10, 2000)
		if len(p.Members) == 0 {
			return
		}
		last := settle(t, p)
		before, err := last.AppendJSON(nil), error(nil)
		first := last
		for range rapid.IntRange(1, 3).Draw(t, "corrections") {
			i := rapid.IntRange(0, len(p.Members)-1).Draw(t, "member")
			m := p.Members[i]
			imported, exported := unit.Energy(rapid.Int64Range(0, 3000).Draw(t, "import")), unit.Energy(rapid.Int64Range(0, 3000).Draw(t, "export"))
			next, err := last.Correct(m.Member, market.Measured, imported, exported)
			if err != nil {
				t.Fatal(err)
			}
			r := next.Members[i]
			frozen := last.Members[i]
			if r.Net != exported-imported || r.Sold != frozen.Sold || r.Bought != frozen.Bought || r.Position != frozen.Position ||
				r.GridExport-r.GridImport != r.Net-r.Position-r.Sold+r.Bought {
				t.Fatalf("%+v corrects %+v to %+v", m, frozen, r)
			}
			change, err := market.Difference(last.Postings(), next.Postings())
			if err != nil {
				t.Fatal(err)
			}
			var sum unit.Money
			for _, c := range change {
				sum += c.Amount
				switch c.Owner {
				case market.MemberOwner(m.Member), market.Supplier, market.Fund:
				default:
					t.Fatalf("correcting %s posts %+v", m.Member, c)
				}
			}
			if sum != 0 {
				t.Fatalf("%+v come to %d", change, sum)
			}
			line, changed, err := market.CorrectionOf(last, next, m.Member, noon, market.RF)
			if err != nil || line.Amount != r.Amount-frozen.Amount || line.Energy != r.Net-frozen.Net || changed != (line.Amount != 0 || line.Energy != 0) {
				t.Fatalf("%+v, %v, %v", line, changed, err)
			}
			last = next
		}
		if after := first.AppendJSON(nil); err != nil || string(after) != string(before) {
			t.Fatal("correcting a settlement has changed it")
		}
	})
}

// TestCorrectTheSame gives the reading that was there.
func TestCorrectTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPool(t, 6, 2000)
		s := settle(t, p)
		for _, m := range p.Members {
			next, err := s.Correct(m.Member, m.Quality, m.Import, m.Export)
			if err != nil {
				t.Fatal(err)
			}
			if change, err := market.Difference(s.Postings(), next.Postings()); err != nil || len(change) > 0 {
				t.Fatalf("%+v, %v", change, err)
			}
		}
	})
}

// TestCorrectFred proves that the worked example's fred delivered what he sold.
func TestCorrectFred(t *testing.T) {
	p := &market.Pool{Rule: market.MidMarket, Tariff: market.Tariff{FeedIn: 50_000, Retail: 250_000, Fee: 20_000}, Deviation: 100_000, AuctionPrice: new(unit.Price(220_000)),
		Members: []market.Meter{{Member: "fred", Quality: market.Missing, Sold: 600}}}
	s, err := market.Settle(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Members[0]; got.Deviation != 600 || got.Charge != 63_000_000 || got.Amount != -213_000_000 {
		t.Errorf("without a reading: %+v", got)
	}
	next, err := s.Correct("fred", market.Measured, 0, 610)
	if err != nil {
		t.Fatal(err)
	}
	if got := next.Members[0]; got.Deviation != 0 || got.Charge != 0 || got.Amount != 500_000 || !got.Corrected {
		t.Errorf("with it: %+v", got)
	}
	_, err = s.Correct("gus", market.Measured, 0, 610)
	wantFault(t, "nobody", err, "member")
	_, err = s.Correct("fred", market.Measured, -1, 610)
	wantFault(t, "less than nothing", err, "import")
	_, err = s.Correct("fred", market.Missing, 1, 0)
	wantFault(t, "a reading that is none", err, "import")
	_, _, err = market.CorrectionOf(s, next, "gus", noon, market.RF)
	wantFault(t, "nobody's line", err, "member")
}

// TestCertificates looks at I6 over whole intervals.
func TestCertificates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, p := drawAuction(t, 60, 20), drawPool(t, 12, 60)
		c := clear(t, a)
		renewable := make([]bool, len(p.Members))
		for i := range p.Members {
			renewable[i] = rapid.Bool().Draw(t, "renewable")
			for _, pos := range c.Positions() {
				if pos.Member == p.Members[i].Member {
					p.Members[i].Sold, p.Members[i].Bought = pos.Sold, pos.Bought
				}
			}
		}
		s := settle(t, p)
		got, err := market.Certify(c, s, renewable)
		if err != nil {
			t.Fatal(err)
		}
		passed, claimed, pool := map[string]unit.Energy{}, map[string]unit.Energy{}, map[string]unit.Energy{}
		for _, tr := range got.Transfers {
			if tr.Quantity <= 0 || tr.Claimed < 0 || tr.Claimed > tr.Quantity {
				t.Fatalf("%+v", tr)
			}
			passed[tr.Seller] += tr.Quantity
			claimed[tr.Buyer] += tr.Claimed
			if tr.Pool {
				pool[tr.Buyer] += tr.Quantity
			}
		}
		for i, m := range p.Members {
			want := unit.Energy(0)
			if renewable[i] && m.Quality == market.Measured {
				want = m.Export
			}
			if got.Issued[i] != want || passed[m.Member] > want || claimed[m.Member] > m.Import || pool[m.Member] > s.Members[i].Bought {
				t.Fatalf("%+v: issued %d, passed on %d, claimed %d, from the pool %d of %d", m, got.Issued[i], passed[m.Member], claimed[m.Member], pool[m.Member], s.Members[i].Bought)
			}
		}
	})
	c, _ := market.Clear(&market.Auction{Rule: market.Uniform})
	s, _ := market.Settle(&market.Pool{Rule: market.MidMarket})
	_, err := market.Certify(c, s, []bool{true})
	wantFault(t, "renewable members that are not there", err, "renewable")
}

// TestSaving closes drawn periods: what members save is what the pool has shared, and
// nobody pays more than with the supplier alone.
func TestSaving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v market.Saving
		alone, direct := map[string]unit.Money{}, map[string]unit.Money{}
		for range rapid.IntRange(0, 5).Draw(t, "intervals") {
			p := drawPool(t, 8, 500)
			for i := range p.Members {
				m := &p.Members[i]
				m.FeedIn, m.Retail, m.Sold, m.Bought = nil, nil, 0, 0
			}
			s := settle(t, p)
			if err := v.Add(s); err != nil {
				t.Fatal(err)
			}
			for i, m := range p.Members {
				alone[market.MemberOwner(m.Member)] += s.Members[i].Counterfactual
			}
			for _, posting := range s.Postings() {
				direct[posting.Owner] += posting.Amount
			}
		}
		postings, err := v.Close([32]byte{7})
		if err != nil {
			t.Fatal(err)
		}
		var members, before unit.Money
		for _, posting := range postings {
			if !strings.HasPrefix(posting.Owner, "member:") {
				if posting.Amount != direct[posting.Owner] {
					t.Fatalf("%+v, want what the intervals posted, %d", posting, direct[posting.Owner])
				}
				continue
			}
			members += posting.Amount
			before += direct[posting.Owner]
			if posting.Amount < alone[posting.Owner] {
				t.Fatalf("%s gets %d, and %d from the supplier alone", posting.Owner, posting.Amount, alone[posting.Owner])
			}
		}
		if members != before {
			t.Fatalf("all members get %d, and %d without sharing", members, before)
		}
	})
}

func TestSavingRefuses(t *testing.T) {
	var v market.Saving
	p := &market.Pool{Rule: market.MidMarket, Tariff: market.Tariff{FeedIn: 1, Retail: 9}, Members: []market.Meter{{Member: "anna", Import: 5}}}
	s, err := market.Settle(p)
	if err != nil {
		t.Fatal(err)
	}
	corrected, err := s.Correct("anna", market.Measured, 6, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantFault(t, "a correction", v.Add(corrected), "members[0].member")
	p.Members[0].Retail = new(unit.Price(8))
	if s, err = market.Settle(p); err != nil {
		t.Fatal(err)
	}
	wantFault(t, "a tariff of her own", v.Add(s), "members[0].feed_in")
	if postings, err := v.Close([32]byte{}); err != nil || len(postings) != 4 {
		t.Errorf("a period in which nothing happened: %+v, %v", postings, err)
	}
}
