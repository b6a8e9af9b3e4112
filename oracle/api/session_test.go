package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/ledger"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/ledger/unit"
	"wattmark/oracle/api"
	"wattmark/oracle/export"
	"wattmark/signer"
)

// clock is one that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) on(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// traded is a settled neighbourhood and what serves it, pages' part of a session included.
func traded(t *testing.T, now func() time.Time) (*ledgertest.Hood, *api.API, *httptest.Server) {
	t.Helper()
	h := ledgertest.NewHood(t, 6)
	h.Trade(12)
	dir := t.TempDir()
	h.Save(dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	a := api.New(api.Config{Ledger: l, Rates: fast, Now: now})
	m := http.NewServeMux()
	m.Handle("/api/", a.Handler())
	m.HandleFunc("/member/enter", func(w http.ResponseWriter, r *http.Request) {
		c, err := a.Enter(r, r.URL.Query().Get("code"))
		if err != nil {
			status, _, _ := api.Explain(err)
			w.WriteHeader(status)
			return
		}
		http.SetCookie(w, c)
	})
	m.HandleFunc("/member/leave", func(w http.ResponseWriter, r *http.Request) { http.SetCookie(w, a.Leave(r)) })
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	return h, a, s
}

// do makes a request, signed where there is a key, and reads the answer.
func do(t *testing.T, client *http.Client, method, url string, key signer.Signer, now time.Time) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if key != nil {
		if err := api.SignRequest(r, key, now); err != nil {
			t.Fatal(err)
		}
	}
	return send(t, client, r)
}

