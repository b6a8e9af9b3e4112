package dashboard_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/ledger/unit"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard"
)

// asked is an API over a drawn ledger, and a dashboard with it.
func asked(t *testing.T, c *ledgertest.Chain) (*api.API, *dashboard.Dashboard) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ledger")
	c.Save(dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	a := api.New(api.Config{Ledger: l})
	return a, dashboard.New(nil, dashboard.Options{Ledger: l.Store(), API: a, Fleet: fleet, Log: logged(t)})
}

// traded is a neighbourhood whose homes gave and took for some quarter hours.
func traded(t *testing.T, homes, quarters int) *ledgertest.Hood {
	t.Helper()
	h := ledgertest.NewHood(t, homes)
	h.Trade(quarters)
	return h
}

// TestMarketPages: the sentence, the chart, the table and the page of an interval say the
// same figures, and of a small neighbourhood none.
func TestMarketPages(t *testing.T) {
	for _, homes := range []int{3, 6} {
		a, d := asked(t, traded(t, homes, 40).Chain)
		page := get(d, "/market")
		checkHTML(t, "/market", page.body)
		day, _, err := a.Intervals(ledgertest.Zone, 0, 0, 96)
		if err != nil {
			t.Fatal(err)
		}
		var last api.IntervalItem
		for _, i := range day {
			if i.State == "settled" {
				last = i
				break
			}
		}
		one := get(d, "/market/"+ledgertest.Zone+"/"+last.Interval)
		checkHTML(t, "an interval", one.body)
		one.has(t, last.Root, "wattmark ledger audit DIR")
		if homes < entry.LeastTotals {
			page.has(t, "Fewer than five members have readings")
			one.has(t, "Fewer than five members have readings")
			if strings.Contains(page.body, "<figure") || strings.Contains(one.body, "Homes gave") {
				t.Errorf("sums of %d homes are told", homes)
			}
			continue
		}
		shared := dashboard.Energy(last.Totals.LocalWh)
		page.has(t, "neighbours shared "+shared+" at ", "0.30 EUR", `class="shared" d="M`, `<td class="n">`+shared+`</td>`)
		page.has(t, "Trading for ", " closes at ")
		one.has(t, shared, dashboard.Energy(last.Totals.GridExportWh), "6 homes measured", `href="/ledger/leaf/`)
		// Every interval is listed once, on the way down.
		rows, path := 0, "/market"
		for ; path != ""; path = strings.ReplaceAll(link(page.body, "Older"), "&amp;", "&") {
			page = get(d, path)
			rows += strings.Count(page.body, `<tr><th scope="row"><a href="/market/street/`)
		}
		if rows != len(day) {
			t.Errorf("%d intervals are listed, want %d", rows, len(day))
		}
	}
}

// TestToday: the first page shows the newest day of the market, with the figures that the
// market's own page has, and nothing where there is none.
func TestToday(t *testing.T) {
	a, d := asked(t, traded(t, 6, 40).Chain)
	page := get(d, "/")
	checkHTML(t, "/", page.body)
	newest, _, err := a.Intervals(ledgertest.Zone, 0, 0, 1)
	if err != nil || len(newest) != 1 {
		t.Fatal(newest, err)
	}
	at, err := unit.ParseInterval(newest[0].Interval)
	if err != nil {
		t.Fatal(err)
	}
	day, _, err := a.Intervals(ledgertest.Zone, at-at%86_400, 0, 96)
	if err != nil {
		t.Fatal(err)
	}
	var shared, fromGrid int64
	price := ""
	for _, i := range day {
		if k := i.Totals; k != nil {
			shared, fromGrid = shared+k.LocalWh, fromGrid+k.GridImportWh
			if price == "" {
				price = k.LocalPrice
			}
		}
	}
	if price == "" {
		t.Fatal("no interval of the day has a price")
	}
	page.has(t, `data-part="today"`, "neighbours shared "+dashboard.Energy(shared)+"; "+dashboard.Energy(fromGrid)+" came from the grid",
		"Price among neighbours", "<dd>"+strings.TrimRight(price, "0")+" EUR</dd>", "<dd>0.30 EUR</dd>", `>00:00</text>`, `data-topics="power,block,receipt,notice,state,interval"`)
	if strings.Contains(page.body, "e of a kWh taken") {
		t.Error("a kWh has emissions where no factor is in force")
	}

	_, d = asked(t, ledgertest.NewPlant(t).Chain)
	if page := get(d, "/"); strings.Contains(page.body, "Price among neighbours") {
		t.Error("prices of a market that is not there")
	}
	for _, test := range []struct {
		fromGrid, taken int64
		want            string
	}{{500, 1000, "200 g"}, {0, 1000, "0.00 g"}, {1500, 1000, "400 g"}, {1, 3, "133 g"}, {1, 0, ""}} {
		if got := strings.ReplaceAll(dashboard.Emitted(test.fromGrid, test.taken, "0.000400000"), "\u202f", " "); got != test.want {
			t.Errorf("%d of %d Wh from a grid of 400 g: %q, want %q", test.fromGrid, test.taken, got, test.want)
		}
	}
}

