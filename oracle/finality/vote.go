package finality

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// Vote is one oracle's signatures over the checkpoint of a height.
type Vote struct {
	Height     uint64
	Checkpoint block.Checkpoint
	Log        string // signature line of the oracle as log
	Cosigned   string // cosignature line
	KeyID      signer.KeyID
	Receipts   []byte // signature that its receipts under this checkpoint share
	// Asking marks a vote sent once more because its height is not final for the
	// sender: whoever has voted there sends that vote again. It is not signed, and
	// all it can cause is such an answer, which does not ask.
	Asking bool
	// Promise is the statement by which the oracle says for which height it votes, nil
	// where nobody asks for it (see Tally.Ask).
	Promise []byte
}

// Note returns the checkpoint with the vote's two signature lines, as any tool for
// signed notes verifies them.
func (v *Vote) Note() []byte { return noteOf(v.Checkpoint, []string{v.Log, v.Cosigned}) }

type wireVote struct {
	_        struct{} `cbor:",toarray"`
	Version  uint64
	Height   uint64
	Size     uint64
	Root     block.Hash
	Log      string
	Cosigned string
	KeyID    signer.KeyID
	Receipts []byte
	Asking   bool
	Promise  []byte
}

// voteVersion is that of the layout above. Version 1 had no promise.
const voteVersion = 2

var (
	encMode = func() cbor.EncMode {
		m, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic("internal error: " + err.Error())
		}
		return m
	}()
	decMode = func() cbor.DecMode {
		m, err := cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 4, MaxArrayElements: 16, MaxMapPairs: 16}.DecMode()
		if err != nil {
			panic("internal error: " + err.Error())
		}
		return m
	}()
)

// ErrVote is wrapped by every refusal of a vote.
var ErrVote = errors.New("vote is not accepted")

// maxVote bounds a vote in bytes.
const maxVote = 4 << 10

// Encode writes the vote.
func (v *Vote) Encode() []byte {
	b, err := encMode.Marshal(wireVote{
		Version: voteVersion, Height: v.Height, Size: v.Checkpoint.Size, Root: v.Checkpoint.Root,
		Log: v.Log, Cosigned: v.Cosigned, KeyID: v.KeyID, Receipts: v.Receipts, Asking: v.Asking, Promise: v.Promise,
	})
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return b
}

// ParseVote reads a vote for the ledger with the given origin. Its signatures
// are not looked at.
func ParseVote(b []byte, origin string) (*Vote, error) {
	if len(b) > maxVote {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrVote, len(b), maxVote)
	}
	var w wireVote
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVote, err)
	}
	if w.Version != voteVersion {
		return nil, fmt.Errorf("%w: version %d", ErrVote, w.Version)
	}
	v := &Vote{w.Height, block.Checkpoint{Origin: origin, Size: w.Size, Root: w.Root}, w.Log, w.Cosigned, w.KeyID, w.Receipts, w.Asking, w.Promise}
	if !bytes.Equal(v.Encode(), b) {
		return nil, fmt.Errorf("%w: not deterministic CBOR", ErrVote)
	}
	return v, nil
}
