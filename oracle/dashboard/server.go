package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/csv"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// breakable escapes a word whose parts are joined by underscores, and lets a line
// end between them.
func breakable(word string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(word), "_", "_<wbr>"))
}

// policy lets a page load what this host serves and nothing else, run no inline
// script and be framed by nobody.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP serves the pages; it is Handler's.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.Handler().ServeHTTP(w, r) }

// Handler returns the routes.
func (d *Dashboard) Handler() http.Handler {
	d.once.Do(func() {
		m := http.NewServeMux()
		m.HandleFunc("GET /{$}", d.serveNow)
		m.HandleFunc("GET /power.csv", d.servePower)
		m.HandleFunc("GET /events", d.serveEvents)
		m.HandleFunc("GET /ledger", d.serveLedger)
		m.HandleFunc("GET /ledger/block/{height}", d.serveBlock)
		m.HandleFunc("GET /ledger/leaf/{index}", d.serveLeaf)
		m.HandleFunc("GET /verify", d.serveVerify)
		m.HandleFunc("GET /verify.html", d.serveVerify)
		m.HandleFunc("GET /verify-cross.html", d.serveCross)
		m.HandleFunc("GET /market", d.serveMarket)
		m.HandleFunc("GET /market/{zone}/{start}", d.serveInterval)
		m.HandleFunc("GET /carbon", d.serveCarbon)
		m.HandleFunc("GET /docs", d.serveDocs)
		m.HandleFunc("GET /member", d.serveMember)
		m.HandleFunc("GET /join", d.serveJoin)
		m.HandleFunc("GET /member/statements", d.serveStatements)
		m.HandleFunc("GET /member/enter", d.serveEnter)
		m.HandleFunc("POST /member/enter", d.takeCode)
		m.HandleFunc("POST /member/leave", d.serveLeave)
		m.HandleFunc("GET /gateways", d.serveGateways)
		m.HandleFunc("GET /gateways/{name}", d.serveGateway)
		m.HandleFunc("GET /static/{name}", d.serveStatic)
		m.HandleFunc("GET /", d.nowhere)
		m.HandleFunc("POST "+themePath, d.takeTheme)
		m.HandleFunc("POST "+languagePath, d.takeLanguage)
		protection := http.NewCrossOriginProtection() // what changes something is asked for by our own pages
		protection.AddInsecureBypassPattern("POST " + themePath)
		protection.AddInsecureBypassPattern("POST " + languagePath)
		h := protection.Handler(m)
		if len(d.options.Controls) > 0 {
			m.HandleFunc("POST "+controlPath+"{control}", d.takeControl)
			h = sayWhence(h)
		}
		d.handler = headers(h)
	})
	return d.handler
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Vary", "Accept-Language, Cookie")
		next.ServeHTTP(&answering{w, r, languageOf(r)}, r)
	})
}

// frame is what every page has around it.
type frame struct {
	*now
	Title string
	Page  string // name of the template of main's content
	Topic string // of the stream that keeps the page fresh, with commas; empty for none
	// Script is what the page has besides, empty for none.
	Script string
	Data   any
	// Theme and Chosen, a language, are those that were chosen, and Path is where the page is;
	// write sets them.
	Theme, Chosen, Path string
}

// liveScript is on every page that changes.
const liveScript = "live.js"

// Here marks the page in the navigation.
func (f frame) Here(page string) template.HTMLAttr {
	if strings.HasPrefix(f.Page, page) {
		return `aria-current="page"`
	}
	return ""
}

func (d *Dashboard) serveNow(w http.ResponseWriter, r *http.Request) {
	l, topics := spoken(w), streetTopics
	t, err := d.today(l)
	if err != nil {
		d.problem(w, err)
		return
	}
	if t != nil {
		topics = append(slices.Clip(topics), topicInterval)
	}
	d.write(w, http.StatusOK, frame{Title: l.Say("Now"), Page: "now", Topic: strings.Join(topics, ","), Data: t})
}

// write draws a page completely before it sends the first byte.
func (d *Dashboard) write(w http.ResponseWriter, status int, f frame) {
	l := spoken(w)
	f.now = d.page(l)
	f.Theme = "auto"
	if a, ok := w.(*answering); ok {
		f.Theme = theme(a.r)
		if l, ok := chosenLanguage(a.r); ok {
			f.Chosen = l.Tag()
		}
		if a.r.Method == http.MethodGet || a.r.Method == http.MethodHead {
			f.Path = a.r.URL.RequestURI()
		}
	}
	var b bytes.Buffer
	if err := l.pages().ExecuteTemplate(&b, "page", f); err != nil {
		d.options.Log.Error("did not draw a page", "page", f.Page, "error", err)
		http.Error(w, "This page could not be drawn. What it shows is safe; the oracle's log says what went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", l.Tag())
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	w.Write(b.Bytes()) // an error means that nobody reads any more
}

// nowhere answers for a path that nothing is at.
func (d *Dashboard) nowhere(w http.ResponseWriter, r *http.Request) {
	l := spoken(w)
	d.missing(w, http.StatusNotFound, l.Say("There is no page at %q.", shorten(r.URL.Path, 80)), l.Say("The pages are listed above."))
}

// missing answers with a page that says what is not there and what to do.
func (d *Dashboard) missing(w http.ResponseWriter, status int, what, remedy any) {
	l := spoken(w)
	title := l.Say("Not found")
	if status >= 500 {
		title = l.Say("Not readable")
	}
	d.write(w, status, frame{Title: title, Page: "missing", Data: []any{what, remedy}})
}

func (d *Dashboard) servePower(w http.ResponseWriter, r *http.Request) {
	m := d.page(english)
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="power.csv"`)
	c := csv.NewWriter(w)
	c.UseCRLF = true // RFC 4180
	c.Write([]string{"time", "using_w", "made_w", "grid_w"})
	for i := len(m.Samples) - 1; i >= 0; i-- {
		s := m.Samples[i]
		c.Write([]string{stamp(s.At), strconv.FormatInt(s.Using, 10), strconv.FormatInt(s.Made, 10), strconv.FormatInt(s.Using-s.Made, 10)})
	}
	c.Flush() // an error means that nobody reads any more
}

// asset is a static file and its validator.
type asset struct {
	kind, tag string
	body      []byte
}

var assets = loadAssets()

func loadAssets() map[string]asset {
	kinds := map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
	out := make(map[string]asset)
	files, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		panic("internal error: " + err.Error())
	}
	for _, f := range files {
		body, err := fs.ReadFile(staticFiles, "static/"+f.Name())
		if err != nil {
			panic("internal error: " + err.Error())
		}
		_, ext, _ := strings.Cut(f.Name(), ".")
		sum := sha256.Sum256(body)
		out[f.Name()] = asset{kinds[ext], `"` + hex.EncodeToString(sum[:8]) + `"`, body}
	}
	return out
}

func (d *Dashboard) serveStatic(w http.ResponseWriter, r *http.Request) {
	a, ok := assets[r.PathValue("name")]
	if !ok {
		d.nowhere(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // ask each time; the answer is mostly 304
	h.Set("ETag", a.tag)
	h.Set("Content-Type", a.kind)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}
