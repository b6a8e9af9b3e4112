package main_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/transparency-dev/formats/log"
	tnote "github.com/transparency-dev/formats/note"
	tproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/veraison/go-cose"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// This file is a verifier who has read the standards and our FORMAT.md files, and
// has none of our code: COSE from go-cose, CBOR from fxamacker, notes, tiles and
// proofs from golang.org/x/mod and transparency-dev.

// outsider is what it holds: policy and keys.
type outsider struct {
	policy *tlogPolicy
	keys   map[string]jsonKey // by kid
}

// tlogPolicy is a C2SP tlog-policy of one group of witnesses.
type tlogPolicy struct {
	origin  string
	logs    []note.Verifier
	witness []note.Verifier
	cosign  map[string]ed25519.PublicKey // the witnesses' keys, by the kid of receipts
	need    int
}

// parseTLogPolicy reads the lines of a tlog-policy as C2SP has them.
func parseTLogPolicy(text string) (*tlogPolicy, error) {
	p := &tlogPolicy{cosign: map[string]ed25519.PublicKey{}}
	named := map[string]bool{}
	quorum, group, members := "", "", 0
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		switch {
		case f[0] == "log" && len(f) >= 2:
			v, err := note.NewVerifier(f[1]) // takes type 0x01 alone
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			p.logs = append(p.logs, v)
			if p.origin == "" {
				p.origin = v.Name()
			}
			if v.Name() != p.origin {
				return nil, fmt.Errorf("log %q is not of the origin %q", v.Name(), p.origin)
			}
		case f[0] == "witness" && len(f) >= 3:
			v, err := tnote.NewVerifierForCosignatureV1(f[2])
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			raw, err := base64.StdEncoding.DecodeString(strings.SplitN(f[2], "+", 3)[2])
			if err != nil || len(raw) != 33 || raw[0] != 4 {
				return nil, fmt.Errorf("%q: not an Ed25519 cosignature key", line)
			}
			key := ed25519.PublicKey(raw[1:])
			id, err := kidOf(key)
			if err != nil {
				return nil, err
			}
			p.witness, p.cosign[id] = append(p.witness, v), key
			named[f[1]] = true
		case f[0] == "group" && len(f) >= 4:
			k, err := strconv.Atoi(f[2])
			if err != nil || group != "" {
				return nil, fmt.Errorf("%q: a threshold that is no number, or a second group", line)
			}
			group, p.need, members = f[1], k, len(f)-3
			for _, m := range f[3:] {
				if !named[m] {
					return nil, fmt.Errorf("%q names no witness before", m)
				}
			}
		case f[0] == "quorum" && len(f) == 2:
			quorum = f[1]
		default:
			return nil, fmt.Errorf("%q is no line of a tlog-policy", line)
		}
	}
	if quorum == "" || quorum != group || members != len(p.witness) {
		return nil, fmt.Errorf("the quorum %q is not the group of all %d witnesses", quorum, len(p.witness))
	}
	return p, nil
}

// checkpoint verifies a signed checkpoint: one log and as many witnesses as the
// quorum wants.
func (p *tlogPolicy) checkpoint(signed []byte) (*log.Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(append(append([]note.Verifier(nil), p.logs...), p.witness...)...))
	if err != nil {
		return nil, err
	}
	logs, witnesses := 0, map[string]bool{}
	for _, s := range n.Sigs {
		if s.Name == p.origin {
			logs++
		} else {
			witnesses[s.Name] = true
		}
	}
	if logs < 1 || len(witnesses) < p.need {
		return nil, fmt.Errorf("signed by %d logs and %d witnesses of %d wanted", logs, len(witnesses), p.need)
	}
	var c log.Checkpoint
	rest, err := c.Unmarshal([]byte(n.Text))
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 || c.Origin != p.origin {
		return nil, fmt.Errorf("checkpoint of %q with extension lines %q", c.Origin, rest)
	}
	return &c, nil
}

// kidOf returns the kid of a public key in lower-case hexadecimal digits: the first
// 16 bytes of the SHA-256 of its SubjectPublicKeyInfo.
func kidOf(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:16]), nil
}

// jsonKey is a key of a JWK set.
type jsonKey struct {
	Kty, Crv, X, Y, Kid, Alg, Use string
	Name                          string `json:"wattmark_name"`
	Role                          string `json:"wattmark_role"`
	public                        crypto.PublicKey
}