// TestNoMarket: what is not there says so, with what to do.
func TestNoMarket(t *testing.T) {
	c, _ := drawn(t)
	_, d := asked(t, c)
	none := dashboard.New(nil, dashboard.Options{Log: logged(t)})
	_, hood := asked(t, traded(t, 3, 3).Chain)
	for _, test := range []struct {
		d    *dashboard.Dashboard
		path string
		says []string
	}{
		{d, "/market", []string{"There is no market on this ledger.", "tariff"}},
		{none, "/market", []string{"This page server has no accounts to read."}},
		{none, "/carbon", []string{"This page server has no accounts to read."}},
		{none, "/market/street/2026-01-01T00:00:00Z", []string{"no accounts to read"}},
		{hood, "/market?zone=elsewhere", []string{"There is no zone &#34;elsewhere&#34;"}},
		{hood, "/market?from=yesterday", []string{"&#34;yesterday&#34; is none"}},
		{hood, "/market/street/yesterday", []string{"There is no interval &#34;yesterday&#34;", "quarter hour"}},
		{hood, "/market/street/2030-01-01T00:00:00Z", []string{"is not cleared yet"}},
		{hood, "/market/street/2020-01-01T00:00:00Z", []string{"had not begun"}},
		{hood, "/market/elsewhere/2020-01-01T00:00:00Z", []string{"no zone"}},
	} {
		a := get(test.d, test.path)
		checkHTML(t, test.path, a.body)
		if a.status != http.StatusNotFound {
			t.Errorf("%s: status %d", test.path, a.status)
		}
		a.has(t, test.says...)
	}
}

// TestSearch finds by names and hashes, and goes to the one thing that is found.
func TestSearch(t *testing.T) {
	c, _ := drawn(t)
	_, d := asked(t, c)
	a := get(d, "/ledger?q=home2")
	checkHTML(t, "/ledger?q=", a.body)
	a.has(t, "Found", `<a href="/gateways/home2">home2</a>: a gateway with a key in force`, `value="home2"`)
	get(d, "/ledger?q=3").has(t, `<a href="/ledger/block/3">3</a>`, `<a href="/ledger/leaf/3">3</a>`)
	get(d, "/ledger?q=%3Cb%3E").has(t, "&#34;&lt;b&gt;&#34; is nothing that this ledger has. Tried as key, gateway, member.")
	leaf, _ := c.Leaf(20)
	if r := get(d, "/ledger?q="+hashOf(leaf)); r.status != http.StatusSeeOther || r.header.Get("Location") != "/ledger/leaf/20" {
		t.Errorf("a leaf's hash leads to %d %s", r.status, r.header.Get("Location"))
	}
	get(d, "/ledger/leaf/20").has(t, `href="/api/v1/leaf/20.evidence" download`)
}

// TestCarbonPage shows a drawn plant's period, closed and restated.
func TestCarbonPage(t *testing.T) {
	p := ledgertest.NewPlant(t)
	_, d := asked(t, p.Chain)
	a := get(d, "/carbon")
	checkHTML(t, "/carbon", a.body)
	a.has(t, "No period is closed", "not closed yet", "oven", "None was issued.", "No records of CAD Trust")

	p = ledgertest.NewPlant(t)
	p.Measure(t, 4, 600, 200, 500)
	p.At(900)
	p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", "")
	all, d := asked(t, p.Chain)
	rates := all.Accounts().Rates
	if len(rates) != 1 || rates[0].Mass != "0.600000000" {
		t.Fatalf("rates %+v", rates)
	}
	a = get(d, "/carbon")
	checkHTML(t, "/carbon", a.body)
	lines := all.Accounts().Periods[0].Lines
	if len(lines) != 2 {
		t.Fatalf("lines %+v", lines)
	}
	a.has(t, "Site bakery emitted 2.40\u202ft CO₂e itself in period hour", "All of it was measured.", "4 quarter hours measured, 0 missing",
		"by location "+dashboard.Mass(lines[0].Scope2.Location), "2.40\u202ft CO2", "factors grid 2026",
		"2.40\u202ft/h CO2", "(95 %), from ")
}

// TestMass: a mass is written in the unit that suits it.
func TestMass(t *testing.T) {
	for in, want := range map[string]string{
		"0.000000000": "0.00 g", "0.000000078": "0.08 g", "0.006979759": "6.98 kg", "0.0000341": "34.1 g", "1.000000000": "1.00 t",
		"12.345": "12.3 t", "1234.5": "1,235 t", "-0.5": "−500 kg", "not a mass": "not a mass t",
	} {
		if got := strings.ReplaceAll(dashboard.Mass(in), "\u202f", " "); got != want {
			t.Errorf("%s is written %q, want %q", in, got, want)
		}
	}
}

func hashOf(leaf []byte) string {
	h := block.LeafHash(leaf)
	return fmt.Sprintf("%x", h[:])
}

// TestDocs: the page names everything that the description has.
func TestDocs(t *testing.T) {
	c, _ := drawn(t)
	a, d := asked(t, c)
	page := get(d, "/docs")
	checkHTML(t, "/docs", page.body)
	for _, p := range api.Problems() {
		page.has(t, `<div id="`+p.Kind+`">`, p.Title)
	}
	if len(a.Routes()) < 20 {
		t.Errorf("only %d routes", len(a.Routes()))
	}
	for _, r := range a.Routes() {
		page.has(t, "<h2 class=\"break\">"+r.Method+" "+r.Path+"</h2>")
	}
	page.has(t, "totals.local_<wbr>wh", "next of the part before; absent for the first")
	get(dashboard.New(nil, dashboard.Options{Log: logged(t)}), "/docs").has(t, "no accounts to read")
}
