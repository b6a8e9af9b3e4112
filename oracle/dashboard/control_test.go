package dashboard_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"wattmark/oracle/dashboard"
)

// plugs are the links of three homes, which a ribbon's forms cut and restore.
type plugs struct {
	mu     sync.Mutex // guards what follows
	pulled []string
	forged []string
}

func (p *plugs) controls() []dashboard.Control {
	among := func(cut bool) func() []dashboard.Choice {
		return func() (out []dashboard.Choice) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, name := range []string{"home-1", "home-2", "home-3"} {
				if slices.Contains(p.pulled, name) == cut {
					label := name
					if cut {
						label = "Restore " + name
					}
					out = append(out, dashboard.Choice{Value: name, Label: label})
				}
			}
			return out
		}
	}
	return []dashboard.Control{
		{Name: "cut", Label: "Cut its link", Of: "Home whose link is cut", Choices: among(false), Run: func(_ context.Context, name string) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.pulled = append(p.pulled, name)
			return nil
		}},
		{Name: "restore", Label: "Restore its link", Of: "Home whose link is restored", Each: true, Choices: among(true), Run: func(_ context.Context, name string) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.pulled = slices.DeleteFunc(p.pulled, func(s string) bool { return s == name })
			return nil
		}},
		{Name: "forge", Label: "Forge a reading", Of: "Home whose reading is forged", Choices: among(false), Run: func(_ context.Context, name string) error {
			if name == "home-3" {
				return errors.New("home-3 has signed nothing yet: press again in a few seconds")
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.forged = append(p.forged, name)
			return nil
		}},
	}
}

func (p *plugs) now() (pulled, forged []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pulled), slices.Clone(p.forged)
}

// TestControls presses what is in the ribbon.
func TestControls(t *testing.T) {
	p := &plugs{}
	_, l := drawn(t)
	d := dashboard.New(lively(), dashboard.Options{Simulated: true, Controls: p.controls(), Ledger: l, Log: logged(t)})
	first := get(d, "/ledger?q=home1")
	checkHTML(t, "/ledger", first.body)
	first.has(t, `action="/control/cut"`, `aria-label="Home whose link is cut"`, `<option value="home-2">home-2</option>`, "Forge a reading")
	if got := first.header.Get("Referrer-Policy"); got != "same-origin" {
		t.Errorf("the referrer policy is %q: a browser sends no origin with a form over plain HTTP", got)
	}
	if strings.Contains(first.body, "/control/restore") {
		t.Error("a link can be restored before one is cut")
	}
	r, _ := post(d, "/control/cut", url.Values{"choice": {"home-2"}}, "Referer", "http://example.com/ledger?q=home1")
	if got := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || got != "/ledger?q=home1" {
		t.Errorf("cutting: %d to %q", r.StatusCode, got)
	}
	if pulled, _ := p.now(); !slices.Equal(pulled, []string{"home-2"}) {
		t.Errorf("cut are %q", pulled)
	}
	after := get(d, "/")
	after.has(t, `<button name="choice" value="home-2">Restore home-2</button>`)
	if strings.Contains(after.body, `<option value="home-2">`) {
		t.Error("what is cut can be cut again")
	}
	post(d, "/control/restore", url.Values{"choice": {"home-2"}})
	if pulled, _ := p.now(); len(pulled) != 0 {
		t.Errorf("cut are still %q", pulled)
	}

	// A browser over plain HTTP says where a form is by its origin alone.
	if r, _ := post(d, "/control/forge", url.Values{"choice": {"home-1"}}, "Origin", "http://example.com"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("a form of this page: %d", r.StatusCode)
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "http://elsewhere.example"}, {"Origin", "null"}} {
		if r, _ := post(d, "/control/forge", url.Values{"choice": {"home-1"}}, header...); r.StatusCode != http.StatusForbidden {
			t.Errorf("a form with %q: %d", header, r.StatusCode)
		}
	}
	if _, forged := p.now(); len(forged) != 1 {
		t.Errorf("forged are %q", forged)
	}
	for name, c := range map[string]struct {
		path, value string
		status      int
		says        string
	}{
		"no such control": {"/control/speed", "60", http.StatusNotFound, "There is no page at"},
		"no such choice":  {"/control/cut", "home-9<b>", http.StatusUnprocessableEntity, "there is no &#34;home-9&lt;b&gt;&#34; to do this to"},
		"no choice":       {"/control/cut", "", http.StatusUnprocessableEntity, "load the page again"},
		"not cut":         {"/control/restore", "home-1", http.StatusUnprocessableEntity, "or not any more"},
		"too large":       {"/control/cut", strings.Repeat("x", 2000), http.StatusRequestEntityTooLarge, "does not read as one"},
		"not possible":    {"/control/forge", "home-3", http.StatusConflict, "home-3 has signed nothing yet: press again"},
	} {
		r, body := post(d, c.path, url.Values{"choice": {c.value}})
		checkHTML(t, name, body)
		if r.StatusCode != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d, and the page does not say %q", name, r.StatusCode, c.says)
		}
	}
	if answer := get(d, "/control/cut"); answer.status != http.StatusNotFound {
		t.Errorf("looking at an address of a form: %d", answer.status)
	}

	// Elsewhere the ribbon has no forms, and nothing is at their address.
	plain := dashboard.New(lively(), dashboard.Options{Simulated: true, Log: logged(t)})
	if r, body := post(plain, "/control/cut", url.Values{"choice": {"home-1"}}); r.StatusCode == http.StatusSeeOther || strings.Contains(body, "<select") {
		t.Errorf("a dashboard without controls: %d", r.StatusCode)
	}
}

