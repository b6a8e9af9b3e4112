package market_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger/market"
)

// clearFile is "wattmark market clear" without the file.
func clearFile(file []byte) ([]byte, error) {
	a, err := market.ParseAuction(file)
	if err != nil {
		return nil, err
	}
	c, err := market.Clear(a)
	if err != nil {
		return nil, err
	}
	return c.AppendJSON(nil)
}

// settleFile is "wattmark market settle" without the file.
func settleFile(file []byte) ([]byte, error) {
	p, err := market.ParsePool(file)
	if err != nil {
		return nil, err
	}
	s, err := market.Settle(p)
	if err != nil {
		return nil, err
	}
	return s.AppendJSON(nil), nil
}

func work(name string) func([]byte) ([]byte, error) {
	if strings.HasPrefix(filepath.Base(name), "clear-") {
		return clearFile
	}
	return settleFile
}

// TestStoredResults repeats the stored corpus to the byte, on whatever it runs: make
// agree runs it as arm64. The results of the worked examples are those that the
// market's design prints; the others were computed by a program in another language
// that follows the design and shares no code with this one. None is ever rewritten:
// rules that a ledger has used do not change.
func TestStoredResults(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := work(name)(file)
		var fault *market.Fault
		switch {
		case errors.As(err, &fault):
			got = []byte(fault.Error() + "\n")
		case err != nil:
			t.Errorf("%s: %v", name, err)
			continue
		}
		stored := strings.TrimSuffix(name, ".json") + ".want"
		want, err := os.ReadFile(stored)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\ngot  %swant %s", name, got, want)
		}
	}
}

const zeros = `"0000000000000000000000000000000000000000000000000000000000000000"`

