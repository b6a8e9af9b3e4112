package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// EntryItem says what became of an entry.
type EntryItem struct {
	About
	Hash  string  `json:"leaf_sha256"`
	State string  `json:"state" enum:"submitted,logged" doc:"logged once it is on the ledger: as a leaf, which a quorum makes final"`
	Leaf  *uint64 `json:"leaf,omitempty"`
	Path  string  `json:"path" doc:"Where its evidence will be"`
}

// submitWithin is how long the order may take for an entry.
const submitWithin = 5 * time.Second

func (a *API) queryEntries(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "entries", Method: http.MethodPost, Path: "/api/v1/entries", Summary: "Put a signed entry onto the ledger", DefaultStatus: http.StatusAccepted,
		Description: "The body is a signed statement (COSE_Sign1) of whoever has a key on this ledger, such as a member's order, standing limits or dispute. " +
			"It is judged by the rules at once, and refused with a reason and what to do. The same statement may be sent again. Readings go by the broker: their packs are not taken here.",
		MaxBodyBytes: signer.MaxMessage,
		Errors:       []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *struct {
		RawBody []byte `contentType:"application/cose"`
	}) (*output[EntryItem], error) {
		e, err := a.enter(ctx, in.RawBody)
		if err != nil {
			return nil, err
		}
		return &output[EntryItem]{CacheControl: "no-store", Body: *e}, nil
	})
}

// refusal is a problem of the rules.
func refusal(reason entry.Reason) error {
	p := newProblem("refused-"+string(reason), http.StatusUnprocessableEntity, "Refused", fmt.Sprintf("The rules do not take this entry: %s.", reason), reason.Remedy())
	return p
}

func (a *API) enter(ctx context.Context, statement []byte) (*EntryItem, error) {
	if a.cfg.Submit == nil {
		return nil, newProblem(problemBusy, http.StatusServiceUnavailable, "Nothing is taken here", "This server shows a ledger and takes nothing for it.", "Ask a running oracle.")
	}
	m, err := signer.Parse(statement)
	if err != nil {
		return nil, newProblem(problemForm, http.StatusBadRequest, "No statement", err.Error(), "Send the bytes of one COSE_Sign1 statement, as wattmark writes them.")
	}
	if m.Hidden() || m.Type == entry.TypeReading {
		return nil, newProblem(problemForm, http.StatusBadRequest, "A reading", "Gateways send readings over the broker.", "Send entries of people here: orders, limits, disputes, claims.")
	}
	hash := block.LeafHash(statement)
	out := &EntryItem{About: a.about("entry"), Hash: hex.EncodeToString(hash[:]), State: "submitted"}
	out.Path = "/api/v1/statement/" + out.Hash + ".evidence"

	var key signer.PublicKey
	known := false
	a.cfg.Ledger.View(func(s *state.State) { key, known = s.PublicKey(m.KeyID) })
	if !known {
		return nil, refusal(entry.ReasonUnknownKey)
	}
	opened, err := signer.Verify(m, key)
	if err != nil {
		return nil, refusal(entry.ReasonBadSignature)
	}
	input := state.Input{Opened: opened}
	input.Read()
	var reason entry.Reason
	a.cfg.Ledger.View(func(s *state.State) { reason = s.Judge(&input, max(a.cfg.Clock().UnixMilli(), s.Time())) })
	switch reason {
	case "":
	case entry.ReasonSequenceUsed:
		if index, leaf, ok := a.cfg.Ledger.Logged(m.KeyID, input.Sequence()); ok && string(leaf) == string(statement) {
			out.State, out.Leaf = "logged", &index
			return out, nil
		}
		return nil, refusal(reason)
	default:
		return nil, refusal(reason)
	}
	ctx, cancel := context.WithTimeout(ctx, submitWithin)
	defer cancel()
	if err := a.cfg.Submit(ctx, statement); err != nil {
		a.fault("putting an entry into the order", err)
		return nil, newProblem(problemBusy, http.StatusServiceUnavailable, "Not taken", "The order did not take the entry: the broker may be away.", "Send it again, here or to another oracle: it counts once.").after(5)
	}
	return out, nil
}
