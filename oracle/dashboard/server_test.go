package dashboard_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"wattmark/ledger/store"
	"wattmark/oracle/dashboard"
)

// TestReload: without a script, and without Run, a page shows what was told when
// it is asked for.
func TestReload(t *testing.T) {
	s := lively()
	d := dashboard.New(s, dashboard.Options{Origin: "demo.example/street", Quorum: 3, Log: logged(t)})
	get(d, "/").has(t, "No block has been closed yet.", "No block yet.", "No receipt yet.", "Nothing yet.", "Ledger demo.example/street", "3 of 4 oracles make a block final.")
	d.Block(dashboard.Block{Height: 8, Time: noon, Statements: 14, Outcomes: 2, Size: 1_234})
	get(d, "/").has(t, "Block 8 is written and waits to be final.", `<tr id="block-8">`, "11:42:07", ">14<", ">1,234<", "pending")
	d.Final(8, 3)
	d.Receipt(dashboard.Receipt{Gateway: "home-9", Boot: 2, Count: 77, Leaf: 1_200, Bytes: 512, Took: 230 * time.Millisecond})
	d.Notice(dashboard.Notice{At: noon, Tone: dashboard.Good, Text: "home-9 is back"})
	a := get(d, "/")
	a.has(t, "Block 8 is final: 3 oracles have cosigned it.", ", 3 signed", "home-9", "2-77", ">1,200<", "230\u202fms", "home-9 is back", "good: ")
	if strings.Contains(a.body, "/ledger/leaf/") {
		t.Error("links to leaves, and there is no ledger to read")
	}
	s.set(func(v *dashboard.View) { v.Homes[0].GridW = 5_555 })
	get(d, "/").has(t, "takes 5.56\u202fkW", "11:42:07", "21 June 2026", "home-7 is not heard")
}

// TestFresh: while Run is there a page is the one that goes with the newest event,
// and when Run does nothing for long it is made anew.
func TestFresh(t *testing.T) {
	s, wall := lively(), noon
	d := dashboard.New(s, dashboard.Options{Now: func() time.Time { return wall }, Log: logged(t)})
	tick := d.Ticks()
	tick(true)
	event := fmt.Sprintf(`data-event="%d"`, d.Stats().Last)
	s.set(func(v *dashboard.View) { v.Homes[0].GridW = 5_555 })
	a := get(d, "/")
	a.has(t, event)
	if strings.Contains(a.body, "5.56") {
		t.Error("the page is ahead of its event")
	}
	wall = wall.Add(5 * time.Second)
	get(d, "/").has(t, event, "5.56")
	tick(true)
	get(d, "/").has(t, fmt.Sprintf(`data-event="%d"`, d.Stats().Last), "5.56")
}

// paths are of every kind of answer.
var paths = []struct {
	path   string
	status int
}{
	{"/", 200}, {"/power.csv", 200}, {"/ledger", 200}, {"/ledger?from=2", 200}, {"/ledger?q=99", 200}, {"/ledger?q=2", 303}, {"/ledger?from=x", 404},
	{"/ledger/block/0", 200}, {"/ledger/block/6", 200}, {"/ledger/block/7", 404}, {"/ledger/leaf/0", 200}, {"/ledger/leaf/99999", 404},
	{"/static/style.css", 200}, {"/static/live.js", 200}, {"/static/mark.svg", 200}, {"/static/none", 404}, {"/nowhere", 404}, {"/events?topics=x", 400},
}

