package dashboard_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wattmark/oracle/api"
	"wattmark/oracle/dashboard"
	"wattmark/oracle/wire"
)

// fleet is one gateway in trouble and two that are well.
func fleet() ([]api.FleetGateway, error) {
	root := strings.Repeat("ab", 32)
	release := &api.FleetRelease{Origin: "releases.example", Board: "rpi", Version: 3, Leaf: 12}
	return []api.FleetGateway{
		{Gateway: "home-03", KeyID: "e336e4f5f7e79f0c53789fbd67fab3dd", Heard: "2026-06-17T09:12:00Z", AgeS: 10_000, DelayS: 3, Sequence: "2-117", Leaf: 20, Clock: "ntp", ClockNS: 8_000_000,
			Root: root, Release: release, WentBack: 4, Calibrated: "2026-05-02T08:00:00Z", Program: "v0.3.1 (0a0a0a0a)", Boots: 2, CertificateEnds: "2027-01-30",
			Update:  &wire.Update{Version: 4, Result: "fell_back", Reason: "unhealthy", Detail: "no receipt within 10m0s", At: time.Date(2026, 6, 17, 9, 0, 0, 0, time.UTC)},
			Trouble: []api.Trouble{{Kind: "silent", Text: "its last statement is 2 h old: see that it has power and its line"}, {Kind: "update_fell_back", Text: "version 4 was tried and not kept: unhealthy: stop the roll-out until it is known why"}}},
		{Gateway: "a-gateway-with-a-rather-long-name-of-its-own", KeyID: "32a98e5fc08a1c8d6caa03a40c526fa5", Trouble: []api.Trouble{{Kind: "never_heard", Text: "nothing of it is on the ledger"}}},
		{Gateway: "home-01", KeyID: "0e8977db2d1906651863c66af3f01b11", Heard: "2026-06-17T11:58:40Z", AgeS: 80, DelayS: 1, Sequence: "1-944", Leaf: 21, Clock: "ntp", ClockNS: 5_000_000, Root: root, Release: release},
	}, nil
}

// TestGateways has the operator's pages say what is wrong, in words, and nobody else's page
// server tell of gateways.
func TestGateways(t *testing.T) {
	d := dashboard.New(lively(), dashboard.Options{Fleet: fleet})
	get := func(d *dashboard.Dashboard, path string, want int) string {
		t.Helper()
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
		return w.Body.String()
	}
	for path, words := range map[string][]string{
		"/gateways":         {"1 of 3 gateways is well. 2 are in trouble", "silent", "never heard", "release 3 for rpi", "version 4 tried and not kept: unhealthy", "2 on release 3 for rpi; 1 on no image."},
		"/gateways/home-03": {"see that it has power and its line", "no receipt within 10m0s", "2-117", "Went back from", "leaf/12", "Certificate for the broker", "until 2027-01-30"},
		"/gateways/home-01": {"well", "announces itself when it connects"},
	} {
		page := get(d, path, http.StatusOK)
		for _, w := range words {
			if !strings.Contains(page, w) {
				t.Errorf("%s does not say %q", path, w)
			}
		}
	}
	if page := get(d, "/gateways/nobody", http.StatusNotFound); !strings.Contains(page, "No gateway &#34;nobody&#34;") {
		t.Errorf("of nobody: %s", page)
	}
	for _, trouble := range [][]api.Reason{nil, {{Reason: "halted", Detail: "blocks <of> others differ", Remedy: "compare the last block"}, {Reason: "no_broker", Detail: "away", Remedy: "look"}}} {
		d := dashboard.New(lively(), dashboard.Options{Fleet: fleet, Trouble: func() []api.Reason { return trouble }})
		page := get(d, "/gateways", http.StatusOK)
		checkHTML(t, "/gateways", page)
		for _, want := range []string{"blocks &lt;of&gt; others differ</p>\n<p>compare the last block", "away</p>\n<p>look"} {
			if strings.Contains(page, want) != (trouble != nil) {
				t.Errorf("with %v the page has %q: %v", trouble, want, trouble == nil)
			}
		}
		if strings.Contains(page, "Well: it writes") != (trouble == nil) {
			t.Errorf("with %v the page says that all is well, or does not", trouble)
		}
	}
	public := dashboard.New(lively(), dashboard.Options{})
	if page := get(public, "/gateways", http.StatusNotFound); strings.Contains(page, "home-03") || strings.Contains(get(public, "/", http.StatusOK), "/gateways") {
		t.Error("a page server that is to tell nothing of gateways does")
	}
	broken := dashboard.New(lively(), dashboard.Options{Fleet: func() ([]api.FleetGateway, error) { return nil, errors.New("a disk is gone") }})
	get(broken, "/gateways", http.StatusInternalServerError)
}

// TestOperator: beside the gateways the operator sees whom this oracle has refused, and what the
// feeder says of the members' meters.
func TestOperator(t *testing.T) {
	h := traded(t, 6, 40)
	a, _ := asked(t, h.Chain)
	var last []api.RefusedLast
	for i := range uint64(api.LastRefused) {
		last = append(last, api.RefusedLast{Gateway: "home-0<4>", Boot: 2, Count: 20 - i, At: noon.UnixMilli()})
	}
	d := dashboard.New(nil, dashboard.Options{API: a, Fleet: fleet, Trouble: func() []api.Reason { return nil }, Log: logged(t), Backups: func() ([]api.Backup, error) {
		return []api.Backup{{Of: "ledger", At: "2026-06-16T11:42:07Z", AgeS: 86_400}, {Of: "vault", At: "2026-06-01T00:00:00Z", AgeS: 16 * 86_400}, {Of: "check"}}, errors.New("backups.json is torn")
	}, Refused: func() []api.Refused {
		return []api.Refused{{Reason: "sequence_used", Count: 17, Remedy: "nothing: it is on the ledger already", Last: last}}
	}})
	page := get(d, "/gateways")
	checkHTML(t, "/gateways", page.body)
	page.has(t, "17</td>", "nothing: it is on the ledger already", "home-0&lt;4&gt; 2-20, 11:42:07", "home-0&lt;4&gt; 2-16", "no feeder meter, or it was not heard", "None is put forward",
		`✓</span> 24 h ago</span> <span class="note">2026-06-16T11:42:07Z`, "Copy of the vault", "16 days ago", "never noted", "backups.json is torn")
	if n := strings.Count(page.body, "/market/street/"); n < 4 || n > 8 {
		t.Errorf("%d intervals are compared", n)
	}
	quiet := dashboard.New(nil, dashboard.Options{API: a, Fleet: fleet, Trouble: func() []api.Reason { return nil }, Log: logged(t), Refused: a.Refused})
	get(quiet, "/gateways").has(t, "Nothing was refused.")
}
