package dashboard_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/request"
	"wattmark/ledger/store"
	"wattmark/ledger/unit"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard"
	"wattmark/signer"
	"wattmark/signer/words"
)

// joinable is a page server of a ledger that grows: with each grown it serves what there is by then.
type joinable struct {
	*ledgertest.Hood
	joins   string
	sent    chan []byte // entries that the API has let through
	handler atomic.Pointer[http.ServeMux]
}

func (j *joinable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	j.handler.Load().ServeHTTP(w, r)
}

func (j *joinable) grown(t *testing.T) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ledger")
	j.Save(dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	now := time.UnixMilli(j.Now) // the server's clock stands, for the test moves the ledger's while pages ask
	a := api.New(api.Config{Ledger: l, Joins: j.joins, Submit: func(_ context.Context, b []byte) error { j.sent <- b; return nil }, Clock: func() time.Time { return now }})
	m := http.NewServeMux()
	m.Handle("/", dashboard.New(nil, dashboard.Options{Ledger: l.Store(), API: a, Log: logged(t)}))
	m.Handle("/api/", a.Handler())
	j.handler.Store(m)
}

// testJoin has a device follow an invitation: it makes a key, asks, shows the words of the
// key, and is in as soon as the ledger has it. Then it comes back.
func testJoin(t *testing.T, browser context.Context, alg signer.Algorithm) {
	j := &joinable{Hood: ledgertest.NewHood(t, 2), joins: filepath.Join(t.TempDir(), "joins"), sent: make(chan []byte, 9)}
	s := j.Enrolment("annas", signer.EdDSA, entry.ModeCommitted)
	e, err := entry.ParseEnrolment(s.Payload)
	if err != nil {
		t.Fatal(err)
	}
	e.Points[0].Channels = []entry.Channel{{Name: "import", Unit: "Wh", Kind: entry.KindCounter, Most: entry.Int(1_000_000_000)}}
	if s.Payload, err = e.Encode(); err != nil {
		t.Fatal(err)
	}
	j.At(1, j.Deliver(s.Sign(t)))
	j.grown(t)
	server := httptest.NewServer(j)
	t.Cleanup(server.Close)
	i := api.Invitation{Ledger: ledgertest.Origin, Member: "anna", Zone: ledgertest.Zone, PowerW: 100_000, Renewable: true,
		Points: []api.InvitationPoint{{Subject: ledgertest.Subject("annas"), Import: "import"}}, Expires: j.Now/1000 + 3600}
	link, err := api.SignInvitation(j.Oracles[0].Statement, j.Oracles[0].Name, &i, j.Now/1000)
	if err != nil {
		t.Fatal(err)
	}

	p := open(t, browser)
	p.do(chromedp.Navigate(server.URL + "/join#" + link))
	p.lands("the invitation", `document.getElementById("device").textContent.includes("as anna, in zone street, with 100000 W")`)
	if alg == signer.ES256 { // a browser without Ed25519
		eval[bool](p, `{ const all = crypto.subtle.generateKey.bind(crypto.subtle); crypto.subtle.generateKey = (a, ...more) => a.name === "Ed25519" ? Promise.reject(new Error("none")) : all(a, ...more); true }`)
	}
	eval[any](p, `document.getElementById("device-go").click()`)
	p.until("the words", `document.getElementById("device").textContent.includes("Tell the operator these words")`)
	file := filepath.Join(j.joins, "anna"+api.JoinSuffix)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the request's file: %v %v", info, err)
	}
	r, err := request.OpenMember(b, ledgertest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	id := r.Public.ID()
	if r.Public.Algorithm() != alg || r.Member != "anna" || r.Power != 100_000 || !r.Renewable {
		t.Errorf("the device asks for %+v", r)
	}
	if shown, want := eval[string](p, `document.getElementById("device").textContent`), strings.Join(words.Of(id[:]), " "); !strings.Contains(shown, ": "+want+".") {
		t.Errorf("the page says %q, the operator sees %q", shown, want)
	}

	// The operator lets it in.
	payload, err := (&entry.Member{Request: b}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	block := j.At(60, j.Deliver(j.Stated(0, entry.TypeMember, payload).Sign(t)))
	if reason := block.Result.Reasons[1]; reason != "" {
		t.Fatalf("the member is refused: %s", reason)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	j.grown(t)
	p.lands("the member's page", `location.pathname === "/member" && document.querySelector("h1")?.textContent.startsWith("anna, ")`)

	p.lands("the form of its limits", `document.getElementById("limits")?.hidden === false`)

	// It comes back with the key that it has kept.
	if !eval[bool](p, `fetch("/member/leave", { method: "POST" }).then((a) => a.ok)`) {
		t.Fatal("nobody may leave")
	}
	p.do(chromedp.Navigate(server.URL + "/member"))
	p.lands("the key", `document.getElementById("device")?.textContent === "This device has a key."`)
	eval[any](p, `document.getElementById("device-go").click()`)
	p.lands("the member's page again", `document.querySelector("h1")?.textContent.startsWith("anna, ")`)

	// It signs what its member wants; the rules, which judge it before it is taken, take it.
	p.lands("the form", `document.getElementById("limits")?.hidden === false`)
	eval[any](p, `document.getElementById("most-buy").value = "much"; document.querySelector("#limits button").click()`)
	p.until("what is wrong", `document.querySelector("#limits-said.bad")?.textContent.includes('"much" is no price')`)
	eval[any](p, `document.getElementById("most-buy").value = "0,285"; document.getElementById("least-sell").value = "0.09"; document.querySelector("#limits button").click()`)
	p.until("that it is sent", `document.getElementById("limits-said").textContent === "Signed and sent."`)
	entered := j.At(1, j.Deliver(<-j.sent, nil))
	if reason := entered.Result.Reasons[1]; reason != "" {
		t.Fatalf("the limits are refused: %s", reason)
	}
	limits := j.State.Standing("anna", unit.Interval(j.Now/1000+3600))
	if limits == nil || limits.MaxBuy == nil || *limits.MaxBuy != 285_000 || limits.MinSell == nil || *limits.MinSell != 90_000 {
		t.Errorf("the ledger has the limits %+v", limits)
	}
	if eval[bool](p, `new Promise((done) => { const o = indexedDB.open("wattmark", 1); o.onsuccess = () => { const g = o.result.transaction("keys").objectStore("keys").get("member"); g.onsuccess = () => done(g.result.privateKey.extractable); }; })`) {
		t.Error("the key can be taken off the device")
	}
}

// lands waits for something on a page that may go to another one meanwhile.
func (p tab) lands(what, expression string) {
	p.t.Helper()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		// An error says that the page asked was just left.
		if ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expression)); err == nil && ok {
			return
		}
		if time.Now().After(until) {
			p.t.Fatalf("waited for %s", what)
		}
	}
}