// parseJWKS reads a JWK set as RFC 7517, RFC 7518 section 6.2 and RFC 8037 have it,
// and checks that each kid is the key's.
func parseJWKS(b []byte) (map[string]jsonKey, error) {
	var set struct{ Keys []jsonKey }
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, err
	}
	keys := map[string]jsonKey{}
	for _, k := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || len(x) != 32 || k.Use != "sig" {
			return nil, fmt.Errorf("key %q: x %q, use %q", k.Kid, k.X, k.Use)
		}
		switch k.Kty + " " + k.Crv + " " + k.Alg {
		case "OKP Ed25519 EdDSA":
			k.public = ed25519.PublicKey(x)
		case "EC P-256 ES256":
			y, err := base64.RawURLEncoding.DecodeString(k.Y)
			if err != nil || len(y) != 32 {
				return nil, fmt.Errorf("key %q: y %q", k.Kid, k.Y)
			}
			if k.public, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err != nil {
				return nil, fmt.Errorf("key %q: %w", k.Kid, err)
			}
		default:
			return nil, fmt.Errorf("key %q: kty %q, crv %q, alg %q", k.Kid, k.Kty, k.Crv, k.Alg)
		}
		id, err := kidOf(k.public)
		if err != nil {
			return nil, err
		}
		if id != k.Kid {
			return nil, fmt.Errorf("kid %q of a key whose SubjectPublicKeyInfo makes %q", k.Kid, id)
		}
		if _, twice := keys[id]; twice {
			return nil, fmt.Errorf("key %q stands twice", id)
		}
		keys[id] = k
	}
	return keys, nil
}

// statement is a signed statement whose signature has been verified.
type statement struct {
	kid       string
	alg       cose.Algorithm
	content   any // label 3, nil for a committed pack
	iss, sub  string
	boot, seq uint64
	quality   any
	previous  []byte // identity of the statement before, nil for the first
	identity  []byte // SHA-256 of the Sig_structure
	payload   []byte
	leaf      []byte // the statement with an empty unprotected header
	receipts  [][]byte
}

// openStatement verifies a statement with go-cose under the key of the set that its
// kid names. Its unprotected header may hold label 394 and nothing else.
func (o *outsider) openStatement(b []byte) (*statement, error) {
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(b); err != nil {
		return nil, err
	}
	s := &statement{payload: m.Payload}
	kid, ok := m.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
	if !ok {
		return nil, fmt.Errorf("kid is %v", m.Headers.Protected[cose.HeaderLabelKeyID])
	}
	s.kid = hex.EncodeToString(kid)
	key, ok := o.keys[s.kid]
	if !ok {
		return nil, fmt.Errorf("kid %s is not in keys.jwks", s.kid)
	}
	if _, ok := o.policy.cosign[s.kid]; ok || key.Role == "cosigner" || key.Role == "log" {
		return nil, fmt.Errorf("key %s signs receipts or checkpoints, and this statement", s.kid)
	}
	var err error
	if s.alg, err = m.Headers.Protected.Algorithm(); err != nil {
		return nil, err
	}
	verifier, err := cose.NewVerifier(s.alg, key.public)
	if err != nil {
		return nil, err
	}
	if err := m.Verify(nil, verifier); err != nil {
		return nil, err
	}
	for label, value := range m.Headers.Unprotected {
		list, ok := value.([]any)
		if label != int64(394) || !ok || len(list) == 0 {
			return nil, fmt.Errorf("the unprotected header holds label %v: %v", label, value)
		}
		for _, r := range list {
			receipt, ok := r.([]byte)
			if !ok {
				return nil, fmt.Errorf("a receipt is %v", r)
			}
			s.receipts = append(s.receipts, receipt)
		}
	}
	var protected []byte
	if err := cbor.Unmarshal(m.Headers.RawProtected, &protected); err != nil {
		return nil, err
	}
	if s.leaf, err = cbor.Marshal(cbor.Tag{Number: 18, Content: []any{protected, map[int]int{}, m.Payload, m.Signature}}); err != nil {
		return nil, err
	}
	signed, err := cbor.Marshal([]any{"Signature1", protected, []byte{}, m.Payload})
	if err != nil {
		return nil, err
	}
	identity := sha256.Sum256(signed)
	s.identity, s.content = identity[:], m.Headers.Protected[int64(3)]
	return s, s.readClaims(m.Headers.Protected[int64(15)])
}

