package witness

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"wattmark/ledger/block"
)

// Request is the body of add-checkpoint.
type Request struct {
	Old uint64 // size of the last checkpoint that the witness cosigned
	// Proof is the consistency proof from there, empty where Old is 0.
	Proof []block.Hash
	// Checkpoint is the signed note, verbatim.
	Checkpoint []byte
}

const (
	maxProof   = 63
	maxNote    = 64 << 10
	maxRequest = len("old ") + 20 + 1 + maxProof*45 + 1 + maxNote
)

// ErrRequest is wrapped by everything that is not a body of add-checkpoint.
var ErrRequest = errors.New("not a request to add a checkpoint")

// Encode writes the body.
func (r *Request) Encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", r.Old)
	for _, h := range r.Proof {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteString("\n")
	b.Write(r.Checkpoint)
	return []byte(b.String())
}

// ParseRequest reads a body. The checkpoint is not looked at.
func ParseRequest(b []byte) (*Request, error) {
	if len(b) > maxRequest {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrRequest, len(b), maxRequest)
	}
	head, note, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		return nil, fmt.Errorf("%w: there is no empty line before the checkpoint", ErrRequest)
	}
	lines := strings.Split(head, "\n")
	text, ok := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseUint(text, 10, 63)
	if !ok || err != nil || strconv.FormatUint(old, 10) != text {
		return nil, fmt.Errorf("%w: %q is not \"old\" and a size", ErrRequest, shorten(lines[0]))
	}
	lines = lines[1:]
	if len(lines) > maxProof {
		return nil, fmt.Errorf("%w: a proof of %d hashes, over the limit of %d", ErrRequest, len(lines), maxProof)
	}
	if len(note) > maxNote {
		return nil, fmt.Errorf("%w: a checkpoint of %d bytes, over the limit of %d", ErrRequest, len(note), maxNote)
	}
	r := &Request{Old: old, Checkpoint: []byte(note)}
	for _, l := range lines {
		h, err := block.ParseHash(l)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
		r.Proof = append(r.Proof, h)
	}
	return r, nil
}

// shorten keeps what others wrote from filling an answer.
func shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
