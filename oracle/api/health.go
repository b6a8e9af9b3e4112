package api

import (
	"encoding/json"
	"net/http"
)

// Reason is why an oracle should get no requests, and what its operator does about it.
type Reason struct {
	// Reason is a word that programs compare.
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"`
}

// Trouble is why this oracle should get no requests, the worst first, or nothing.
func (a *API) Trouble() []Reason {
	if a.cfg.Ready == nil {
		return []Reason{}
	}
	return append([]Reason{}, a.cfg.Ready()...)
}

// serveHealth answers while the process answers at all. Starting it again would mend
// nothing that readyz tells of.
func (a *API) serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte("ok\n"))
}

func (a *API) serveReady(w http.ResponseWriter, _ *http.Request) {
	out := struct {
		Ready   bool     `json:"ready"`
		Reasons []Reason `json:"reasons"`
	}{Reasons: a.Trouble()}
	out.Ready = len(out.Reasons) == 0
	b, err := json.Marshal(out)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !out.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	w.Write(append(b, '\n')) // an error means that nobody reads any more
}
