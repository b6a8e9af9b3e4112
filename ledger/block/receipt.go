package block

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"wattmark/signer"
)

// Labels of COSE Receipts (RFC 9942) and our own.
const (
	labelReceipts = 394 // in a statement's unprotected header: its receipts
	labelVDS      = 395 // verifiable data structure, protected
	labelVDP      = 396 // its proofs, unprotected
	labelSize     = -65537
	vdsRFC9162    = 1 // RFC9162_SHA256
	proofIncluded = -1
)

// Receipt is one oracle's promise that a statement is in the log: a COSE_Sign1
// over the root, detached, with the inclusion proof in its unprotected header.
// Its protected header also carries the tree's size, as a root alone verifies
// under many sizes.
type Receipt struct {
	KeyID     signer.KeyID // the oracle's cosigner key
	Proof     Proof
	Signature []byte
}

type receiptProtected struct {
	Algorithm int64  `cbor:"1,keyasint"`
	KeyID     []byte `cbor:"4,keyasint"`
	VDS       int64  `cbor:"395,keyasint"`
	Size      uint64 `cbor:"-65537,keyasint"`
}

type receiptUnprotected struct {
	VDP map[int64][][]byte `cbor:"396,keyasint"`
}

type wireProof struct {
	_     struct{} `cbor:",toarray"`
	Size  uint64
	Index uint64
	Path  []Hash
}

type sign1[U any] struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected U
	Payload     []byte
	Signature   []byte
}

func receiptHeader(id signer.KeyID, size uint64) []byte {
	return must(encMode.Marshal(receiptProtected{int64(signer.EdDSA), id[:], vdsRFC9162, size}))
}

// ReceiptMessage returns the bytes that an oracle signs, once a checkpoint, for
// the receipts of every leaf under it.
func ReceiptMessage(id signer.KeyID, c Checkpoint) []byte {
	return signer.SigStructure(nil, receiptHeader(id, c.Size), c.Root[:])
}

// SignReceipts returns the signature that all of s's receipts under c share.
func SignReceipts(s signer.Signer, c Checkpoint) ([]byte, error) {
	sig, err := s.Sign(ReceiptMessage(s.Public().ID(), c))
	if err != nil {
		return nil, fmt.Errorf("signing receipts of checkpoint %d: %w", c.Size, err)
	}
	return sig, nil
}

// Encode writes the receipt as a tagged COSE_Sign1 (RFC 9942 section 4.3).
func (r *Receipt) Encode() []byte {
	path := r.Proof.Path
	if path == nil {
		path = []Hash{} // null is no array
	}
	proof := must(encMode.Marshal(wireProof{Size: r.Proof.Size, Index: r.Proof.Index, Path: path}))
	return must(encMode.Marshal(cbor.Tag{Number: 18, Content: sign1[receiptUnprotected]{
		Protected:   receiptHeader(r.KeyID, r.Proof.Size),
		Unprotected: receiptUnprotected{map[int64][][]byte{proofIncluded: {proof}}},
		Signature:   r.Signature,
	}}))
}

// maxPath is more hashes than any tree that fits an index of 63 bits needs.
const maxPath = 64

// ParseReceipt reads what Encode wrote.
func ParseReceipt(b []byte) (*Receipt, error) {
	var s sign1[receiptUnprotected]
	if err := decodeSign1("receipt", b, &s); err != nil {
		return nil, err
	}
	if s.Payload != nil {
		return nil, fmt.Errorf("receipt: %w: the root is not detached", ErrForm)
	}
	var p receiptProtected
	if err := decode("receipt's protected header", s.Protected, &p); err != nil {
		return nil, err
	}
	r := &Receipt{Signature: s.Signature}
	if p.Algorithm != int64(signer.EdDSA) || p.VDS != vdsRFC9162 || len(p.KeyID) != len(r.KeyID) || len(s.Signature) != 64 {
		return nil, fmt.Errorf("receipt: %w: not an Ed25519 receipt of an RFC9162_SHA256 log", ErrForm)
	}
	copy(r.KeyID[:], p.KeyID)
	proofs := s.Unprotected.VDP[proofIncluded]
	if len(proofs) != 1 || len(s.Unprotected.VDP) != 1 {
		return nil, fmt.Errorf("receipt: %w: it holds %d inclusion proofs instead of 1", ErrForm, len(proofs))
	}
	var w wireProof
	if err := decode("inclusion proof", proofs[0], &w); err != nil {
		return nil, err
	}
	if w.Size != p.Size {
		return nil, fmt.Errorf("receipt: %w: the proof is for size %d, the signature for %d", ErrProof, w.Size, p.Size)
	}
	if w.Path == nil || len(w.Path) > maxPath {
		return nil, fmt.Errorf("receipt: %w: a path of %d hashes", ErrForm, len(w.Path))
	}
	r.Proof = Proof{Index: w.Index, Size: w.Size, Path: w.Path}
	return r, nil
}

