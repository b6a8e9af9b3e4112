package dashboard_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"wattmark/ledger/ledgertest"
	"wattmark/oracle/dashboard"
	"wattmark/signer"
)

// chromium starts a browser, or skips the test where there is none.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("chromium is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("chromium is not installed: the pages are not tested in a browser")
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
			chromedp.Flag("host-resolver-rules", "MAP wattmark.test 127.0.0.1"))...) // this machine, and no secure context
	t.Cleanup(stop)
	browser, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return browser
}

// tab is one page in the browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// open opens a tab in which nothing may be said on the console until the test ends,
// but for messages that start with what is allowed. The console is where the browser
// also says what the policy forbade.
func open(t *testing.T, browser context.Context, allowed ...string) tab {
	t.Helper()
	p := quiet(t, browser)
	messages := chromedp.Console(p.ctx)
	t.Cleanup(func() {
		const end = "the test ends here"
		eval[any](p, `console.log("`+end+`")`)
		for m, err := range messages {
			if err != nil {
				t.Errorf("reading the console: %v", err)
				return
			}
			if m.Text == end {
				return
			}
			if !slices.ContainsFunc(allowed, func(s string) bool { return strings.HasPrefix(m.Text, s) }) {
				t.Errorf("on the console: %v", m)
			}
		}
	})
	return p
}

// quiet opens a tab that may say anything.
func quiet(t *testing.T, browser context.Context) tab {
	t.Helper()
	ctx, done := chromedp.NewContext(browser)
	t.Cleanup(done)
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return tab{t, ctx}
}