// TestHeaders: no answer may be framed, kept or run a script of others.
func TestHeaders(t *testing.T) {
	_, l := drawn(t)
	d := dashboard.New(lively(), dashboard.Options{Ledger: l, Log: logged(t)})
	for _, p := range paths {
		a := get(d, p.path)
		if a.status != p.status {
			t.Errorf("%s is %d, want %d", p.path, a.status, p.status)
		}
		policy := a.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"} {
			if !slices.Contains(strings.Split(policy, "; "), want) {
				t.Errorf("%s: %s is not in the policy %q", p.path, want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s has the policy %q", p.path, policy)
		}
		want := map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"}
		if strings.HasPrefix(p.path, "/static/") && p.status == 200 {
			want["Cache-Control"] = "no-cache"
		}
		for k, v := range want {
			if got := a.header.Get(k); got != v {
				t.Errorf("%s has %s: %q, want %q", p.path, k, got, v)
			}
		}
		if p.status != 303 && a.header.Get("Content-Type") == "" {
			t.Errorf("%s has no content type", p.path)
		}
		if head := ask(d, "HEAD", p.path); head.status != p.status {
			t.Errorf("HEAD %s is %d, want %d", p.path, head.status, p.status)
		}
		if post := ask(d, "POST", p.path); post.status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s is %d", p.path, post.status)
		}
	}
}

func TestStatic(t *testing.T) {
	d := dashboard.New(lively(), dashboard.Options{Log: logged(t)})
	kinds := map[string]string{"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8", "member.js": "text/javascript; charset=utf-8", "mark.svg": "image/svg+xml"}
	for name := range dashboard.Assets {
		if kinds[name] == "" {
			t.Errorf("%s is served, and no test says as what", name)
		}
	}
	tags := make(map[string]bool)
	for name, kind := range kinds {
		a := get(d, "/static/"+name)
		tag := a.header.Get("ETag")
		if a.status != 200 || a.header.Get("Content-Type") != kind || len(tag) != 18 || tags[tag] || a.body == "" {
			t.Errorf("%s: %d, %v", name, a.status, a.header)
		}
		tags[tag] = true
		for _, match := range []string{tag, `"x", ` + tag, "W/" + tag, "*"} {
			if again := get(d, "/static/"+name, "If-None-Match", match); again.status != http.StatusNotModified || again.body != "" || again.header.Get("ETag") != tag {
				t.Errorf("%s with If-None-Match: %s: %d, %d bytes", name, match, again.status, len(again.body))
			}
		}
		if again := get(d, "/static/"+name, "If-None-Match", `"old"`); again.status != 200 || again.body != a.body {
			t.Errorf("%s with an old tag: %d, %d bytes", name, again.status, len(again.body))
		}
	}
}

// TestMissing: what is not there is named, with the cause and what to do.
func TestMissing(t *testing.T) {
	empty, _, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	_, full := drawn(t)
	_, closed := drawn(t)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		ledger dashboard.Ledger
		path   string
		status int
		has    []string
	}{
		{nil, "/nowhere/<b>", 404, []string{"There is no page at &#34;/nowhere/&lt;b&gt;&#34;.", "The pages are listed above."}},
		{nil, "/static/none.css", 404, []string{"There is no page at &#34;/static/none.css&#34;."}},
		{nil, "/" + strings.Repeat("x", 5_000), 404, []string{"xxx…&#34;."}},
		{nil, "/ledger", 404, []string{"This page server has no ledger to read.", "wattmark ledger show &#39;my ledger&#39;"}},
		{nil, "/ledger/leaf/1", 404, []string{"This page server has no ledger to read."}},
		{empty, "/ledger", 404, []string{"The ledger holds no block yet.", "reload this page"}},
		{empty, "/ledger/block/0", 404, []string{"The ledger holds no block yet."}},
		{empty, "/ledger/leaf/0", 404, []string{"The ledger holds no block yet."}},
		{full, "/ledger/block/7", 404, []string{"There is no block &#34;7&#34;.", "Blocks have heights from 0 to 6; higher ones may come."}},
		{full, "/ledger/block/-1", 404, []string{"There is no block &#34;-1&#34;."}},
		{full, "/ledger/block/18446744073709551615", 404, []string{"There is no block"}},
		{full, "/ledger/leaf/18446744073709551616", 404, []string{"There is no leaf", "Leaves have indices from 0 to "}},
		{full, "/ledger/leaf/%3Cscript%3E", 404, []string{"There is no leaf &#34;&lt;script&gt;&#34;."}},
		{full, "/ledger?from=1,5", 404, []string{"&#34;1,5&#34; is none", "Start again"}},
		{full, "/ledger?q=abc", 200, []string{"There is no block &#34;abc&#34;: heights go from 0 to 6. Only heights were tried.", `aria-describedby="miss"`}},
		{full, "/ledger?q=7", 200, []string{"There is no block &#34;7&#34;"}},
		{closed, "/ledger", 503, []string{"Not readable", "The ledger is closed: the oracle is stopping.", "Start it again"}},
		{closed, "/ledger/block/2", 503, []string{"The ledger is closed"}},
		{closed, "/ledger/leaf/3", 503, []string{"The ledger is closed"}},
		{broken{full}, "/ledger", 500, []string{"The ledger could not be read: bytes &lt;i&gt;fell&lt;/i&gt; out.", "wattmark ledger check &#39;my ledger&#39;"}},
		{broken{full}, "/ledger/block/2", 500, []string{"wattmark ledger check"}},
		{broken{full}, "/ledger/leaf/3", 500, []string{"wattmark ledger check"}},
	}
	for _, tt := range tests {
		var log bytes.Buffer
		d := dashboard.New(lively(), dashboard.Options{Ledger: tt.ledger, Dir: "my ledger", Log: slog.New(slog.NewTextHandler(&log, nil))})
		a := get(d, tt.path)
		if a.status != tt.status {
			t.Errorf("%.40s is %d, want %d", tt.path, a.status, tt.status)
		}
		a.has(t, append(tt.has, "<h1", `href="/"`)...)
		if logged := log.Len() > 0; logged != (tt.status == 500) {
			t.Errorf("%.40s is %d, and the log has %q", tt.path, tt.status, log.String())
		}
	}
}

