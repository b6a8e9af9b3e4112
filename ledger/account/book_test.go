package account_test

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/account"
	"wattmark/ledger/unit"
)

var (
	euro   = account.Asset{Class: account.Money, Name: "EUR"}
	issue  = account.Asset{Class: account.Certificate, Name: "pv-7:2026-06-01T10:00:00Z"}
	tonnes = account.Asset{Class: account.Unit, Name: "R:W-7:2025"}
)

func on(a account.Asset, k account.Kind, owner string) account.ID {
	return account.ID{Asset: a, Kind: k, Owner: owner}
}

// The postings are those of the market rules' worked example of one interval.
func TestSettlementOfAnInterval(t *testing.T) {
	var b account.Book
	legs := []account.Leg{
		{on(euro, account.Running, "member:anna"), -206_040_000},
		{on(euro, account.Running, "member:ben"), -154_530_000},
		{on(euro, account.Running, "member:cleo"), 210_000_000},
		{on(euro, account.Running, "member:dan"), 20_000_000},
		{on(euro, account.Running, "member:eva"), 0},
		{on(euro, account.Running, "member:fred"), -55_075_000},
		{on(euro, account.Running, "member:gus"), 70_000_000},
		{on(euro, account.Running, "dso"), 40_000_000},
		{on(euro, account.Running, "fund"), 20_895_000},
		{on(euro, account.Running, "loss"), 0},
		{on(euro, account.Running, "supplier"), 54_750_000},
	}
	if err := b.Post(legs...); err != nil {
		t.Fatal(err)
	}
	if got := b.Balance(on(euro, account.Running, "member:anna")); got != -206_040_000 {
		t.Errorf("anna: got %d", got)
	}
	if got := len(b.Export()); got != 9 {
		t.Errorf("accounts with a balance: got %d, want 9 without eva and loss", got)
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}

func TestLifeOfACertificate(t *testing.T) {
	var b account.Book
	source := on(issue, account.Issuance, "pv-7")
	held := on(issue, account.Holding, "member:cleo")
	cancelled := on(issue, account.Cancelled, "member:anna")
	claimed := on(issue, account.Claimed, "member:anna")
	for _, step := range []struct {
		name     string
		from, to account.ID
		amount   unit.Amount
		want     error
	}{
		{"issue", source, held, 1500, nil},
		{"withdraw more than was issued", held, source, 1501, account.ErrBalance},
		{"cancel more than is held", held, cancelled, 1501, account.ErrBalance},
		{"cancel", held, cancelled, 1044, nil},
		{"claim", cancelled, claimed, 1044, nil},
		{"claim again", cancelled, claimed, 1044, account.ErrBalance},
		{"take back a claim", claimed, held, 1, account.ErrFinal},
		{"a negative amount", held, cancelled, -1, account.ErrInvalid},
		{"the smallest amount", held, cancelled, math.MinInt64, account.ErrInvalid},
		{"withdraw the rest", held, source, 456, nil},
	} {
		before := b.Export()
		err := b.Transfer(step.from, step.to, step.amount)
		if !errors.Is(err, step.want) {
			t.Errorf("%s: got %v, want %v", step.name, err, step.want)
		}
		if diff := cmp.Diff(before, b.Export()); err != nil && diff != "" {
			t.Errorf("%s was refused and still changed:\n%s", step.name, diff)
		}
	}
	if got := b.Balance(claimed); got != 1044 {
		t.Errorf("claimed: got %d Wh, want 1044", got)
	}
	if got := b.Balance(source); got != -1044 {
		t.Errorf("issued: got %d Wh, want -1044", got)
	}
}

func TestPostingsThatAreRefused(t *testing.T) {
	anna, ben := on(euro, account.Running, "member:anna"), on(euro, account.Running, "member:ben")
	dollars := account.Asset{Class: account.Money, Name: "USD"}
	for _, test := range []struct {
		name string
		legs []account.Leg
		want error
	}{
		{"one leg", []account.Leg{{anna, 1}}, account.ErrUnbalanced},
		{"off by one", []account.Leg{{anna, 5}, {ben, -4}}, account.ErrUnbalanced},
		{"off by more than fits", []account.Leg{{anna, math.MaxInt64}, {ben, math.MaxInt64}}, account.ErrUnbalanced},
		{"balanced only across assets", []account.Leg{{anna, 5}, {on(dollars, account.Running, "member:anna"), -5}}, account.ErrUnbalanced},
		{"balanced only by wrapping", []account.Leg{{anna, math.MinInt64}, {ben, math.MinInt64}}, account.ErrUnbalanced},
		{"legs on one account beyond int64", []account.Leg{{anna, math.MaxInt64}, {anna, 1}, {ben, math.MinInt64}}, unit.ErrOverflow},
		{"a balance beyond int64", []account.Leg{{anna, -1}, {ben, 1}}, unit.ErrOverflow},
		{"a deposit below zero", []account.Leg{{on(euro, account.Deposit, "member:anna"), -1}, {anna, 1}}, account.ErrBalance},
		{"no class", []account.Leg{{account.ID{Asset: account.Asset{Name: "EUR"}, Kind: account.Running, Owner: "x"}, 0}}, account.ErrInvalid},
		{"no owner", []account.Leg{{on(euro, account.Running, ""), 0}}, account.ErrInvalid},
		{"a certificate owed", []account.Leg{{on(issue, account.Running, "member:anna"), -1}, {on(issue, account.Holding, "x"), 1}}, account.ErrInvalid},
		{"money retired", []account.Leg{{anna, -1}, {on(euro, account.Retired, "x"), 1}}, account.ErrInvalid},
	} {
		var b account.Book
		if err := b.Transfer(on(euro, account.Running, "dso"), ben, math.MaxInt64); err != nil {
			t.Fatal(err)
		}
		b.Changes()
		before := b.Export()
		if err := b.Post(test.legs...); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if diff := cmp.Diff(before, b.Export()); diff != "" {
			t.Errorf("%s was refused and still changed:\n%s", test.name, diff)
		}
		if changes := b.Changes(); len(changes) > 0 {
			t.Errorf("%s was refused and still reported: %v", test.name, changes)
		}
	}
}

func TestNothingIsPosted(t *testing.T) {
	var b account.Book
	anna := on(euro, account.Running, "member:anna")
	if err := b.Post(); err != nil {
		t.Errorf("no legs: %v", err)
	}
	if err := b.Post(account.Leg{Account: anna, Amount: 3}, account.Leg{Account: anna, Amount: -3}); err != nil {
		t.Errorf("legs that cancel: %v", err)
	}
	if got := b.Changes(); len(got) > 0 {
		t.Errorf("changes: got %v, want none", got)
	}
}

// drawnLeg puts small and extreme amounts on few accounts, so that they meet.
func drawnLeg(t *rapid.T) account.Leg {
	ids := []account.ID{
		on(euro, account.Running, "a"), on(euro, account.Running, "b"), on(euro, account.Holding, "a"), on(euro, account.Issuance, "bank"),
		on(issue, account.Issuance, "pv"), on(issue, account.Holding, "a"), on(issue, account.Holding, "b"), on(issue, account.Claimed, "a"),
		on(tonnes, account.Issuance, "p"), on(tonnes, account.Holding, "a"), on(tonnes, account.Buffer, "p"), on(tonnes, account.Retired, "a"),
	}
	return account.Leg{
		Account: rapid.SampledFrom(ids).Draw(t, "account"),
		Amount: unit.Amount(rapid.OneOf(rapid.Int64Range(-10, 10),
			rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, math.MaxInt64 / 2})).Draw(t, "amount")),
	}
}