// TestControlsLeadBack: to the page where the form was, and to no other place.
func TestControlsLeadBack(t *testing.T) {
	p := &plugs{}
	d := dashboard.New(lively(), dashboard.Options{Simulated: true, Controls: p.controls(), Log: logged(t)})
	for from, want := range map[string]string{
		"":                                      "/",
		"http://example.com/market?day=1":       "/market?day=1",
		"https://example.com/carbon#top":        "/carbon",
		"http://elsewhere.example/ledger":       "/",
		"http://example.com//elsewhere.example": "/",
		"http://example.com/\\elsewhere":        "/%5Celsewhere",
		"javascript:alert(1)":                   "/",
		"http://example.com/control/forge":      "/",
		"http://example.com":                    "/",
		"/ledger":                               "/",
	} {
		r, _ := post(d, "/control/forge", url.Values{"choice": {"home-1"}}, "Referer", from)
		if got := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || got != want {
			t.Errorf("from %q: %d to %q, want %q", from, r.StatusCode, got, want)
		}
	}
}

// TestControlsOneAtATime: a press waits for the one before it.
func TestControlsOneAtATime(t *testing.T) {
	running, most := 0, 0
	var mu sync.Mutex
	begun, goOn := make(chan struct{}, 2), make(chan struct{})
	d := dashboard.New(lively(), dashboard.Options{Simulated: true, Log: logged(t), Controls: []dashboard.Control{{
		Name: "wait", Label: "Wait", Choices: func() []dashboard.Choice { return []dashboard.Choice{{Value: "x", Label: "x"}} },
		Run: func(context.Context, string) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			begun <- struct{}{}
			<-goOn
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		},
	}}})
	var presses sync.WaitGroup
	for range 2 {
		presses.Go(func() {
			if r, _ := post(d, "/control/wait", url.Values{"choice": {"x"}}); r.StatusCode != http.StatusSeeOther {
				t.Errorf("a press: %d", r.StatusCode)
			}
		})
	}
	<-begun
	goOn <- struct{}{}
	<-begun
	goOn <- struct{}{}
	presses.Wait()
	if most != 1 {
		t.Errorf("%d ran at a time", most)
	}
}

// TestControlTopic: pages with forms in their ribbon are told when there is something else to
// choose, those without are not.
func TestControlTopic(t *testing.T) {
	_, l := drawn(t)
	with := dashboard.Options{Ledger: l, Controls: (&plugs{}).controls(), Simulated: true, Log: logged(t)}
	for path, want := range map[string]string{"/": "power,block,receipt,notice,state,control", "/ledger": "ledger,control"} {
		get(dashboard.New(lively(), with), path).has(t, `data-topics="`+want+`"`)
	}
	get(dashboard.New(lively(), dashboard.Options{Ledger: l, Log: logged(t)}), "/ledger").has(t, `data-topics="ledger"`)
}

