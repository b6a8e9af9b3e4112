package wire

import (
	"bytes"
	"errors"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

const (
	requestVersion = 1
	pendingVersion = 1
)

// Limits of a list of requests that wait.
const (
	MaxPending        = 64        // requests
	MaxPendingIn      = 512 << 10 // bytes of all their statements
	maxPendingMessage = MaxPendingIn + 128*MaxPending
)

var (
	// ErrRequest is wrapped by every error of ParseRequest.
	ErrRequest = errors.New("not an enrolment request on the wire")
	// ErrPending is wrapped by every error of ParsePending.
	ErrPending = errors.New("not a list of requests that wait")
)

// EncodeRequest writes how an enrolment request travels: version byte 1 and the
// statement of an entry.EnrolmentRequest, or of an entry.Rotation around one.
func EncodeRequest(statement []byte) []byte {
	return append([]byte{requestVersion}, statement...)
}

// ParseRequest reads what EncodeRequest wrote. That the statement is signed by the key
// that asks is for package ledger/request to see. The result refers to b.
func ParseRequest(b []byte) (statement []byte, err error) {
	if len(b) > 1+entry.MaxRequest {
		return nil, fmt.Errorf("%w: %d bytes: %w, the limit is %d", ErrRequest, len(b), ErrTooLarge, 1+entry.MaxRequest)
	}
	if len(b) < 2 || b[0] != requestVersion {
		return nil, fmt.Errorf("%w: it starts with version %d, and a statement follows", ErrRequest, requestVersion)
	}
	if err := isRequest(b[1:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return b[1:len(b):len(b)], nil
}

// isRequest wants the statement of a request or a rotation.
func isRequest(statement []byte) error {
	m, err := signer.Parse(statement)
	if err != nil {
		return err
	}
	if m.Type != entry.TypeRequest && m.Type != entry.TypeRotation {
		return fmt.Errorf("a statement of type %q", m.Type)
	}
	return nil
}

// Pending is what an oracle tells its operator of the requests that wait for one.
type Pending struct {
	Requests []PendingRequest
	// Dropped counts the requests that were not kept since the oracle started, as too
	// many came or wait.
	Dropped uint64
}

// PendingRequest is one request that waits.
type PendingRequest struct {
	_         struct{} `cbor:",toarray"`
	Statement []byte   // as it is carried in an entry.ProvenEnrolment
	// Gateway is the name in the certificate with which it came, empty where that was
	// the one for all that have none of their own: then nothing but the words tells who
	// asks.
	Gateway string
	First   int64 // when it came first and last, in Unix seconds by the oracle's clock
	Last    int64
	Times   uint64
}

// wirePending is the form of a Pending: deterministic CBOR.
type wirePending struct {
	_        struct{} `cbor:",toarray"`
	Version  uint64
	Requests []PendingRequest
	Dropped  uint64
}

// Encode writes the list.
func (p *Pending) Encode() []byte {
	w := wirePending{Version: pendingVersion, Requests: p.Requests, Dropped: p.Dropped}
	if w.Requests == nil {
		w.Requests = []PendingRequest{}
	}
	return must(encMode.Marshal(w))
}

// ParsePending reads what Encode wrote, and only that.
func ParsePending(b []byte) (*Pending, error) {
	if len(b) > maxPendingMessage {
		return nil, fmt.Errorf("%w: %d bytes: %w, the limit is %d", ErrPending, len(b), ErrTooLarge, maxPendingMessage)
	}
	var w wirePending
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPending, err)
	}
	switch {
	case w.Version != pendingVersion:
		return nil, fmt.Errorf("%w: version %d, and this program reads version %d", ErrPending, w.Version, pendingVersion)
	case len(w.Requests) > MaxPending:
		return nil, fmt.Errorf("%w: %d requests: %w, the limit is %d", ErrPending, len(w.Requests), ErrTooLarge, MaxPending)
	}
	for i := range w.Requests {
		if err := w.Requests[i].check(); err != nil {
			return nil, fmt.Errorf("%w: request %d: %w", ErrPending, i, err)
		}
	}
	p := &Pending{Requests: w.Requests, Dropped: w.Dropped}
	if !bytes.Equal(p.Encode(), b) {
		return nil, fmt.Errorf("%w: not in its own encoding", ErrPending)
	}
	return p, nil
}

func (r *PendingRequest) check() error {
	if len(r.Statement) > entry.MaxRequest {
		return fmt.Errorf("%d bytes: %w, the limit is %d", len(r.Statement), ErrTooLarge, entry.MaxRequest)
	}
	if r.Gateway != "" {
		if err := entry.CheckGateway(r.Gateway); err != nil {
			return err
		}
	}
	if r.First > r.Last || r.Times == 0 {
		return fmt.Errorf("it came %d times from %d to %d", r.Times, r.First, r.Last)
	}
	return isRequest(r.Statement)
}
