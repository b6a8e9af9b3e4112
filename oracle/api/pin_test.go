package api_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/oracle/api"
)

// TestPartsAreOfOneHeight reads a list in parts while the ledger grows: all of them are as
// of the block at which the list was begun.
func TestPartsAreOfOneHeight(t *testing.T) {
	p := ledgertest.NewPlant(t)
	p.Measure(t, 4, 100, 300, 500)
	for i := range int64(3) {
		p.Expect(t, p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From + 900*i, To: p.From + 900*(i+1)}), "", "")
	}
	dir := filepath.Join(t.TempDir(), "ledger")
	p.Save(dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	now := time.Now()
	url := serve(t, api.New(api.Config{Ledger: l, Rates: fast, Now: func() time.Time { return now }}).Handler()) + "/api/v1/carbon/certificates?limit=1&cursor="
	first := ask[api.Page[api.CertificateItem]](t, url, http.StatusOK)
	if len(first.Items) != 1 || first.Next == "" {
		t.Fatalf("the first part: %+v", first)
	}

	b := p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From + 2700, To: p.From + 3600})
	p.Expect(t, b, "", "")
	inputs, hashes := b.Inputs()
	if _, err := l.Append(inputs, hashes, ledger.Order{Sequence: 1 << 20, Digest: [32]byte{1}}); err != nil {
		t.Fatal(err)
	}
	items, next := first.Items, first.Next
	for next != "" {
		part := ask[api.Page[api.CertificateItem]](t, url+next, http.StatusOK)
		if part.Height != first.Height {
			t.Errorf("a part is of block %d, the first of %d", part.Height, first.Height)
		}
		items, next = append(items, part.Items...), part.Next
	}
	if len(items) != 3 {
		t.Errorf("%d certificates in parts, want 3: one came later", len(items))
	}
	again := ask[api.Page[api.CertificateItem]](t, url, http.StatusOK)
	if again.Height != first.Height+1 || again.Next == first.Next {
		t.Errorf("begun again: block %d after %d", again.Height, first.Height)
	}

	now = now.Add(api.PinnedFor + time.Second)
	gone := ask[struct {
		Type, Title, Detail, Hint string
		Status                    int
	}](t, url+first.Next, http.StatusGone)
	if gone.Type != "/docs#no-more-of-this-list" || gone.Hint == "" {
		t.Errorf("too late: %+v", gone)
	}
}

// TestPinsAreBounded: whoever begins how many lists, few are kept, each as it was first, and
// the one that was read last is.
func TestPinsAreBounded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var p api.Pins
		now := time.Unix(1_000_000, 0)
		first := make(map[string]int)
		for n := range rapid.IntRange(1, 600).Draw(rt, "lists") {
			now = now.Add(time.Second)
			height := rapid.Uint64Range(0, 400).Draw(rt, "height")
			count := rapid.SampledFrom([]int{1, 100, api.MaxPinnedItems / 3, 2 * api.MaxPinnedItems}).Draw(rt, "count")
			id := fmt.Sprint(height)
			if p.Find("x", height, now) == nil {
				first[id] = n
			}
			p.Keep("x", height, n, count, now)
			lists, items := p.Size()
			if lists > api.MaxPinned || items > api.MaxPinnedItems && lists > 1 {
				rt.Fatalf("%d lists with %d items are kept", lists, items)
			}
			if got := p.Find("x", height, now); got != first[id] {
				rt.Fatalf("list %d is kept as %v, want %v", height, got, first[id])
			}
		}
		now = now.Add(api.PinnedFor + time.Second)
		p.Find("x", 0, now)
		if lists, items := p.Size(); lists != 0 || items != 0 {
			rt.Fatalf("%d lists with %d items are kept for ever", lists, items)
		}
	})
}
