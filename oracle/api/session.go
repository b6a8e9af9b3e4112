package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"wattmark/ledger/state"
	"wattmark/signer"
)

const (
	sessionFor     = 12 * time.Hour
	enterWithin    = 2 * time.Minute // that a code is good for
	maxSessions    = 4096            // of all members
	memberSessions = 8               // of one
)

// cookieName is that of a session. The prefix has a browser see to it that it was set over
// HTTPS, for this host alone and all of its paths.
const cookieName = "__Host-wattmark"

// sessions are who has signed in. They are in memory alone: who runs the oracle again has
// everybody sign in again, which is a request.
type sessions struct {
	mu    sync.Mutex // guards both
	open  map[[32]byte]session
	codes map[[32]byte]session
}

type session struct {
	member string
	key    signer.KeyID // that has signed; the session ends with it
	until  time.Time
}

// secret is what a browser shows, of which its hash alone is kept.
func secret() (text string, hash [32]byte) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		panic("internal error: " + err.Error())
	}
	text = base64.RawURLEncoding.EncodeToString(b)
	return text, sha256.Sum256([]byte(text))
}

// add keeps one, and drops the oldest of the same member where there are too many.
func add(all map[[32]byte]session, hash [32]byte, s session, now time.Time) error {
	var oldest [32]byte
	own, first := 0, time.Time{}
	for h, old := range all {
		switch {
		case now.After(old.until):
			delete(all, h)
		case old.member == s.member:
			own++
			if first.IsZero() || old.until.Before(first) {
				oldest, first = h, old.until
			}
		}
	}
	if own >= memberSessions {
		delete(all, oldest)
	}
	if len(all) >= maxSessions {
		return newProblem(problemBusy, http.StatusServiceUnavailable, "Too many are signed in", "This oracle has no room for another session.", "Try again later, or sign each request.").after(60)
	}
	all[hash] = s
	return nil
}

// memberOfKey returns the member whose key it is now.
func (a *API) memberOfKey(id signer.KeyID) (member string, key signer.PublicKey, ok bool) {
	a.cfg.Ledger.View(func(s *state.State) {
		if p, found := s.Party(id); found && p.Role == state.RoleMember && p.Revoked == 0 {
			member, key, ok = p.Name, p.Public, true
		}
	})
	return member, key, ok
}

// authenticate says which member has signed a request.
func (a *API) authenticate(r *http.Request) (member string, id signer.KeyID, err error) {
	refused := func(format string, args ...any) error {
		return newProblem(problemSign, http.StatusUnauthorized, "Not signed by a member", fmt.Sprintf(format, args...),
			"Sign the request with the member's key (RFC 9421): wattmark member open --key FILE does.")
	}
	if r.Header.Get("Signature-Input") == "" {
		return "", id, refused("The request has neither a session nor a signature.")
	}
	s, err := parseSignature(r)
	if err != nil {
		return "", id, refused("The signature is not understood: %v.", err)
	}
	member, key, ok := a.memberOfKey(s.id)
	if !ok {
		return "", id, refused("The key %v is no member's in force on this ledger.", s.id)
	}
	if err := s.check(r, key, a.cfg.Now()); err != nil {
		return "", id, refused("%v.", err)
	}
	if !a.nonces.take(s.id, s.nonce, a.cfg.Now()) {
		return "", id, refused("The same request was made before.")
	}
	return member, s.id, nil
}

// Member says whose data a request may have: of who has signed it, or has a session.
func (a *API) Member(r *http.Request) (string, error) {
	member, _, err := a.who(r)
	return member, err
}

func (a *API) who(r *http.Request) (member string, key signer.KeyID, err error) {
	if r.Header.Get("Signature-Input") == "" {
		if s, ok := a.inSession(r); ok {
			return s.member, s.key, nil
		}
	}
	return a.authenticate(r)
}

// InSession says whose session a request is in.
func (a *API) InSession(r *http.Request) (member string, ok bool) {
	s, ok := a.inSession(r)
	return s.member, ok
}