func send(t *testing.T, client *http.Client, r *http.Request) (*http.Response, []byte) {
	t.Helper()
	a, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// TestOwnDataAlone: a member gets the own intervals, by signature or session, and nobody
// else does.
func TestOwnDataAlone(t *testing.T) {
	c := &clock{at: time.Unix(1_780_000_000, 0)}
	h, _, s := traded(t, c.now)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser, plain := &http.Client{Jar: jar}, &http.Client{}
	period := "?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"
	want := func(name string) *export.Statement {
		t.Helper()
		from := unit.Interval(ledgertest.Start / 1000)
		st, err := export.Of(h.State, name, from, from+24*3600)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	for _, name := range []string{"home1", "home2"} {
		r, b := do(t, plain, http.MethodGet, s.URL+"/api/v1/member"+period, h.Keys[name], c.now())
		var m api.MemberItem
		if err := json.Unmarshal(b, &m); err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %d %s", name, err, r.StatusCode, b)
		}
		st := want(name)
		if m.Member != name || m.Digest != st.Digest() || len(m.Intervals) != len(st.Spots) || len(st.Spots) < 4 || m.Total != st.Invoice.Total.String() {
			t.Errorf("%s gets %+v", name, m)
		}
		for i, l := range m.Intervals {
			if l.Quality != "measured" || l.ImportWh != int64(st.Spots[i].Import) || l.ToGrid != int64(st.Spots[i].ToGrid) {
				t.Errorf("%s: an interval is told as %+v", name, l)
			}
		}
		if got := r.Header.Get("Cache-Control"); !strings.HasPrefix(got, "private") {
			t.Errorf("own data may be kept: %q", got)
		}
		for kind, magic := range map[string]string{"csv": "interval,run", "pdf": "%PDF-", "xlsx": "PK", "xml": "<?xml", "html": "<!doctype html>"} {
			r, b := do(t, plain, http.MethodGet, s.URL+"/api/v1/member/statement."+kind+period, h.Keys[name], c.now())
			if r.StatusCode != http.StatusOK || !strings.HasPrefix(string(b), magic) || !strings.Contains(r.Header.Get("Content-Disposition"), name) {
				t.Errorf("%s %s: %d %.40q", name, kind, r.StatusCode, b)
			}
			if kind == "csv" && string(b) != string(st.CSV()) {
				t.Errorf("%s gets another file", name)
			}
		}
	}

	// Neither without a key, nor with one of a gateway, nor with the same request twice.
	stranger, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]signer.Signer{"nobody": nil, "a stranger": stranger, "a gateway": h.GatewayKey("home1")} {
		for _, path := range []string{"/api/v1/member", "/api/v1/member/statement.csv"} {
			r, b := do(t, plain, http.MethodGet, s.URL+path, key, c.now())
			if r.StatusCode != http.StatusUnauthorized || !strings.Contains(string(b), "wattmark member open") {
				t.Errorf("%s: %s: %d %s", name, path, r.StatusCode, b)
			}
		}
	}
	r, err := http.NewRequest(http.MethodGet, s.URL+"/api/v1/member", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := api.SignRequest(r, h.Keys["home1"], c.now()); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		if a, b := send(t, plain, r.Clone(t.Context())); a.StatusCode != want {
			t.Errorf("time %d of the same request: %d %s", i+1, a.StatusCode, b)
		}
	}

	// A session, from a signed request to its end.
	begin := func() api.SessionItem {
		t.Helper()
		r, b := do(t, plain, http.MethodPost, s.URL+"/api/v1/session", h.Keys["home1"], c.now())
		var item api.SessionItem
		if err := json.Unmarshal(b, &item); err != nil || r.StatusCode != http.StatusOK || item.Member != "home1" {
			t.Fatalf("a session: %v, %d %s", err, r.StatusCode, b)
		}
		return item
	}
	status := func(path string) int {
		t.Helper()
		r, _ := do(t, browser, http.MethodGet, s.URL+path, nil, time.Time{})
		return r.StatusCode
	}
	code := begin().Enter
	if got := status("/api/v1/member"); got != http.StatusUnauthorized {
		t.Errorf("before the code: %d", got)
	}
	if got := status(code); got != http.StatusOK {
		t.Fatalf("the code: %d", got)
	}
	home, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(jar.Cookies(home)); n != 1 {
		t.Fatalf("%d cookies", n)
	}
	if got := status("/api/v1/member" + period); got != http.StatusOK {
		t.Errorf("in the session: %d", got)
	}
	if r, _ := do(t, browser, http.MethodPost, s.URL+"/api/v1/session", nil, time.Time{}); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session begets another: %d", r.StatusCode)
	}
	if got := status(code); got != http.StatusUnauthorized {
		t.Errorf("the code a second time: %d", got)
	}
	c.on(11 * time.Hour)
	if got := status("/api/v1/member"); got != http.StatusOK {
		t.Errorf("after 11 hours: %d", got)
	}
	c.on(2 * time.Hour)
	if got := status("/api/v1/member"); got != http.StatusUnauthorized {
		t.Errorf("after 13 hours: %d", got)
	}
	late := begin().Enter
	c.on(3 * time.Minute)
	if got := status(late); got != http.StatusUnauthorized {
		t.Errorf("a code after three minutes: %d", got)
	}
	if got := status(begin().Enter); got != http.StatusOK {
		t.Errorf("a new code: %d", got)
	}
	cookie := jar.Cookies(home)[0]
	status("/member/leave")
	jar.SetCookies(home, []*http.Cookie{cookie})
	if got := status("/api/v1/member"); got != http.StatusUnauthorized {
		t.Errorf("with the cookie of a session that was left: %d", got)
	}
}

// TestSessionsAreBounded: a member who signs in on many devices is signed out on the first.
func TestSessionsAreBounded(t *testing.T) {
	c := &clock{at: time.Unix(1_780_000_000, 0)}
	_, a, _ := traded(t, c.now)
	var cookies []*http.Cookie
	for range 9 {
		c.on(time.Second)
		code, err := a.Invite("home1")
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "https://oracle.example/member/enter", nil)
		cookie, err := a.Enter(r, code)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
			t.Errorf("the cookie over HTTPS is %v", cookie)
		}
		cookies = append(cookies, cookie)
	}
	for i, cookie := range cookies {
		r := httptest.NewRequest(http.MethodGet, "https://oracle.example/member", nil)
		r.AddCookie(cookie)
		member, err := a.Member(r)
		if in := err == nil && member == "home1"; in != (i > 0) {
			t.Errorf("device %d: %q, %v", i+1, member, err)
		}
	}
	if _, err := a.Invite("nobody"); err == nil {
		t.Error("somebody who is no member is invited")
	}
	// Over plain HTTP from elsewhere there is no session.
	code, err := a.Invite("home2")
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "http://oracle.example/member/enter", nil)
	r.RemoteAddr = "192.0.2.7:1234"
	if _, err := a.Enter(r, code); err == nil || !strings.Contains(err.Error(), "plain HTTP") {
		t.Errorf("over plain HTTP: %v", err)
	}
}
