package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"wattmark/ledger/state"
)

// Refused is how often this oracle has refused for a reason since it started, and whom last.
type Refused struct {
	Reason string        `json:"reason"`
	Count  uint64        `json:"count"`
	Remedy string        `json:"remedy"`
	Last   []RefusedLast `json:"last"` // the newest first, of LastRefused at most
}

// RefusedLast is one statement that was refused.
type RefusedLast struct {
	Gateway string `json:"gateway"` // by its certificate; what the statement says is not believed
	Boot    uint64 `json:"boot_count,omitempty"`
	Count   uint64 `json:"sequence_number,omitempty"` // 0 where it could not be read
	At      int64  `json:"at_ms"`                     // of this oracle's clock, Unix milliseconds
}

// LastRefused is how many of a reason are remembered.
const LastRefused = 5

// Refused returns the refusals of this oracle by reason, the most frequent first.
func (a *API) Refused() []Refused {
	if a.cfg.Refused == nil {
		return []Refused{}
	}
	list := a.cfg.Refused()
	slices.SortFunc(list, func(a, b Refused) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason)) })
	return list
}

func (a *API) serveRefused(w http.ResponseWriter, r *http.Request) {
	b, err := json.Marshal(struct {
		Kind   string    `json:"kind"`
		Ledger string    `json:"ledger"`
		Items  []Refused `json:"items"`
	}{"refusals", a.origin, a.Refused()})
	if err != nil {
		a.inside(w, "telling of refusals", err)
		return
	}
	a.write(w, r, answer{kind: "application/json", cache: "no-store", body: b})
}

// ChangeItem is a change that the oracles have put to the vote.
type ChangeItem struct {
	Kind    string
	Height  uint64 // of the first block that it holds for
	Adopted bool
	Agree   []string // names of the oracles that agree
	Leaf    uint64   // that puts it forward
}

// Changes are those that wait for votes or for their height, and the height of the newest
// block.
func (a *API) Changes() (list []ChangeItem, newest uint64) {
	a.cfg.Ledger.View(func(s *state.State) {
		newest = s.Height() - 1
		for _, m := range s.Motions() {
			if !m.Adopted || m.Height > newest {
				list = append(list, ChangeItem{m.Kind, m.Height, m.Adopted, m.Oracles, m.Leaf})
			}
		}
	})
	return list, newest
}