// TestClearRefuses changes a good file in one place each time.
func TestClearRefuses(t *testing.T) {
	good := `{"rule":"uniform","beacon":` + zeros + `,"fee":20000,` +
		`"bids":[{"id":"b1","member":"anna","price":300000,"quantity":1000,"class":"green","premium":5,"prefer":["gus","eva"]},{"id":"b2","member":"ben","price":240000,"quantity":750}],` +
		`"offers":[{"id":"o1","member":"eva","price":90000,"quantity":500,"class":"green"},{"id":"o2","member":"fred","price":150000,"quantity":901}]}`
	if _, err := clearFile([]byte(good)); err != nil {
		t.Fatal(err)
	}
	refuse(t, clearFile, good, []refusal{
		{`"uniform"`, `"Uniform"`, "rule"},
		{`"uniform"`, `""`, "rule"},
		{`"uniform"`, `1`, "rule"},
		{`"uniform"`, `null`, "rule"},
		{`"rule":"uniform",`, ``, "rule"},
		{`"rule"`, `"Rule"`, "Rule"},
		{zeros, `"00"`, "beacon"},
		{zeros, `"` + strings.Repeat("0", 65) + `"`, "beacon"},
		{zeros, `"` + strings.Repeat("A", 64) + `"`, "beacon"},
		{zeros, `"` + strings.Repeat("g", 64) + `"`, "beacon"},
		{zeros, `7`, "beacon"},
		{`"fee":20000`, `"fee":-1`, "fee"},
		{`"fee":20000`, `"fee":1000000001`, "fee"},
		{`"fee":20000`, `"fee":null`, "fee"},
		{`"fee":20000`, `"fee":"20000"`, "fee"},
		{`"fee":20000`, `"fee":2e4`, "fee"},
		{`"fee":20000`, `"fee":20000.0`, "fee"},
		{`"fee":20000`, `"fee":-0`, "fee"},
		{`"fee":20000`, `"fee":99999999999999999999999`, "fee"},
		{`"fee":20000`, `"fee":020000`, "input"},
		{`"fee":20000`, `"fee":+1`, "input"},
		{`"fee":20000`, `"fee":1,"fee":2`, "fee"},
		{`"fee":20000`, `"fee":1,"\u0066ee":2`, "fee"},
		{`"fee":20000`, `"fees":1`, "fees"},
		{`"fee":20000`, `"":1`, `""`},
		{`"fee":20000`, `"a b\n":1`, `"a b\n"`},
		{`"bids":[`, `"bids":7,"x":[`, "x"},
		{`"offers":[`, `"offers":{},"bids":[`, "bids"},
		{good[strings.Index(good, `,"offers"`):], `}`, "offers"},
		{good, `{"rule":"uniform","beacon":` + zeros + `,"bids":{},"offers":[]}`, "bids"},
		{good, `{"rule":"uniform","beacon":` + zeros + `,"bids":[7],"offers":[]}`, "bids[0]"},
		{good, `{"rule":"uniform","beacon":` + zeros + `,"bids":[7],"offers":7}`, "offers"},
		{good, ``, "input"},
		{good, ` `, "input"},
		{good, `null`, "input"},
		{good, `[]`, "input"},
		{good, `"x"`, "input"},
		{`"bids":[`, `"bids":[` + strings.Repeat("1,", 1_000_001), "bids"},
		{`"bids":[`, `"bids":[` + strings.Repeat("1,", 1_000), "bids[0]"},
		{good, good + `{}`, "input"},
		{good, good + `,`, "input"},
		{good, good[:len(good)-1], "input"},
		{good, "\ufeff" + good, "input"},
		{good, strings.Repeat("[", 20_000), "input"},
		{good, `{"rule":` + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000) + `}`, "rule"},
		{`"b1"`, "\"b\xff\"", "input"},
		{`"b1"`, `""`, "bids[0].id"},
		{`"b1"`, `"b 1"`, "bids[0].id"},
		{`"b1"`, `"b\u0000"`, "bids[0].id"},
		{`"b1"`, `"é"`, "bids[0].id"},
		{`"b1"`, `"` + strings.Repeat("b", 81) + `"`, "bids[0].id"},
		{`"b1"`, `1`, "bids[0].id"},
		{`"id":"b1",`, ``, "bids[0].id"},
		{`"b2"`, `"b1"`, "bids[1].id"},
		{`"o1"`, `"b1"`, "offers[0].id"},
		{`"o2"`, `"o1"`, "offers[1].id"},
		{`"ben"`, `"` + strings.Repeat("b", 65) + `"`, "bids[1].member"},
		{`"ben"`, `""`, "bids[1].member"},
		{`"member":"ben",`, ``, "bids[1].member"},
		{`"price":300000`, `"price":1000000001`, "bids[0].price"},
		{`"price":90000`, `"price":-1000000001`, "offers[0].price"},
		{`"price":90000,`, ``, "offers[0].price"},
		{`"quantity":750`, `"quantity":0`, "bids[1].quantity"},
		{`"quantity":750`, `"quantity":-5`, "bids[1].quantity"},
		{`"quantity":750`, `"quantity":1000000001`, "bids[1].quantity"},
		{`"quantity":750`, `"quantity":true`, "bids[1].quantity"},
		{`,"quantity":750`, ``, "bids[1].quantity"},
		{`"class":"green","premium"`, `"class":"greenish","premium"`, "bids[0].class"},
		{`"class":"green","premium"`, `"class":"any","premium"`, "bids[0].premium"},
		{`"premium":5`, `"premium":-1`, "bids[0].premium"},
		{`"premium":5`, `"premium":1000000001`, "bids[0].premium"},
		{`"class":"green"}`, `"class":"green-first"}`, "offers[0].class"},
		{`"class":"green"}`, `"class":"green","premium":0}`, "offers[0].premium"},
		{`"class":"green"}`, `"class":"green","prefer":[]}`, "offers[0].prefer"},
		{`["gus","eva"]`, `"gus"`, "bids[0].prefer"},
		{`["gus","eva"]`, `null`, "bids[0].prefer"},
		{`["gus","eva"]`, `["gus","anna"]`, "bids[0].prefer"},
		{`["gus","eva"]`, `["gus","eva","gus"]`, "bids[0].prefer"},
		{`["gus","eva"]`, `["1","2","3","4","5","6","7","8","9","10","11"]`, "bids[0].prefer"},
		{`["gus","eva"]`, `["gus",""]`, "bids[0].prefer[1]"},
		{`["gus","eva"]`, `["gus",["eva"]]`, "bids[0].prefer[1]"},
		{`"member":"fred","price":150000`, `"member":"ben","price":220000`, "bids[1].price"},
		{`"member":"eva","price":90000`, `"member":"anna","price":280005`, "bids[0].price"},
		// Faults are looked for in order.
		{`"b1","member":"anna","price":300000,"quantity":1000`, `"b1","member":"an na","price":1.5,"quantity":0`, "bids[0].member"},
		{`"b2","member":"ben","price":240000,"quantity":750}]`, `"b1","member":"ben","price":240000,"quantity":0}]`, "bids[1].quantity"},
		{`"o2","member":"fred"`, `"o1","member":"ben"`, "offers[1].id"},
	})
	// Just within.
	for _, change := range [][2]string{
		{`"member":"eva","price":90000`, `"member":"anna","price":280006`},
		{`"fee":20000,`, ``},
		{`"class":"green","premium":5,"prefer":["gus","eva"]`, `"class":"any","premium":0,"prefer":[]`},
		{`"b1"`, `"` + strings.Repeat("b", 80) + `"`},
		{`"b1"`, `"\u00621"`},
		{good, "\r\n\t " + strings.ReplaceAll(good, ",", " ,\n ") + "\n"},
	} {
		if _, err := clearFile([]byte(strings.Replace(good, change[0], change[1], 1))); err != nil {
			t.Errorf("with %s: %v", change[1], err)
		}
	}
}

