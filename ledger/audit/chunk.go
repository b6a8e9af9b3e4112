package audit

import (
	"bytes"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// chunk is a run of leaves on its way through the audit.
type chunk struct {
	leaves [][]byte
	kinds  []entry.LeafKind
	hashes []block.Hash
	jobs   []signer.Job  // one for each statement, in order
	inputs []state.Input // the same, verified and read
	done   chan struct{}
}

// chunkLeaves and chunkBytes bound a chunk: enough signatures for a good batch,
// little memory.
const (
	chunkLeaves = 1024
	chunkBytes  = 1 << 20
)

// enrolmentType is what both types of enrolments end in.
var enrolmentType = []byte("enrolment+cose")

// memberType is what the type of a member's admission ends in.
var memberType = []byte("member+cose")

// appointmentType is what the type of a party's appointment ends in.
var appointmentType = []byte("appointment+cose")

// motionType is what the type of a motion ends in.
var motionType = []byte("motion+cose")

// read collects a chunk, and the keys that are enrolled in it. A key found here is
// one that an enrolment in the log names; whether it was in force where it is
// used is for the rules to say, and they compare ids, which hash the key.
func (a *Auditor) read(next func() ([]byte, error)) (*chunk, error) {
	c := &chunk{done: make(chan struct{})}
	size := 0
	for len(c.leaves) < chunkLeaves && size < chunkBytes {
		leaf, err := next()
		if err != nil {
			return nil, err
		}
		if leaf == nil {
			break
		}
		size += len(leaf)
		kind := entry.KindOf(leaf)
		c.leaves, c.kinds = append(c.leaves, leaf), append(c.kinds, kind)
		switch {
		case kind == entry.LeafCharter:
			if ch, err := entry.ParseCharter(leaf); err == nil {
				a.knowSet(ch.Oracles)
			}
		case kind == entry.LeafStatement && (bytes.Contains(leaf, enrolmentType) || bytes.Contains(leaf, memberType) || bytes.Contains(leaf, appointmentType)):
			a.learn(leaf)
		case kind == entry.LeafStatement && bytes.Contains(leaf, motionType):
			if _, set := handover.MotionOf(leaf); set != nil {
				a.knowSet(set.Oracles)
			}
		}
	}
	return c, nil
}

func (a *Auditor) knowSet(oracles []entry.OracleKeys) {
	for _, o := range oracles {
		if k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key); err == nil {
			a.know(k)
		}
	}
}

func (a *Auditor) learn(statement []byte) {
	m, err := signer.Parse(statement)
	if err != nil {
		return
	}
	if c, err := ReadKeyChange(m); err == nil && !c.Begins.IsZero() {
		a.know(c.Begins)
		return
	}
	if k, err := readParty(m); err == nil {
		a.know(k)
	}
}

func (a *Auditor) know(k signer.PublicKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[k.ID()] = k
}

// verify does all that needs no other leaf: it hashes, parses, verifies every
// signature, and reads what was signed. Keys may be ones that are enrolled in a
// later chunk; then the rules refuse.
func (a *Auditor) verify(c *chunk, v *signer.Verifier) {
	c.hashes = make([]block.Hash, len(c.leaves))
	c.jobs = make([]signer.Job, 0, len(c.leaves))
	for i, l := range c.leaves {
		c.hashes[i] = block.LeafHash(l)
		if c.kinds[i] == entry.LeafStatement {
			m, err := signer.Parse(l)
			c.jobs = append(c.jobs, signer.Job{Message: m, Err: err})
		}
	}
	a.mu.RLock()
	for i := range c.jobs {
		j := &c.jobs[i]
		if j.Err != nil {
			continue
		}
		if j.Key = a.keys[j.Message.KeyID]; j.Key.IsZero() {
			j.Err = fmt.Errorf("key %v is neither an oracle's nor enrolled", j.Message.KeyID)
		}
	}
	a.mu.RUnlock()
	v.VerifyBatch(c.jobs)
	c.inputs = make([]state.Input, len(c.jobs))
	for i := range c.jobs {
		if c.jobs[i].Err == nil {
			c.inputs[i].Opened = c.jobs[i].Opened
			c.inputs[i].FindPack(a.packs)
			c.inputs[i].Read()
		}
	}
}