func (p tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// eval returns what an expression, or the promise that it is, comes to.
func eval[T any](p tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true.
func (p tab) until(what, expression string) {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// same compares main, which the script keeps fresh, with main as the server draws
// it, and gives the stream twenty seconds to make them equal. The table of the
// chart is left out: it says until when it goes.
const same = `(async () => {
	const plain = (main) => {
		const m = main.cloneNode(true);
		m.querySelectorAll("details").forEach((e) => e.remove());
		m.querySelectorAll(".new").forEach((e) => { e.classList.remove("new"); if (!e.className) e.removeAttribute("class"); });
		return m.innerHTML.replace(/\s+/g, " ").replace(/> </g, "><");
	};
	for (let end = performance.now() + 20_000; ;) {
		const text = await fetch("/", { cache: "no-store" }).then((answer) => answer.text(), () => "<main id=main>away</main>");
		const want = plain(new DOMParser().parseFromString(text, "text/html").getElementById("main"));
		const got = plain(document.getElementById("main"));
		if (got === want) return "";
		if (performance.now() > end) {
			let i = 0;
			while (got[i] === want[i]) i++;
			return "the page has …" + got.slice(Math.max(i - 80, 0), i + 160) + "…\nthe server has …" + want.slice(Math.max(i - 80, 0), i + 160) + "…";
		}
		await new Promise((done) => setTimeout(done, 50));
	}
})()`

func (p tab) checkSame(when string) {
	p.t.Helper()
	if diff := eval[string](p, same); diff != "" {
		p.t.Errorf("%s, %s", when, diff)
	}
}

// served serves a dashboard of a street. The test moves it with Ticks.
func served(t *testing.T, s *street, o dashboard.Options) (d *dashboard.Dashboard, server *httptest.Server) {
	t.Helper()
	o.Log = logged(t)
	d = dashboard.New(s, o)
	server = httptest.NewServer(d.Handler())
	t.Cleanup(func() { d.Hub().Close(); server.Close() })
	return d, server
}

func TestBrowser(t *testing.T) {
	browser := chromium(t)
	t.Run("live", func(t *testing.T) { testLive(t, browser) })
	t.Run("live in German", func(t *testing.T) { testLiveGerman(t, browser) })
	t.Run("restart", func(t *testing.T) { testRestart(t, browser) })
	t.Run("hidden", func(t *testing.T) { testHidden(t, browser) })
	t.Run("crowd", func(t *testing.T) { testCrowd(t, browser) })
	t.Run("age", func(t *testing.T) { testAge(t, browser) })
	t.Run("no script", func(t *testing.T) { testNoScript(t, browser) })
	t.Run("changes", func(t *testing.T) { testChanges(t, browser) })
	t.Run("pages", func(t *testing.T) { testPages(t, browser) })
	t.Run("join", func(t *testing.T) { testJoin(t, browser, signer.EdDSA) })
	t.Run("join without Ed25519", func(t *testing.T) { testJoin(t, browser, signer.ES256) })
	t.Run("dispute", func(t *testing.T) { testDispute(t, browser) })
	t.Run("not invited", func(t *testing.T) { testNotInvited(t, browser) })
	t.Run("controls", func(t *testing.T) { testControls(t, browser) })
	t.Run("ribbon", func(t *testing.T) { testRibbon(t, browser) })
	t.Run("policy", func(t *testing.T) { testPolicy(t, browser) })
}

// lost is what the browser says when a test takes the server away.
const lost = "Failed to load resource: net::"

// testLive changes everything that a page shows, and at every step the page is,
// without having been loaded again, what the server would draw.
func testLive(t *testing.T, browser context.Context) {
	_, l := drawn(t)
	s := &street{view: dashboard.View{At: noon}}
	d, server := served(t, s, dashboard.Options{Quorum: 3, Ledger: l})
	tick := d.Ticks()
	tick(true)
	p := open(t, browser, lost)
	p.do(chromedp.Navigate(server.URL))
	eval[bool](p, `window.here = true`)
	p.checkSame("at first")
	s.set(func(v *dashboard.View) { *v = lively().view })
	tick(true)
	p.checkSame("when the street is there")
	if got := eval[string](p, `document.querySelector(".lead").textContent`); !strings.HasPrefix(got, "The roofs make 23.6") {
		t.Errorf("the page says %q", got)
	}
	tell(d)
	tick(true)
	p.checkSame("when much was told")
	if got := eval[int](p, `document.querySelectorAll("[data-rows=blocks] tr").length`); got != dashboard.ShownRows {
		t.Errorf("%d blocks are listed", got)
	}

	steps := []struct {
		name   string
		change func(v *dashboard.View)
	}{
		{"power", func(v *dashboard.View) {
			v.At = v.At.Add(time.Minute)
			v.Homes[0].GridW, v.Homes[1].GridW = 17_000, -300
		}},
		{"nothing", func(v *dashboard.View) {}},
		{"a silent home", func(v *dashboard.View) { v.Homes[3].State, v.Homes[3].Waiting = dashboard.StateSilent, 9 }},
		{"nobody silent", func(v *dashboard.View) {
			v.Homes[3].State, v.Homes[6].State, v.Homes[6].Waiting = dashboard.StateGood, dashboard.StateGood, 0
		}},
		{"the stack", func(v *dashboard.View) {
			v.Stack = &dashboard.Stack{CO2PPM: 9_000, TemperatureCenti: -150, State: dashboard.StateSilent, Waiting: 4}
		}},
		{"an oracle", func(v *dashboard.View) { v.Oracles[1].State, v.Oracles[0].Height = dashboard.StateHalted, 999 }},
		{"counts", func(v *dashboard.View) { v.Signed, v.Acknowledged, v.Waiting = 20_000, 19_999, 1 }},
		{"refusals", func(v *dashboard.View) {
			v.Refusals = append(v.Refusals, dashboard.Refusals{Reason: "future", Count: 1, Remedy: nasty, Last: nasty})
		}},
		{"hostile names", func(v *dashboard.View) { v.Homes[0].Name, v.Oracles[0].Name = nasty, nasty }},
		{"fewer homes", func(v *dashboard.View) { v.Homes, v.Feeder = v.Homes[:5], nil }},
	}
	for i, step := range steps {
		s.set(step.change)
		h := uint64(313 + i)
		d.Block(dashboard.Block{Height: h, Time: noon, Statements: i, Size: 40 * h})
		if i%2 == 1 {
			d.Final(h-1, 3)
		}
		d.Receipt(dashboard.Receipt{Gateway: nasty, Leaf: 3})
		d.Notice(dashboard.Notice{At: noon, Tone: dashboard.Tone(i % 4), Text: step.name + nasty})
		tick(true)
		p.checkSame("after " + step.name)
	}
	if late := uint64(312); eval[string](p, fmt.Sprintf(`document.getElementById("block-%d")?.textContent ?? ""`, late)) != "" {
		t.Errorf("block %d is still listed", late)
	}

	// An oracle tells late of an earlier block.
	for _, h := range []uint64{330, 328} {
		d.Block(dashboard.Block{Height: h, Time: noon})
		tick(true)
		p.checkSame(fmt.Sprintf("after block %d", h))
	}

	// The stream breaks while things go on.
	server.CloseClientConnections()
	d.Block(dashboard.Block{Height: 400, Time: noon})
	d.Notice(dashboard.Notice{At: noon, Text: "meanwhile"})
	s.set(func(v *dashboard.View) { v.Homes[0].GridW = 4_321 })
	tick(true)
	p.checkSame("after the stream broke")
	if got := eval[bool](p, `document.getElementById("block-400") !== null`); !got {
		t.Error("what happened meanwhile is not on the page")
	}
	if !eval[bool](p, `window.here === true`) {
		t.Error("the page was loaded again")
	}
	if got := eval[string](p, `document.getElementById("age-text").textContent`); !strings.HasPrefix(got, "Live · ") {
		t.Errorf("the page calls itself %q", got)
	}
	if got := eval[string](p, `document.getElementById("said").textContent`); got == "" {
		t.Error("nothing was said to who does not see")
	}
}

// testLiveGerman: what comes over the stream is in the page's language, which another page may
// change meanwhile.
func testLiveGerman(t *testing.T, browser context.Context) {
	s := lively()
	d, server := served(t, s, dashboard.Options{})
	tick := d.Ticks()
	tick(true)
	p := open(t, browser)
	p.do(chromedp.Navigate(server.URL))
	eval[any](p, `document.cookie = "wattmark-language=de; path=/"`)
	p.do(chromedp.Navigate(server.URL))
	p.until("the page is live", `document.getElementById("age-text").textContent.startsWith("Live · vor ")`)
	eval[bool](p, `window.here = true`)
	tell(d)
	s.set(func(v *dashboard.View) { v.Homes[0].GridW, v.Homes[3].State = 4_321, dashboard.StateSilent })
	tick(true)
	p.checkSame("in German")
	if got := eval[string](p, `document.querySelector("#home-0").textContent`); !strings.Contains(got, "bezieht 4,32") {
		t.Errorf("the first home's row says %q", got)
	}
	eval[any](p, `document.cookie = "wattmark-language=; path=/; max-age=0"`)
	s.set(func(v *dashboard.View) { v.Homes[0].GridW = -4_321 })
	tick(true)
	p.until("the page goes on in German", `document.querySelector("#home-0").textContent.includes("liefert 4,32") && window.here`)
	s.set(func(v *dashboard.View) { v.Homes = v.Homes[:4] }) // and it is fetched anew
	tick(true)
	p.lands("the page in the language that was chosen", `document.documentElement.lang === "en" && !window.here`)
}

// testRestart: a page that is open when the oracle stops shows the next one's
// ledger when that is there.
func testRestart(t *testing.T, browser context.Context) {
	s := lively()
	d, server := served(t, s, dashboard.Options{})
	tell(d)
	d.Ticks()(true)
	p := open(t, browser, lost)
	p.do(chromedp.Navigate(server.URL))
	p.until("the page is live", `document.documentElement.dataset.events !== undefined || document.getElementById("age-text").textContent.startsWith("Live")`)
	eval[bool](p, `window.here = true`)
	address := server.Listener.Addr().String()
	d.Hub().Close()
	server.Close()

	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.set(func(v *dashboard.View) { v.Homes = v.Homes[:4] })
	next := dashboard.New(s, dashboard.Options{Log: logged(t)})
	next.Block(dashboard.Block{Height: 1, Time: noon})
	next.Ticks()(true)
	again := &httptest.Server{Listener: l, Config: &http.Server{Handler: next.Handler()}}
	again.Start()
	t.Cleanup(func() { next.Hub().Close(); again.Close() })
	p.checkSame("after a restart")
	if got := eval[[]int](p, `["homes", "blocks"].map((n) => document.querySelector("[data-rows=" + n + "]").children.length)`); !slices.Equal(got, []int{4, 1}) {
		t.Errorf("homes and blocks are %v", got)
	}
	if !eval[bool](p, `window.here === true`) {
		t.Error("the page was loaded again")
	}
}

// hasten makes a page's timers go off at once.
const hasten = `{ const later = setTimeout; window.setTimeout = (run, ms) => later(run, Math.min(ms, 20)); }`

// clients waits until so many streams are open.
func (p tab) clients(d *dashboard.Dashboard, want int) {
	p.t.Helper()
	for d.Stats().Clients != want { // until the tab's context ends
		eval[any](p, `new Promise((done) => setTimeout(done, 20))`)
	}
}

// testHidden: a page that nobody looks at has no stream, and catches up when
// somebody does.
func testHidden(t *testing.T, browser context.Context) {
	s := lively()
	d, server := served(t, s, dashboard.Options{})
	tick := d.Ticks()
	tick(true)
	p := open(t, browser)
	p.do(chromedp.Navigate(server.URL))
	p.clients(d, 1)
	eval[any](p, hasten)
	eval[any](p, `Object.defineProperty(document, "hidden", { configurable: true, get: () => window.away }); window.away = true; document.dispatchEvent(new Event("visibilitychange"))`)
	p.clients(d, 0)
	tell(d)
	s.set(func(v *dashboard.View) { v.Homes[6].State, v.Homes[0].GridW = dashboard.StateGood, 4_321 })
	tick(true)
	tick(true)
	eval[any](p, `window.away = false; document.dispatchEvent(new Event("visibilitychange"))`)
	p.clients(d, 1)
	p.checkSame("when somebody looks again")
	if got := eval[string](p, `document.querySelector("#home-0").textContent`); !strings.Contains(got, "4.32") {
		t.Errorf("the first home's row says %q", got)
	}
}

// testCrowd: where there are too many streams a page is there without one, and
// gets one when somebody leaves.
func testCrowd(t *testing.T, browser context.Context) {
	d, server := served(t, lively(), dashboard.Options{})
	var others []*dashboard.Client
	for range dashboard.MaxClients {
		c, _, err := d.Hub().Join(0)
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, c)
	}
	p := open(t, browser, "Failed to load resource: the server responded with a status of 503")
	p.do(chromedp.Navigate(server.URL))
	p.until("the page is there", `document.querySelectorAll("[data-rows=homes] tr").length === 12`)
	eval[any](p, hasten)
	for _, c := range others {
		d.Hub().Leave(c)
	}
	p.clients(d, 1)
	d.Block(dashboard.Block{Height: 9, Time: noon})
	d.Ticks()(true)
	p.checkSame("when the others have left")
}

// testAge: figures that nobody renews stay on the page, dimmed and with their age.
func testAge(t *testing.T, browser context.Context) {
	s := lively()
	d, server := served(t, s, dashboard.Options{})
	tick := d.Ticks()
	tick(true)
	p := open(t, browser)
	p.do(chromedp.Navigate(server.URL))
	p.until("the page is live", `document.getElementById("age-text").textContent.startsWith("Live")`)
	eval[any](p, `{ const now = Date.now; Date.now = () => now() + window.ahead; window.ahead = 60_000; }`)
	p.until("the page is old", `document.body.classList.contains("stale") && document.getElementById("age-text").textContent.startsWith("No news since ")`)
	if got := eval[string](p, `document.querySelector(".lead").textContent`); !strings.HasPrefix(got, "The roofs make") {
		t.Errorf("an old page says %q", got)
	}
	tick(true)
	p.until("the page is live again", `!document.body.classList.contains("stale") && document.getElementById("age-text").textContent.startsWith("Live")`)
}

// testNoScript: a page is complete without its script, says from when it is, and
// changes on reload.
func testNoScript(t *testing.T, browser context.Context) {
	s := lively()
	d, server := served(t, s, dashboard.Options{})
	tell(d)
	p := quiet(t, browser)
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Navigate(server.URL))
	if got := eval[string](p, `document.getElementById("age").textContent`); !strings.HasPrefix(got, "Figures of ") || !strings.HasSuffix(got, "Refresh") {
		t.Errorf("a page without script calls itself %q", got)
	}
	want := []int{12, dashboard.ShownRows, dashboard.ShownRows, 6, 4, 5}
	if got := eval[[]int](p, `["homes", "blocks", "receipts", "notices", "oracles"].map((n) => document.querySelector("[data-rows=" + n + "]").children.length)
		.concat(document.querySelectorAll(".plot path").length)`); !slices.Equal(got, want) {
		t.Errorf("rows are %v, want %v", got, want)
	}
	d.Block(dashboard.Block{Height: 500, Time: noon})
	d.Receipt(dashboard.Receipt{Gateway: "home-late"})
	s.set(func(v *dashboard.View) { v.Homes[0].GridW = 4_321 })
	p.do(chromedp.Navigate(eval[string](p, `document.getElementById("refresh").href`)))
	got := eval[string](p, `document.body.innerText`)
	for _, text := range []string{"500", "home-late", "takes 4.32"} {
		if !strings.Contains(got, text) {
			t.Errorf("after a reload %q is not on the page:\n%s", text, got)
		}
	}
	if eval[string](p, `document.documentElement.dataset.events ?? "none"`) != "none" {
		t.Error("the script ran")
	}
}

// testPages opens every page at every width in both themes. With -artifacts it
// takes pictures of them, which -outputdir says where to put, for people to look at.
func testPages(t *testing.T, browser context.Context) {
	pictures := flag.Lookup("test.artifacts").Value.String() == "true"
	_, l := drawn(t)
	s := lively()
	h := traded(t, 6, 40)
	a, _ := asked(t, h.Chain)
	spots := h.State.Spots(ledgertest.Zone, 0, 1<<40)
	d, server := served(t, s, dashboard.Options{Origin: "ledgertest.example/street", Simulated: true, Quorum: 3, Ledger: l, API: a, OpenMembers: true, Dir: "demo-data/oracle-1", Fleet: fleet,
		Controls: (&plugs{pulled: []string{"home-2"}}).controls()})
	tell(d)
	s.morning(d.Ticks())
	pages := []struct{ name, path string }{{"now", "/"}, {"ledger", "/ledger"}, {"miss", "/ledger?q=nobody"}, {"block", "/ledger/block/3"}, {"leaf", "/ledger/leaf/22"},
		{"market", "/market"}, {"interval", "/market/street/" + spots[4].Interval.String()}, {"carbon", "/carbon"}, {"found", "/ledger?q=home2"},
		{"sign-in", "/member"}, {"join", "/join"}, {"docs", "/docs"}, {"enter", "/member/enter?code=x"}, {"member", "/member?day=2026-01-01"}, {"statements", "/member/statements"},
		{"gateways", "/gateways"}, {"gateway", "/gateways/home-03"}, {"verify", "/verify"}}
	for _, page := range pages {
		p := open(t, browser)
		p.do(chromedp.Navigate(server.URL + page.path))
		if page.name == "member" { // of who pressed a home's button
			if !eval[bool](p, `fetch("/member/enter", { method: "POST", body: new URLSearchParams({ as: "home1" }) }).then((a) => a.ok)`) {
				t.Fatal("nobody may be home1")
			}
			p.do(chromedp.Navigate(server.URL + page.path))
		}
		if page.name != "verify" { // which stands alone, without the others' navigation
			checkAccess(t, p, page.path)
		}
		for _, width := range []int64{320, 390, 600, 820, 1180, 1440} {
			p.do(chromedp.EmulateViewport(width, 844))
			if got := eval[[]int](p, `[document.documentElement.scrollWidth, innerWidth]`); got[0] > got[1] || int64(got[1]) != width {
				t.Errorf("%s at %d px: %d px wide in a window of %d", page.path, width, got[0], got[1])
			}
			if got := eval[[]string](p, narrow); len(got) > 0 {
				t.Errorf("%s at %d px: text is wider than its box: %q", page.path, width, got)
			}
			if !pictures {
				continue
			}
			for _, theme := range []string{"light", "dark"} {
				if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}); err != nil {
					t.Fatal(err)
				}
				png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d-%s.png", page.name, width, theme)), png, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		if page.name != "verify" { // which is the bytes that wattmark verify page writes
			testGermanPage(t, p, page.name, pictures)
		}
		for _, name := range eval[[]string](p, `performance.getEntriesByType("resource").map((e) => e.name)`) {
			if !strings.HasPrefix(name, server.URL+"/") {
				t.Errorf("%s asks another host: %s", page.path, name)
			}
		}
		p.do(chromedp.Navigate("about:blank")) // its stream is one of the few that a browser has for a host
	}
}

