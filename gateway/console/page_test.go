package console_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/gateway/console"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// nasty is what a device or a broker may say.
const nasty = `<img src=x onerror="alert(1)">&'"`

// busy is a gateway with something of everything: a reversed clamp, a silent sensor, no
// connection, and texts from elsewhere.
func busy() console.Facts {
	before := func(d time.Duration) *time.Time { t := noon.Add(-d); return &t }
	value := func(channel, v, unit string) console.Value {
		return console.Value{Channel: channel, Value: v, Unit: unit, Kind: "gauge", Quality: "ok"}
	}
	f := console.Facts{Status: console.Status{
		Version: console.Version, Time: noon,
		Gateway: console.Gateway{Name: "home-01", Version: "1.4.0", Boot: 12, Started: noon.Add(-50 * time.Hour)},
		Ledger: console.Ledger{Origin: "example.org/street", Points: []string{"mp-0123456789abcdef", "mp-00000000000000a2"},
			Policy: console.Policy{Height: 1234, Followed: 2, Oracles: []string{"a.example/oracle", "b.example/oracle"}}},
		Key:   console.Key{Backend: "tpm", Algorithm: "ES256", ID: "00", Signed: 4711, Words: strings.Fields("humor twilight emblem world drum stork grove compost")},
		Clock: console.Clock{Quality: "ntp", UncertaintyMS: 8},
		Devices: []console.Device{
			{Name: "stack", Model: "scd30", Part: "Sensirion SCD30", Point: "mp-00000000000000a2", State: console.StateSilent, Since: before(17 * time.Minute), LastAt: before(18 * time.Minute), AgeS: 1080,
				Last: &console.Value{Channel: "co2", Value: "612", Unit: "ppm"}, Error: "no answer from 0x61: " + nasty, Remedy: "check supply, SDA, SCL and the address"},
			{Name: "boiler-room-heat-pump", Model: "modbus", Part: "Modbus meter", Point: "mp-0123456789abcdef", State: console.StateWaiting},
			{Name: "grid", Model: "sdm630", Part: "Eastron SDM630", Point: "mp-0123456789abcdef", State: console.StateGood, LastAt: before(2 * time.Second), AgeS: 2, Last: &console.Value{Channel: "active_power", Value: "1234.5", Unit: "W"}},
			{Name: "sun", Model: "sunspec", Part: "SunSpec inverter", Point: "mp-00000000000000a2", State: console.StateGood, LastAt: before(0), Last: &console.Value{Channel: "active_power", Value: "-3120", Unit: "W"}},
		},
		Outbox: console.Outbox{State: "disk", Pending: 1042, Bytes: 612_000, DiskBytes: 900_000, MaxBytes: 256_000_000, OldestAt: before(3 * time.Hour), OldestAgeS: 10_800, LossWindowS: 5},
		Uplink: console.Uplink{Broker: "MQTT broker.example.org:8883", Since: noon.Add(-3 * time.Hour), Failure: "dial tcp: lookup broker.example.org: no such host", LastReceipt: before(3 * time.Hour), Receipts: 3669},
		Warnings: []console.Warning{
			{Code: "no_connection", Text: "no connection to the broker: lookup broker.example.org: no such host", Remedy: "check network, name, certificate and broker"},
			{Code: "receipts_late", Text: "a statement waits for its receipt since 3.0 h", Remedy: "check the connection and whether the gateway is enrolled"},
		},
		Line: "Not ready: 1 device is silent; 1 device was not read yet; there is no connection.",
	}}
	grid := []console.Value{value("active_energy_import", "512345", "Wh"), value("active_power", "1234.5", "W"), value("active_power_l1", "900.25", "W"), value("active_power_l2", "-600.5", "W"), value("active_power_l3", "934.75", "W"), value("power_factor", "0.98", "/"), value("voltage_l1", "231.4", "V")}
	f.Told = []console.Told{
		{DeviceValue: console.DeviceValue{Name: "stack", Point: "mp-00000000000000a2", Part: "Sensirion SCD30", Values: []console.Value{value("co2", "612", "ppm"), value("temperature", "21.5", "Cel")}}},
		{DeviceValue: console.DeviceValue{Name: "grid", Point: "mp-0123456789abcdef", Part: "Eastron SDM630", Values: grid, Corrections: []console.Correction{{Channel: "active_power"}}}, Remarks: []console.Remark{
			{Text: "importing 1.2 kW"},
			{Text: "L2 clamp looks reversed: voltage in phase, power negative while L1 and L3 import", Remedy: "turn the clamp on L2 round, or set sign = -1 for it", Fault: true},
		}},
		{DeviceValue: console.DeviceValue{Name: "sun", Point: "mp-00000000000000a2", Part: "SunSpec inverter", Values: []console.Value{value("active_power", "-3120", "W")}}, Remarks: []console.Remark{{Text: "exporting 3.1 kW"}}},
	}
	return f
}