func (a *API) inSession(r *http.Request) (s session, ok bool) {
	c, err := r.Cookie(cookieFor(r))
	if err != nil {
		return s, false
	}
	hash := sha256.Sum256([]byte(c.Value))
	a.sessions.mu.Lock()
	s, ok = a.sessions.open[hash]
	a.sessions.mu.Unlock()
	if !ok || a.cfg.Now().After(s.until) {
		return s, false
	}
	// A key that was revoked takes its sessions with it.
	now, _, held := a.memberOfKey(s.key)
	return s, held && now == s.member
}

// overHTTPS reports whether the browser's connection is encrypted, as far as it can be told.
func overHTTPS(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

// onLoopback reports whether nobody is between browser and server.
func onLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// cookieFor is the cookie's name: without HTTPS a browser takes none with the prefix.
func cookieFor(r *http.Request) string {
	if overHTTPS(r) {
		return cookieName
	}
	return "wattmark"
}

// Enter opens a session for a code that a signed request has got, and returns its cookie.
func (a *API) Enter(r *http.Request, code string) (*http.Cookie, error) {
	hash := sha256.Sum256([]byte(code))
	a.sessions.mu.Lock()
	s, ok := a.sessions.codes[hash]
	delete(a.sessions.codes, hash)
	a.sessions.mu.Unlock()
	if !ok || a.cfg.Now().After(s.until) {
		return nil, newProblem(problemSign, http.StatusUnauthorized, "No such code", "The code was used, or is older than two minutes.", "Get a new one: wattmark member open --key FILE.")
	}
	return a.begin(r, s.member, s.key)
}

// SessionsOver reports whether a session may be opened over a request's connection.
func SessionsOver(r *http.Request) bool { return overHTTPS(r) || onLoopback(r) }

// begin opens a session.
func (a *API) begin(r *http.Request, member string, key signer.KeyID) (*http.Cookie, error) {
	if !SessionsOver(r) {
		return nil, newProblem(problemSign, http.StatusForbidden, "Not over HTTPS", "A session over plain HTTP could be read and used by whoever is on the way.", "Ask for the address of this oracle that begins with https://.")
	}
	text, hash := secret()
	now := a.cfg.Now()
	a.sessions.mu.Lock()
	defer a.sessions.mu.Unlock()
	if a.sessions.open == nil {
		a.sessions.open = make(map[[32]byte]session)
	}
	if err := add(a.sessions.open, hash, session{member, key, now.Add(sessionFor)}, now); err != nil {
		return nil, err
	}
	return &http.Cookie{Name: cookieFor(r), Value: text, Path: "/", MaxAge: int(sessionFor / time.Second), HttpOnly: true, Secure: overHTTPS(r), SameSite: http.SameSiteStrictMode}, nil
}

// code makes a code for Enter.
func (a *API) code(member string, key signer.KeyID) (string, error) {
	text, hash := secret()
	now := a.cfg.Now()
	a.sessions.mu.Lock()
	defer a.sessions.mu.Unlock()
	if a.sessions.codes == nil {
		a.sessions.codes = make(map[[32]byte]session)
	}
	return text, add(a.sessions.codes, hash, session{member, key, now.Add(enterWithin)}, now)
}

// Invite returns a code for a member's newest key, for whoever may let anybody in: a
// demonstration, whose members are made up.
func (a *API) Invite(member string) (string, error) {
	var key signer.KeyID
	ok := false
	a.cfg.Ledger.View(func(s *state.State) {
		if m, found := s.Member(member); found && m.Revoked == 0 {
			key, ok = m.Key.ID(), true
		}
	})
	if !ok {
		return "", newProblem(problemThing, http.StatusNotFound, "No such member", fmt.Sprintf("%q is no member of this ledger.", shorten(member)), "The ledger's page finds members by name.")
	}
	return a.code(member, key)
}

// Leave ends the session of a request, and returns the cookie that has the browser forget it.
func (a *API) Leave(r *http.Request) *http.Cookie {
	if c, err := r.Cookie(cookieFor(r)); err == nil {
		a.sessions.mu.Lock()
		delete(a.sessions.open, sha256.Sum256([]byte(c.Value)))
		a.sessions.mu.Unlock()
	}
	return &http.Cookie{Name: cookieFor(r), Path: "/", MaxAge: -1, HttpOnly: true, Secure: overHTTPS(r), SameSite: http.SameSiteStrictMode}
}
