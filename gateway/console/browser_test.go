package console_test

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"wattmark/gateway/console"
)

// chromium starts a browser, or skips the test where there is none.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("chromium is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("chromium is not installed: the page is not tested in a browser")
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("lang", "en-US"))...)
	t.Cleanup(stop)
	browser, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return browser
}

// tab is one page in the browser. Nothing may be said on its console until the test ends.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func open(t *testing.T, browser context.Context, allowed ...string) tab {
	t.Helper()
	ctx, done := chromedp.NewContext(browser)
	t.Cleanup(done)
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p := tab{t, ctx}
	messages := chromedp.Console(ctx)
	t.Cleanup(func() {
		const end = "the test ends here"
		eval[any](p, `console.log("`+end+`")`)
		for m, err := range messages {
			if err != nil || m.Text == end {
				return
			}
			if !slices.ContainsFunc(allowed, func(s string) bool { return strings.HasPrefix(m.Text, s) }) {
				t.Errorf("on the console: %v", m)
			}
		}
	})
	return p
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

// stage is a gateway that the test changes.
type stage struct {
	mu    sync.Mutex // guards facts
	facts console.Facts
}

func (s *stage) set(f console.Facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = f
}

func (s *stage) tell() console.Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts
}

func TestBrowser(t *testing.T) {
	browser := chromium(t)
	t.Run("looks", func(t *testing.T) { testLooks(t, browser) })
	t.Run("live", func(t *testing.T) { testLive(t, browser) })
	t.Run("no script", func(t *testing.T) { testNoScript(t, browser) })
	t.Run("german", func(t *testing.T) { testGerman(t, browser) }) // its cookie is for the host, whatever the port: it goes last
}

// testLooks opens the page at every width in both themes. With -artifacts it takes
// pictures, which -outputdir says where to put, for people to look at.
func testLooks(t *testing.T, browser context.Context) {
	pictures := flag.Lookup("test.artifacts").Value.String() == "true"
	for name, facts := range map[string]func() console.Facts{"busy": busy, "quiet": quiet} {
		server := httptest.NewServer(console.Page(facts))
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		p := open(t, browser)
		p.do(chromedp.Navigate(server.URL))
		p.until("the page is live", `document.documentElement.dataset.events !== undefined && document.getElementById("age-text").textContent.startsWith("Live")`)
		if got := eval[[]int](p, `["h1", "main", "header", "html[lang]", "#leave"].map((s) => document.querySelectorAll(s).length)`); !slices.Equal(got, []int{1, 1, 1, 1, 1}) {
			t.Errorf("%s: heading, landmarks, language and last line: %v", name, got)
		}
		if got := eval[string](p, `document.querySelector("main").lastElementChild.id`); got != "leave" {
			t.Errorf("%s: the last thing is %q", name, got)
		}
		if got := eval[[]string](p, `[...document.querySelectorAll("th")].filter((e) => !e.scope).map((e) => e.outerHTML)`); len(got) > 0 {
			t.Errorf("%s: headings without a scope: %q", name, got)
		}
		if got := eval[[]string](p, `[...document.querySelectorAll("summary, .age a, .language")].filter((e) => e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)`); len(got) > 0 {
			t.Errorf("%s: targets of less than 44 px: %q", name, got)
		}
		for _, width := range []int64{320, 390, 820, 1440} {
			p.do(chromedp.EmulateViewport(width, 844))
			for _, folded := range []bool{true, false} {
				eval[any](p, fmt.Sprintf(`document.querySelectorAll("details").forEach((d) => { d.open = %v; })`, !folded))
				if got := eval[[]int](p, `[document.documentElement.scrollWidth, innerWidth]`); got[0] > got[1] || int64(got[1]) != width {
					t.Errorf("%s at %d px: %d px wide in a window of %d", name, width, got[0], got[1])
				}
				if got := eval[[]string](p, `[...document.querySelectorAll(".card, .card p, .card td, .card dd")].filter((e) => e.getClientRects().length && e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)`); len(got) > 0 {
					t.Errorf("%s at %d px: text is wider than its box: %q", name, width, got)
				}
			}
			for _, theme := range []string{"light", "dark"} {
				if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}); err != nil {
					t.Fatal(err)
				}
				want := map[string]string{"light": "rgb(244, 245, 241)", "dark": "rgb(13, 19, 17)"}[theme]
				if got := eval[string](p, `getComputedStyle(document.body).backgroundColor`); got != want {
					t.Errorf("%s: the ground of the %s theme is %s", name, theme, got)
				}
				if !pictures {
					continue
				}
				eval[any](p, fmt.Sprintf(`document.querySelectorAll("details").forEach((d, i) => { d.open = i === 1 && %v; })`, width == 390))
				png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d-%s.png", name, width, theme)), png, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, resource := range eval[[]string](p, `performance.getEntriesByType("resource").map((e) => e.name)`) {
			if !strings.HasPrefix(resource, server.URL+"/") {
				t.Errorf("%s asks another host: %s", name, resource)
			}
		}
	}
}

