package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"wattmark/ledger"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard"
)

// TestOwnTopic: who is not signed in cannot ask to be told of a member, and operators' news
// is not on the public stream.
func TestOwnTopic(t *testing.T) {
	a, _ := asked(t, traded(t, 6, 4).Chain)
	d := dashboard.New(nil, dashboard.Options{API: a, OpenMembers: true, Log: logged(t)})
	for path, want := range map[string]int{
		"/events?topics=me": http.StatusUnauthorized, "/events?topics=interval,me": http.StatusUnauthorized, "/events?topics=gateway": http.StatusForbidden,
		"/events?topics=money": http.StatusBadRequest,
	} {
		if got := get(d, path).status; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	r, _ := post(d, "/member/enter", url.Values{"as": {"home2"}})
	cookie := r.Cookies()[0].Name + "=" + r.Cookies()[0].Value
	req := httptest.NewRequest(http.MethodHead, "/events?topics=me", nil)
	req.RemoteAddr = "127.0.0.1:4711"
	req.Header.Set("Cookie", cookie)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		t.Errorf("who is signed in: %d", w.Code)
	}
}

// testChanges: the pages of market, ledger and member show what came, without having been
// loaded again.
func testChanges(t *testing.T, browser context.Context) {
	h := traded(t, 6, 6)
	dir := filepath.Join(t.TempDir(), "ledger")
	h.Save(dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := dashboard.New(nil, dashboard.Options{Ledger: l.Store(), API: api.New(api.Config{Ledger: l}), OpenMembers: true, Log: logged(t)})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	server := httptest.NewServer(d)
	t.Cleanup(func() { stop(); running.Wait(); server.Close(); l.Close() })
	has := len(h.Blocks)
	grow := func() {
		t.Helper()
		for ; has < len(h.Blocks); has++ {
			inputs, hashes := h.Blocks[has].Inputs()
			if _, err := l.Append(inputs, hashes, ledger.Order{Sequence: uint64(10 * has)}); err != nil {
				t.Fatal(err)
			}
		}
	}

	p := open(t, browser)
	load := func(path string) {
		t.Helper()
		p.do(chromedp.Navigate(server.URL + path))
		eval[bool](p, `window.here = true`)
		p.until("the stream", `document.getElementById("age-text").textContent.startsWith("Live")`)
	}
	load("/market")
	before := eval[int](p, `document.querySelectorAll("main tbody tr").length`)
	h.Trade(2)
	grow()
	p.until("the intervals that came", fmt.Sprintf(`window.here && document.querySelectorAll("main tbody tr").length === %d`, before+2))

	load("/ledger")
	newest := eval[int](p, `Number(document.querySelector("tr[id^=listed-]").id.slice(7))`)
	h.At(1)
	grow()
	p.until("the block that came", fmt.Sprintf(`window.here && document.getElementById("listed-%d")?.classList.contains("new")`, newest+1))

	if !eval[bool](p, `fetch("/member/enter", { method: "POST", body: new URLSearchParams({ as: "home1" }) }).then((a) => a.ok)`) {
		t.Fatal("nobody may be home1")
	}
	load("/member")
	eval[any](p, `document.getElementById("most-buy").value = "0.2"`)
	at := h.Now + 60_000
	power := ledgertest.Record("home1", "power", -1_540, at)
	power.Name = strings.TrimSuffix(power.Name, "power") + "active_power"
	h.At(60, h.Deliver(h.Registers("home1", at, [2]int64{0, 9_000}, power).Sign(t)))
	grow()
	p.until("the power that came", `window.here && document.querySelector("[data-part=power]").textContent.includes("your home gives 1.54")`)
	if got := eval[string](p, `document.getElementById("most-buy").value`); got != "0.2" {
		t.Errorf("what was typed became %q", got)
	}
	p.do(chromedp.Navigate("about:blank"))
}
