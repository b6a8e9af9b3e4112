package api_test

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/oracle/api"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// queried is an API over a drawn ledger, all of it final.
func queried(t *testing.T, c *ledgertest.Chain) string {
	t.Helper()
	dir := t.TempDir()
	c.Save(dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return serve(t, api.New(api.Config{Ledger: l, Rates: fast}).Handler())
}

// fast are rates that no test meets.
var fast = api.Rates{Reads: 1000, ReadBurst: 1000, Proofs: 1000, ProofBurst: 1000}

func hashOf(leaf []byte) string {
	h := block.LeafHash(leaf)
	return hex.EncodeToString(h[:])
}

// ask reads JSON, and fails where it is not answered with a status.
func ask[T any](t *testing.T, url string, status int) T {
	t.Helper()
	r, b := (&street{}).get(t, url)
	var v T
	if r.StatusCode != status {
		t.Fatalf("%s: status %d, want %d:\n%s", url, r.StatusCode, status, b)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v:\n%s", url, err, b)
	}
	return v
}

// all reads a list to its end, in parts.
func all[T any](t *testing.T, url string, limit int) []T {
	t.Helper()
	var items []T
	sep := "?"
	if strings.Contains(url, "?") {
		sep = "&"
	}
	for next, parts := "", 0; ; parts++ {
		p := ask[api.Page[T]](t, fmt.Sprintf("%s%slimit=%d&cursor=%s", url, sep, limit, next), http.StatusOK)
		if len(p.Items) > limit {
			t.Fatalf("%s: %d items in a part, asked for %d", url, len(p.Items), limit)
		}
		items = append(items, p.Items...)
		if next = p.Next; next == "" {
			return items
		}
		if parts > 1000 {
			t.Fatalf("%s has no end", url)
		}
	}
}

// TestBlocks reads the ledger's blocks and leaves, in parts, and compares them with the
// drawn ones.
func TestBlocks(t *testing.T) {
	s := newStreet(t, func(c *api.Config) { c.Rates = fast })
	head := ask[api.Head](t, s.url+"/api/v1/ledger", http.StatusOK)
	last := s.Last()
	if head.Kind != "ledger" || head.Ledger != ledgertest.Origin || head.Height != last.Header.Height || head.Size != last.Checkpoint.Size || *head.FinalHeight != last.Header.Height-1 || head.Quorum != 3 || len(head.Oracles) != 4 {
		t.Errorf("the ledger stands at %+v", head)
	}
	blocks := all[api.BlockItem](t, s.url+"/api/v1/blocks", 4)
	if len(blocks) != len(s.Blocks) {
		t.Fatalf("%d blocks, want %d", len(blocks), len(s.Blocks))
	}
	for i, b := range blocks {
		want := s.Blocks[len(s.Blocks)-1-i]
		if b.Height != want.Header.Height || b.FirstLeaf != want.Header.First || b.LastLeaf != want.Header.Size || b.Final != (i > 0) {
			t.Errorf("block %d is %+v", want.Header.Height, b)
		}
	}
	if c := blocks[1].Cosigned; len(c) < 3 {
		t.Errorf("the newest final block is cosigned by %q", c)
	}
	leaves := all[api.LeafItem](t, s.url+"/api/v1/blocks/3/leaves", 7)
	for i, l := range leaves {
		leaf, _ := s.Leaf(s.Blocks[3].Header.First + uint64(i))
		if l.Hash != hashOf(leaf) || l.Summary == "" || l.Height != 3 || !l.Final {
			t.Errorf("leaf %d is %+v", i, l)
		}
	}
	if n := s.Blocks[3].Header.Size - s.Blocks[3].Header.First + 1; uint64(len(leaves)) != n || leaves[n-1].Type != "header" {
		t.Errorf("%d leaves, want %d, the header last", len(leaves), n)
	}
	// A list stays as it was begun.
	first := ask[api.Page[api.BlockItem]](t, s.url+"/api/v1/blocks?limit=2", http.StatusOK)
	r, _ := s.get(t, s.url+"/api/v1/blocks?limit=2")
	if want := fmt.Sprintf(`</api/v1/blocks?cursor=%s&limit=2>; rel="next"`, first.Next); r.Header.Get("Link") != want {
		t.Errorf("Link %q, want %q", r.Header.Get("Link"), want)
	}
	one := ask[api.LeafItem](t, fmt.Sprintf("%s/api/v1/leaves/%d", s.url, leaves[0].Index), http.StatusOK)
	if diff := cmp.Diff(leaves[0], one, cmpopts.IgnoreFields(api.LeafItem{}, "Readings")); diff != "" {
		t.Errorf("the same leaf (-listed +alone):\n%s", diff)
	}
	open := slices.IndexFunc(leaves, func(l api.LeafItem) bool { return strings.HasPrefix(l.Summary, "reading by") && l.Hidden == "" })
	one = ask[api.LeafItem](t, fmt.Sprintf("%s/api/v1/leaves/%d", s.url, leaves[open].Index), http.StatusOK)
	if len(one.Readings) != 1 || one.Readings[0].Name != "energy" || one.Readings[0].Unit != "Wh" || one.Readings[0].Value == "" || leaves[open].Readings != nil {
		t.Errorf("an open pack has the readings %+v alone, and %+v in a list", one.Readings, leaves[open].Readings)
	}
	if r, _ := s.get(t, s.url+one.Evidence); r.StatusCode == http.StatusNotFound {
		t.Errorf("there is no %s", one.Evidence)
	}
}

// TestTags asks twice: what has not changed is not sent again, and what is final need not
// be asked for again.
func TestTags(t *testing.T) {
	s := newStreet(t, func(c *api.Config) { c.Rates = fast })
	for path, cache := range map[string]string{
		"/api/v1/blocks/2": "public, max-age=31536000, immutable", "/api/v1/blocks/2/leaves": "public, max-age=31536000, immutable",
		fmt.Sprintf("/api/v1/blocks/%d", s.Last().Header.Height): "no-cache", "/api/v1/ledger": "no-cache", "/api/v1/carbon/units": "no-cache", "/openapi.json": "no-cache",
	} {
		r, b := s.get(t, s.url+path)
		tag := r.Header.Get("ETag")
		if r.StatusCode != http.StatusOK || tag == "" || r.Header.Get("Cache-Control") != cache || len(b) == 0 {
			t.Errorf("%s: status %d, tag %q, cache %q", path, r.StatusCode, tag, r.Header.Get("Cache-Control"))
			continue
		}
		r, b = s.get(t, s.url+path, "If-None-Match", `"other", W/`+tag)
		if r.StatusCode != http.StatusNotModified || len(b) > 0 || r.Header.Get("Content-Type") != "" {
			t.Errorf("%s again: status %d, %d bytes, type %q", path, r.StatusCode, len(b), r.Header.Get("Content-Type"))
		}
		if r, _ = s.get(t, s.url+path, "If-None-Match", `"other"`); r.StatusCode != http.StatusOK {
			t.Errorf("%s with another tag: status %d", path, r.StatusCode)
		}
	}
}

// TestQuestionsNotUnderstood sees that each bad question is told what is wrong with it.
func TestQuestionsNotUnderstood(t *testing.T) {
	s := newStreet(t, func(c *api.Config) { c.Rates = fast })
	blocks := ask[api.Page[api.BlockItem]](t, s.url+"/api/v1/blocks?limit=2", http.StatusOK)
	for path, want := range map[string]struct {
		status int
		kind   string
		says   string
	}{
		"/api/v1/blocks/999":                                {404, "no-such-leaf", "There is no block 999"},
		"/api/v1/blocks/x":                                  {422, "bad-request", "path.height"},
		"/api/v1/blocks/-1":                                 {422, "bad-request", "path.height"},
		"/api/v1/leaves/99999999":                           {404, "no-such-leaf", "There is no leaf"},
		"/api/v1/blocks?limit=0":                            {422, "bad-request", "query.limit"},
		"/api/v1/blocks?limit=501":                          {422, "bad-request", "query.limit"},
		"/api/v1/blocks?cursor=!!":                          {400, "bad-request", "Begin again without a cursor"},
		"/api/v1/blocks/3/leaves?cursor=" + blocks.Next:     {400, "bad-request", "not what this list has given"},
		"/api/v1/carbon/units?cursor=" + blocks.Next:        {400, "bad-request", "not what this list has given"},
		"/api/v1/blocks?cursor=" + strings.Repeat("a", 300): {422, "bad-request", "query.cursor"},
		"/api/v1/search":                                    {422, "bad-request", "query.q"},
		"/api/v1/zones/nowhere/intervals":                   {404, "no-such-thing", "no zone"},
		"/api/v1/zones/nowhere/intervals/2026":              {400, "bad-request", "quarter hour"},
		"/api/v1/nothing":                                   {404, "no-such-path", ""},
	} {
		r, b := s.get(t, s.url+path)
		var p struct {
			Type, Title, Detail, Hint string
			Status                    int
		}
		if err := json.Unmarshal(b, &p); err != nil {
			t.Errorf("%s: %v: %s", path, err, b)
			continue
		}
		if r.StatusCode != want.status || p.Status != want.status || !strings.HasSuffix(p.Type, want.kind) || p.Hint == "" || !strings.Contains(string(b), want.says) || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: status %d, %s %s, want %+v", path, r.StatusCode, r.Header.Get("Content-Type"), b, want)
		}
	}
	r, err := http.Post(s.url+"/api/v1/blocks", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a POST to a list: status %d", r.StatusCode)
	}
}