// same compares what the page has in it with what the gateway would draw, for 20 s.
const same = `(async () => {
	const plain = (html) => html.replaceAll(' open=""', "").replace(/\s+/g, " ").replace(/> </g, "><").trim();
	for (let end = performance.now() + 20_000; ;) {
		const text = await fetch("/", { cache: "no-store" }).then((a) => a.text(), () => "<main id=main>away</main>");
		const want = plain(new DOMParser().parseFromString(text, "text/html").getElementById("main").innerHTML);
		const got = plain(document.getElementById("main").innerHTML);
		if (got === want) return "";
		if (performance.now() > end) {
			let i = 0;
			while (got[i] === want[i]) i++;
			return "the page has …" + got.slice(Math.max(i - 80, 0), i + 160) + "…\nthe gateway has …" + want.slice(Math.max(i - 80, 0), i + 160) + "…";
		}
		await new Promise((done) => setTimeout(done, 50));
	}
})()`

// testLive changes what the gateway tells: the page becomes what it would draw, without
// being loaded again, and what is folded out stays so. When news stop the page says so.
func testLive(t *testing.T, browser context.Context) {
	s := &stage{facts: quiet()}
	server := httptest.NewServer(console.Page(s.tell))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	p := open(t, browser, "Failed to load resource: net::")
	p.do(chromedp.Navigate(server.URL))
	eval[any](p, `window.here = true, document.querySelector("details").open = true`)
	steps := []console.Facts{busy(), quiet(), busy()}
	steps[2].Devices = steps[2].Devices[1:]
	more := quiet()
	more.Devices[0], more.Devices[1] = more.Devices[1], more.Devices[0]
	more.Devices[0].Last = nil
	for i, f := range append(steps, more) {
		s.set(f)
		if diff := eval[string](p, same); diff != "" {
			t.Errorf("after step %d %s", i, diff)
		}
		if got := eval[int](p, `document.querySelectorAll("details[open]").length`); got != 1 {
			t.Errorf("after step %d %d details are open", i, got)
		}
	}
	if !eval[bool](p, `window.here === true`) {
		t.Error("the page was loaded again")
	}
	server.CloseClientConnections() // the stream breaks, and comes back by itself
	s.set(busy())
	if diff := eval[string](p, same); diff != "" {
		t.Errorf("after the stream broke %s", diff)
	}
	server.CloseClientConnections()
	server.Listener.Close()
	p.until("the page says that there are no news", `document.getElementById("age-text").textContent.startsWith("No news since ") && document.body.classList.contains("stale")`)
}

// testNoScript: without a script the page is complete.
func testNoScript(t *testing.T, browser context.Context) {
	server := httptest.NewServer(console.Page(busy))
	t.Cleanup(server.Close)
	p := open(t, browser)
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Navigate(server.URL))
	got := strings.ReplaceAll(eval[string](p, `document.body.innerText`), "\u00a0", " ")
	for _, want := range []string{"2 of 4 sensors good", "Figures of 12:00:00 UTC", "Refresh", "stack", "1234.5", "Not ready"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not on the page:\n%s", want, got)
		}
	}
	if got := eval[string](p, `document.getElementById("refresh").href`); got != server.URL+"/" {
		t.Errorf("refresh leads to %q", got)
	}
}

// testGerman opens the page with a browser that asks for German, and changes the language.
func testGerman(t *testing.T, browser context.Context) {
	pictures := flag.Lookup("test.artifacts").Value.String() == "true"
	server := httptest.NewServer(console.Page(busy))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	p := open(t, browser)
	agent := eval[string](p, "navigator.userAgent")
	if _, err := chromedp.Call(p.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: "de-DE,de,en"}); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Navigate(server.URL))
	const live = `document.documentElement.dataset.events !== undefined && document.getElementById("age-text").textContent.startsWith(%q)`
	p.until("the page is live", fmt.Sprintf(live, "Live · vor "))
	if diff := eval[string](p, same); diff != "" {
		t.Error("the stream: " + diff)
	}
	heading := func() string {
		return strings.ReplaceAll(eval[string](p, `document.documentElement.lang + ": " + document.querySelector("h1").innerText`), "\u00a0", " ")
	}
	if got := heading(); !strings.HasPrefix(got, "de: 2 von 4 Sensoren in Ordnung") {
		t.Errorf("the page says %q", got)
	}
	for _, width := range []int64{320, 390, 820, 1440} {
		p.do(chromedp.EmulateViewport(width, 844))
		eval[any](p, fmt.Sprintf(`document.querySelectorAll("details").forEach((d) => { d.open = %v; })`, width < 820))
		if got := eval[[]int](p, `[document.documentElement.scrollWidth, innerWidth]`); got[0] > got[1] || int64(got[1]) != width {
			t.Errorf("at %d px: %d px wide in a window of %d", width, got[0], got[1])
		}
		if got := eval[[]string](p, `[...document.querySelectorAll(".card, .card p, .card td, .card dd")].filter((e) => e.getClientRects().length && e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)`); len(got) > 0 {
			t.Errorf("at %d px: text is wider than its box: %q", width, got)
		}
		if !pictures {
			continue
		}
		png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("german-%d.png", width)), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.do(chromedp.Click(chromedp.CSS(".language")), chromedp.WaitVisible(chromedp.CSS("html[lang=en] .language[lang=de]")))
	p.until("the page is live in English", fmt.Sprintf(live, "Live · ")+` && document.documentElement.lang === "en"`)
	if diff := eval[string](p, same); diff != "" {
		t.Error("the stream in English: " + diff)
	}
	p.do(chromedp.Navigate(server.URL)) // it is remembered
	if got := heading(); !strings.HasPrefix(got, "en: 2 of 4 sensors good") {
		t.Errorf("the page says %q", got)
	}
}