// TestSettleRefuses changes a good file in one place each time.
func TestSettleRefuses(t *testing.T) {
	good := `{"rule":"sdr","beacon":` + zeros + `,"tariff":{"feed_in":50000,"retail":250000,"fee":20000,"loss_ppm":10000},"deviation_ppm":100000,"auction_price":null,"members":[` +
		`{"member":"anna","import":1200,"max_buy":300000},{"member":"eva","quality":"X","import":0,"sold":3,"feed_in":-5,"retail":5}]}`
	if _, err := settleFile([]byte(good)); err != nil {
		t.Fatal(err)
	}
	refuse(t, settleFile, good, []refusal{
		{`"sdr"`, `"uniform"`, "rule"},
		{zeros, `null`, "beacon"},
		{`"tariff":{"feed_in":50000,"retail":250000,"fee":20000,"loss_ppm":10000},`, ``, "tariff"},
		{`"tariff":{"feed_in":50000,"retail":250000,"fee":20000,"loss_ppm":10000}`, `"tariff":[]`, "tariff"},
		{`"feed_in":50000,`, ``, "tariff.feed_in"},
		{`"feed_in":50000`, `"feed_in":-1`, "tariff.feed_in"},
		{`"feed_in":50000`, `"feed_in":1000000001`, "tariff.feed_in"},
		{`"retail":250000`, `"retail":"250000"`, "tariff.retail"},
		{`"fee":20000`, `"fee":-1`, "tariff.fee"},
		{`"fee":20000`, `"grid":1`, "tariff.grid"},
		{`"fee":20000`, `"retail":1`, "tariff.retail"},
		{`"loss_ppm":10000`, `"loss_ppm":1000001`, "tariff.loss_ppm"},
		{`"deviation_ppm":100000`, `"deviation_ppm":-1`, "deviation_ppm"},
		{`"deviation_ppm":100000`, `"deviation_ppm":1000001`, "deviation_ppm"},
		{`"deviation_ppm":100000`, `"deviation_ppm":null`, "deviation_ppm"},
		{`"auction_price":null`, `"auction_price":false`, "auction_price"},
		{`"auction_price":null`, `"auction_price":-1000000001`, "auction_price"},
		{`"members":[`, `"members":{},"x":[`, "x"},
		{`"anna"`, `"an/na"`, "members[0].member"},
		{`"member":"anna",`, ``, "members[0].member"},
		{`"eva"`, `"anna"`, "members[1].member"},
		{`"X"`, `"x"`, "members[1].quality"},
		{`"X"`, `""`, "members[1].quality"},
		{`"import":0`, `"import":1`, "members[1].import"},
		{`"import":0`, `"export":1`, "members[1].export"},
		{`"import":1200`, `"import":-1`, "members[0].import"},
		{`"import":1200`, `"import":1000000001`, "members[0].import"},
		{`"import":1200`, `"import":12.00`, "members[0].import"},
		{`"sold":3`, `"sold":-3`, "members[1].sold"},
		{`"sold":3`, `"bought":"3"`, "members[1].bought"},
		{`"max_buy":300000`, `"max_buy":null`, "members[0].max_buy"},
		{`"max_buy":300000`, `"min_sell":1000000001`, "members[0].min_sell"},
		{`"feed_in":-5`, `"feed_in":1e9`, "members[1].feed_in"},
		{`"retail":5`, `"retail":-1000000001`, "members[1].retail"},
		{`"retail":5`, `"retail":5,"class":"any"`, "members[1].class"},
	})
}

