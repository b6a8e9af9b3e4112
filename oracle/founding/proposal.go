package founding

import (
	"bytes"
	"errors"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer/words"
)

// MaxProposal bounds a proposal in bytes: 64 members with a request and a certificate
// each, and the charter of all.
const MaxProposal = 1 << 20

// ErrProposal is wrapped by every error of OpenProposal.
var ErrProposal = errors.New("not a charter whose members all asked for their place in it")

// Proposal is a charter with the requests that it was made of. It exists where each
// oracle of the charter is in it by the request that stands at the same place.
type Proposal struct {
	Charter  *entry.Charter
	Requests []*Request
	// Roots is the certificate of the authority that the broker's clients trust, in DER,
	// and Certificates are the oracles', in the charter's order; nil where there are none.
	Roots        []byte
	Certificates [][]byte

	encoded []byte // the charter
}

type wireProposal struct {
	_            struct{} `cbor:",toarray"`
	Kind         string
	Version      uint64
	Charter      []byte
	Requests     [][]byte
	Roots        []byte
	Certificates [][]byte
}

const (
	proposalKind    = "founding"
	proposalVersion = 1
)

// Digest is the hash of leaf 0: what an oracle accepts, and what the words are of.
func (p *Proposal) Digest() block.Hash { return block.LeafHash(p.encoded) }

// Words are the eight words of the digest, which members read to each other.
func (p *Proposal) Words() []string { return Words(p.Digest()) }

// Words are the eight words of the hash of leaf 0.
func Words(digest block.Hash) []string { return words.Of(digest[:]) }

// Encode writes the proposal's file.
func (p *Proposal) Encode() ([]byte, error) {
	charter, err := p.Charter.Encode()
	if err != nil {
		return nil, err
	}
	w := wireProposal{Kind: proposalKind, Version: proposalVersion, Charter: charter, Requests: [][]byte{}, Roots: p.Roots, Certificates: p.Certificates}
	for _, r := range p.Requests {
		w.Requests = append(w.Requests, r.statement)
	}
	if w.Roots == nil {
		w.Roots = []byte{}
	}
	if w.Certificates == nil {
		w.Certificates = [][]byte{}
	}
	return encMode.Marshal(w)
}

// OpenProposal reads what Encode wrote, and checks that the charter's oracles are those
// of the requests. Whether they are the right members is for people.
func OpenProposal(b []byte) (*Proposal, error) {
	p, err := openProposal(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProposal, err)
	}
	return p, nil
}

func openProposal(b []byte) (*Proposal, error) {
	if len(b) > MaxProposal {
		return nil, fmt.Errorf("%d bytes, over the limit of %d", len(b), MaxProposal)
	}
	var w wireProposal
	if err := decode(b, &w); err != nil {
		return nil, err
	}
	if w.Kind != proposalKind || w.Version != proposalVersion {
		return nil, fmt.Errorf("%q version %d, and this program reads %q version %d", w.Kind, w.Version, proposalKind, proposalVersion)
	}
	charter, err := entry.ParseCharter(w.Charter)
	if err != nil {
		return nil, err
	}
	p := &Proposal{Charter: charter, Roots: w.Roots, Certificates: w.Certificates, encoded: w.Charter}
	if len(w.Requests) != len(charter.Oracles) {
		return nil, fmt.Errorf("%d requests for %d oracles", len(w.Requests), len(charter.Oracles))
	}
	if n := len(w.Certificates); n != 0 && n != len(charter.Oracles) {
		return nil, fmt.Errorf("%d certificates for %d oracles", n, len(charter.Oracles))
	}
	for i, s := range w.Requests {
		r, err := OpenRequest(s)
		if err != nil {
			return nil, fmt.Errorf("oracle %q: %w", charter.Oracles[i].Name, err)
		}
		if r.Origin != charter.Origin {
			return nil, fmt.Errorf("oracle %q asked to be of the ledger %q, not of %q", r.Oracle.Name, r.Origin, charter.Origin)
		}
		if !sameKeys(&r.Oracle, &charter.Oracles[i]) {
			return nil, fmt.Errorf("oracle %q is in the charter with other keys than it asked with", charter.Oracles[i].Name)
		}
		p.Requests = append(p.Requests, r)
	}
	if again, err := p.Encode(); err != nil || !bytes.Equal(again, b) {
		return nil, errors.New("it is not in its own encoding")
	}
	return p, nil
}

func sameKeys(a, b *entry.OracleKeys) bool {
	return a.Name == b.Name && a.Algorithm == b.Algorithm && bytes.Equal(a.Key, b.Key) && a.Log == b.Log && a.Cosigner == b.Cosigner
}

// Propose makes the proposal of a charter that lists the oracles of the requests, in
// their order. The certificates come later, if at all: they are in no hash.
func Propose(charter *entry.Charter, requests []*Request) (*Proposal, error) {
	b, err := (&Proposal{Charter: charter, Requests: requests}).Encode()
	if err != nil {
		return nil, err
	}
	return OpenProposal(b)
}

// Place returns where in the charter the oracle of a request is, which must be the one
// that it asked with, byte for byte.
func (p *Proposal) Place(own *Request) (int, error) {
	for i, r := range p.Requests {
		if bytes.Equal(r.statement, own.statement) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("this oracle, %q, is not in the charter of %s with the keys that it asked with: give the request to whoever assembles the charter, and take no other", own.Oracle.Name, p.Charter.Origin)
}
