package api

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/ledger/state"
	"wattmark/signer"
	"wattmark/signer/words"
)

// JoinsDir is where, in an oracle's directory, the requests of invited members wait for the
// operator: a file for each, named after the member.
const JoinsDir = "joins"

// JoinSuffix ends their names.
const JoinSuffix = ".member"

// maxJoins is how many wait at once.
const maxJoins = 256

// JoinItem says what became of a request to be admitted.
type JoinItem struct {
	About
	Member string   `json:"member"`
	State  string   `json:"state" enum:"waiting,admitted"`
	KeyID  string   `json:"key_id"`
	Words  []string `json:"words" doc:"Of the key, for the operator to compare"`
}

func (a *API) queryJoin(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "join", Method: http.MethodPost, Path: "/api/v1/join", Summary: "Ask to be admitted, with an invitation", DefaultStatus: http.StatusAccepted,
		Description:  "The request is the statement that the member's own key has signed (ledger/entry/FORMAT.md section 6), and says what the invitation says. It waits for the operator, who compares the words.",
		MaxBodyBytes: 1 << 16, Errors: []int{http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable},
	}, func(_ context.Context, in *struct {
		Body struct {
			Invitation string `json:"invitation" maxLength:"16384"`
			Request    string `json:"request" maxLength:"16384" doc:"base64url without padding"`
		}
	}) (*output[JoinItem], error) {
		item, err := a.join(in.Body.Invitation, in.Body.Request)
		if err != nil {
			return nil, err
		}
		return &output[JoinItem]{CacheControl: "no-store", Body: *item}, nil
	})
}

func (a *API) join(invitation, asks string) (*JoinItem, error) {
	if a.cfg.Joins == "" {
		return nil, newProblem(problemBusy, http.StatusServiceUnavailable, "Nobody is admitted here", "This server takes no requests.", "Use the link as you got it.")
	}
	i, err := openInvitation(invitation, a.origin, a.oracleKey, a.cfg.Clock().Unix())
	if err != nil {
		return nil, newProblem(problemForm, http.StatusBadRequest, "No invitation", upper(err.Error())+".", "Ask the operator for a new link: wattmark member invite.")
	}
	b, err := base64.RawURLEncoding.DecodeString(asks)
	if err != nil {
		return nil, newProblem(problemForm, http.StatusBadRequest, "No request", "The request is not base64url without padding.", "Send the request's bytes as they were signed.")
	}
	r, err := request.OpenMember(b, a.origin)
	if err != nil {
		return nil, newProblem(problemForm, http.StatusBadRequest, "No request", upper(err.Error())+".", "Send what the member's key has signed for this ledger.")
	}
	want := i.Request()
	want.Algorithm, want.Key = r.Algorithm, r.Key
	if said, err := r.MemberRequest.Encode(); err != nil || !sameRequest(said, want) {
		return nil, newProblem(problemForm, http.StatusUnprocessableEntity, "Not what the invitation says", "The request asks for something else than the invitation offers.", "Open the link again.")
	}
	item := &JoinItem{About: a.about("join"), Member: r.Member, State: "waiting", KeyID: r.Public.ID().String(), Words: wordsOf(r.Public)}
	if member, _, ok := a.memberOfKey(r.Public.ID()); ok && member == r.Member {
		item.State = "admitted"
		return item, nil
	}
	if a.admitted(r.Member) {
		return nil, errFaster()
	}
	return item, a.keepJoin(r, b)
}

// admitted reports whether a member has a key in force.
func (a *API) admitted(member string) (ok bool) {
	a.cfg.Ledger.View(func(s *state.State) {
		m, known := s.Member(member)
		ok = known && m.Revoked == 0
	})
	return ok
}

// errFaster is for whoever comes with an invitation that another key has.
func errFaster() error {
	return newProblem(problemForm, http.StatusConflict, "Somebody was faster", "Another device has used this invitation, or the member has a key already.",
		"Ask the operator, who sees which. For a new device the old key is ended first: wattmark member revoke.")
}

func sameRequest(said []byte, want entry.MemberRequest) bool {
	b, err := want.Encode()
	return err == nil && string(b) == string(said)
}

// keepJoin writes a request to where the operator finds it. The first key that comes with an
// invitation has it.
func (a *API) keepJoin(r *request.Member, b []byte) error {
	a.joining.Lock()
	defer a.joining.Unlock()
	inside := func(err error) error { return a.unreadable("requests of members", err) }
	if err := os.MkdirAll(a.cfg.Joins, 0o700); err != nil {
		return inside(err)
	}
	name := filepath.Join(a.cfg.Joins, r.Member+JoinSuffix)
	old, err := os.ReadFile(name)
	switch {
	case err == nil && sameKey(old, a.origin, r.Public):
		return nil
	case err == nil:
		return errFaster()
	case !errors.Is(err, fs.ErrNotExist):
		return inside(err)
	}
	waiting, err := os.ReadDir(a.cfg.Joins)
	if err != nil {
		return inside(err)
	}
	if len(waiting) >= maxJoins {
		return newProblem(problemBusy, http.StatusServiceUnavailable, "Too many wait", "The operator has not looked at the requests before this one.", "Tell the operator, and send it again.").after(60)
	}
	if err := replaceFile(name, b); err != nil {
		return inside(err)
	}
	return nil
}

// replaceFile writes a file so that it is there whole or not at all.
func replaceFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func sameKey(old []byte, origin string, key signer.PublicKey) bool {
	r, err := request.OpenMember(old, origin)
	return err == nil && r.Public == key
}

// oracleKey returns the key of an oracle that is in force.
func (a *API) oracleKey(id signer.KeyID) (key signer.PublicKey, ok bool) {
	a.cfg.Ledger.View(func(s *state.State) {
		if _, in := s.Oracle(id); in {
			key, ok = s.PublicKey(id)
		}
	})
	return key, ok
}

func wordsOf(key signer.PublicKey) []string {
	id := key.ID()
	return words.Of(id[:])
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
