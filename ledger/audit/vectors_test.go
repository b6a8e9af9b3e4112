package audit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
)

// vectors are the files of testdata/street, as FORMAT.md lists them, with the
// answers to give. They were written once, and are never written again to make a
// test pass.
var vectors = []struct {
	file    string
	answers string
}{
	{"open.cose", stated + " disclosure:holds"},
	{"es256.cose", stated + " disclosure:holds"},
	{"committed.cose", stated},
	{"open.tlog-proof", stated + " disclosure:holds"},
	{"header.tlog-proof", proved + " chain:holds"},
	{"charter.tlog-proof", proved + " chain:holds"},
	{"refusal.tlog-proof", proved + " rerun:unchecked"},
	{"open.evidence", stated + " chain:holds disclosure:holds"},
	{"committed.evidence", stated + " chain:holds"},
	{"disclosed.evidence", stated + " chain:holds disclosure:holds"},
	{"flag.evidence", stated + " chain:holds disclosure:holds rerun:unchecked"},
}

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "street", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	policy, err := block.ParsePolicy(read(t, "policy"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := audit.ParseKeys(read(t, "keys.jwks"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		trust := audit.Trust{Policy: policy, Keys: keys}
		if strings.HasSuffix(v.file, ".evidence") {
			trust.Keys = nil // it brings the key's history along
		}
		r := audit.Verify(v.file, read(t, v.file), trust)
		if got := answers(r); got != v.answers {
			t.Errorf("%s:\n got %s\nwant %s", v.file, got, v.answers)
		}
	}
}

// TestTonneVector goes the trail of a tonne that a demonstration retired, from a file that
// was written once: rules that come later still compute it to the mg. The words of tree.txt
// may change.
func TestTonneVector(t *testing.T) {
	dir := filepath.Join("testdata", "tonne")
	text, err := os.ReadFile(filepath.Join(dir, "policy"))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := block.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "tonne.evidence"))
	if err != nil {
		t.Fatal(err)
	}
	r := audit.Verify("tonne.evidence", b, audit.Trust{Policy: policy})
	if got, want := answers(r), stated+" chain:holds disclosure:holds rerun:holds"; got != want {
		t.Errorf("got %s\nwant %s\n%v", got, want, r.Verdicts)
	}
	var tree strings.Builder
	var write func(n *audit.Node, depth int)
	write = func(n *audit.Node, depth int) {
		tree.WriteString(strings.Repeat("  ", depth) + n.What + "\n")
		for _, k := range n.Rests {
			write(k, depth+1)
		}
	}
	write(r.Tree, 0)
	want, err := os.ReadFile(filepath.Join(dir, "tree.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), tree.String()); diff != "" {
		t.Errorf("the tree (-then +now)\n%s", diff)
	}
	e, err := audit.ParseEvidence(b)
	if err != nil || !bytes.Equal(e.Encode(), b) {
		t.Errorf("it is written otherwise: %v", err)
	}
}

// TestVectorsAreWrittenAlike reads what has a writer of its own here, and writes
// it again.
func TestVectorsAreWrittenAlike(t *testing.T) {
	for _, v := range vectors {
		if !strings.HasSuffix(v.file, ".evidence") {
			continue
		}
		want := read(t, v.file)
		e, err := audit.ParseEvidence(want)
		if err != nil {
			t.Fatalf("%s: %v", v.file, err)
		}
		if got := e.Encode(); !bytes.Equal(got, want) {
			t.Errorf("%s is written as\n%x\nand was\n%x", v.file, got, want)
		}
	}
	want := read(t, "keys.jwks")
	set, err := audit.ParseKeys(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := audit.EncodeKeys(set.All())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("keys.jwks (-then +now)\n%s", diff)
	}
}