type refusal struct{ old, new, field string }

func refuse(t *testing.T, work func([]byte) ([]byte, error), good string, refusals []refusal) {
	t.Helper()
	for _, r := range refusals {
		if !strings.Contains(good, r.old) {
			t.Fatalf("the file holds no %s", r.old)
		}
		out, err := work([]byte(strings.Replace(good, r.old, r.new, 1)))
		var fault *market.Fault
		switch {
		case !errors.As(err, &fault) || fault.Field != r.field:
			t.Errorf("with %.60s: got %v, want a fault of %s", r.new, err, r.field)
		case out != nil:
			t.Errorf("with %.60s: part of a result: %s", r.new, out)
		case strings.ContainsAny(fault.Error(), "\n\r") || fault.Reason == "":
			t.Errorf("with %.60s: %q is not one line", r.new, fault)
		}
	}
}

// TestSumsBeyondInt64 has every order in range, and money that is not.
func TestSumsBeyondInt64(t *testing.T) {
	orders := func(side, price string) string {
		var list []string
		for _, n := range "0123456789" {
			list = append(list, `{"id":"`+side+string(n)+`","member":"`+side+string(n)+`","price":`+price+`,"quantity":1000000000}`)
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	auction := func(fee, bids, offers string) string {
		return `{"rule":"uniform","beacon":` + zeros + `,"fee":` + fee + `,"bids":` + orders("b", bids) + `,"offers":` + orders("o", offers) + `}`
	}
	refuse(t, clearFile, auction("0", "1000000000", "1000000000"), []refusal{
		{"uniform", "uniform", "bids"},
		{"uniform", "pay-as-bid", "bids"},
	})
	// Buyers pay nothing, as the fee is all that their limit allows.
	refuse(t, clearFile, auction("1000000000", "0", "-1000000000"), []refusal{{"", "", "bids"}})
	refuse(t, clearFile, auction("0", "-1000000000", "-1000000000"), []refusal{{"", "", "bids"}})

	var list []string
	for _, n := range "0123456789" {
		list = append(list, `{"member":"`+string(n)+`","export":1000000000}`)
	}
	pool := `{"rule":"mid","beacon":` + zeros + `,"tariff":{"feed_in":1000000000,"retail":0},"members":[` + strings.Join(list, ",") + `]}`
	refuse(t, settleFile, pool, []refusal{{"", "", "members"}})
	if _, err := settleFile([]byte(strings.Replace(pool, `{"member":"9","export":1000000000}`, `{"member":"9","import":1}`, 1))); err != nil {
		t.Errorf("nine members' exports fit: %v", err)
	}
}
