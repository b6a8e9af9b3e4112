package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// Receipts answers many statements of one gateway at once. What the oracles
// signed stands here once; each item adds only its place in the tree.
//
// On the wire it is deterministic CBOR (RFC 8949 section 4.2.1),
//
//	[2, checkpoint, [[key id, signature], …], [[boot, count, index, shared, [hash, …]], …]]
//
// where an item's path is its hashes followed by the last shared ones of the path of the
// item before, as many as are the same: leaves of one block have the upper part in
// common. In version 1, which is read and not written, each item has its whole path
// and no shared.
type Receipts struct {
	// Checkpoint is the cosigned note.
	Checkpoint []byte
	// Signatures are the oracles' receipt signatures over that checkpoint.
	Signatures []ReceiptSignature
	Items      []ReceiptItem
}

// ReceiptSignature is what one oracle's receipts under a checkpoint share.
type ReceiptSignature struct {
	_         struct{} `cbor:",toarray"`
	KeyID     signer.KeyID
	Signature []byte
}

// ReceiptItem is one statement's place.
type ReceiptItem struct {
	Boot  uint64
	Count uint64
	Index uint64
	Path  []block.Hash
}

// The versions of a message, its first item.
const (
	receiptsWhole   = 1 // each path is whole
	receiptsVersion = 2
)

// maxPath is the depth of the highest tree, of 2⁶⁴ leaves.
const maxPath = 64

// MaxItems bounds the items of one message.
const MaxItems = 512

// maxMessage bounds a message of receipts in bytes.
const maxMessage = 1 << 20

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		MaxNestedLevels: 8, MaxArrayElements: MaxItems, MaxMapPairs: 16,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return v
}

// ErrMessage is wrapped by the decoding errors of what comes back to a gateway.
var ErrMessage = errors.New("not a message of an oracle")

// Encode writes the receipts. Oracles write many hashes for each statement, so
// this is by hand; FuzzReceipts holds it against the general encoder.
func (r *Receipts) Encode() []byte {
	n := 64 + len(r.Checkpoint) + 100*len(r.Signatures)
	for i := range r.Items {
		n += 40 + 34*len(r.Items[i].Path) // at most
	}
	b := append(make([]byte, 0, n), 0x84, receiptsVersion)
	b = appendBytes(b, r.Checkpoint)
	b = appendHead(b, 4, uint64(len(r.Signatures)))
	for i := range r.Signatures {
		b = append(b, 0x82)
		b = appendBytes(b, r.Signatures[i].KeyID[:])
		b = appendBytes(b, r.Signatures[i].Signature)
	}
	b = appendHead(b, 4, uint64(len(r.Items)))
	var before []block.Hash
	for i := range r.Items {
		it := &r.Items[i]
		shared := sharedEnd(before, it.Path)
		b = append(b, 0x85)
		b = appendHead(b, 0, it.Boot)
		b = appendHead(b, 0, it.Count)
		b = appendHead(b, 0, it.Index)
		b = appendHead(b, 0, uint64(shared))
		own := it.Path[:len(it.Path)-shared]
		b = appendHead(b, 4, uint64(len(own)))
		for k := range own {
			b = appendBytes(b, own[k][:])
		}
		before = it.Path
	}
	return b
}

// sharedEnd returns how many hashes at the ends of two paths are the same.
func sharedEnd(a, b []block.Hash) (n int) {
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

func appendBytes(b, s []byte) []byte { return append(appendHead(b, 2, uint64(len(s))), s...) }

// appendHead writes the head of a CBOR item of a major type.
func appendHead(b []byte, major byte, arg uint64) []byte {
	major <<= 5
	switch {
	case arg < 24:
		return append(b, major|byte(arg))
	case arg < 1<<8:
		return append(b, major|24, byte(arg))
	case arg < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(arg))
	case arg < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), arg)
}

// ParseReceipts reads what Encode wrote, or wrote in version 1, and keeps nothing of b.
// Nothing else is read.
func ParseReceipts(b []byte) (*Receipts, error) {
	if len(b) > maxMessage {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrMessage, len(b), maxMessage)
	}
	in := reader{rest: b}
	r := in.receipts()
	if in.err != nil {
		return nil, fmt.Errorf("%w: receipts: %w", ErrMessage, in.err)
	}
	return r, nil
}

// Accepted is a checkpoint whose signatures and receipt signatures satisfied a
// policy. Items are checked against it one by one.
//
// It is safe for concurrent use.
type Accepted struct {
	block.Signed
	leaves     *block.Inclusion
	note       []byte
	signatures []ReceiptSignature
}

// Accept verifies the signatures under the receipts, once for all items: the
// checkpoint's, and a quorum of receipt signatures, each of a witness of policy.
func (r *Receipts) Accept(policy *block.Policy) (*Accepted, error) {
	s, err := policy.Verify(r.Checkpoint)
	if err != nil {
		return nil, err
	}
	signed := make(map[signer.KeyID]bool, len(r.Signatures))
	for _, sig := range r.Signatures {
		k, ok := policy.Witness(sig.KeyID)
		if !ok {
			return nil, fmt.Errorf("%w: a receipt signature of key %v, which is not in the policy", block.ErrQuorum, sig.KeyID)
		}
		if !signer.VerifyRaw(k.Key, block.ReceiptMessage(sig.KeyID, s.Checkpoint), sig.Signature) {
			return nil, fmt.Errorf("%w: receipts of %q", signer.ErrSignature, k.Name)
		}
		signed[sig.KeyID] = true
	}
	if err := policy.OracleQuorum(signed); err != nil {
		return nil, fmt.Errorf("receipts: %w", err)
	}
	return &Accepted{*s, block.NewInclusion(s.Root, s.Size), r.Checkpoint, r.Signatures}, nil
}

// Check verifies that the exact bytes of statement are where the item says. The
// item's path must not change afterwards.
func (a *Accepted) Check(it *ReceiptItem, statement []byte) error {
	return a.leaves.Check(block.LeafHash(statement), it.Index, it.Path)
}

// Transparent returns the statement with its receipts, as a *.cose file holds
// it. The item must have been checked.
func (a *Accepted) Transparent(it *ReceiptItem, statement []byte) ([]byte, error) {
	list := make([]block.Receipt, len(a.signatures))
	for i, s := range a.signatures {
		list[i] = block.Receipt{
			KeyID: s.KeyID, Signature: s.Signature,
			Proof: block.Proof{Index: it.Index, Size: a.Size, Path: it.Path},
		}
	}
	return block.AttachReceipts(statement, list)
}

// LogProof returns the statement's tlog-proof. The item must have been checked.
func (a *Accepted) LogProof(it *ReceiptItem, statement []byte) *block.LogProof {
	return &block.LogProof{Extra: statement, Index: it.Index, Path: it.Path, Checkpoint: a.note}
}
