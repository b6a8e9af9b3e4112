package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"wattmark/ledger/state"
	"wattmark/ledger/store"
)

// Version is that of the JSON under /api/v1: what it has is not taken away, and more may
// come.
const Version = "1.0.0"

// OpenAPIPath is where the description of the JSON is.
const OpenAPIPath = "/openapi.json"

// maxAnswer is the length in bytes that no answer passes.
const maxAnswer = 8 << 20

// About is what every answer begins with, so that a file with it still says what it is.
type About struct {
	Kind   string `json:"kind" doc:"What this answer is" example:"blocks"`
	Ledger string `json:"ledger" doc:"The ledger's origin" example:"wattmark.example/street"`
	Height uint64 `json:"height" doc:"The newest block when this was answered; of a list in parts, when it was begun"`
}

// Page is a part of a list.
type Page[T any] struct {
	About
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"The cursor of the next part; absent on the last"`
}

// ListInput is what lists take. (Exported, as huma sees no fields of embedded types that are not.)
type ListInput struct {
	Cursor string `query:"cursor" maxLength:"200" doc:"next of the part before; absent for the first"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many items at most"`
}

// output is an answer with its headers.
type output[T any] struct {
	CacheControl string `header:"Cache-Control"`
	Link         string `header:"Link"`
	Body         T
}

// lasting is said of what never changes.
const lasting = "public, max-age=31536000, immutable"

// fresh is said of what does.
const fresh = "no-cache"

// GetStatus makes a problem an error of huma's.
func (p *problem) GetStatus() int { return p.Status }

// ContentType is that of problem details.
func (p *problem) ContentType(string) string { return "application/problem+json" }

func init() {
	huma.DefaultArrayNullable = false // a list without items is an empty one
	// What huma finds wrong with a request is told as all else is.
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := newProblem(problemForm, status, "Not understood", message, "What each part of a request may be stands in "+OpenAPIPath+".")
		for _, err := range errs {
			var d huma.ErrorDetailer
			if errors.As(err, &d) {
				e := d.ErrorDetail()
				p.Errors = append(p.Errors, fault{e.Location, e.Message})
			} else if err != nil {
				p.Errors = append(p.Errors, fault{Message: err.Error()})
			}
		}
		return p
	}
}

// queries registers the JSON of the ledger, and returns what serves it and its description.
func (a *API) queries() http.Handler {
	m := http.NewServeMux()
	config := huma.DefaultConfig("Wattmark", Version)
	config.Info.Description = "What a ledger of signed energy and emissions readings says. All of it is public but what is of one member, who signs each request with the own key (RFC 9421). What it rests on can be verified without trusting who serves it: " +
		"/checkpoint and /tile/ are a C2SP tlog, and each leaf has its evidence at /api/v1/leaf/{index}.evidence."
	config.OpenAPIPath = strings.TrimSuffix(OpenAPIPath, ".json")
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil // answers name no schema: they say themselves what they are
	h := humago.New(m, config)
	a.queryLedger(h)
	a.queryMarket(h, m)
	a.queryCarbon(h, m)
	a.queryMember(h)
	a.queryPower(h)
	a.queryEntries(h)
	a.queryJoin(h)
	describeFiles(h.OpenAPI())
	for _, schema := range h.OpenAPI().Components.Schemas.Map() {
		schema.AdditionalProperties = nil // more may come: the description does not forbid it
	}
	a.routes = routesOf(h.OpenAPI())
	m.HandleFunc("/", nowhere)
	return tagged(m)
}

// get registers a question.
func get[I, O any](h huma.API, id, path, summary, about string, answer func(context.Context, *I) (*output[O], error)) {
	op := huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Description: about,
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError},
	}
	if _, list := any(new(I)).(*ListInput); list {
		op.Errors = append(op.Errors, http.StatusGone)
	}
	huma.Register(h, op, answer)
}

// describeFiles adds what is served as files to the description.
func describeFiles(d *huma.OpenAPI) {
	for _, f := range []struct{ id, path, summary, kind string }{
		{"checkpoint", "/checkpoint", "The newest final checkpoint (C2SP tlog-checkpoint)", "text/plain; charset=utf-8"},
		{"leaf-file", "/api/v1/leaf/{index}.{kind}", "What is at a place: kind is cose, tlog-proof or evidence", "application/octet-stream"},
		{"statement-file", "/api/v1/statement/{hash}.{kind}", "The same by leaf hash", "application/octet-stream"},
		{"sequence-file", "/api/v1/key/{kid}/{boot}-{count}.{kind}", "The same by key and sequence number", "application/octet-stream"},
		{"member-file", "/api/v1/member/statement.{kind}", "A member's statement as a file: kind is csv, xlsx, pdf, xml (Green Button) or html", "application/octet-stream"},
		{"intervals-file", "/api/v1/zones/{zone}/intervals.{kind}", "The intervals of a zone as a file: kind is csv or xlsx", "application/octet-stream"},
		{"carbon-file", "/api/v1/carbon/{list}.{kind}", "A list of the carbon accounts as a file: kind is csv or xlsx", "application/octet-stream"},
		{"policy", "/policy", "The policy of this oracle, for looking at (C2SP tlog-policy)", "text/plain; charset=utf-8"},
		{"keys", "/keys.jwks", "The keys of the ledger, for looking at", "application/jwk-set+json"},
	} {
		op := &huma.Operation{OperationID: f.id, Method: http.MethodGet, Path: f.path, Summary: f.summary, Responses: map[string]*huma.Response{
			"200": {Description: "OK", Content: map[string]*huma.MediaType{f.kind: {}}},
		}}
		for part := range strings.SplitSeq(f.path, "{") {
			if name, _, ok := strings.Cut(part, "}"); ok {
				op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
			}
		}
		d.AddOperation(op)
	}
}