// quiet is a gateway that one may leave.
func quiet() console.Facts {
	f := busy()
	f.Devices, f.Warnings = f.Devices[2:], nil
	f.Told[1].Remarks = f.Told[1].Remarks[:1]
	at := noon.Add(-4 * time.Second)
	f.Outbox = console.Outbox{State: "disk", Pending: 1, Bytes: 600, DiskBytes: 900_000, MaxBytes: 256_000_000, LossWindowS: 5}
	f.Uplink = console.Uplink{Broker: "MQTT broker.example.org:8883", Connected: true, Since: noon.Add(-50 * time.Hour), LastReceipt: &at, Receipts: 4710}
	f.Ready, f.Line = true, "Ready: readings signed, sent and receipted."
	return f
}

func get(t *testing.T, h http.Handler, path string, change ...func(*http.Request)) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8480"+path, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, a *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPageSays: the page is complete without a script, and says what status and read do.
func TestPageSays(t *testing.T) {
	text := strings.ReplaceAll(body(t, get(t, console.Page(busy), "/")), "\u00a0", " ")
	from := 0
	for _, want := range []string{
		"home-01 · Wattmark gateway", "2 of 4 sensors good, 1 silent, 1 waiting; not sending; 1042 statements waiting; clock NTP ±8 ms",
		"stack", "612", "silent", "since 11:43:00 UTC, 17 min", "No answer from 0x61", "Do: check supply, SDA, SCL and the address.",
		"boiler-room-heat-pump", "grid", "1234.5", "2 s ago", "Importing 1.2 kW.", "L2 clamp looks reversed", "Do: turn the clamp on L2 round", "−600.5 W", "is calibrated",
		"sun", "−3120", "To do", "No connection to the broker", "3669 verified here, the last 3.0 h ago", "no connection for 3.0 h",
		"on disk: 1042 statements waiting (612.0 kB), the oldest 3.0 h. Without a connection there is room for about 52 days; from four fifths",
		"humor twilight emblem world drum stork grove compost", "Not ready: 1 device is silent",
	} {
		i := strings.Index(text[from:], want)
		if i < 0 {
			t.Fatalf("the page does not say %q after %q:\n%s", want, text[max(0, from-60):from], text)
		}
		from += i
	}
	if strings.Contains(text, "<img src=x") || !strings.Contains(text, "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;") {
		t.Error("what a device says is markup")
	}
	if quiet := strings.ReplaceAll(body(t, get(t, console.Page(quiet), "/")), "\u00a0", " "); !strings.Contains(quiet, "2 of 2 sensors good; sending; 1 statement waiting") || strings.Contains(quiet, "To do") || !strings.Contains(quiet, `<span class="state good"><span aria-hidden="true">✓</span>`+"\n Ready: readings signed, sent and receipted.") {
		t.Errorf("of a gateway that is ready the page says:\n%s", quiet)
	}
}

// TestPageOnlyTells: nothing but GET is answered, headers forbid the rest, and a name that
// is not this machine's is refused.
func TestPageOnlyTells(t *testing.T) {
	h := console.Page(busy)
	a := get(t, h, "/")
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
		"Cache-Control":           "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, path := range []string{"/", "/events", "/static/page.css"} {
		if a := get(t, h, path, func(r *http.Request) { r.Method = http.MethodPost }); a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %s", path, a.Status)
		}
	}
	name, _ := os.Hostname()
	for host, want := range map[string]int{
		"localhost:8480": 200, "[::1]:8480": 200, "192.168.1.7": 200, name: 200, name + ".local:8480": 200, "evil.example": 421, "127.0.0.1.evil.example": 421, "": 421,
	} {
		if a := get(t, h, "/", func(r *http.Request) { r.Host = host }); a.StatusCode != want {
			t.Errorf("asked as %q: %s, want %d", host, a.Status, want)
		}
	}
	css := get(t, h, "/static/page.css")
	if again := get(t, h, "/static/page.css", func(r *http.Request) { r.Header.Set("If-None-Match", css.Header.Get("ETag")) }); again.StatusCode != http.StatusNotModified {
		t.Errorf("a file that is known: %s", again.Status)
	}
	if a := get(t, h, "/status"); a.StatusCode != http.StatusNotFound {
		t.Errorf("the socket's status is on the page: %s", a.Status)
	}
}

// TestPageWeight: the first view is within 12 kB compressed.
func TestPageWeight(t *testing.T) {
	h := console.Page(busy)
	sum := 0
	for _, path := range []string{"/", "/static/page.css", "/static/page.js", "/static/mark.svg"} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.WriteString(z, body(t, get(t, h, path)))
		z.Close()
		sum += b.Len()
	}
	t.Logf("%d bytes compressed", sum)
	if sum > 12_000 {
		t.Errorf("the page takes %d bytes compressed, more than 12 kB", sum)
	}
}

