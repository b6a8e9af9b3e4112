package audit_test

import (
	"strings"
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// facts are a description's in one text.
func facts(d *audit.Description) string {
	var b strings.Builder
	b.WriteString(d.Summary + "\n")
	for _, f := range d.Fields {
		b.WriteString(f.Name + ": " + f.Value + "\n")
	}
	return b.String()
}

// TestConflictInWords: who reads a ledger sees who is accused, of what, and what it means.
func TestConflictInWords(t *testing.T) {
	c := ledgertest.New(t, 4)
	promise := func(variant byte) []byte {
		p := entry.Promise{Height: 7, Size: 70, Root: [32]byte{variant}}
		b, _ := c.Stated(3, entry.TypePromise, p.Encode()).Sign(t)
		return b
	}
	payload, err := entry.NewConflict(promise(1), promise(2)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	id := c.Oracles[3].Statement.Public().ID()
	body, err := (&entry.Restoration{KeyID: id[:], Reason: "it ran twice after a restore"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	motion, err := (&entry.Motion{Kind: entry.MotionRestore, Height: 9, Body: body}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	b := c.Append(c.Open(c.Stated(0, entry.TypeConflict, payload)))
	b2 := c.Append(c.Open(c.Stated(0, entry.TypeMotion, motion)))
	for _, tt := range []struct {
		leaf []byte
		want []string
	}{
		{b.Result.Leaves[0], []string{"conflict by", "of key: " + id.String(), "the checkpoint of block 7 has 70 leaves", "with root: 0100", "with root: 0200"}},
		{b.Result.Leaves[1], []string{"quarantined: promises " + c.Oracles[3].Name, "refused from the next block on"}},
		{b2.Result.Leaves[0], []string{"motion by", "restores key: " + id.String(), "it ran twice after a restore", "from block: 9"}},
	} {
		d := audit.Describe(5, tt.leaf)
		if d.Err != nil {
			t.Errorf("%v", d.Err)
		}
		got := facts(d)
		for _, w := range tt.want {
			if !strings.Contains(got, w) {
				t.Errorf("%q is missing from\n%s", w, got)
			}
		}
	}
}

// TestUnderAPolicyWithWitnesses: receipts alone do not show that witnesses signed, which
// is said and is not false; a proof with their line shows it.
func TestUnderAPolicyWithWitnesses(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1\nhome1=1000")
	key := ledgertest.Key(t, signer.EdDSA, "witness")
	vkey := block.VerifierKey{Name: "witness.example/w", Cosigner: true, Key: key.Public()}
	set := c.Charter.OracleSet()
	set.Witnesses, set.WitnessQuorum = []string{vkey.String()}, 1
	policy, err := handover.PolicyOf(ledgertest.Origin, set)
	if err != nil {
		t.Fatal(err)
	}
	index := c.Last().Statements()[len(c.Last().Statements())-1]
	quorum := func(name string, b []byte) audit.Answer {
		for _, v := range audit.Verify(name, b, audit.Trust{Policy: policy}).Verdicts {
			if v.Check == audit.CheckQuorum {
				return v.Verdict
			}
		}
		return ""
	}
	line, err := block.Cosign(key, vkey.Name, c.Last().Checkpoint, ledgertest.Start/1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what string
		name string
		b    []byte
		want audit.Answer
	}{
		{"receipts of three oracles", "a.cose", c.Transparent(index), audit.Unchecked},
		{"receipts of two", "a.cose", c.Transparent(index, 0, 1), audit.False},
		{"a proof without the witness", "a.tlog-proof", c.LogProof(index), audit.False},
		{"a proof with it", "a.tlog-proof", append(c.LogProof(index), line...), audit.Holds},
	} {
		if got := quorum(tt.name, tt.b); got != tt.want {
			t.Errorf("%s: the quorum %s, want %s", tt.what, got, tt.want)
		}
	}
}