// readClaims takes the claims of label 15; the private labels are those of
// ledger/entry/FORMAT.md section 3.
func (s *statement) readClaims(v any) error {
	claims, ok := v.(map[any]any)
	if !ok {
		return fmt.Errorf("label 15 is %v", v)
	}
	s.iss, _ = claims[int64(1)].(string)
	s.sub, _ = claims[int64(2)].(string)
	boot, _ := claims[int64(267)].(int64)
	seq, _ := claims[int64(-65537)].(int64)
	s.boot, s.seq = uint64(boot), uint64(seq)
	s.previous, _ = claims[int64(-65538)].([]byte)
	if q, ok := claims[int64(-65539)].(map[any]any); ok {
		s.quality = q["quality"]
	}
	return nil
}

// receipt verifies a COSE receipt (RFC 9942 with RFC9162_SHA256) for a leaf, and
// returns whose it is and the tree it is for.
func (o *outsider) receipt(b, leaf []byte) (kid string, index, size uint64, root []byte, err error) {
	fail := func(format string, args ...any) (string, uint64, uint64, []byte, error) {
		return "", 0, 0, nil, fmt.Errorf("receipt: "+format, args...)
	}
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(b); err != nil {
		return fail("%w", err)
	}
	id, _ := m.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
	key, ok := o.policy.cosign[hex.EncodeToString(id)]
	if !ok {
		return fail("key %x is no cosignature key of the policy", id)
	}
	if m.Payload != nil || m.Headers.Protected[int64(395)] != int64(1) {
		return fail("payload %x and vds %v, want a detached root and 1", m.Payload, m.Headers.Protected[int64(395)])
	}
	proofs, _ := m.Headers.Unprotected[int64(396)].(map[any]any)
	list, _ := proofs[int64(-1)].([]any)
	if len(m.Headers.Unprotected) != 1 || len(proofs) != 1 || len(list) != 1 {
		return fail("unprotected header %v, want one inclusion proof under 396", m.Headers.Unprotected)
	}
	raw, _ := list[0].([]byte)
	var p struct {
		_           struct{} `cbor:",toarray"`
		Size, Index uint64
		Path        [][]byte
	}
	if err := cbor.Unmarshal(raw, &p); err != nil {
		return fail("%w", err)
	}
	if m.Headers.Protected[int64(-65537)] != int64(p.Size) {
		return fail("signed size %v, size %d in the proof", m.Headers.Protected[int64(-65537)], p.Size)
	}
	if root, err = proof.RootFromInclusionProof(rfc6962.DefaultHasher, p.Index, p.Size, rfc6962.DefaultHasher.HashLeaf(leaf), p.Path); err != nil {
		return fail("%w", err)
	}
	verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, key)
	if err != nil {
		return fail("%w", err)
	}
	m.Payload = root
	if err := m.Verify(nil, verifier); err != nil {
		return fail("%w", err)
	}
	return hex.EncodeToString(id), p.Index, p.Size, root, nil
}

// transparent verifies a transparent statement: as many receipts for one tree as the
// policy's quorum.
func (o *outsider) transparent(b []byte) (s *statement, index uint64, err error) {
	if s, err = o.openStatement(b); err != nil {
		return nil, 0, err
	}
	type tree struct {
		index, size uint64
		root        string
	}
	trees, signers := map[tree]bool{}, map[string]bool{}
	for _, r := range s.receipts {
		kid, at, size, root, err := o.receipt(r, s.leaf)
		if err != nil {
			return nil, 0, err
		}
		trees[tree{at, size, string(root)}], signers[kid], index = true, true, at
	}
	if len(signers) < o.policy.need || len(trees) != 1 {
		return nil, 0, fmt.Errorf("receipts of %d oracles for %d trees, want %d for one", len(signers), len(trees), o.policy.need)
	}
	return s, index, nil
}

// logProof verifies a C2SP tlog-proof whose extra line holds the leaf.
func (o *outsider) logProof(b []byte) (leaf []byte, index uint64, err error) {
	var p tproof.TLogProof
	if err := p.Unmarshal(b); err != nil {
		return nil, 0, err
	}
	c, err := o.policy.checkpoint(p.Checkpoint)
	if err != nil {
		return nil, 0, err
	}
	path := make(tlog.RecordProof, len(p.Hashes))
	for i, h := range p.Hashes {
		path[i] = tlog.Hash(h)
	}
	if err := tlog.CheckRecord(path, int64(c.Size), tlog.Hash(c.Hash), int64(p.Index), tlog.RecordHash(p.ExtraData)); err != nil {
		return nil, 0, err
	}
	if again := p.Marshal(); !bytes.Equal(again, b) {
		return nil, 0, fmt.Errorf("transparency-dev/formats writes the proof as %q", again)
	}
	return p.ExtraData, p.Index, nil
}