// testNotInvited: a link that is broken, old or another's is told so, and a device without a
// key what to do.
func testNotInvited(t *testing.T, browser context.Context) {
	j := &joinable{Hood: ledgertest.NewHood(t, 2), joins: filepath.Join(t.TempDir(), "joins")}
	j.grown(t)
	server := httptest.NewServer(j)
	t.Cleanup(server.Close)
	i := api.Invitation{Ledger: ledgertest.Origin, Member: "anna", Zone: ledgertest.Zone, PowerW: 100_000,
		Points: []api.InvitationPoint{{Subject: "mp-1", Import: "import"}}, Expires: j.Now/1000 + 3600}
	signed := func(change func(*api.Invitation), key signer.Signer) string {
		t.Helper()
		i := i
		change(&i)
		link, err := api.SignInvitation(key, j.Oracles[0].Name, &i, j.Now/1000)
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	own := j.Oracles[0].Statement
	good := signed(func(*api.Invitation) {}, own)
	p := open(t, browser, "Failed to load resource: the server responded with a status of 4")
	for name, test := range map[string]struct{ link, says string }{
		"nothing":            {"", "The link is not whole"},
		"half":               {good[:len(good)/2], "The link is not whole"},
		"old":                {signed(func(i *api.Invitation) { i.Expires = j.Now/1000 - 1 }, own), "it was good until"},
		"of another ledger":  {signed(func(i *api.Invitation) { i.Ledger = "other.example" }, own), `it is for ledger "other.example"`},
		"of another's key":   {signed(func(*api.Invitation) {}, j.Keys["home1"]), "is of no oracle in force"},
		"with a letter bent": {good[:len(good)-4] + "AAAA", "Not an invitation to this ledger"},
	} {
		p.do(chromedp.Navigate(server.URL+"/ledger"), chromedp.Navigate(server.URL+"/join#"+test.link))
		p.lands(name, `document.getElementById("device").textContent !== "" && !document.getElementById("device").textContent.startsWith("Without a script")`)
		eval[any](p, `document.getElementById("device-go").onclick?.()`)
		p.until(name+": what is wrong", `document.querySelector("#device.bad") !== null`)
		if got := eval[string](p, `document.getElementById("device").textContent`); !strings.Contains(got, test.says) {
			t.Errorf("%s: the page says %q, want %q", name, got, test.says)
		}
	}
	if files, err := os.ReadDir(j.joins); err == nil && len(files) > 0 {
		t.Errorf("%v wait", files)
	}
	// Two devices with one link: the second is told.
	first := signed(func(*api.Invitation) {}, own)
	p.do(chromedp.Navigate(server.URL+"/ledger"), chromedp.Navigate(server.URL+"/join#"+first))
	p.lands("the invitation", `document.getElementById("device-go").hidden === false`)
	eval[any](p, `document.getElementById("device-go").click()`)
	p.until("the words", `document.getElementById("device").textContent.includes("Tell the operator these words")`)
	p.do(chromedp.Navigate(server.URL + "/ledger"))
	eval[any](p, `new Promise((done) => { indexedDB.deleteDatabase("wattmark").onsuccess = () => done(true); })`)
	p.do(chromedp.Navigate(server.URL + "/join#" + first))
	p.lands("the invitation again", `document.getElementById("device-go").hidden === false`)
	eval[any](p, `document.getElementById("device-go").click()`)
	p.until("that somebody was faster", `document.getElementById("device").textContent.includes("Another device has used this invitation")`)
}

// testDispute: a member whose device has the key disputes an invoiced quarter hour, and the
// ledger has what the meter should have shown and the hash of what shows it.
func testDispute(t *testing.T, browser context.Context) {
	j := &joinable{Hood: traded(t, 6, 40), joins: filepath.Join(t.TempDir(), "joins"), sent: make(chan []byte, 9)}
	j.grown(t)
	server := httptest.NewServer(j)
	t.Cleanup(server.Close)
	pkcs8, err := j.Keys["home1"].PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, browser)
	p.do(chromedp.Navigate(server.URL + "/member"))
	if !eval[bool](p, fmt.Sprintf(`(async () => {
		const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
		const privateKey = await crypto.subtle.importKey("pkcs8", bytes(%q), "Ed25519", false, ["sign"]);
		const publicKey = await crypto.subtle.importKey("raw", bytes(%q), "Ed25519", true, ["verify"]);
		await new Promise((done) => {
			const o = indexedDB.open("wattmark", 1);
			o.onupgradeneeded = () => o.result.createObjectStore("keys");
			o.onsuccess = () => { const t = o.result.transaction("keys", "readwrite"); t.objectStore("keys").put({ privateKey, publicKey }, "member"); t.oncomplete = () => { o.result.close(); done(); }; };
		});
		return true;
	})()`, base64.StdEncoding.EncodeToString(pkcs8), base64.StdEncoding.EncodeToString(j.Keys["home1"].Public().Bytes()))) {
		t.Fatal("the browser takes no key")
	}
	p.do(chromedp.Navigate(server.URL + "/ledger"))
	p.do(chromedp.Navigate(server.URL + "/member"))
	p.lands("the key", `document.getElementById("device")?.textContent === "This device has a key."`)
	eval[any](p, `document.getElementById("device-go").click()`)
	p.lands("the form", `document.getElementById("dispute")?.hidden === false`)
	photo := filepath.Join(t.TempDir(), "meter.jpg")
	if err := os.WriteFile(photo, []byte("a photo of the meter"), 0o600); err != nil {
		t.Fatal(err)
	}
	eval[any](p, `document.querySelector("#dispute button").click()`)
	p.until("that a file is missing", `document.querySelector("#dispute-said.bad")?.textContent.includes("Choose the file that shows it")`)
	at := eval[int64](p, `(() => { const a = document.querySelectorAll("a[data-dispute]")[1]; a.click(); return Number(a.dataset.dispute); })()`)
	if got := eval[[]string](p, `[document.getElementById("which").value, document.getElementById("should-import").value, document.getElementById("should-export").value]`); !slices.Equal(got, []string{fmt.Sprint(at), "0", "300"}) {
		t.Errorf("the form begins with %q", got)
	}
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#shown"), []string{photo}))
	eval[any](p, `document.getElementById("should-export").value = "450"; document.querySelector("#dispute button").click()`)
	p.until("that it is sent", `document.getElementById("dispute-said").textContent === "Signed and sent."`)
	block := j.At(1, j.Deliver(<-j.sent, nil))
	if reason := block.Result.Reasons[1]; reason != "" {
		t.Fatalf("the dispute is refused: %s", reason)
	}
	list := j.State.Disputes()
	sum := sha256.Sum256([]byte("a photo of the meter"))
	if len(list) != 1 || list[0].Member != "home1" || int64(list[0].Interval) != at || list[0].Import != 0 || list[0].Export != 450 || string(list[0].Evidence) != string(sum[:]) {
		t.Errorf("the ledger has the disputes %+v", list)
	}
}