// TestSearch finds by everything that a person may have in hand.
func TestSearch(t *testing.T) {
	s := newStreet(t, func(c *api.Config) { c.Rates = fast })
	id := s.GatewayKey("home1").Public().ID().String()
	index, _ := s.reading(t, "home1", 3)
	leaf, _ := s.Leaf(index)
	for q, want := range map[string][]string{
		"3":                            {"block 3", "leaf 3"},
		"home1":                        {"key " + id, "gateway home1"},
		strings.ToUpper(id):            {"key " + id},
		hashOf(leaf):                   {fmt.Sprintf("leaf %d", index)},
		block.LeafHash(leaf).String():  {fmt.Sprintf("leaf %d", index)},
		"9999-12-31":                   {fmt.Sprintf("block %d", s.Last().Header.Height)},
		"1970-01-01T00:00":             nil,
		strings.Repeat("ab", 32):       nil,
		"somebody":                     nil,
		" somebody' OR 1=1 <script> ":  nil,
		fmt.Sprintf("%d", 1<<62):       nil,
		"99999999999999999999999999":   nil,
		strings.Repeat("0", 50) + "3 ": {"block 3", "leaf 3"},
	} {
		f := ask[api.Found](t, s.url+"/api/v1/search?q="+url.QueryEscape(q), http.StatusOK)
		var got []string
		for _, i := range f.Items {
			got = append(got, i.Is+" "+strings.TrimLeft(i.Name, "0"))
			if i.About == "" {
				t.Errorf("%q: %s %s says nothing", q, i.Is, i.Name)
			}
			if i.Path != "" {
				ask[map[string]any](t, s.url+i.Path, http.StatusOK)
			}
		}
		if !slices.Equal(got, want) || len(f.Tried) == 0 {
			t.Errorf("%q: %q, want %q; tried %q", q, got, want, f.Tried)
		}
	}
}