// broken is a ledger that gives no leaves.
type broken struct{ dashboard.Ledger }

func (broken) Leaf(uint64) ([]byte, error) { return nil, errors.New("bytes <i>fell</i> out") }

func TestPowerCSV(t *testing.T) {
	s := lively()
	d := dashboard.New(s, dashboard.Options{Log: logged(t)})
	if a := get(d, "/power.csv"); a.body != "time,using_w,made_w,grid_w\r\n" {
		t.Errorf("before Run: %q", a.body)
	}
	tick := d.Ticks()
	s.set(func(v *dashboard.View) { v.Homes = nil })
	tick(true)
	get(d, "/").has(t, "No home has been heard of yet.", "No figures yet.")
	s.morning(tick) // of no home: nothing is known
	if a := get(d, "/power.csv"); a.body != "time,using_w,made_w,grid_w\r\n" {
		t.Errorf("of a street without homes: %.200q", a.body)
	}
	s.set(func(v *dashboard.View) { *v = lively().view })
	s.morning(tick)
	a := get(d, "/power.csv")
	if a.header.Get("Content-Type") != "text/csv; charset=utf-8" || a.header.Get("Content-Disposition") != `attachment; filename="power.csv"` {
		t.Errorf("headers %v", a.header)
	}
	lines, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	if err != nil || len(lines) < 100 {
		t.Fatalf("%d lines: %v", len(lines), err)
	}
	last := lines[len(lines)-1]
	if diff := cmp.Diff([]string{"2026-06-21T11:42:07.000Z", "21075", "23590", "-2515"}, last); diff != "" {
		t.Errorf("last line (-want +got)\n%s", diff)
	}
	for i, l := range lines[1:] {
		if i > 0 && l[0] <= lines[i][0] {
			t.Errorf("%s comes after %s", l[0], lines[i][0])
		}
		var n [3]int
		for k := range n {
			if n[k], err = strconv.Atoi(l[k+1]); err != nil {
				t.Fatal(err)
			}
		}
		if n[0]-n[1] != n[2] {
			t.Errorf("%v: what is used and not made is from the grid", l)
		}
	}
	// The table on the page has the same figures as the file and the sentence.
	page := get(d, "/")
	page.has(t, "The roofs make "+dashboard.Power(23_590)+", the homes use "+dashboard.Power(21_075))
	if got := strings.Count(page.body, `<tr><th scope="row">11:`); got != len(lines)-1 {
		t.Errorf("the table has %d lines, the file %d", got, len(lines)-1)
	}
}

