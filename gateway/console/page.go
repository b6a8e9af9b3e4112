package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

//go:embed static
var staticFiles embed.FS

// policy lets the page load what this host serves and nothing else, run no inline script
// and be framed by nobody.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

const (
	// streams is how many pages are kept fresh at once; others are complete, and reload.
	streams     = 8
	freshEvery  = time.Second
	beatEvery   = 15 * time.Second // between comments on a stream without news
	writeWithin = 10 * time.Second // how long one write may take
	retryMilli  = 2000             // how long a browser waits before it comes back
	eventMain   = "main"
	pageHead    = `<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>`
)

// page serves the technician's page.
type page struct {
	tell  func() Facts
	slots chan struct{}
	tags  map[string]string // of static files
}

// Page returns the page that a technician sees on site: what status and read tell, drawn
// here and complete as it comes, and one stream that keeps it fresh for as long as
// somebody looks. It changes nothing, and nothing of it runs while nobody looks. tell is
// called from several goroutines.
func Page(tell func() Facts) http.Handler {
	p := &page{tell: tell, slots: make(chan struct{}, streams), tags: make(map[string]string)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.draw)
	mux.HandleFunc("GET /events", p.stream)
	files, err := staticFiles.ReadDir("static")
	if err != nil {
		panic("internal error: " + err.Error())
	}
	for _, f := range files {
		mux.HandleFunc("GET /static/"+f.Name(), p.static(f.Name()))
	}
	return guarded(mux)
}

// guarded sets what every answer says to the browser, and answers those alone who mean
// this machine: a name that somebody else's server resolves to this address could be of
// a page that reads over the reader's shoulder.
func guarded(next http.Handler) http.Handler {
	self, _ := os.Hostname() // without a name its addresses are left
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !ours(r.Host, self) {
			http.Error(w, languageOf(r).word("This is a gateway's page: open it by the machine's address, or its name."), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ours reports whether a request's host is an address, or a name that only this machine's
// own network gives.
func ours(host, self string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	self = strings.ToLower(self)
	return net.ParseIP(host) != nil || host == "localhost" || self != "" && (host == self || host == self+".local")
}

func (p *page) draw(w http.ResponseWriter, r *http.Request) {
	if l := languages[r.URL.Query().Get("lang")]; l != nil {
		choose(w, r, l)
		return
	}
	facts := p.tell()
	f := view{&facts, languageOf(r)}
	m := new(markup)
	m.b.WriteString("<!doctype html>\n")
	m.open("html", "lang", f.tag)
	m.b.WriteString("\n" + pageHead)
	m.text(f.say("%s · Wattmark gateway", f.Gateway.Name))
	m.b.WriteString(`</title>
<link rel="icon" href="/static/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/page.css">
<script src="/static/page.js" defer></script>
</head>
<body>
`)
	m.put("a", f.word("Skip to the content"), "class", "skip", "href", "#main")
	m.b.WriteString(`<header><div class="bar">` + "\n")
	m.put("p", f.Gateway.Name, "class", "name")
	m.open("p", "class", "age", "id", "age", "data-live", f.word("Live · %s s ago"), "data-old", f.word("No news since %s UTC"))
	m.put("span", f.say("Figures of %s UTC", f.Time.Format(time.TimeOnly)), "id", "age-text")
	m.b.WriteString(` <a id="refresh" href="">`)
	m.text(f.word("Refresh"))
	m.b.WriteString("</a></p>\n")
	other := f.other()
	m.put("a", other.word("In English"), "class", "language", "href", "/?lang="+other.tag, "lang", other.tag, "hreflang", other.tag)
	m.b.WriteString(`</div></header>
<main id="main" tabindex="-1">
`)
	m.b.WriteString(f.main())
	m.b.WriteString("</main>\n</body>\n</html>\n")
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(m.b.Len()))
	_, _ = w.Write([]byte(m.b.String())) // whoever asked may be gone
}

// stream sends what the page has in it each second that it is another.
func (p *page) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, languageOf(r).word("Too many pages are open at once. This one is complete: reload it."), http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Connection", "close") // the deadlines below stay with the connection
	rc := http.NewResponseController(w)
	write := func(b []byte) bool {
		// The server's deadline is meant for pages; this one is for a write.
		if err := rc.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return false
		}
		_, err := w.Write(b)
		return err == nil && rc.Flush() == nil
	}
	if err := rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return
	}
	if !write([]byte("retry: " + strconv.Itoa(retryMilli) + "\n\n")) {
		return
	}
	tick := time.NewTicker(freshEvery)
	defer tick.Stop()
	last, beat, l := "", time.Now(), languageOf(r)
	for {
		facts := p.tell()
		if now := (view{&facts, l}).main(); now != last {
			last, beat = now, time.Now()
			data, err := json.Marshal(now)
			if err != nil || !write([]byte("event: "+eventMain+"\ndata: "+string(data)+"\n\n")) {
				return
			}
		} else if time.Since(beat) >= beatEvery {
			beat = time.Now()
			if !write([]byte(": still here\n\n")) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// kinds are the media types of static files.
var kinds = map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}

func (p *page) static(name string) http.HandlerFunc {
	body, err := staticFiles.ReadFile("static/" + name)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	_, ext, _ := strings.Cut(name, ".")
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-cache") // ask each time; the answer is mostly 304
		h.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", kinds[ext])
		_, _ = w.Write(body) // whoever asked may be gone
	}
}