// drawnPosting is mostly balanced, as nothing else gets far.
func drawnPosting(t *rapid.T) []account.Leg {
	var legs []account.Leg
	for range rapid.IntRange(1, 4).Draw(t, "pairs") {
		l := drawnLeg(t)
		legs = append(legs, l)
		if l.Amount == math.MinInt64 || rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			continue
		}
		other := drawnLeg(t).Account
		other.Asset = l.Account.Asset
		if other.Check() != nil {
			other.Kind = account.Holding
		}
		legs = append(legs, account.Leg{Account: other, Amount: -l.Amount})
	}
	return legs
}

func TestBookAgainstExactModel(t *testing.T) {
	accepted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var b account.Book
		model := map[account.ID]*big.Int{}
		stored := map[string][]byte{}
		for range rapid.IntRange(1, 30).Draw(t, "postings") {
			legs := drawnPosting(t)
			before := b.Export()
			err := b.Post(legs...)
			if err != nil {
				refused++
				if diff := cmp.Diff(before, b.Export()); diff != "" {
					t.Fatalf("%v was refused (%v) and still changed:\n%s", legs, err, diff)
				}
			} else {
				accepted++
				for _, l := range legs {
					if model[l.Account] == nil {
						model[l.Account] = new(big.Int)
					}
					model[l.Account].Add(model[l.Account], big.NewInt(int64(l.Amount)))
				}
			}
			if err := b.Check(); err != nil {
				t.Fatal(err)
			}
			for id, want := range model {
				if got := b.Balance(id); !want.IsInt64() || int64(got) != want.Int64() {
					t.Fatalf("%s: got %d, want %s", id, got, want)
				}
			}
			apply(stored, b.Changes())
		}
		want := map[string][]byte{}
		apply(want, b.Export())
		if diff := cmp.Diff(want, stored); diff != "" {
			t.Fatalf("changes, put one on the other, are not the book (-export +changes):\n%s", diff)
		}
	})
	if accepted == 0 || refused == 0 {
		t.Errorf("%d postings accepted and %d refused: the drawn ones do not test both", accepted, refused)
	}
}