// TestMarketLists settles intervals of two neighbourhoods: of one, sums are told; of the
// other, which is small, it is said why they are not.
func TestMarketLists(t *testing.T) {
	for _, homes := range []int{3, 6} {
		h := ledgertest.NewHood(t, homes)
		h.Trade(12)
		url := queried(t, h.Chain)
		zones := all[api.ZoneItem](t, url+"/api/v1/zones", 1)
		if len(zones) != 1 || zones[0].Zone != ledgertest.Zone || zones[0].Members != homes || zones[0].Tariff.Retail != "0.300000" {
			t.Fatalf("zones %+v, tariff %+v", zones, zones[0].Tariff)
		}
		base := url + "/api/v1/zones/" + ledgertest.Zone + "/intervals"
		whole := all[api.IntervalItem](t, base, 500)
		if len(whole) < 8 || !slices.IsSortedFunc(whole, func(a, b api.IntervalItem) int { return strings.Compare(b.Interval, a.Interval) }) {
			t.Fatalf("%d intervals, the newest not first", len(whole))
		}
		if diff := cmp.Diff(whole, all[api.IntervalItem](t, base, 3)); diff != "" {
			t.Errorf("in parts it is another list:\n%s", diff)
		}
		middle := whole[len(whole)/2]
		if some := all[api.IntervalItem](t, base+"?from="+middle.Interval+"&to="+whole[1].Interval, 2); len(some) != len(whole)/2-1 || some[len(some)-1].Interval != middle.Interval {
			t.Errorf("from %s to %s are %d intervals", middle.Interval, whole[1].Interval, len(some))
		}
		r, b := (&street{}).get(t, base+".csv")
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		if err != nil || r.StatusCode != http.StatusOK || len(rows) != len(whole)+1 || !strings.Contains(r.Header.Get("Content-Disposition"), "intervals-") {
			t.Fatalf("the list as a file: %v, %d, %d rows", err, r.StatusCode, len(rows))
		}
		for i, l := range whole {
			at, local := slices.Index(rows[0], "interval"), slices.Index(rows[0], "totals_local_wh")
			told := ""
			if l.Totals != nil {
				told = fmt.Sprint(l.Totals.LocalWh)
			}
			if rows[i+1][at] != l.Interval || rows[i+1][local] != told {
				t.Errorf("row %d is %q, want %s with %q", i+1, rows[i+1], l.Interval, told)
			}
		}
		if r, b := (&street{}).get(t, base+".xlsx"); r.StatusCode != http.StatusOK || !bytes.HasPrefix(b, []byte("PK")) {
			t.Errorf("the list as a workbook: %d", r.StatusCode)
		}
		ask[map[string]any](t, url+"/api/v1/zones/nowhere/intervals.csv", http.StatusNotFound)
		settled := 0
		for _, l := range whole {
			if l.State != "settled" {
				continue
			}
			settled++
			if told := l.Totals != nil; told != (homes >= entry.LeastTotals) && l.Totals != nil || told == (l.Why != "") {
				t.Errorf("%d homes: totals %+v, why not: %q", homes, l.Totals, l.Why)
			}
			one := ask[api.IntervalItem](t, base+"/"+l.Interval, http.StatusOK)
			if one.ClearedDetail == nil || one.Leaf == nil {
				t.Fatalf("%s alone: %+v", l.Interval, one)
			}
			leaf := ask[api.LeafItem](t, fmt.Sprintf("%s/api/v1/leaves/%d", url, *one.Leaf), http.StatusOK)
			if leaf.Height != l.SettledBlock || !strings.Contains(leaf.Summary, "settled") {
				t.Errorf("the leaf of %s is %+v", l.Interval, leaf)
			}
		}
		if settled < 4 {
			t.Errorf("%d intervals are settled", settled)
		}
		p := ask[map[string]any](t, base+"/"+zones[0].Next, http.StatusNotFound)
		if !strings.Contains(fmt.Sprint(p["detail"]), "not cleared yet") {
			t.Errorf("the next interval: %v", p)
		}
	}
}

