package witness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// sizeType is the content type of a 409 (C2SP tlog-witness).
const sizeType = "text/x.tlog.size"

// Handler serves the witness: the submission prefix and the monitoring prefix are the
// same.
func (w *Witness) Handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /add-checkpoint", w.serveAdd)
	m.HandleFunc("GET /{hash}/checkpoint", w.serveLast)
	m.HandleFunc("GET /{$}", w.serveKey)
	return m
}

func (w *Witness) serveAdd(rw http.ResponseWriter, hr *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, hr.Body, int64(maxRequest)))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		fail(rw, http.StatusRequestEntityTooLarge, err)
		return
	} else if err != nil {
		fail(rw, http.StatusBadRequest, err)
		return
	}
	r, err := ParseRequest(body)
	var line string
	if err == nil {
		line, err = w.Add(r)
	}
	var conflict *Conflict
	switch {
	case errors.As(err, &conflict):
		rw.Header().Set("Content-Type", sizeType)
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", conflict.Size)
	case errors.Is(err, ErrRequest):
		fail(rw, http.StatusBadRequest, err)
	case errors.Is(err, ErrUnknownLedger):
		fail(rw, http.StatusNotFound, err)
	case errors.Is(err, ErrSignatures):
		fail(rw, http.StatusForbidden, err)
	case errors.Is(err, ErrInconsistent):
		fail(rw, http.StatusUnprocessableEntity, err)
	case err != nil:
		w.cfg.Log.Error("did not cosign", "error", err)
		fail(rw, http.StatusInternalServerError, errors.New("this witness cannot sign now: its operator finds the cause in its log"))
	default:
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(rw, line) // an error means that nobody reads any more
	}
}

func fail(rw http.ResponseWriter, status int, err error) {
	http.Error(rw, err.Error(), status)
}

// serveLast is for monitors, who compare what others were shown.
func (w *Witness) serveLast(rw http.ResponseWriter, hr *http.Request) {
	note := w.Last(hr.PathValue("hash"))
	if note == nil {
		fail(rw, http.StatusNotFound, errors.New("this witness has cosigned no checkpoint of that ledger"))
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "public, max-age=1, must-revalidate")
	rw.Write(note) // an error means that nobody reads any more
}

// serveKey says who this is, for looking at: whoever trusts a witness has its key from
// somebody it trusts.
func (w *Witness) serveKey(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(rw, "%s\n", w.key)
}
