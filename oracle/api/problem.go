package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// problem is an answer that says what is wrong and what to do (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"`
	// Errors are the parts of a request that are wrong.
	Errors []fault `json:"errors,omitempty"`

	retry int // seconds after which the same request may be answered; 0 for never
}

type fault struct {
	Location string `json:"location,omitempty"`
	Message  string `json:"message"`
}

// DocsPath is the page for people that tells of the API; the type of a problem is its place
// there (RFC 9457, 3.1.1), relative to the oracle that has answered.
const DocsPath = "/docs"

// The problems. Programs compare them as the last part of a type.
const (
	problemPath     = "no-such-path"
	problemForm     = "bad-request"
	problemMethod   = "method-not-allowed"
	problemLeaf     = "no-such-leaf"
	problemThing    = "no-such-thing"
	problemTile     = "not-published"
	problemPending  = "not-final"
	problemKind     = "no-statement"
	problemSign     = "not-signed-in"
	problemBusy     = "too-many-requests"
	problemNotFound = "not-found-in-time"
	problemGone     = "no-more-of-this-list"
	problemInside   = "not-readable"
)

// ProblemAbout says what a problem is, for people.
type ProblemAbout struct{ Kind, Title, About string }

// Problems are all that an answer may have.
func Problems() []ProblemAbout {
	return []ProblemAbout{
		{problemPath, "There is nothing here", "No answer is at this path. Those that there are stand above."},
		{problemForm, "Not understood", "A parameter or the body has a form that is not taken; errors says which, and where."},
		{problemMethod, "Not this way", "The path is there, and is asked in another way: the header Allow names it."},
		{problemLeaf, "No such leaf", "The ledger has no leaf of this index or hash. Leaves are added all the time and never go."},
		{problemThing, "No such thing", "Nothing of this name, time or zone is on the ledger. What was never signed, or is not yet ordered, is not there."},
		{problemTile, "Not published", "The tile is not written yet, or the log is not that long. The checkpoint says how long it is."},
		{problemPending, "Not final", "A quorum has not signed it yet. Ask again when Retry-After says so: mostly within seconds."},
		{problemKind, "No statement", "The leaf is a header or an outcome, which nobody has signed alone; its evidence can be had all the same."},
		{problemSign, "Not signed in", "It is a member’s own. Sign the request with the member’s key (RFC 9421), or open a session."},
		{problemBusy, "Too many requests", "This client, or all together, ask more than is answered. Ask again after Retry-After."},
		{problemNotFound, "Not found in time", "The search was ended before it had seen the whole ledger. Ask for an index or a sequence number instead of a hash."},
		{problemGone, "No more of this list", "The parts of a list are as of the block at which it was begun, and that one is not kept for ever. Begin again without a cursor."},
		{problemInside, "Not readable", "The oracle could not read its own ledger. Another oracle has the same; the operator finds the cause in the log."},
	}
}

func newProblem(kind string, status int, title, detail, hint string) *problem {
	return &problem{Type: DocsPath + "#" + kind, Title: title, Status: status, Detail: detail, Hint: hint}
}

// after lets the client ask again.
func (p *problem) after(seconds int) *problem {
	p.retry = seconds
	return p
}

func (p *problem) serve(w http.ResponseWriter) {
	b, err := json.Marshal(p)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	h := w.Header()
	h.Del("ETag")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retry))
	}
	w.WriteHeader(p.Status)
	w.Write(b) // an error means that nobody reads any more
}

// Explain says of an error that this package has returned with which status it is answered,
// what is wrong and what to do next.
func Explain(err error) (status int, what, remedy string) {
	if p, ok := errors.AsType[*problem](err); ok {
		return p.Status, p.Detail, p.Hint
	}
	return http.StatusInternalServerError, "This oracle could not read its own ledger.", "Ask another oracle."
}