// nasty is text that somebody hopes a page would take for markup.
const nasty = `</title></td><script>alert(1)</script><img src=x onerror=alert(2)>"' onload=alert(3) &lt; {{.}} =1+1` + "\n\x00\xff\u202e"

// TestHostileText puts text from outside wherever there is any. Nothing of it is
// markup in a page or in an event, and all of it is there to be read.
func TestHostileText(t *testing.T) {
	s := lively()
	s.set(func(v *dashboard.View) {
		for i := range v.Homes {
			v.Homes[i].Name = nasty
		}
		for i := range v.Oracles {
			v.Oracles[i].Name = nasty
		}
		v.Refusals = []dashboard.Refusals{{Reason: nasty, Count: 3, Remedy: nasty, Last: nasty}}
	})
	_, l := drawn(t)
	d := dashboard.New(s, dashboard.Options{Origin: nasty, Dir: nasty, Simulated: true, Ledger: l, Log: logged(t)})
	next := follow(t, d)
	d.Receipt(dashboard.Receipt{Gateway: nasty})
	leaf := uint64(3)
	d.Notice(dashboard.Notice{Text: nasty, Leaf: &leaf})
	s.set(func(v *dashboard.View) {
		v.Homes[6].State, v.Oracles[0].State, v.Refusals[0].Count = dashboard.StateHalted, dashboard.StateSilent, 4
	})
	var rows int
	for _, m := range next(true) {
		for _, r := range append(m.Update.Rows, m.Update.Swap...) {
			rows++
			checkHTML(t, m.Topic, "<table>"+r.HTML+"</table>")
		}
		for name, text := range m.Update.Text {
			if strings.Contains(text, "<script>") && name != "doubt" { // which the script sets as text
				t.Errorf("%s is %q", name, text)
			}
		}
	}
	if rows != 5 {
		t.Errorf("%d rows, want a receipt, a notice, a home, an oracle and refusals", rows)
	}
	for _, path := range []string{"/", "/ledger", "/ledger/leaf/3", "/ledger/block/1", "/ledger?q=" + strings.ReplaceAll("<script>alert(1)</script>\"'", "\"", "%22"), "/%3Cscript%3Ealert(1)"} {
		text := checkHTML(t, path, get(d, path).body)
		// Homes and the silent one again, oracles, a reason with sender and remedy,
		// receipt, notice and origin.
		if n := strings.Count(text, "</title></td><script>alert(1)"); path == "/" && n != 12+1+4+3+1+1+1 {
			t.Errorf("the hostile text is there %d times:\n%s", n, text)
		}
	}
}

// checkHTML fails the test for a script, style, handler or address that is not the
// pages' own, and for an id that is there twice. It returns the text.
func checkHTML(t *testing.T, where, page string) string {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(page))
	seen := make(map[string]bool)
	var text strings.Builder
	for {
		switch z.Next() {
		case html.ErrorToken:
			return text.String()
		case html.TextToken:
			text.WriteString(string(z.Text()))
			continue
		case html.StartTagToken, html.SelfClosingTagToken:
		default:
			continue
		}
		tag := z.Token()
		own := false
		for _, a := range tag.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || a.Key == "formaction":
				t.Errorf("%s: a %s has %s=%q", where, tag.Data, a.Key, a.Val)
			case a.Key == "id" && seen[a.Val]:
				t.Errorf("%s: the id %q is there twice", where, a.Val)
			case a.Key == "id":
				seen[a.Val] = true
			case a.Key == "src" || a.Key == "href" || a.Key == "action":
				own = a.Val == "/static/live.js" || a.Val == "/static/member.js" || a.Val == "/static/mark.svg"
				if a.Val != "" && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") || strings.HasPrefix(a.Val, "//") {
					t.Errorf("%s: a %s leads to %q", where, tag.Data, a.Val)
				}
			}
		}
		switch tag.Data {
		case "script", "img":
			if !own {
				t.Errorf("%s: %s", where, tag)
			}
		case "style", "iframe", "object", "embed", "base":
			t.Errorf("%s: %s", where, tag)
		}
	}
}

