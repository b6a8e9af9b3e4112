package outbox

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// Limits of facts, in bytes and in number.
const (
	MaxFact     = 32 << 10
	maxFactName = 64
	maxFacts    = 256
)

// fact is the newest value of a name.
type fact struct {
	value []byte
	seg   uint32 // where its record lies
	size  int
}

// held is what a record holds of its segment: see Outbox.settle.
type held struct {
	seg  uint32
	size int
}

// Put keeps a small value under a name, in place of the one before: an
// enrolment, a calibration, the running total of a sensor that forgets. It lies in
// the log, survives power cuts as statements do, and is durable with the group,
// after the next Flush at the latest. Empty takes it away. A name has at most 64
// bytes and a value MaxFact; there may be 256 names. The errors are ErrClosed and
// ErrTooLarge. A disk that refuses is no error, as in Append.
func (o *Outbox) Put(name string, value []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	old := o.facts[name]
	switch {
	case o.closed:
		return ErrClosed
	case name == "" || len(name) > maxFactName || len(value) > MaxFact || len(value) > o.opts.segmentBytes/2:
		return fmt.Errorf("fact %q of %d bytes is %w, or has no name: at most %d bytes", name, len(value), ErrTooLarge, MaxFact)
	case old == nil && len(o.facts) >= maxFacts:
		return fmt.Errorf("fact %q is one more than %d: %w", name, maxFacts, ErrTooLarge)
	case old == nil && len(value) == 0, old != nil && bytes.Equal(old.value, value):
		return nil
	}
	if o.state == InMemory { // nobody reads the one before
		o.filterGroup(func(r *logRecord) bool {
			was, _, err := decodeFact(r)
			return r.kind != kindFact || err != nil || was != name
		})
	}
	r := factRecord(name, value)
	at := o.log(r)
	if old := o.facts[name]; old != nil { // the log may have moved it
		o.superseded = append(o.superseded, held{old.seg, old.size})
	}
	o.setFact(name, bytes.Clone(value), held{at.seg, r.size()})
	return nil
}

// Get returns what was Put under a name last, nil if nothing was.
func (o *Outbox) Get(name string) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.facts[name]; f != nil {
		return bytes.Clone(f.value)
	}
	return nil
}

// Facts returns the names of all facts, sorted.
func (o *Outbox) Facts() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.facts))
}

// setFact enters a value that is in the log. What was held before stays held.
func (o *Outbox) setFact(name string, value []byte, at held) {
	if len(value) == 0 {
		delete(o.facts, name)
		return
	}
	o.facts[name] = &fact{value, at.seg, at.size}
	o.keep(at.seg, 1, at.size)
}

// factsIn lists the facts that lie in a segment.
func (o *Outbox) factsIn(s *segment) []string {
	var names []string
	for name, f := range o.facts {
		if f.seg == s.ordinal {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// writeFacts writes facts again at the head.
func (o *Outbox) writeFacts(names []string) ([]held, error) {
	var at []held
	for _, name := range names {
		r := factRecord(name, o.facts[name].value)
		place, err := o.rewrite(&r)
		if err != nil {
			return nil, err
		}
		at = append(at, held{place.seg, r.size()})
	}
	return at, nil
}

// applyFacts enters where facts lie now.
func (o *Outbox) applyFacts(names []string, at []held) {
	for i, name := range names {
		f := o.facts[name]
		o.keep(f.seg, -1, f.size)
		f.seg, f.size = at[i].seg, at[i].size
		o.keep(f.seg, 1, f.size)
	}
}

func factRecord(name string, value []byte) logRecord {
	return logRecord{kind: kindFact, payload: append(appendBytes(nil, []byte(name)), value...)}
}

func decodeFact(r *logRecord) (name string, value []byte, err error) {
	f := fields{rest: r.payload}
	name = string(f.bytes(maxFactName))
	if name == "" || len(f.rest) > MaxFact || r.boot != 0 || r.seq != 0 {
		f.fail("fact")
	}
	return name, f.rest, f.err
}