// TestOpenAPI compares the description that is served with the one that is committed.
func TestOpenAPI(t *testing.T) {
	const name = "openapi.json"
	s := newStreet(t, func(c *api.Config) { c.Rates = fast })
	_, b := s.get(t, s.url+api.OpenAPIPath)
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	if *update {
		if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("the description is not the committed one: look whether clients can live with it, then go test ./oracle/api -run TestOpenAPI -update (-committed +served):\n%s", diff)
	}
}

// TestCarbonLists compares lists of the carbon accounts with the drawn plant's.
func TestCarbonLists(t *testing.T) {
	p := ledgertest.NewPlant(t)
	url := queried(t, p.Chain)
	periods := all[api.PeriodItem](t, url+"/api/v1/carbon/periods", 1)
	if len(periods) != 1 || periods[0].Period != "hour" || periods[0].Status != "open" || !slices.Equal(periods[0].Packs, []string{"grid 2026"}) {
		t.Errorf("periods %+v", periods)
	}
	projects := all[api.ProjectItem](t, url+"/api/v1/carbon/projects", 1)
	if len(projects) != 1 || projects[0].Project != "oven" || projects[0].Country != "DE" {
		t.Errorf("projects %+v", projects)
	}
	for _, kind := range []string{"csv", "xlsx"} {
		if r, b := (&street{}).get(t, url+"/api/v1/carbon/projects."+kind); r.StatusCode != http.StatusOK || len(b) == 0 || kind == "csv" && !strings.Contains(string(b), "oven,home1,street,baseline less stack,") {
			t.Errorf("projects as %s: %d %.200s", kind, r.StatusCode, b)
		}
	}
	if grid := all[api.GridItem](t, url+"/api/v1/carbon/grid", 1); len(grid) != 1 || grid[0].Pack != "grid 2026" || grid[0].Gas != "CO2e" || grid[0].PerKWh != "0.000400000" {
		t.Errorf("grid %+v", grid)
	}
	for _, name := range []string{"rates", "certificates", "units", "records", "adjustments"} {
		if items := all[any](t, url+"/api/v1/carbon/"+name, 1); len(items) != 0 {
			t.Errorf("%s %+v", name, items)
		}
	}
}
