package state

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/entry"
)

// A snapshot is the whole state after a block, as a sequence of CBOR items: a head,
// and then every record in order of keys. Its digest enters the log with the block
// after, an outcome that all oracles make alike, so that whoever is given the bytes
// can tell that they are what a quorum had.
type snapshotHead struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Version uint64
	Origin  string
	Height  uint64 // of the block before which it was taken
	Records uint64
}

type snapshotRecord struct {
	_     struct{} `cbor:",toarray"`
	Key   []byte
	Value []byte
}

// Snapshot returns the state as a snapshot.
func (s *State) Snapshot() []byte {
	records := s.Export()
	var b bytes.Buffer
	e := encMode.NewEncoder(&b)
	must(0, e.Encode(snapshotHead{Kind: "snapshot", Version: 1, Origin: s.charter.Origin, Height: s.meta.Height, Records: uint64(len(records))}))
	for _, r := range records {
		must(0, e.Encode(snapshotRecord{Key: r.Key, Value: r.Value}))
	}
	return b.Bytes()
}

// ErrSnapshot is wrapped by every error about a snapshot's bytes.
var ErrSnapshot = errors.New("snapshot does not read")

// maxRecord bounds a record of a snapshot in bytes.
const maxRecord = 64 << 20

var snapshotMode = must(cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden, MaxArrayElements: 16, MaxNestedLevels: 4}.DecMode())

// LoadSnapshot returns the state that a snapshot holds, and the records that it is
// made of. Whether the bytes are those that the log names is for the caller to compare.
func LoadSnapshot(charter *entry.Charter, b []byte) (*State, []Change, error) {
	bad := func(format string, args ...any) (*State, []Change, error) {
		return nil, nil, fmt.Errorf("%w: %s", ErrSnapshot, fmt.Sprintf(format, args...))
	}
	var head snapshotHead
	rest, err := snapshotMode.UnmarshalFirst(b, &head)
	if err != nil {
		return bad("%v", err)
	}
	switch {
	case head.Kind != "snapshot" || head.Version != 1:
		return bad("%q version %d is not known", head.Kind, head.Version)
	case head.Origin != charter.Origin:
		return bad("it is of ledger %q, not %q", head.Origin, charter.Origin)
	case head.Records > uint64(len(rest)):
		return bad("%d records in %d bytes", head.Records, len(rest))
	}
	records := make([]Change, 0, head.Records)
	for range head.Records {
		var r snapshotRecord
		if rest, err = snapshotMode.UnmarshalFirst(rest, &r); err != nil {
			return bad("record %d: %v", len(records), err)
		}
		if len(r.Value) > maxRecord || len(records) > 0 && bytes.Compare(records[len(records)-1].Key, r.Key) >= 0 {
			return bad("record %d is too long or not in order", len(records))
		}
		records = append(records, Change{Key: r.Key, Value: r.Value})
	}
	if len(rest) > 0 {
		return bad("%d bytes follow the records", len(rest))
	}
	s, err := Load(charter, func(fn func(key, value []byte) error) error {
		for _, r := range records {
			if err := fn(r.Key, r.Value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return bad("%v", err)
	}
	if s.meta.Height != head.Height {
		return bad("the head says height %d, the state %d", head.Height, s.meta.Height)
	}
	if !bytes.Equal(s.Snapshot(), b) {
		return bad("the state that it holds is written another way")
	}
	return s, records, nil
}

// SetOrder says how far into the order the last block reaches, for the snapshot that
// the next one may take. It is the oracles' and not a rule's: the outcome carries it
// so that whoever starts from the snapshot knows where to go on.
func (s *State) SetOrder(o entry.OrderPosition) { s.order = o }

// snapshot takes one where it is due, before anything of the block is done. A replay
// compares the digest with the log's, and takes the order's position as it is; where
// packs were not at hand the digest as well.
func (s *State) snapshot() (taken []byte, outcome []made) {
	every := s.Setting(entry.ParamSnapshotBlocks)
	if every == 0 || s.meta.Height == 0 || s.meta.Height%uint64(every) != 0 {
		return nil, nil
	}
	b := s.Snapshot()
	digest := sha256.Sum256(b)
	o := entry.Outcome{Kind: entry.OutcomeSnapshot, Hash: digest, Code: entry.SnapshotState, Detail: s.order.String()}
	like := func(leaf []byte) bool {
		p, err := entry.ParseOutcome(leaf)
		if err != nil || p.Kind != entry.OutcomeSnapshot || p.Code != entry.SnapshotState || p.Hash != digest && !s.missed {
			return false
		}
		_, err = entry.ParseOrderPosition(p.Detail)
		return err == nil
	}
	return b, []made{{leaf: o.Encode(), like: like}}
}