// tagged gives each answer the hash of its content as a tag, and nothing but that to who
// has the content already.
func tagged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &buffered{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(b, r)
		if b.body.Len() > maxAnswer {
			newProblem(problemInside, http.StatusInternalServerError, "Too much", "The answer is longer than may be sent at once.", "Ask for less with limit.").serve(w)
			return
		}
		if b.status == http.StatusOK {
			if w.Header().Get("Cache-Control") == "" {
				w.Header().Set("Cache-Control", fresh)
			}
			sum := sha256.Sum256(b.body.Bytes())
			tag := `"` + hex.EncodeToString(sum[:16]) + `"`
			w.Header().Set("ETag", tag)
			for given := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
				if g := strings.TrimPrefix(strings.TrimSpace(given), "W/"); g == tag || g == "*" {
					w.Header().Del("Content-Type")
					w.WriteHeader(http.StatusNotModified)
					return
				}
			}
		}
		w.Header().Set("Content-Length", strconv.Itoa(b.body.Len()))
		w.WriteHeader(b.status)
		_, _ = w.Write(b.body.Bytes()) // an error means that nobody reads any more
	})
}

type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(status int)      { b.status = status }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }

// about begins an answer.
func (a *API) about(kind string) About {
	h, _, _ := a.cfg.Ledger.Last()
	return About{kind, a.origin, h.Height}
}

// cursor is where a list goes on: opaque to clients.
type cursor struct {
	List   string `json:"l"`
	Height uint64 `json:"h"`           // that the list is as of
	After  string `json:"a,omitempty"` // the key that was last
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor reads the cursor of a list, the zero one where there is none.
func parseCursor(list, text string) (c cursor, given bool, err error) {
	if text == "" {
		return cursor{List: list}, false, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.List != list {
		return c, false, newProblem(problemForm, http.StatusBadRequest, "No cursor of this list", strconv.Quote(shorten(text))+" is not what this list has given as next.",
			"Begin again without a cursor.")
	}
	return c, true, nil
}

// page gives a part of a list whose keys rise: what comes behind a cursor's. All parts of a
// list are as of the height at which it was begun.
func page[T any](a *API, path, list string, in *ListInput, items func(*state.State) []T, key func(*T) string) (*output[Page[T]], error) {
	c, given, err := parseCursor(list, in.Cursor)
	if err != nil {
		return nil, err
	}
	var all []T
	if given {
		kept, ok := a.pins.find(pinID{list, c.Height}, a.cfg.Now()).([]T)
		if !ok {
			return nil, errUnpinned()
		}
		all = kept
	} else {
		a.cfg.Ledger.View(func(s *state.State) { all, c.Height = items(s), s.Height()-1 })
	}
	out := &output[Page[T]]{CacheControl: fresh, Body: Page[T]{About: About{list, a.origin, c.Height}, Items: []T{}}}
	for i := range all {
		if c.After != "" && key(&all[i]) <= c.After {
			continue
		}
		if len(out.Body.Items) == in.Limit {
			a.pins.keep(pinID{list, c.Height}, all, len(all), a.cfg.Now())
			out.Body.Next = cursor{list, c.Height, key(&out.Body.Items[in.Limit-1])}.String()
			out.Link = link(path, out.Body.Next, in.Limit)
			break
		}
		out.Body.Items = append(out.Body.Items, all[i])
	}
	return out, nil
}

// link names the next part of a list (RFC 8288).
func link(path, next string, limit int) string {
	return fmt.Sprintf(`<%s?cursor=%s&limit=%d>; rel="next"`, path, next, limit)
}

// unreadable is what a store's errors come to for a client.
func (a *API) unreadable(what string, err error) error {
	if errors.Is(err, store.ErrClosed) {
		return newProblem(problemBusy, http.StatusServiceUnavailable, "Stopping", "This oracle is stopping.", "Ask another oracle.").after(5)
	}
	a.fault(what, err)
	return newProblem(problemInside, http.StatusInternalServerError, "Not readable", "This oracle could not read its own ledger.",
		"Ask another oracle. The operator finds the cause in this one's log.")
}

// instant writes Unix milliseconds.
func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// second writes Unix seconds.
func second(s int64) string { return time.Unix(s, 0).UTC().Format(time.RFC3339) }
