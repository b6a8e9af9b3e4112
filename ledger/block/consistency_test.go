package block_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"pgregory.net/rapid"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// roots returns the roots of the first trees of a forest, by size.
func roots(t *testing.T, f *forest, most uint64) []block.Hash {
	t.Helper()
	out := make([]block.Hash, most+1)
	for n := range most + 1 {
		var err error
		if out[n], err = block.NewProver(f, n).Root(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestConsistencyProofs makes the proof of every two sizes up to 70 and has another
// library verify it, and refuses it for every other pair of roots.
func TestConsistencyProofs(t *testing.T) {
	const most = 70
	g := grown(most)
	root := roots(t, g, most)
	at := func(n uint64) block.Checkpoint {
		return block.Checkpoint{Origin: origin, Size: n, Root: root[n]}
	}
	for size := range uint64(most + 1) {
		for old := range size + 1 {
			p, err := block.ProveConsistency(g, old, size)
			if err != nil {
				t.Fatalf("%d in %d: %v", old, size, err)
			}
			var raw [][]byte
			for _, h := range p {
				raw = append(raw, h[:])
			}
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old, size, raw, root[old][:], root[size][:]); err != nil {
				t.Fatalf("%d in %d: transparency-dev: %v", old, size, err)
			}
			if err := block.VerifyConsistency(at(old), at(size), p); err != nil {
				t.Fatalf("%d in %d: %v", old, size, err)
			}
			if old == 0 {
				continue
			}
			other := at(old)
			other.Root[0] ^= 1
			if err := block.VerifyConsistency(other, at(size), p); !errors.Is(err, block.ErrProof) {
				t.Fatalf("another root of %d in %d: %v", old, size, err)
			}
		}
		if _, err := block.ProveConsistency(g, size+1, size); !errors.Is(err, block.ErrProof) {
			t.Errorf("%d in %d: %v", size+1, size, err)
		}
	}
}

// TestOnlyOneConsistencyProof: whatever is changed in a proof, it fails, and it never
// proves that a tree became smaller.
func TestOnlyOneConsistencyProof(t *testing.T) {
	g := grown(300)
	root := roots(t, g, 300)
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.Uint64Range(1, 300).Draw(r, "size")
		old := rapid.Uint64Range(1, size).Draw(r, "old")
		p, err := block.ProveConsistency(g, old, size)
		if err != nil {
			r.Fatal(err)
		}
		a, b := block.Checkpoint{Size: old, Root: root[old]}, block.Checkpoint{Size: size, Root: root[size]}
		switch rapid.IntRange(0, 4).Draw(r, "change") {
		case 0:
			p = append(p, block.Hash{1})
		case 1:
			if len(p) == 0 {
				r.Skip()
			}
			p = p[:len(p)-1]
		case 2:
			if len(p) == 0 {
				r.Skip()
			}
			p[rapid.IntRange(0, len(p)-1).Draw(r, "hash")][rapid.IntRange(0, 31).Draw(r, "byte")] ^= 1
		case 3:
			b.Root[31] ^= 0x80
		case 4:
			if old == size {
				r.Skip()
			}
			a, b = b, a
		}
		if err := block.VerifyConsistency(a, b, p); !errors.Is(err, block.ErrProof) {
			r.Errorf("a changed proof of %d in %d: %v", old, size, err)
		}
	})
}

// TestWitnessesFromOutside: such a policy asks oracles and witnesses for a checkpoint,
// and oracles alone for what witnesses do not sign.
func TestWitnessesFromOutside(t *testing.T) {
	var logs, oracles, witnesses []block.VerifierKey
	for i := range 4 {
		logs, oracles = append(logs, logVerifier(t, i)), append(oracles, cosignerVerifier(t, i))
	}
	for i := range 2 {
		witnesses = append(witnesses, block.VerifierKey{Name: fmt.Sprint("witness.example/w", i), Cosigner: true, Key: cosignerKey(t, 7+i).Public()})
	}
	p, err := block.NewWitnessedPolicy(logs, oracles, 3, witnesses, 1)
	if err != nil {
		t.Fatal(err)
	}
	signed := make(map[signer.KeyID]bool)
	for i := range 3 {
		signed[oracles[i].Key.ID()] = true
	}
	if err := p.OracleQuorum(signed); err != nil {
		t.Errorf("three oracles: %v", err)
	}
	if err := p.Quorum(signed); !errors.Is(err, block.ErrQuorum) {
		t.Errorf("no witness: %v", err)
	}
	signed[witnesses[1].Key.ID()] = true
	if err := p.Quorum(signed); err != nil {
		t.Errorf("with a witness: %v", err)
	}
	signed[oracles[0].Key.ID()] = false
	if err := p.OracleQuorum(signed); !errors.Is(err, block.ErrQuorum) {
		t.Errorf("two oracles and a witness: %v", err)
	}
	for i, w := range p.Witnesses() {
		if w.Oracle != (i < 4) || w.URL != "" {
			t.Errorf("witness %d: %+v", i, w)
		}
	}

	// Where witnesses are found stays in the file.
	text := lines(t, "witness far "+witnesses[0].String()+" https://witness.example/a/", "group oracles 3 w0 w1 w2 w3", "group all all oracles far", "quorum all")
	if p, err = block.ParsePolicy(text); err != nil {
		t.Fatal(err)
	}
	again, err := block.ParsePolicy([]byte(p.String()))
	if err != nil || again.String() != p.String() {
		t.Fatalf("%v:\n%s\nis read as\n%s", err, p, again)
	}
	list := again.Witnesses()
	want := block.PolicyWitness{Name: "far", Key: witnesses[0], URL: "https://witness.example/a/"}
	if got := list[len(list)-1]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
