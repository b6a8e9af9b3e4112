// Package manifesttest is a ledger that is small enough for a test of releases: oracles
// whose keys are drawn from names, a tree of real leaves, and proofs of them.
package manifesttest

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"wattmark/firmware/manifest"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Origins of the ledger and of the releases in tests.
const (
	LedgerOrigin  = "ledger.example/street"
	ReleaseOrigin = "wattmark.example/firmware"
)

// Oracles is how many oracles the ledger has, and Quorum how many of them make a
// checkpoint final.
const (
	Oracles = 4
	Quorum  = 3
)

// Key is the same key for the same name, always.
func Key(tb testing.TB, name string) *signer.PrivateKey {
	tb.Helper()
	k, err := signer.FromSeed(signer.EdDSA, sha256.Sum256([]byte("wattmark firmware tests: "+name)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// Ledger is a tree of leaves.
type Ledger struct {
	tb     testing.TB
	leaves [][]byte
}

// New returns a ledger with a few leaves that are no releases.
func New(tb testing.TB) *Ledger {
	l := &Ledger{tb: tb}
	for i := range 5 {
		l.leaves = append(l.leaves, fmt.Appendf(nil, "leaf %d", i))
	}
	return l
}

// Trust is what a gateway of this ledger believes releases by.
func (l *Ledger) Trust() manifest.Trust {
	l.tb.Helper()
	var logs, witnesses []block.VerifierKey
	for i := range Oracles {
		logs = append(logs, block.VerifierKey{Name: LedgerOrigin, Key: Key(l.tb, fmt.Sprint("log ", i)).Public()})
		witnesses = append(witnesses, block.VerifierKey{Name: oracle(i), Cosigner: true, Key: Key(l.tb, fmt.Sprint("cosigner ", i)).Public()})
	}
	p, err := block.NewPolicy(logs, witnesses, Quorum)
	if err != nil {
		l.tb.Fatal(err)
	}
	return manifest.Trust{Keys: []block.VerifierKey{manifest.Key(ReleaseOrigin, Key(l.tb, "release").Public())}, Policy: p}
}

func oracle(i int) string { return fmt.Sprintf("%s/oracle-%d", LedgerOrigin, i) }

// Manifest signs a release with the key that Trust holds.
func (l *Ledger) Manifest(r *entry.Release) []byte {
	l.tb.Helper()
	b, err := manifest.Sign(Key(l.tb, "release"), r)
	if err != nil {
		l.tb.Fatal(err)
	}
	return b
}

// Statement is what an oracle puts a manifest onto the ledger by.
func (l *Ledger) Statement(note []byte) []byte {
	l.tb.Helper()
	e := entry.LoggedRelease{Manifest: note}
	payload, err := e.Encode()
	if err != nil {
		l.tb.Fatal(err)
	}
	c := entry.Claims{Issuer: "urn:wattmark:oracle:oracle-0", Audience: LedgerOrigin, IssuedAt: 1_790_000_000}
	claims, err := c.Encode()
	if err != nil {
		l.tb.Fatal(err)
	}
	b, err := signer.Sign(Key(l.tb, "statements"), signer.Header{Type: entry.TypeRelease, ContentType: entry.ContentCBOR, Claims: claims}, payload)
	if err != nil {
		l.tb.Fatal(err)
	}
	return b
}

// Log puts a manifest onto the ledger, and proves that it is there under a checkpoint
// that as many oracles have cosigned as are given; Quorum makes it final.
func (l *Ledger) Log(note []byte, cosigned int) *block.LogProof {
	l.tb.Helper()
	return l.LogLeaf(l.Statement(note), cosigned)
}

// LogLeaf is Log for a leaf of any sort.
func (l *Ledger) LogLeaf(leaf []byte, cosigned int) *block.LogProof {
	l.tb.Helper()
	l.leaves = append(l.leaves, leaf)
	index := uint64(len(l.leaves) - 1)
	l.leaves = append(l.leaves, fmt.Appendf(nil, "leaf %d", len(l.leaves)))
	tree, nodes := block.Tree{}, &nodes{}
	for _, leaf := range l.leaves {
		nodes.leaves = append(nodes.leaves, block.LeafHash(leaf))
		tree.Append(block.LeafHash(leaf), nil)
	}
	proof, err := block.NewProver(nodes, tree.Size()).Prove(index)
	if err != nil {
		l.tb.Fatal(err)
	}
	return &block.LogProof{Extra: leaf, Index: index, Path: proof.Path, Checkpoint: l.checkpoint(block.Checkpoint{Origin: LedgerOrigin, Size: tree.Size(), Root: tree.Root()}, cosigned)}
}

func (l *Ledger) checkpoint(c block.Checkpoint, cosigned int) []byte {
	l.tb.Helper()
	line, err := block.SignLog(Key(l.tb, "log 0"), c)
	if err != nil {
		l.tb.Fatal(err)
	}
	note := c.Text() + "\n" + line
	for i := range cosigned {
		line, err := block.Cosign(Key(l.tb, fmt.Sprint("cosigner ", i)), oracle(i), c, 1_790_000_000)
		if err != nil {
			l.tb.Fatal(err)
		}
		note += line
	}
	return []byte(note)
}

// nodes gives the nodes of a tree whose leaves are in memory.
type nodes struct{ leaves []block.Hash }

// Node implements block.Nodes.
func (n *nodes) Node(level int, index uint64) (block.Hash, error) {
	if level == 0 {
		return n.leaves[index], nil
	}
	left, err := n.Node(level-1, 2*index)
	if err != nil {
		return block.Hash{}, err
	}
	right, err := n.Node(level-1, 2*index+1)
	return block.NodeHash(left, right), err
}