// tileDir reads a directory of C2SP tlog-tiles.
type tileDir string

func (d tileDir) Height() int                     { return 8 }
func (d tileDir) SaveTiles([]tlog.Tile, [][]byte) {}
func (d tileDir) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		// The tiles of the go.sum log have their height in the path, these have not.
		b, err := os.ReadFile(filepath.Join(string(d), "tile", strings.TrimPrefix(t.Path(), "tile/8/")))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// entries returns the leaves in the entry bundles of a log of the given size.
func (d tileDir) entries(size int64) ([][]byte, error) {
	var out [][]byte
	for n := int64(0); n*256 < size; n++ {
		t := tlog.Tile{H: 8, L: 0, N: n, W: int(min(256, size-n*256))}
		name := filepath.Join(string(d), "tile", "entries", strings.TrimPrefix(t.Path(), "tile/8/0/"))
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for len(b) >= 2 {
			k := int(binary.BigEndian.Uint16(b))
			if len(b) < 2+k {
				return nil, fmt.Errorf("%s ends within an entry", name)
			}
			out, b = append(out, b[2:2+k]), b[2+k:]
		}
		if len(b) > 0 || int64(len(out)) != n*256+int64(t.W) {
			return nil, fmt.Errorf("%s holds %d entries up to its end, want %d", name, int64(len(out))-n*256, t.W)
		}
	}
	return out, nil
}

// tiles verifies a directory of tiles: the checkpoint by the policy, the hashes of
// all tiles against its root, and the leaves of the bundles against the hashes.
func (o *outsider) tiles(dir string) (*log.Checkpoint, [][]byte, error) {
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return nil, nil, err
	}
	c, err := o.policy.checkpoint(signed)
	if err != nil {
		return nil, nil, err
	}
	d, size := tileDir(dir), int64(c.Size)
	leaves, err := d.entries(size)
	if err != nil {
		return nil, nil, err
	}
	root, stored, err := rootOf(leaves)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(root[:], c.Hash) {
		return nil, nil, fmt.Errorf("the bundles' entries make the root %v, the checkpoint has %x", root, c.Hash)
	}
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: tlog.Hash(c.Hash)}, d)
	for i := range size {
		at := tlog.StoredHashIndex(0, i)
		h, err := reader.ReadHashes([]int64{at}) // proves the tiles it reads against the root
		if err != nil {
			return nil, nil, err
		}
		if h[0] != stored[at] {
			return nil, nil, fmt.Errorf("the tiles have %v for leaf %d, the bundles %v", h[0], i, stored[at])
		}
	}
	return c, leaves, nil
}

// rootOf computes a log's root, and its hashes in the order in which x/mod stores
// them.
func rootOf(leaves [][]byte) (root tlog.Hash, stored []tlog.Hash, err error) {
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, k := range at {
			out[i] = stored[k]
		}
		return out, nil
	})
	for i, l := range leaves {
		h, err := tlog.StoredHashes(int64(i), l, reader)
		if err != nil {
			return root, nil, err
		}
		stored = append(stored, h...)
	}
	root, err = tlog.TreeHash(int64(len(leaves)), reader)
	return root, stored, err
}

// senML decodes an open pack with a general CBOR decoder and checks it against RFC
// 8428: every record a name and a value that is no float. It returns their names.
func senML(payload []byte) (base string, names []string, err error) {
	var records []map[int]any
	if err := cbor.Unmarshal(payload, &records); err != nil {
		return "", nil, err
	}
	if len(records) == 0 {
		return "", nil, fmt.Errorf("no records")
	}
	base, _ = records[0][-2].(string)
	if _, ok := records[0][-3]; !ok || base == "" {
		return "", nil, fmt.Errorf("the first record %v has no base name or base time", records[0])
	}
	for _, r := range records {
		name, _ := r[0].(string)
		names = append(names, base+name)
		_, text := r[3].(string)
		if !text && !exact(r[2]) {
			return "", nil, fmt.Errorf("%s%s has the value %T %v", base, name, r[2], r[2])
		}
	}
	return base, names, nil
}

// exact reports whether a SenML value is an integer or a decimal fraction.
func exact(v any) bool {
	switch v := v.(type) {
	case uint64, int64:
		return true
	case cbor.Tag:
		pair, ok := v.Content.([]any)
		return v.Number == 4 && ok && len(pair) == 2
	}
	return false
}
