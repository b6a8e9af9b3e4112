package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

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

// Backup is when a copy was made or checked last, as the operator's program has noted.
type Backup struct {
	Of   string `json:"of"`              // ledger, vault, or check: that a copy was checked
	At   string `json:"at,omitempty"`    // empty where none was ever noted
	AgeS int64  `json:"age_s,omitempty"` // by this oracle's clock
}

// Backups returns what is noted of each.
func (a *API) Backups() ([]Backup, error) {
	if a.cfg.Backups == nil {
		return []Backup{}, nil
	}
	list, err := a.cfg.Backups()
	now := a.cfg.Now()
	for i := range list {
		if at, err := time.Parse(time.RFC3339, list[i].At); err == nil {
			list[i].AgeS = max(int64(now.Sub(at)/time.Second), 0)
		}
	}
	return list, err
}

func (a *API) serveBackups(w http.ResponseWriter, r *http.Request) {
	list, err := a.Backups()
	if err != nil {
		a.inside(w, "telling of backups", err)
		return
	}
	b, err := json.Marshal(struct {
		Kind   string   `json:"kind"`
		Ledger string   `json:"ledger"`
		Items  []Backup `json:"items"`
	}{"backups", a.origin, list})
	if err != nil {
		a.inside(w, "telling of backups", err)
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
