package market_test

import (
	"errors"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/account"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// TestPostingsBalance posts whole intervals on the ledger's accounts, which refuse
// what does not add up to nothing: I3.
func TestPostingsBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, p := drawAuction(t, 60, 20), drawPool(t, 20, 2000)
		c, s := clear(t, a), settle(t, p)
		lossFee := unit.Price(rapid.Int64Range(0, int64(a.Fee)).Draw(t, "loss fee"))
		ahead, err := c.Postings(lossFee)
		if err != nil {
			t.Fatal(err)
		}
		var book account.Book
		if err := book.Post(market.Legs("EUR", ahead)...); err != nil {
			t.Fatalf("%+v: %v", ahead, err)
		}
		if err := book.Post(market.Legs("EUR", s.Postings())...); err != nil {
			t.Fatalf("%+v: %v", s.Postings(), err)
		}
		if err := book.Check(); err != nil {
			t.Fatal(err)
		}
		balance := func(owner string) unit.Money {
			id := account.ID{Asset: account.Asset{Class: account.Money, Name: "EUR"}, Kind: account.Running, Owner: owner}
			return unit.Money(book.Balance(id))
		}
		for n := range 9 {
			want := unit.Money(0)
			for i, b := range a.Bids {
				if b.Member == member(n) {
					want += c.Bids[i].Amount
				}
			}
			for i, o := range a.Offers {
				if o.Member == member(n) {
					want += c.Offers[i].Amount
				}
			}
			for i, m := range p.Members {
				if m.Member == member(n) {
					want += s.Members[i].Amount
				}
			}
			if got := balance(market.MemberOwner(member(n))); got != want {
				t.Fatalf("%s has %d, want %d", member(n), got, want)
			}
		}
		if got := balance(market.Loss); got != s.Loss+unit.Money(int64(lossFee)*int64(c.Volume())) {
			t.Fatalf("the account for losses has %d", got)
		}

		// What both sides of the auction are told is what was traded.
		var sold, bought unit.Energy
		for _, pos := range c.Positions() {
			sold, bought = sold+pos.Sold, bought+pos.Bought
		}
		if sold != c.Volume() || bought != c.Volume() {
			t.Fatalf("positions sell %d and buy %d of %d Wh", sold, bought, c.Volume())
		}
	})
}

func TestPostingsRefuse(t *testing.T) {
	c, err := market.Clear(&market.Auction{Rule: market.Uniform, Fee: 5})
	if err != nil {
		t.Fatal(err)
	}
	var fault *market.Fault
	for _, bad := range []unit.Price{-1, 6} {
		if _, err := c.Postings(bad); !errors.As(err, &fault) || fault.Field != "loss_fee" {
			t.Errorf("loss fee %d of 5: got %v", bad, err)
		}
	}
}

// TestDifference replays versions: whatever they were, the differences add up to the
// last one.
func TestDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var book account.Book
		var before []market.Posting
		p := drawPool(t, 8, 500)
		for range 3 {
			after := settle(t, p).Postings()
			change, err := market.Difference(before, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range change {
				if c.Amount == 0 {
					t.Fatalf("%+v changes nothing", c)
				}
			}
			if err := book.Post(market.Legs("EUR", change)...); err != nil {
				t.Fatal(err)
			}
			before = after
			p = drawPool(t, 8, 500)
		}
		var direct account.Book
		if err := direct.Post(market.Legs("EUR", before)...); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(direct.Export(), book.Export()); diff != "" {
			t.Fatalf("balances (-last version +differences):\n%s", diff)
		}
	})
}
