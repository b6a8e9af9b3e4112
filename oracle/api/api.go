package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"time"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/state"
	"wattmark/oracle/finality"
)

// Config is what an API serves. Rates, Client, Now and Log have defaults; without
// Ready the oracle counts as ready, without Metrics there are none.
type Config struct {
	Ledger *ledger.Ledger
	// Tiles is the directory that ledger/store publishes to.
	Tiles string
	// Final returns the newest final checkpoint, with the signatures for receipts, or
	// nil while none is known since the start.
	Final func() *finality.Final
	// Policy returns the policy by which this oracle calls a checkpoint final now.
	Policy func() (*block.Policy, error)
	// Ready returns why the oracle should get no requests, or nothing.
	Ready func() []Reason
	// Submit puts a signed statement into the order; without it the API takes none.
	Submit func(ctx context.Context, statement []byte) error
	// Joins is the directory in which requests of invited members wait for the operator;
	// without it nobody can ask.
	Joins string
	// Births returns what gateways have announced last, by name.
	Births func() map[string]Announced
	// Refused returns what this oracle has refused since it started.
	Refused func() []Refused
	// Backups returns when copies of this oracle's were made.
	Backups func() ([]Backup, error)
	// Metrics serves the figures of the oracle.
	Metrics http.Handler
	Rates   Rates
	// Client tells clients apart, where something in front of the API hides their
	// addresses. Nil goes by the address of the connection.
	Client func(*http.Request) netip.Prefix
	Now    func() time.Time
	// Clock is the one that entries are judged by; nil is Now.
	Clock func() time.Time
	Log   *slog.Logger
}

// API is the HTTP side of one oracle. It is safe for concurrent use.
type API struct {
	cfg    Config
	public http.Handler
	admin  http.Handler

	compressing chan struct{} // bounds what is compressed at once
	proving     chan struct{} // bounds the evidence files that are made at once
	searching   chan struct{} // bounds the searches for a leaf hash

	fleetMu sync.Mutex // guards fleet
	fleet   ledger.Fleet

	origin   string // the ledger's
	routes   []Route
	sessions sessions
	nonces   nonces
	pins     pins
	books    books
	joining  sync.Mutex // guards what is in cfg.Joins

	mu     sync.Mutex // guards faults
	faults time.Time  // when a fault was logged last
}

// Paths are what Handler serves, as patterns of a http.ServeMux, for whoever serves
// something else beside it.
var Paths = []string{"/checkpoint", "/tile/", "/handover/", "/policy", "/keys.jwks", "/api/v1/", OpenAPIPath}

// New returns the API of an oracle.
func New(cfg Config) *API {
	cfg.Rates = cfg.Rates.complete()
	if cfg.Client == nil {
		cfg.Client = clientOf
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Clock == nil {
		cfg.Clock = cfg.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{
		cfg:         cfg,
		compressing: make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)),
		proving:     make(chan struct{}, 2),
		searching:   make(chan struct{}, 1),
	}
	if cfg.Ledger != nil {
		cfg.Ledger.View(func(s *state.State) { a.origin = s.Charter().Origin })
	}
	reads := newLimiter(cfg.Rates.Reads, cfg.Rates.ReadBurst, cfg.Now)
	proofs := newLimiter(cfg.Rates.Proofs, cfg.Rates.ProofBurst, cfg.Now)
	questions := a.queries()
	m := http.NewServeMux()
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /checkpoint":      limited(reads, cfg.Client, a.serveCheckpoint),
		"GET /tile/{path...}":  limited(reads, cfg.Client, a.serveTile),
		"GET /handover/{name}": limited(reads, cfg.Client, a.serveHandover),
		"GET /policy":          limited(reads, cfg.Client, a.servePolicy),
		"GET /keys.jwks":       limited(reads, cfg.Client, a.serveKeys),

		"GET /api/v1/leaf/{file}":      limited(proofs, cfg.Client, a.serveLeaf),
		"GET /api/v1/statement/{file}": limited(proofs, cfg.Client, a.serveStatement),
		"GET /api/v1/key/{kid}/{file}": limited(proofs, cfg.Client, a.serveSequence),
		"GET /api/v1/member/{file}":    limited(proofs, cfg.Client, a.serveStatementFile),
		"/api/v1/":                     limited(proofs, cfg.Client, questions.ServeHTTP),
		"GET " + OpenAPIPath:           limited(reads, cfg.Client, questions.ServeHTTP),
		"/":                            nowhere,
	} {
		m.HandleFunc(pattern, h)
	}
	a.public = headers(m)
	m = http.NewServeMux()
	m.HandleFunc("GET /healthz", a.serveHealth)
	m.HandleFunc("GET /livez", a.serveHealth)
	m.HandleFunc("GET /readyz", a.serveReady)
	m.HandleFunc("GET /api/v1/gateways", a.serveFleet)
	m.HandleFunc("GET /api/v1/refusals", a.serveRefused)
	m.HandleFunc("GET /api/v1/backups", a.serveBackups)
	if cfg.Metrics != nil {
		m.Handle("GET /metrics", cfg.Metrics)
	}
	m.HandleFunc("/", nowhere)
	a.admin = headers(m)
	return a
}

// Handler serves what is for everybody.
func (a *API) Handler() http.Handler { return a.public }

// Admin serves what is for the oracle's operator: readiness and metrics.
func (a *API) Admin() http.Handler { return a.admin }

// NewServer returns a server for a handler that no client can hold up for long.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// headers are on every answer. What is served is public and verifies wherever it is
// read: a page of another origin may read it.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

func nowhere(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		newProblem(problemMethod, http.StatusMethodNotAllowed, "Nothing can be written here",
			"Statements reach the ledger through the broker.", "See the gateway's or the member's tool for how to send one.").serve(w)
		return
	}
	newProblem(problemPath, http.StatusNotFound, "There is nothing here", "Nothing is at "+strconv.Quote(shorten(r.URL.Path))+".",
		"The log is at /checkpoint and /tile/, files about leaves at /api/v1/leaf/<index>.evidence, .tlog-proof and .cose.").serve(w)
}

// fault logs what is this oracle's own fault. Clients could make it happen as often as they
// like: it is logged once a second at most.
func (a *API) fault(what string, err error) {
	a.mu.Lock()
	due := a.cfg.Now().Sub(a.faults) >= time.Second
	if due {
		a.faults = a.cfg.Now()
	}
	a.mu.Unlock()
	if due {
		a.cfg.Log.Error("did not serve", "what", what, "error", err)
	}
}

// inside answers for what is this oracle's own fault.
func (a *API) inside(w http.ResponseWriter, what string, err error) {
	a.fault(what, err)
	newProblem(problemInside, http.StatusInternalServerError, "Not readable", "This oracle could not read its own ledger.",
		"Ask another oracle. The operator finds the cause in this one's log.").serve(w)
}
