package market_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// fuzz feeds one of the commands: what it takes it answers with one line of JSON, the
// same every time, and what it refuses with a fault, and nothing in between.
func fuzz(f *testing.F, pattern string, work func([]byte) ([]byte, error), check func([]byte) error) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("%d seeds, %v", len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 1<<14 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		before := bytes.Clone(file)
		out, err := work(file)
		if !bytes.Equal(file, before) {
			t.Fatal("the file has changed")
		}
		if err != nil {
			var fault *market.Fault
			if !errors.As(err, &fault) || out != nil || fault.Field == "" || bytes.ContainsAny([]byte(fault.Error()), "\n\r") {
				t.Fatalf("got %q, %v", out, err)
			}
			return
		}
		// What is taken is JSON to others too, and passes the check of its type.
		if !json.Valid(file) || !json.Valid(out) || bytes.Count(out, []byte("\n")) != 1 || !bytes.HasSuffix(out, []byte("\n")) {
			t.Fatalf("%q gives %q", file, out)
		}
		if err := check(file); err != nil {
			t.Fatal(err)
		}
		if again, err := work(file); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("got %q, then %q, %v", out, again, err)
		}
	})
}

// The files as encoding/json reads them.
type (
	auctionFile struct {
		Fee  unit.Price
		Bids []struct {
			ID, Member string
			Price      unit.Price
			Quantity   unit.Energy
			Premium    unit.Price
			Prefer     []string
		}
		Offers []struct {
			ID, Member string
			Price      unit.Price
			Quantity   unit.Energy
		}
	}
	poolFile struct {
		AuctionPrice *unit.Price `json:"auction_price"`
		Members      []struct {
			Member                       string
			Import, Export, Sold, Bought unit.Energy
			MinSell                      *unit.Price `json:"min_sell"`
			MaxBuy                       *unit.Price `json:"max_buy"`
			FeedIn                       *unit.Price `json:"feed_in"`
			Retail                       *unit.Price
		}
	}
)

func FuzzClear(f *testing.F) {
	f.Add([]byte(`{"rule":"pay-as-bid","beacon":` + zeros + `,"bids":[{"id":"b","member":"x","price":2,"quantity":1,"prefer":["y"]}],"offers":[{"id":"o","member":"y","price":-1,"quantity":3}]}`))
	fuzz(f, "testdata/clear-*.json", clearFile, func(file []byte) error {
		a, err := market.ParseAuction(file)
		if err != nil {
			return err
		}
		var other auctionFile
		if err := json.Unmarshal(file, &other); err != nil {
			return err
		}
		same := other.Fee == a.Fee && len(other.Bids) == len(a.Bids) && len(other.Offers) == len(a.Offers)
		for i := 0; same && i < len(a.Bids); i++ {
			b, o := a.Bids[i], other.Bids[i]
			same = b.ID == o.ID && b.Member == o.Member && b.Price == o.Price && b.Quantity == o.Quantity && b.Premium == o.Premium && slices.Equal(b.Prefer, o.Prefer)
		}
		for i := 0; same && i < len(a.Offers); i++ {
			b, o := a.Offers[i], other.Offers[i]
			same = b.ID == o.ID && b.Member == o.Member && b.Price == o.Price && b.Quantity == o.Quantity
		}
		if !same {
			return fmt.Errorf("%q is read as %+v, and by others as %+v", file, a, other)
		}
		return a.Check()
	})
}

func FuzzSettle(f *testing.F) {
	f.Add([]byte(`{"rule":"mid","beacon":` + zeros + `,"tariff":{"feed_in":1,"retail":5},"members":[{"member":"a","import":3,"max_buy":9},{"member":"b","export":2,"quality":"M"}]}`))
	fuzz(f, "testdata/settle-*.json", settleFile, func(file []byte) error {
		p, err := market.ParsePool(file)
		if err != nil {
			return err
		}
		var other poolFile
		if err := json.Unmarshal(file, &other); err != nil {
			return err
		}
		equal := func(x, y *unit.Price) bool { return x == y || x != nil && y != nil && *x == *y }
		same := equal(other.AuctionPrice, p.AuctionPrice) && len(other.Members) == len(p.Members)
		for i := 0; same && i < len(p.Members); i++ {
			m, o := p.Members[i], other.Members[i]
			same = m.Member == o.Member && m.Import == o.Import && m.Export == o.Export && m.Sold == o.Sold && m.Bought == o.Bought &&
				equal(m.MinSell, o.MinSell) && equal(m.MaxBuy, o.MaxBuy) && equal(m.FeedIn, o.FeedIn) && equal(m.Retail, o.Retail)
		}
		if !same {
			return fmt.Errorf("%q is read as %+v, and by others as %+v", file, p, other)
		}
		return p.Check()
	})
}