// testRibbon: what others do is offered in the ribbon without the page being loaded again, but
// for a form that somebody is in.
func testRibbon(t *testing.T, browser context.Context) {
	p := &plugs{}
	d, server := served(t, lively(), dashboard.Options{Simulated: true, Controls: p.controls()})
	tick := d.Ticks()
	tick(true)
	tab := open(t, browser)
	tab.do(chromedp.Navigate(server.URL))
	eval[bool](tab, `window.here = true`)
	tab.until("the stream", `document.getElementById("age-text").textContent.startsWith("Live")`)
	cut := func(name string) {
		t.Helper()
		p.mu.Lock()
		p.pulled = append(p.pulled, name)
		p.mu.Unlock()
		tick(true)
		tab.until("a button that restores "+name, `window.here && [...document.querySelectorAll(".controls button")].some((b) => b.textContent === "Restore `+name+`")`)
	}
	const list = `document.querySelector("form[action='/control/cut'] select")`
	const forms = `[...document.querySelectorAll(".controls form")].map((f) => f.getAttribute("action")).join()`
	cut("home-2")
	if got := eval[string](tab, `[...`+list+`.options].map((o) => o.value).join()`); got != "home-1,home-3" {
		t.Errorf("what can be cut is %s", got)
	}
	eval[any](tab, `document.querySelector("form[action='/control/forge'] select").value = "home-3", window.list = `+list+`, list.value = "home-3", list.focus()`)
	cut("home-1")
	if got := eval[string](tab, `[`+list+` === window.list, document.activeElement === window.list, window.list.value, document.querySelector("form[action='/control/forge'] select").value, `+forms+`].join()`); got != "true,true,home-3,home-3,/control/cut,/control/restore,/control/forge" {
		t.Errorf("while somebody is in a list: %s", got)
	}
	eval[any](tab, `list.blur()`)
	tab.until("a list of what can be cut", `[...`+list+`.options].map((o) => o.value).join() === "home-3"`)
	if got := eval[string](tab, forms); got != "/control/cut,/control/restore,/control/forge" {
		t.Errorf("the forms are %s", got)
	}
	tab.do(chromedp.Navigate("about:blank"))
}

// testControls presses the ribbon's buttons in a browser, without script and with, and at an
// address that a browser does not call secure.
func testControls(t *testing.T, browser context.Context) {
	p := &plugs{}
	d := dashboard.New(lively(), dashboard.Options{Simulated: true, Controls: p.controls(), Log: logged(t)})
	server := httptest.NewServer(d.Handler())
	t.Cleanup(func() { d.Hub().Close(); server.Close() })
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	for _, address := range []string{server.URL, "http://wattmark.test:" + port} {
		for _, script := range []bool{false, true} {
			tab := quiet(t, browser)
			if _, err := chromedp.Call(tab.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script}); err != nil {
				t.Fatal(err)
			}
			press := func(choose, button, then string) {
				t.Helper()
				if choose != "" {
					eval[any](tab, `document.querySelector("form[action='/control/`+choose+`'] select").value = "home-2"`)
				}
				eval[any](tab, `[...document.querySelectorAll(".controls button")].find((b) => b.textContent === "`+button+`").click()`)
				tab.lands(button, then)
			}
			tab.do(chromedp.Navigate(address + "/market?x=1"))
			press("cut", "Cut its link", `[...document.querySelectorAll(".controls button")].some((b) => b.textContent === "Restore home-2") && location.pathname + location.search === "/market?x=1"`)
			press("", "Restore home-2", `!document.querySelector("form[action='/control/restore']") && location.pathname + location.search === "/market?x=1"`)
			if pulled, _ := p.now(); len(pulled) != 0 {
				t.Errorf("at %s, script %v: cut are %q", address, script, pulled)
			}
		}
	}
}
