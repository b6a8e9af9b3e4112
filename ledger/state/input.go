package state

import (
	"crypto/sha256"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Input is one message of the order, as far as it got.
type Input struct {
	// Opened is the verified statement. It is zero where Refused is set.
	Opened signer.Opened
	// Pack is the preimage of a committed pack, nil for every other statement.
	// Leave it nil for a committed pack too when replaying without the vault.
	Pack []byte
	// Refused says why there is no verified statement; Hash then identifies it.
	Refused entry.Reason
	Hash    [32]byte

	// What Read found. A statement is read once, however often it is judged.
	read       bool
	claims     *entry.Claims
	pack       *entry.Pack
	packReason entry.Reason // why there is no pack, for a reading
	opaque     bool         // replayed without what is needed to judge it
}

// Read reads the statement's claims and, of a reading, its pack. It needs no
// state, so that many can be read at once on all cores; Judge and Execute read
// what was not. Opened and Pack must not change after it.
func (in *Input) Read() {
	if in.read || in.Opened.IsZero() {
		return
	}
	in.read = true
	m := in.Opened.Message()
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return
	}
	in.claims = &c
	if m.Type == entry.TypeReading && !in.tooLarge() {
		in.pack, in.packReason = readPack(in.Opened, in.Pack)
	}
}

func readPack(o signer.Opened, preimage []byte) (*entry.Pack, entry.Reason) {
	m := o.Message()
	raw := m.Payload
	switch {
	case m.Hidden() && m.PreimageType != entry.ContentSalted, !m.Hidden() && m.ContentType != entry.ContentSenML:
		return nil, entry.ReasonBadPayload
	case m.Hidden() && preimage == nil:
		return nil, entry.ReasonPackMissing
	case m.Hidden():
		c, err := entry.ParseCommitted(preimage, m.Payload)
		if err != nil {
			return nil, entry.ReasonPackMismatch
		}
		raw = c.Pack
	}
	p, err := entry.ParsePack(raw)
	if err != nil {
		return nil, entry.ReasonBadPayload
	}
	return p, ""
}

// tooLarge reports whether the statement is committed and its pack larger than
// anybody must keep. Only a pack that belongs to the statement is looked at, as
// all oracles have the same one.
func (in *Input) tooLarge() bool {
	m := in.Opened.Message()
	return m.Type == entry.TypeReading && m.Hidden() && m.PreimageType == entry.ContentSalted && len(in.Pack) > entry.MaxPreimage
}

// FindPack sets Pack to what packs has for the digest of a committed statement,
// and leaves it nil where packs is nil, has nothing, or has something else.
func (in *Input) FindPack(packs func(digest []byte) []byte) {
	if packs == nil || in.Opened.IsZero() || !in.Opened.Message().Hidden() {
		return
	}
	digest := in.Opened.Message().Payload
	p := packs(digest)
	if sum := sha256.Sum256(p); p != nil && string(sum[:]) == string(digest) {
		in.Pack = p
	}
}

// Sequence returns the sequence number that Read found, zero before.
func (in *Input) Sequence() entry.Sequence {
	if in.claims == nil {
		return entry.Sequence{}
	}
	return in.claims.Sequence
}
