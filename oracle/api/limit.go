package api

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rates are what one client may ask for: so many a second, after a burst.
type Rates struct {
	// Reads are of tiles, checkpoints and other files that are at hand; 0 is 200 a
	// second after a burst of 2,000, which is a log of half a million leaves.
	Reads, ReadBurst int
	// Proofs are of files that are made for the client; 0 is 10 a second after 50.
	Proofs, ProofBurst int
}

func (r Rates) complete() Rates {
	if r.Reads == 0 {
		r.Reads, r.ReadBurst = 200, 2000
	}
	if r.Proofs == 0 {
		r.Proofs, r.ProofBurst = 10, 50
	}
	return r
}

// maxClients bounds the clients that are told apart. Beyond it the ones that come
// share one allowance until others have been quiet for long enough.
const maxClients = 8192

// limiter lets each client through at its rate.
type limiter struct {
	now   func() time.Time
	limit rate.Limit
	burst int

	mu      sync.Mutex // guards the fields below
	clients map[netip.Prefix]*rate.Limiter
	rest    *rate.Limiter // of those that find no place
}

func newLimiter(perSecond, burst int, now func() time.Time) *limiter {
	l := &limiter{now: now, limit: rate.Limit(perSecond), burst: burst, clients: make(map[netip.Prefix]*rate.Limiter)}
	l.rest = rate.NewLimiter(l.limit, burst)
	return l
}

// allow reports whether the client may go on.
func (l *limiter) allow(client netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c := l.clients[client]
	if c == nil {
		if len(l.clients) >= maxClients {
			l.forget(now)
		}
		if len(l.clients) >= maxClients {
			return l.rest.AllowN(now, 1)
		}
		c = rate.NewLimiter(l.limit, l.burst)
		l.clients[client] = c
	}
	return c.AllowN(now, 1)
}

// forget lets those go that have their whole burst again: they are as good as new.
func (l *limiter) forget(now time.Time) {
	for k, c := range l.clients {
		if c.TokensAt(now) >= float64(l.burst) {
			delete(l.clients, k)
		}
	}
}

// clientOf tells clients apart by their address; in IPv6 by the network of 64 bits,
// which is what one has at least.
func clientOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}

// limited puts a limit in front of a handler.
func limited(l *limiter, client func(*http.Request) netip.Prefix, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !l.allow(client(r)) {
			newProblem(problemBusy, http.StatusTooManyRequests, "Too many requests",
				"This client has asked for more than it may at once.",
				"Wait for the time in Retry-After. Whoever reads the whole log keeps the tiles it has: those that are full never change.").after(1).serve(w)
			return
		}
		next(w, r)
	}
}
