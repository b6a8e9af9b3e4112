package state

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"slices"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
)

// carbonRecord is what state keeps of a record of CAD Trust: who may change it, and what
// stands in it as of which leaf. The record itself is in the leaf.
type carbonRecord struct {
	Table    string       `cbor:"1,keyasint"`
	Key      string       `cbor:"2,keyasint"`
	Registry string       `cbor:"3,keyasint"` // whose it is
	Digest   []byte       `cbor:"4,keyasint"` // SHA-256 of the record
	Leaf     uint64       `cbor:"5,keyasint"`
	Version  uint64       `cbor:"6,keyasint"`
	Block    *recordBlock `cbor:"7,keyasint,omitempty"` // of a unit
}

// recordBlock are the serials of a unit's record.
type recordBlock struct {
	Registry string `cbor:"1,keyasint"`
	Prefix   string `cbor:"2,keyasint,omitempty"`
	Start    int64  `cbor:"3,keyasint"`
	End      int64  `cbor:"4,keyasint"`
	Status   uint8  `cbor:"5,keyasint"`
	// Origin is the block that it was converted from, in another registry.
	OriginRegistry string `cbor:"6,keyasint,omitempty"`
	OriginID       string `cbor:"7,keyasint,omitempty"`
}

func (c *carbonRecord) storeKey() string { return "ct" + c.Table + "\x00" + c.Key }

func (c *carbonRecord) reference() carbon.Reference {
	return carbon.Reference{Table: c.Table, Key: c.Key}
}

func compareReferences(a, b carbon.Reference) int { return compareText(a.Table, b.Table, a.Key, b.Key) }

// rules returns the block as the rules have it, under the record's key.
func (b *recordBlock) rules(key string) carbon.Block {
	out := carbon.Block{ID: key, Registry: b.Registry, Prefix: b.Prefix, Serials: carbon.Serials{Start: b.Start, End: b.End}, Status: carbon.Status(b.Status)}
	if b.OriginID != "" {
		out.Origin = &carbon.Origin{Registry: b.OriginRegistry, ID: b.OriginID}
	}
	return out
}

// judgeCADTCommit writes a record: a new one, or one that replaces what its registry has
// seen. Units' serials are held against all others that stand, on this ledger and in
// records.
func (s *State) judgeCADTCommit(c *entry.CADTCommit, who string) verdict {
	id := carbon.Reference{Table: c.Table, Key: c.Key}
	old := s.carbon.records[id]
	switch {
	case old != nil && old.Registry != who:
		return refusedFor(entry.ReasonNotAuthorised, "%s %s is of %s", c.Table, c.Key, old.Registry)
	case old != nil && c.Before == nil:
		return refusedFor(entry.ReasonAlreadyKnown, "%s %s", c.Table, c.Key)
	case old == nil && c.Before != nil, old != nil && !bytes.Equal(old.Digest, c.Before):
		return refusedFor(entry.ReasonWrongStatus, "%s %s", c.Table, c.Key)
	}
	r, err := carbon.ReadRecord(c.Table, c.Key, c.Record, func(to carbon.Reference) bool { return s.carbon.records[to] != nil })
	if err != nil {
		return refusedFor(entry.ReasonBadPayload, "%v", err)
	}
	digest := sha256.Sum256(c.Record)
	next := &carbonRecord{Table: c.Table, Key: c.Key, Registry: who, Digest: digest[:], Version: 1}
	if old != nil {
		next.Version = old.Version + 1
	}
	if r.Block != nil {
		next.Block = &recordBlock{Registry: r.Block.Registry, Prefix: r.Block.Prefix, Start: r.Block.Start, End: r.Block.End, Status: uint8(r.Block.Status)}
		if o := r.Block.Origin; o != nil {
			next.Block.OriginRegistry, next.Block.OriginID = o.Registry, o.ID
		}
		if v := s.judgeSerials(old, next); v.reason != "" {
			return v
		}
	}
	return allowed(func(leaf uint64) [][]byte {
		next.Leaf = leaf
		s.carbon.records[id] = next
		if next.Block != nil {
			prefix := carbon.NormalPrefix(next.Block.Prefix)
			list := slices.DeleteFunc(s.carbon.serials[prefix], func(o *carbonRecord) bool { return o.reference() == id })
			s.carbon.serials[prefix] = append(list, next)
		}
		s.touch(next)
		return nil
	})
}

// judgeSerials holds a unit's record against the one that it replaces and against every
// other block of its prefix.
func (s *State) judgeSerials(old, next *carbonRecord) verdict {
	b := next.Block
	if old != nil {
		o := old.Block
		was, is := carbon.Status(o.Status), carbon.Status(b.Status)
		if o.Registry != b.Registry || carbon.NormalPrefix(o.Prefix) != carbon.NormalPrefix(b.Prefix) || o.Start != b.Start || o.End != b.End ||
			was != is && !was.CanBecome(is) {
			return refusedFor(entry.ReasonWrongStatus, "%s %s", next.Table, next.Key)
		}
	}
	blocks := []carbon.Block{b.rules(next.Key)}
	prefix := carbon.NormalPrefix(b.Prefix)
	for _, o := range s.carbon.serials[prefix] {
		if o.reference() != next.reference() {
			blocks = append(blocks, o.Block.rules(o.Key))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.carbon.blocks)) {
		if o := s.carbon.blocks[id]; carbon.NormalPrefix(o.Prefix) == prefix {
			blocks = append(blocks, o.rules().Block)
		}
	}
	// What it was converted from, and what was converted from it, stand under other prefixes.
	watched := []string{next.Key}
	for _, id := range slices.SortedFunc(maps.Keys(s.carbon.records), compareReferences) {
		o := s.carbon.records[id]
		if o.Block == nil || id == next.reference() {
			continue
		}
		from := o.Block.OriginRegistry == b.Registry && o.Block.OriginID == next.Key
		if from {
			watched = append(watched, o.Key)
		}
		if (from || o.Block.Registry == b.OriginRegistry && o.Key == b.OriginID) && carbon.NormalPrefix(o.Block.Prefix) != prefix {
			blocks = append(blocks, o.Block.rules(o.Key))
		}
	}
	if o := s.carbon.blocks[b.OriginID]; o != nil && carbon.NormalPrefix(o.Prefix) != prefix {
		blocks = append(blocks, o.rules().Block)
	}
	var f carbon.Findings
	carbon.CheckBlocks(blocks, &f)
	list, _ := f.Sorted()
	for _, finding := range list {
		if finding.Severity == carbon.Refused && slices.ContainsFunc(finding.IDs, func(id string) bool { return slices.Contains(watched, id) }) {
			other := next.Key
			for _, id := range finding.IDs {
				if id != next.Key {
					other = id
				}
			}
			return refusedFor(entry.ReasonCountedTwice, "%s %s %s", finding.Rule, other, next.Key)
		}
	}
	return verdict{}
}

// RecordInfo is a record of CAD Trust as it stands.
type RecordInfo struct {
	Table, Key string
	Registry   string // whose it is
	Digest     []byte
	Version    uint64 // from 1
	Leaf       uint64 // of the entry that wrote it so
}

// Records returns all records of CAD Trust, by table and key.
func (s *State) Records() []RecordInfo {
	var out []RecordInfo
	for _, id := range slices.SortedFunc(maps.Keys(s.carbon.records), compareReferences) {
		r := s.carbon.records[id]
		out = append(out, RecordInfo{r.Table, r.Key, r.Registry, r.Digest, r.Version, r.Leaf})
	}
	return out
}
