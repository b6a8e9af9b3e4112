package block_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wattmark/ledger/block"
	"wattmark/signer"
)

var update = flag.Bool("update", false, "write the vector files that are missing; none is ever written twice")

// sameVectors compares what the code makes with the file, or writes the file
// where there is none and -update is given: a vector is never rewritten to make
// a test pass. It then reads the file into read.
func sameVectors(t *testing.T, file string, made, read any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(made); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", file)
	want, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && *update:
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		t.Logf("wrote %s: review it", path)
		want = b.Bytes()
	case err != nil:
		t.Fatal(err)
	case *update:
		t.Errorf("%s exists and is not rewritten: a changed format is a new version with vectors of its own", path)
	default:
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("the code does not give the vectors of %s (-file +code):\n%s", path, diff)
		}
	}
	if err := json.Unmarshal(want, read); err != nil {
		t.Fatal(err)
	}
}

// hexBytes are written in hexadecimal.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

func (b *hexBytes) UnmarshalText(s []byte) (err error) {
	*b, err = hex.AppendDecode(nil, s)
	return err
}

func diagnose(t *testing.T, b []byte) string {
	t.Helper()
	m, err := cbor.DiagOptions{ByteStringEmbeddedCBOR: true}.DiagMode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Diagnose(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// treeVector is a tree whose leaf i is the ASCII text "leaf i", and the proof
// of one of its leaves.
type treeVector struct {
	Size     uint64     `json:"size"`
	Root     hexBytes   `json:"root"`
	Index    uint64     `json:"index"`
	LeafHash hexBytes   `json:"leaf_hash"`
	Path     []hexBytes `json:"path"`
}

func TestTreeVectors(t *testing.T) {
	f := grown(1000)
	var made, read []treeVector
	for _, at := range [][2]uint64{{1, 0}, {2, 0}, {2, 1}, {3, 2}, {7, 3}, {8, 0}, {9, 8}, {37, 20}, {64, 63}, {65, 64}, {1000, 0}, {1000, 511}, {1000, 999}} {
		prover := block.NewProver(f, at[0])
		root, err := prover.Root()
		if err != nil {
			t.Fatal(err)
		}
		p, err := prover.Prove(at[1])
		if err != nil {
			t.Fatal(err)
		}
		leaf := block.LeafHash(leafData(at[1]))
		v := treeVector{Size: at[0], Root: root[:], Index: at[1], LeafHash: leaf[:], Path: []hexBytes{}}
		for i := range p.Path {
			v.Path = append(v.Path, p.Path[i][:])
		}
		made = append(made, v)
	}
	sameVectors(t, "trees.json", made, &read)
	for _, v := range read {
		p := block.Proof{Index: v.Index, Size: v.Size}
		for _, h := range v.Path {
			p.Path = append(p.Path, block.Hash(h))
		}
		if root, err := p.Root(block.Hash(v.LeafHash)); err != nil || root != block.Hash(v.Root) {
			t.Errorf("leaf %d of %d: %v, %v", v.Index, v.Size, root, err)
		}
	}
}

type headerVector struct {
	Height     uint64   `json:"height"`
	CBOR       hexBytes `json:"cbor"`
	Diagnostic string   `json:"diagnostic"`
	LeafHash   hexBytes `json:"leaf_hash"`
}

func TestHeaderVectors(t *testing.T) {
	list, ids := chain(3)
	var made, read []headerVector
	for i, h := range list {
		h.Root, h.Time = block.LeafHash(fmt.Appendf(nil, "root %d", i)), 1_750_000_000_000+int64(i)*1000
		if i > 0 {
			h.Prev = ids[i-1]
		}
		ids[i] = block.LeafHash(h.Encode())
		made = append(made, headerVector{h.Height, h.Encode(), diagnose(t, h.Encode()), ids[i][:]})
	}
	sameVectors(t, "headers.json", made, &read)
	var prev *block.Header
	var prevID block.Hash
	for i, v := range read {
		h, err := block.ParseHeader(v.CBOR)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(list[i], h, cmpopts.IgnoreUnexported(block.Header{})); diff != "" {
			t.Errorf("header %d (-want +got):\n%s", i, diff)
		}
		if err := h.Follows(prev, prevID); err != nil {
			t.Error(err)
		}
		prev, prevID = h, block.Hash(v.LeafHash)
	}
}

// oracleVector are one oracle's two keys of a policy.
type oracleVector struct {
	Name         string   `json:"name"`
	LogSeed      hexBytes `json:"log_seed"`
	Log          string   `json:"log"`
	CosignerSeed hexBytes `json:"cosigner_seed"`
	Cosigner     string   `json:"cosigner"`
	CosignerKid  string   `json:"cosigner_kid"`
}

// proofVector is everything a verifier may hold of one statement.
type proofVector struct {
	Name         string         `json:"name"`
	Oracles      []oracleVector `json:"oracles"`
	Policy       string         `json:"policy"`
	StatementKey hexBytes       `json:"statement_key"`
	Algorithm    string         `json:"algorithm"`
	Statement    hexBytes       `json:"statement"`
	Index        uint64         `json:"index"`
	Checkpoint   string         `json:"checkpoint"`
	Transparent  hexBytes       `json:"cose"`
	Diagnostic   string         `json:"diagnostic"`
	LogProof     string         `json:"tlog_proof"`
}

func TestProofVectors(t *testing.T) {
	var made, read []proofVector
	var oracles []oracleVector
	for i := range 4 {
		logSeed, cosignerSeed := sha256.Sum256(fmt.Appendf(nil, "log %d", i)), sha256.Sum256(fmt.Appendf(nil, "cosigner %d", i))
		oracles = append(oracles, oracleVector{oracleName(i), logSeed[:], logVerifier(t, i).String(), cosignerSeed[:],
			cosignerVerifier(t, i).String(), cosignerKey(t, i).Public().ID().String()})
	}
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		l := newLedger(t, alg)
		b := l.transparent(t, 0, 1, 2)
		made = append(made, proofVector{
			"three of four oracles, statement in " + alg.String(), oracles, policy(t).String(), l.key.Bytes(), alg.String(), l.statement, l.proof.Index,
			string(signed(t, l.Checkpoint, []int{0}, []int{0, 1, 2})), b, diagnose(t, b), string(l.logProof(t, []int{0}, []int{0, 1, 2}).Encode()),
		})
	}
	sameVectors(t, "proofs.json", made, &read)
	for _, v := range read {
		p, err := block.ParsePolicy([]byte(v.Policy))
		if err != nil {
			t.Fatal(err)
		}
		alg, err := signer.ParseAlgorithm(v.Algorithm)
		if err != nil {
			t.Fatal(err)
		}
		k, err := signer.NewPublicKey(alg, v.StatementKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(p, v.Transparent, k); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if statement, _, err := block.DetachReceipts(v.Transparent); err != nil || !bytes.Equal(statement, v.Statement) {
			t.Errorf("%s: the statement is %x, %v", v.Name, statement, err)
		}
		q, err := block.ParseLogProof([]byte(v.LogProof))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Verify(p); err != nil || q.Index != v.Index || string(q.Checkpoint) != v.Checkpoint {
			t.Errorf("%s: tlog-proof of index %d: %v", v.Name, q.Index, err)
		}
	}
}
