package account_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/account"
)

func TestLoadGivesTheBookBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b account.Book
		for range rapid.IntRange(0, 20).Draw(t, "postings") {
			// A refused posting is part of the story, not of this test.
			_ = b.Post(drawnPosting(t)...)
		}
		var loaded account.Book
		for _, c := range rapid.Permutation(b.Export()).Draw(t, "pairs") {
			if err := loaded.Load(c.Key, c.Value); err != nil {
				t.Fatal(err)
			}
		}
		if err := loaded.Check(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b.Export(), loaded.Export()); diff != "" {
			t.Fatalf("loaded (-exported +loaded):\n%s", diff)
		}
		if changes := loaded.Changes(); len(changes) > 0 {
			t.Fatalf("loading counted as change: %v", changes)
		}
		// Both go on alike.
		legs := drawnPosting(t)
		one, other := b.Post(legs...), loaded.Post(legs...)
		if (one == nil) != (other == nil) {
			t.Fatalf("%v: the book says %v, the loaded one %v", legs, one, other)
		}
		if diff := cmp.Diff(b.Export(), loaded.Export()); diff != "" {
			t.Fatalf("after one more posting (-exported +loaded):\n%s", diff)
		}
	})
}

// The bytes of stored pairs are a format: old stores must stay readable.
func TestStoredBytes(t *testing.T) {
	var b account.Book
	if err := b.Transfer(on(euro, account.Issuance, "bank"), on(euro, account.Holding, "member:anna"), 258); err != nil {
		t.Fatal(err)
	}
	want := []account.Change{
		{Key: []byte("\x01EUR\x00\x01bank"), Value: []byte("\xff\xff\xff\xff\xff\xff\xfe\xfe")},
		{Key: []byte("\x01EUR\x00\x03member:anna"), Value: []byte("\x00\x00\x00\x00\x00\x00\x01\x02")},
	}
	if diff := cmp.Diff(want, b.Changes()); diff != "" {
		t.Errorf("stored pairs (-want +got):\n%s", diff)
	}
	if err := b.Transfer(on(euro, account.Holding, "member:anna"), on(euro, account.Issuance, "bank"), 258); err != nil {
		t.Fatal(err)
	}
	want[0].Value, want[1].Value = nil, nil
	if diff := cmp.Diff(want, b.Changes()); diff != "" {
		t.Errorf("pairs of accounts back at zero (-want +got):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	good := []byte("\x01EUR\x00\x02member:anna")
	one := []byte("\x00\x00\x00\x00\x00\x00\x00\x01")
	for _, test := range []struct {
		name       string
		key, value []byte
	}{
		{"an empty key", nil, one},
		{"an unknown class", []byte("\x05EUR\x00\x02anna"), one},
		{"an unknown kind", []byte("\x01EUR\x00\x0banna"), one},
		{"kind zero", []byte("\x01EUR\x00\x00anna"), one},
		{"a kind money has not", []byte("\x01EUR\x00\x09anna"), one},
		{"no zero byte", []byte("\x01EUR"), one},
		{"no kind", []byte("\x01EUR\x00"), one},
		{"no owner", []byte("\x01EUR\x00\x02"), one},
		{"no asset", []byte("\x01\x00\x02anna"), one},
		{"a slash", []byte("\x01EUR\x00\x02an/na"), one},
		{"a zero byte in the owner", []byte("\x01EUR\x00\x02an\x00na"), one},
		{"a long owner", []byte("\x01EUR\x00\x02" + strings.Repeat("a", account.MaxName+1)), one},
		{"a huge key", bytes.Repeat([]byte("\x01"), 1<<20), one},
		{"a short balance", good, one[1:]},
		{"a long balance", good, append([]byte{0}, one...)},
		{"no balance", good, nil},
		{"a balance of zero", good, make([]byte, 8)},
	} {
		var b account.Book
		if err := b.Load(test.key, test.value); !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%s: got %v, want an error", test.name, err)
		}
		if pairs := b.Export(); len(pairs) > 0 {
			t.Errorf("%s left %v", test.name, pairs)
		}
	}

	var b account.Book
	if err := b.Load(good, one); err != nil {
		t.Fatal(err)
	}
	if err := b.Load(good, one); !errors.Is(err, account.ErrInvalid) {
		t.Errorf("a pair stored twice: got %v", err)
	}
	if err := b.Check(); !errors.Is(err, account.ErrUnbalanced) {
		t.Errorf("half a book: got %v, want unbalanced", err)
	}
	var c account.Book
	if err := c.Load([]byte("\x01EUR\x00\x03anna"), []byte("\xff\xff\xff\xff\xff\xff\xff\xff")); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); !errors.Is(err, account.ErrBalance) {
		t.Errorf("a holding below zero: got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("\x01EUR\x00\x02member:anna"), []byte("\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Add([]byte("\x04R:W-7:2025\x00\x09anna"), []byte("\x80\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		var b account.Book
		if b.Load(key, value) != nil {
			return
		}
		want := []account.Change{{Key: key, Value: value}}
		if diff := cmp.Diff(want, b.Export()); diff != "" {
			t.Errorf("loaded and exported (-want +got):\n%s", diff)
		}
		for id := range b.All() {
			if again, err := account.ParseID(id.String()); err != nil || again != id {
				t.Errorf("%s was read as %s, %v", id, again, err)
			}
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("money/EUR/running/member:anna")
	f.Add("unit/R:W-7:2025/retired/council")
	f.Add("certificate/a/running/b")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := account.ParseID(s)
		if err != nil {
			return
		}
		if id.String() != s || id.Check() != nil {
			t.Errorf("%q was read as %s", s, id)
		}
	})
}

func TestParseIDRefuses(t *testing.T) {
	for _, s := range []string{"", "money", "money/EUR/running", "money/EUR/running/a/b", "Money/EUR/running/a", "money//running/a",
		"money/EUR/running/", "money/EUR/bag/a", "money/E R/running/a", "money/EUR/running/ä", "Class(5)/EUR/running/a",
		"money/EUR/Kind(0)/a", strings.Repeat("a", 1<<20)} {
		if id, err := account.ParseID(s); !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%.40q: got %s, %v; want an error", s, id, err)
		} else if len(err.Error()) > 400 {
			t.Errorf("%.40q: an error of %d bytes", s, len(err.Error()))
		}
	}
}

func TestUnknownAccountsAreEmpty(t *testing.T) {
	var b account.Book
	for _, id := range []account.ID{{}, on(euro, account.Running, "nobody"), on(euro, account.Running, strings.Repeat("x", 1000))} {
		if got := b.Balance(id); got != 0 {
			t.Errorf("%.60s: got %d", id, got)
		}
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}
