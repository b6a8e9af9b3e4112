package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"wattmark/ledger/ledgertest"
	"wattmark/ledger/unit"
	"wattmark/oracle/dashboard"
	"wattmark/oracle/export"
)

// post sends a form, and returns the answer with its cookies.
func post(h http.Handler, path string, form url.Values, header ...string) (*http.Response, string) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

// TestMemberPages: who comes with a code sees the own day, as the statement has it, and who
// has none how to get one.
func TestMemberPages(t *testing.T) {
	h := traded(t, 6, 40)
	a, d := asked(t, h.Chain)
	get(d, "/member").has(t, "Sign in with a key in a file", "wattmark member open --key FILE", "--url http://example.com")
	if page := get(d, "/member"); strings.Contains(page.body, "you may be anybody") {
		t.Error("a real oracle lets anybody be anybody")
	}
	// The members' names open nothing where that is not allowed.
	if r, body := post(d, "/member/enter", url.Values{"as": {"home1"}}); r.StatusCode != http.StatusUnauthorized || len(r.Cookies()) > 0 || !strings.Contains(body, "The code was used, or is older") {
		t.Errorf("as home1: %d", r.StatusCode)
	}
	code, err := a.Invite("home1")
	if err != nil {
		t.Fatal(err)
	}
	enter := get(d, "/member/enter?code="+code)
	checkHTML(t, "/member/enter", enter.body)
	enter.has(t, `name="code" value="`+code+`"`)
	if r, _ := post(d, "/member/enter", url.Values{"code": {code}}, "Sec-Fetch-Site", "cross-site"); r.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: %d", r.StatusCode)
	}
	r, _ := post(d, "/member/enter", url.Values{"code": {code}})
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/member" || len(r.Cookies()) != 1 {
		t.Fatalf("the code: %d %v", r.StatusCode, r.Header)
	}
	cookie := r.Cookies()[0].Name + "=" + r.Cookies()[0].Value

	from := unit.Interval(ledgertest.Start / 1000)
	s, err := export.Of(h.State, "home1", from, from+24*3600)
	if err != nil {
		t.Fatal(err)
	}
	page := get(d, "/member?day=2026-01-01", "Cookie", cookie)
	checkHTML(t, "/member", page.body)
	page.has(t, "home1, 1 January 2026", s.Headline(), `<figure class="chart">`, "out: ", "Seen by you.", "/api/v1/member/statement.pdf?from=2026-01-01T00%3A00%3A00Z")
	if rows := strings.Count(page.body, `<tr><th scope="row"><a href="/market/street/`); rows != len(s.Spots) || rows < 4 {
		t.Errorf("%d rows, want %d", rows, len(s.Spots))
	}
	last := s.Spots[len(s.Spots)-1]
	if last.ToNeighbours+last.ToGrid == 0 {
		t.Fatalf("the drawn home gives nothing: %+v", last)
	}
	page.has(t, dashboard.Energy(int64(last.ToGrid))+" to the grid")
	get(d, "/member", "Cookie", cookie).has(t, "home1, 1 January 2026")
	get(d, "/member?day=2025-12-31", "Cookie", cookie).has(t, "No quarter hour of this day is settled", "Day after")
	get(d, "/member?day=today", "Cookie", cookie).has(t, "There is no day &#34;today&#34;")
	get(d, "/member?day=0000-01-01", "Cookie", cookie).has(t, "There is no day")

	month, err := export.Of(h.State, "home1", from, from+31*24*3600)
	if err != nil {
		t.Fatal(err)
	}
	list := get(d, "/member/statements", "Cookie", cookie)
	checkHTML(t, "/member/statements", list.body)
	list.has(t, "1 month of what", "January 2026", month.Headline(), month.Digest(), "/api/v1/member/statement.xlsx?from=2026-01-01T00%3A00%3A00Z&amp;to=2026-02-01T00%3A00%3A00Z")
	if page := get(d, "/member/statements"); strings.Contains(page.body, "home1") {
		t.Error("statements are shown to who is not signed in")
	}

	if r, _ := post(d, "/member/leave", nil, "Cookie", cookie); r.StatusCode != http.StatusSeeOther {
		t.Errorf("leaving: %d", r.StatusCode)
	}
	if page := get(d, "/member?day=2026-01-01", "Cookie", cookie); strings.Contains(page.body, "home1") {
		t.Error("the page is shown after leaving")
	}
	none := dashboard.New(nil, dashboard.Options{Log: logged(t)})
	get(none, "/member").has(t, "no accounts to read")
}

// TestAnybodyInADemonstration: where members are made up, a button is enough.
func TestAnybodyInADemonstration(t *testing.T) {
	h := traded(t, 3, 3)
	a, _ := asked(t, h.Chain)
	d := dashboard.New(nil, dashboard.Options{API: a, OpenMembers: true, Simulated: true, Log: logged(t)})
	for address, near := range map[string]bool{"127.0.0.1:4711": true, "192.0.2.7:4711": false} {
		r := httptest.NewRequest(http.MethodGet, "/member", nil)
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		body := w.Body.String()
		checkHTML(t, "/member", body)
		if strings.Contains(body, `<button name="as" value="home2">home2</button>`) != near || strings.Contains(body, "on the machine that it runs on alone") == near {
			t.Errorf("from %s the page offers a session, or does not: %v", address, !near)
		}
	}
	r, _ := post(d, "/member/enter", url.Values{"as": {"home2"}})
	if r.StatusCode != http.StatusSeeOther || len(r.Cookies()) != 1 {
		t.Fatalf("as home2: %d", r.StatusCode)
	}
	get(d, "/member", "Cookie", r.Cookies()[0].Name+"="+r.Cookies()[0].Value).has(t, "home2,")
	if r, body := post(d, "/member/enter", url.Values{"as": {"nobody"}}); r.StatusCode != http.StatusNotFound || !strings.Contains(body, "is no member of this ledger") {
		t.Errorf("as nobody: %d", r.StatusCode)
	}
}