// TestLiveNames: what an event sets has an element, and every element that is to be
// kept fresh is set.
func TestLiveNames(t *testing.T) {
	d := dashboard.New(lively(), dashboard.Options{Log: logged(t)})
	power := follow(t, d)(true)
	if len(power) != 1 || power[0].Topic != "power" {
		t.Fatalf("events %v", topicsOf(power))
	}
	set, there := make(map[string]bool), make(map[string]bool)
	for name := range power[0].Update.Text {
		set[name] = true
	}
	for name, attrs := range power[0].Update.Attr {
		set[name] = true
		for a := range attrs {
			if a != "d" && a != "x" && a != "width" { // live.js sets no other
				t.Errorf("%s has the attribute %s", name, a)
			}
		}
	}
	z := html.NewTokenizer(strings.NewReader(get(d, "/").body))
	for z.Next() != html.ErrorToken {
		for _, a := range z.Token().Attr {
			if a.Key == "data-live" {
				there[a.Val] = true
			}
		}
	}
	if diff := cmp.Diff(set, there); diff != "" {
		t.Errorf("names (-set +on the page)\n%s", diff)
	}
}

// TestLists: lists from a source are cut, sums are not, and a page keeps its weight.
func TestLists(t *testing.T) {
	s := lively()
	s.set(func(v *dashboard.View) {
		homes, oracles := v.Homes, v.Oracles
		for len(v.Homes) < 100 {
			v.Homes = append(v.Homes, homes...)
		}
		v.Homes = v.Homes[:100]
		for i := range v.Homes {
			v.Homes[i].Name = fmt.Sprintf("home-%d", i+1)
			v.Homes[i].GridW, v.Homes[i].SolarW = 1_000, 0
		}
		for len(v.Oracles) < 100 {
			v.Oracles = append(v.Oracles, oracles...)
		}
		for i := range 100 {
			v.Refusals = append(v.Refusals, dashboard.Refusals{Reason: fmt.Sprintf("reason_%d", i), Count: 1})
		}
	})
	d := dashboard.New(s, dashboard.Options{Log: logged(t), Simulated: true, Origin: "demo.example/street"})
	tell(d)
	s.morning(d.Ticks())
	a := get(d, "/")
	a.has(t, "52 more homes are in the totals above.", "The homes use 100\u202fkW", "103")
	if n := strings.Count(a.body, `<tr id="home-`); n != 48 {
		t.Errorf("%d homes are listed", n)
	}
	if n := strings.Count(a.body, `<tr id="oracle-`); n != 32 {
		t.Errorf("%d oracles are listed", n)
	}
	if n := strings.Count(a.body, "reason_<wbr>"); n != 30 {
		t.Errorf("%d reasons are listed", n)
	}
	if n := zipped(t, a.body); n > 60_000 {
		t.Errorf("the fullest page has %d bytes compressed, more than the budget of 60 kB", n)
	}

	first := 0
	usual := dashboard.New(lively(), dashboard.Options{})
	tell(usual)
	for _, path := range []string{"/", "/static/style.css", "/static/live.js", "/static/mark.svg"} {
		first += zipped(t, get(usual, path).body)
	}
	t.Logf("the first view has %d bytes compressed", first)
	if first > 12_000 {
		t.Errorf("the first view has %d bytes compressed, and aims at 12 kB", first)
	}
}

func zipped(t *testing.T, s string) int {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

// TestExtremes: figures that no street has make no page that is not well-formed.
func TestExtremes(t *testing.T) {
	for _, w := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		s := lively()
		s.set(func(v *dashboard.View) {
			v.At = time.Unix(w/1_000_000_000, 0)
			for i := range v.Homes {
				v.Homes[i].GridW, v.Homes[i].SolarW, v.Homes[i].Waiting = w, w, uint64(w)
			}
			v.Feeder.GridW = w
			*v.Stack = dashboard.Stack{CO2PPM: w, TemperatureCenti: w, HumidityCenti: w}
			v.Signed, v.Acknowledged, v.Waiting = uint64(w), uint64(w), uint64(w)
		})
		d := dashboard.New(s, dashboard.Options{Log: logged(t), Window: time.Duration(max(w, 0))})
		d.Block(dashboard.Block{Height: uint64(w), Statements: int(w), Outcomes: int(w), Size: uint64(w), Final: true, Cosigners: int(w)})
		d.Receipt(dashboard.Receipt{Boot: uint64(w), Count: uint64(w), Leaf: uint64(w), Bytes: int(w), Took: time.Duration(w)})
		d.Notice(dashboard.Notice{Tone: dashboard.Tone(w)})
		tick := d.Ticks()
		tick(true)
		tick(true)
		checkHTML(t, strconv.FormatInt(w, 10), get(d, "/").body)
	}
}