func apply(stored map[string][]byte, changes []account.Change) {
	for _, c := range changes {
		if c.Value == nil {
			delete(stored, string(c.Key))
			continue
		}
		stored[string(c.Key)] = c.Value
	}
}

func TestOrderOfLegsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var one, other account.Book
		for range rapid.IntRange(1, 10).Draw(t, "postings") {
			legs := drawnPosting(t)
			shuffled := rapid.Permutation(legs).Draw(t, "shuffled")
			a, b := one.Post(legs...), other.Post(shuffled...)
			if (a == nil) != (b == nil) || a != nil && a.Error() != b.Error() {
				t.Fatalf("%v: got %v, and in another order %v", legs, a, b)
			}
			if diff := cmp.Diff(one.Changes(), other.Changes()); diff != "" {
				t.Fatalf("%v, in another order:\n%s", legs, diff)
			}
		}
	})
}

func TestAllIsInOrderOfKeys(t *testing.T) {
	var b account.Book
	for _, owner := range []string{"b", "a", "ab"} {
		for _, a := range []account.Asset{tonnes, issue, euro} {
			if err := b.Transfer(on(a, account.Issuance, owner), on(a, account.Holding, owner), 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for id := range b.All() {
		got = append(got, id.String())
	}
	want := []string{
		"money/EUR/issuance/a", "money/EUR/issuance/ab", "money/EUR/issuance/b",
		"money/EUR/holding/a", "money/EUR/holding/ab", "money/EUR/holding/b",
	}
	if diff := cmp.Diff(want, got[:6]); diff != "" {
		t.Errorf("first accounts (-want +got):\n%s", diff)
	}
	if len(got) != 18 || got[17] != "unit/R:W-7:2025/holding/b" {
		t.Errorf("got %d accounts, the last %s", len(got), got[len(got)-1])
	}
	if !slices.IsSortedFunc(b.Export(), func(a, b account.Change) int { return slices.Compare(a.Key, b.Key) }) {
		t.Error("export is not in order of keys")
	}
	for range b.All() {
		break // an early end must be harmless
	}
}

func BenchmarkPost(b *testing.B) {
	var book account.Book
	legs := make([]account.Leg, 0, 104)
	for i := range 100 {
		amount := unit.Amount(i - 50)
		legs = append(legs, account.Leg{Account: on(euro, account.Running, "member:"+string(rune('A'+i%26))+string(rune('a'+i/26))), Amount: amount})
	}
	legs = append(legs, account.Leg{Account: on(euro, account.Running, "supplier"), Amount: 50})
	for b.Loop() {
		if err := book.Post(legs...); err != nil {
			b.Fatal(err)
		}
	}
}
