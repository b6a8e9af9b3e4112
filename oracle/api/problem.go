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

// The problems. Their types are words that programs compare.
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
	problemInside   = "not-readable"
)

func newProblem(kind string, status int, title, detail, hint string) *problem {
	return &problem{Type: "urn:wattmark:problem:" + kind, Title: title, Status: status, Detail: detail, Hint: hint}
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