// decodeSign1 reads a tagged COSE_Sign1 into s, strictly.
func decodeSign1[U any](what string, b []byte, s *sign1[U]) error {
	if len(b) == 0 || b[0] != 0xd2 {
		return fmt.Errorf("%s: %w: no COSE_Sign1 tag", what, ErrForm)
	}
	return decode(what, b[1:], s)
}

// Verify checks the receipt for a leaf under key, which must be the one that
// the receipt names, and returns the root it vouches for.
func (r *Receipt) Verify(key signer.PublicKey, leaf Hash) (Hash, error) {
	if key.ID() != r.KeyID {
		return Hash{}, fmt.Errorf("%w: the receipt names key %v, not %v", signer.ErrSignature, r.KeyID, key.ID())
	}
	root, err := r.Proof.Root(leaf)
	if err != nil {
		return Hash{}, err
	}
	if !signer.VerifyRaw(key, ReceiptMessage(r.KeyID, Checkpoint{Size: r.Proof.Size, Root: root}), r.Signature) {
		return Hash{}, fmt.Errorf("%w: receipt of key %v for size %d", signer.ErrSignature, r.KeyID, r.Proof.Size)
	}
	return root, nil
}

type statementUnprotected struct {
	Receipts [][]byte `cbor:"394,keyasint"`
}

// AttachReceipts makes a transparent statement: the statement with receipts as
// the only thing in its unprotected header.
func AttachReceipts(statement []byte, receipts []Receipt) ([]byte, error) {
	var s sign1[struct{}]
	if err := decodeSign1("statement", statement, &s); err != nil {
		return nil, err
	}
	if len(receipts) == 0 || len(receipts) > maxReceipts {
		return nil, fmt.Errorf("a transparent statement has 1 to %d receipts, not %d", maxReceipts, len(receipts))
	}
	list := make([][]byte, len(receipts))
	for i := range receipts {
		list[i] = receipts[i].Encode()
	}
	return encMode.Marshal(cbor.Tag{Number: 18, Content: sign1[statementUnprotected]{
		Protected: s.Protected, Unprotected: statementUnprotected{list}, Payload: s.Payload, Signature: s.Signature,
	}})
}

// maxReceipts bounds the receipts of one statement, maxTransparent its bytes
// with them: a receipt with the longest path has under 2,400.
const (
	maxReceipts    = 64
	maxTransparent = signer.MaxMessage + maxReceipts*2400
)

// DetachReceipts splits a transparent statement into the statement as it was
// logged and its receipts. A statement without receipts is an error.
func DetachReceipts(transparent []byte) (statement []byte, receipts []Receipt, err error) {
	if len(transparent) > maxTransparent {
		return nil, nil, fmt.Errorf("transparent statement: %w: %d bytes, over the limit of %d", ErrForm, len(transparent), maxTransparent)
	}
	var s sign1[statementUnprotected]
	if err := decodeSign1("transparent statement", transparent, &s); err != nil {
		return nil, nil, err
	}
	list := s.Unprotected.Receipts
	if len(list) == 0 || len(list) > maxReceipts {
		return nil, nil, fmt.Errorf("transparent statement: %w: it carries %d receipts", ErrForm, len(list))
	}
	for i, b := range list {
		r, err := ParseReceipt(b)
		if err != nil {
			return nil, nil, fmt.Errorf("receipt %d: %w", i, err)
		}
		receipts = append(receipts, *r)
	}
	statement, err = encMode.Marshal(cbor.Tag{Number: 18, Content: sign1[struct{}]{
		Protected: s.Protected, Payload: s.Payload, Signature: s.Signature,
	}})
	return statement, receipts, err
}