// TestStream: a stream begins with what the gateway has now, says again only what is
// another, and ends when nobody listens; then nothing is asked of the gateway any more.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var power atomic.Pointer[string]
		power.Store(new("1200"))
		h := console.Page(func() console.Facts {
			asked.Add(1)
			f := quiet()
			f.Devices[0].Last.Value = *power.Load()
			f.Told = nil
			return f
		})
		ctx, cancel := newCancel(t)
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/events", nil).WithContext(ctx)
		w := &recorder{ResponseRecorder: httptest.NewRecorder()}
		ended := make(chan struct{})
		go func() { h.ServeHTTP(w, r); close(ended) }()
		time.Sleep(5500 * time.Millisecond) // virtual
		synctest.Wait()
		if got := w.events(); len(got) != 1 || !strings.Contains(got[0], "1200") {
			t.Errorf("after five seconds without news: %q", got)
		}
		power.Store(new("1300"))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := w.events(); len(got) != 2 || !strings.Contains(got[1], "1300") {
			t.Errorf("after news: %q", got)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if !strings.Contains(w.said(), ": still here") {
			t.Error("a quiet stream says nothing")
		}
		cancel()
		<-ended
		before := asked.Load()
		time.Sleep(time.Hour)
		if n := asked.Load() - before; n != 0 {
			t.Errorf("nobody looks, and the gateway was asked %d times", n)
		}
	})
}

// TestStreamsAreFew: of more than eight pages the others are told to reload.
func TestStreamsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := console.Page(quiet)
		ctx, cancel := newCancel(t)
		for range 8 {
			go h.ServeHTTP(&recorder{ResponseRecorder: httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/events", nil).WithContext(ctx))
		}
		synctest.Wait()
		if a := get(t, h, "/events"); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("the ninth stream: %s", a.Status)
		}
		if a := get(t, h, "/"); a.StatusCode != http.StatusOK {
			t.Errorf("the page beside eight streams: %s", a.Status)
		}
		cancel()
		synctest.Wait()
	})
}

// TestAccess: others than this machine need the code, over TLS, and it stays the same.
func TestAccess(t *testing.T) {
	dir := t.TempDir()
	a, err := console.OpenAccess(dir, noon)
	if err != nil {
		t.Fatal(err)
	}
	again, err := console.OpenAccess(dir, noon)
	if err != nil || again.Code != a.Code || len(a.Code) != 16 {
		t.Fatalf("opened again: %v, code %q, before %q", err, again.Code, a.Code)
	}
	if info, err := os.Stat(dir + "/page.pem"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if later, err := console.OpenAccess(dir, noon.AddDate(11, 0, 0)); err != nil || later.Code == a.Code {
		t.Errorf("after its end: %v, %q", err, later.Code)
	}
	if err := os.WriteFile(dir+"/page.pem", []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := console.OpenAccess(dir, noon); err == nil || !strings.Contains(err.Error(), "remove "+dir) {
		t.Errorf("a damaged file: %v", err)
	}

	l, err := a.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: a.Guard(console.Page(busy))}}
	s.Start()
	defer s.Close()
	jar := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // nobody vouches for it
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer jar.CloseIdleConnections()
	ask := func(path string, c *http.Cookie) *http.Response {
		r, err := http.NewRequest(http.MethodGet, "https://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c != nil {
			r.AddCookie(c)
		}
		a, err := jar.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		return a
	}
	wrong := strings.Repeat("A", 16)
	for _, path := range []string{"/", "/events", "/static/page.js", "/?code=" + wrong, "/?code=", "/events?code=" + a.Code} {
		if got := ask(path, &http.Cookie{Name: "wattmark_page", Value: wrong}); got.StatusCode != http.StatusForbidden {
			t.Errorf("%s without the code: %s", path, got.Status)
		}
	}
	links := console.Links(l.Addr().String(), a)
	if len(links) != 1 || links[0] != "https://"+l.Addr().String()+"/?code="+a.Code {
		t.Fatalf("links %q", links)
	}
	got := ask("/?code="+a.Code, nil)
	if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/" || len(got.Cookies()) != 1 {
		t.Fatalf("with the code: %s, %v", got.Status, got.Header)
	}
	c := got.Cookies()[0]
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("the cookie is %v", c)
	}
	if got := ask("/", c); got.StatusCode != http.StatusOK {
		t.Errorf("with the cookie: %s", got.Status)
	}
}

func newCancel(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// recorder is a response that the test reads while it is written.
type recorder struct {
	mu sync.Mutex // guards it
	*httptest.ResponseRecorder
}

func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ResponseRecorder.Write(b)
}

// said is what was written until now.
func (r *recorder) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Body.String()
}

// events are the events that were written, without comments.
func (r *recorder) events() (out []string) {
	for part := range strings.SplitSeq(r.said(), "\n\n") {
		if strings.HasPrefix(part, "event: main\ndata: ") {
			out = append(out, part)
		}
	}
	return out
}