// testGermanPage looks at a page in German, on phones, whose words are longer.
func testGermanPage(t *testing.T, p tab, name string, pictures bool) {
	t.Helper()
	eval[any](p, `document.cookie = "wattmark-language=de; path=/"`)
	p.do(chromedp.Navigate(eval[string](p, `location.href`)))
	eval[any](p, `document.cookie = "wattmark-language=; path=/; max-age=0"`)
	if got := eval[string](p, `document.documentElement.lang`); got != "de" {
		t.Errorf("%s in German is in %q", name, got)
	}
	for _, width := range []int64{1180, 320, 390} {
		p.do(chromedp.EmulateViewport(width, 844))
		if got := eval[[]int](p, `[document.documentElement.scrollWidth, innerWidth]`); got[0] > got[1] || int64(got[1]) != width {
			t.Errorf("%s in German at %d px: %d px wide in a window of %d", name, width, got[0], got[1])
		}
		if got := eval[[]string](p, narrow); len(got) > 0 {
			t.Errorf("%s in German at %d px: text is wider than its box: %q", name, width, got)
		}
	}
	if !pictures {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+"-390-german.png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// narrow lists what does not fit into its card.
const narrow = `[...document.querySelectorAll(".figures dd, .card td, .card th, .card dd, .card li")]
	.filter((e) => e.getClientRects().length && e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)`

// checkAccess checks what a person who does not see, or has a finger for a pointer,
// needs of a page.
func checkAccess(t *testing.T, p tab, path string) {
	t.Helper()
	if got := eval[[]int](p, `["h1", "main", "header", "footer", "nav[aria-label]", "html[lang]"].map((s) => document.querySelectorAll(s).length)`); !slices.Equal(got, []int{1, 1, 1, 1, 1, 1}) {
		t.Errorf("%s has not one each of heading, landmarks and language: %v", path, got)
	}
	if got := eval[[]string](p, `[...document.querySelectorAll("a, button, input:not([type=hidden]), summary, section, svg[role=img]")].filter((e) =>
		!(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length || document.getElementById(e.getAttribute("aria-labelledby")))).map((e) => e.outerHTML)`); len(got) > 0 {
		t.Errorf("%s has elements without a name: %q", path, got)
	}
	if got := eval[[]string](p, `[...document.querySelectorAll("[hidden]")].filter((e) => e.getClientRects().length).map((e) => e.outerHTML)`); len(got) > 0 {
		t.Errorf("%s shows what is hidden: %q", path, got)
	}
	if got := eval[[]string](p, `[...document.querySelectorAll("th")].filter((e) => !e.scope).map((e) => e.outerHTML)`); len(got) > 0 {
		t.Errorf("%s has headings without a scope: %q", path, got)
	}
	if got := eval[[]string](p, `[...document.querySelectorAll("nav a, .mark, .pages a, button:not([hidden]), input:not([type=hidden]), summary, .age a")].filter((e) => e.getClientRects().length && e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)`); len(got) > 0 {
		t.Errorf("%s has targets of less than 44 px: %q", path, got)
	}
}

// testPolicy shows that what the other tests rely on is so: a page that does what
// the policy forbids says so on the console.
func testPolicy(t *testing.T, browser context.Context) {
	_, server := served(t, lively(), dashboard.Options{})
	p := quiet(t, browser)
	p.do(chromedp.Navigate(server.URL))
	messages := chromedp.Console(p.ctx)
	eval[any](p, `document.getElementById("said").insertAdjacentHTML("beforeend", '<i style="color: red" onclick="alert(1)">x</i>'), console.log("end")`)
	said := ""
	for m, err := range messages {
		if err != nil {
			t.Fatal(err)
		}
		if m.Text == "end" {
			break
		}
		said += m.String()
	}
	if !strings.Contains(said, "Content Security Policy") {
		t.Errorf("a style in a page is taken without a word: %q", said)
	}
	if got := eval[string](p, `getComputedStyle(document.querySelector("#said i")).color`); got == "rgb(255, 0, 0)" {
		t.Error("a style in a page is taken")
	}
}