// TestEveryFieldIsShown changes each field of what a dashboard is told, one at a
// time: the page says so.
func TestEveryFieldIsShown(t *testing.T) {
	type all struct {
		View    dashboard.View
		Block   dashboard.Block
		Receipt dashboard.Receipt
		Notice  dashboard.Notice
		Options struct {
			Origin    string
			Simulated bool
			Quorum    int
			Window    time.Duration
		}
	}
	base := func() *all {
		leaf := uint64(17)
		a := &all{View: lively().view, Notice: dashboard.Notice{At: noon, Text: "so %s", Args: []any{"much"}, Leaf: &leaf}}
		a.View.Homes, a.View.Oracles, a.View.Refusals = a.View.Homes[:1], a.View.Oracles[:1], a.View.Refusals[:1]
		a.View.Homes[0].Waiting, a.View.Feeder.Waiting, a.View.Stack.Waiting = 3, 4, 5
		a.Block = dashboard.Block{Height: 3, Time: noon, Statements: 4, Outcomes: 5, Size: 6, Final: true, Cosigners: 3}
		a.Receipt = dashboard.Receipt{Gateway: "home-1", Boot: 1, Count: 2, Leaf: 3, Bytes: 4, Took: time.Second}
		a.Options.Quorum = 3
		return a
	}
	page := func(a *all) string {
		wall := func() time.Time { return noon }
		d := dashboard.New(&street{view: a.View}, dashboard.Options{Now: wall, Log: logged(t),
			Origin: a.Options.Origin, Simulated: a.Options.Simulated, Quorum: a.Options.Quorum, Window: a.Options.Window})
		d.Block(a.Block)
		d.Receipt(a.Receipt)
		d.Notice(a.Notice)
		return get(d, "/").body
	}
	want := page(base())
	if again := page(base()); again != want {
		t.Fatal("the same figures make two pages")
	}
	var change func(name string, of func(*all) reflect.Value)
	fields := 0
	change = func(name string, of func(*all) reflect.Value) {
		a := base()
		v := of(a)
		switch {
		case v.Type() == reflect.TypeFor[time.Time]():
			v.Set(reflect.ValueOf(noon.Add(25 * time.Hour)))
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				change(name+"."+v.Type().Field(i).Name, func(a *all) reflect.Value { return of(a).Field(i) })
			}
			return
		case v.Kind() == reflect.Slice:
			change(name, func(a *all) reflect.Value { return of(a).Index(0) })
			v.Set(v.Slice(0, 0))
		case v.Kind() == reflect.Pointer:
			change(name, func(a *all) reflect.Value { return of(a).Elem() })
			v.SetZero()
		case v.Kind() == reflect.Bool:
			v.SetBool(!v.Bool())
		case v.CanInt():
			v.SetInt(v.Int() + max(2, v.Int()/4, -v.Int()/4))
		case v.CanUint():
			v.SetUint(v.Uint() + 2)
		case v.Kind() == reflect.Interface:
			v.Set(reflect.ValueOf("little"))
		case v.Kind() == reflect.String:
			v.SetString(v.String() + "-x")
		default:
			t.Fatalf("%s is a %s, which this test cannot change", name, v.Type())
		}
		fields++
		if page(a) == want {
			t.Errorf("%s is not shown", name)
		}
	}
	change("", func(a *all) reflect.Value { return reflect.ValueOf(a).Elem() })
	if fields < 50 {
		t.Errorf("only %d fields were changed", fields)
	}
}
