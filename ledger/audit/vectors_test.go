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
