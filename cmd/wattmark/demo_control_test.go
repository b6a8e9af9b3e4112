package main_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wattmark/oracle/oracletest"
)

// pressed sends a form of the page as a browser does, and returns the page that it leads to.
func pressed(t *testing.T, base, control, choice string) (status int, page string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"control/"+control, strings.NewReader(url.Values{"choice": {choice}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Referer", base)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// TestDemoControls presses what is in the ribbon of a running street: a link is cut and
// restored, a reading is forged and refused, every home is cut while the tour cuts one and the
// accounts need readings, and in the end all is sent all the same.
func TestDemoControls(t *testing.T) {
	t.Parallel() // a demonstration waits more than it computes
	s := &street{buildBinary(t), filepath.Join(t.TempDir(), "street")}
	base := fmt.Sprintf("http://127.0.0.1:%d/", oracletest.FreePort(t))
	p := s.start(t, "demo", "--json", "--dir", s.dir, "--duration", "45s", "--gateways", "4", "--http", strings.TrimSuffix(strings.TrimPrefix(base, "http://"), "/"))
	shows := func(text string) func() bool {
		want := regexp.MustCompile(text)
		return func() bool {
			a, err := http.Get(base)
			if err != nil {
				return false // it is not up yet
			}
			defer a.Body.Close()
			b, _ := io.ReadAll(a.Body)
			return want.Match(b)
		}
	}
	await(t, "a home that can be cut", shows(`action="/control/cut"`))
	holds := func(what, page string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(page, text) {
				t.Errorf("%s: %q is not on the page:\n%.3000s", what, text, page)
			}
		}
	}
	status, page := 0, ""
	await(t, "a forged reading", func() bool {
		status, page = pressed(t, base, "forge", "home-02")
		return status == http.StatusOK // before, the home has signed nothing
	})
	// Where the machine is busy the page that a button leads to may be a moment behind.
	await(t, "the refusal", shows("A statement of home-02 with 5 kWh more in its register was refused: bad_signature, the statement was changed after it was signed"))

	status, page = pressed(t, base, "cut", "home-01")
	if status != http.StatusOK {
		t.Errorf("cutting: %d", status)
	}
	holds("cutting", page, `value="home-01">Restore home-01</button>`)
	await(t, "the notice", shows("home-01 has lost its network. It goes on reading"))
	await(t, "home-01 to keep what it reads", shows(`id="home-0">.*[1-9] kept`))
	status, page = pressed(t, base, "restore", "home-01")
	if status != http.StatusOK || strings.Contains(page, "Restore home-01") {
		t.Errorf("restoring: %d", status)
	}
	await(t, "home-01 to catch up", shows("home-01 has caught up: every statement kept has a receipt"))
	if status, page = pressed(t, base, "cut", "home-99"); status != http.StatusUnprocessableEntity {
		t.Errorf("a home that is none: %d", status)
	}
	holds("a home that is none", page, "there is no &#34;home-99&#34; to do this to")

	// All of them, and nobody restores them before the end.
	for _, home := range []string{"home-01", "home-02", "home-03", "home-04"} {
		pressed(t, base, "cut", home) // the tour may have been first
	}
	got := parseCounted(t, p.wait(t))
	if *got.Lost != 0 || *got.Acknowledged == 0 {
		t.Errorf("%d are lost, of %d signed %d have receipts", *got.Lost, *got.Signed, *got.Acknowledged)
	}
	if got.Refused["bad_signature"] < 2 {
		t.Errorf("refused are %v, want the tour's and ours", got.Refused)
	}
}
