package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"wattmark/gateway/enrol"
	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
)

// TestEnrolScripts runs the ceremony as a technician types it, with a ledger whose
// operator approves: testdata/enrol/*.txt.
func TestEnrolScripts(t *testing.T) {
	c := ledgertest.New(t, 4)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/enrol",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "approve": approve(c)},
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			return os.WriteFile(filepath.Join(e.WorkDir, "policy"), []byte(c.Policy.String()), 0o644)
		},
	})
}

// approve puts a request on the ledger: approve REQUEST APPROVAL.
func approve(c *ledgertest.Chain) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 2 {
			ts.Fatalf("usage: approve request approval")
		}
		r, err := enrol.ParseRequest([]byte(ts.ReadFile(args[0])))
		ts.Check(err)
		statement, _ := c.Admitting(r.Carried).Sign(c.TB())
		c.Append(c.Deliver(statement, nil))
		for i := c.Size(); i > 0; i-- {
			if leaf, err := c.Leaf(i - 1); err != nil || !bytes.Contains(leaf, r.Carried) {
				continue
			}
			charter, err := block.ParseLogProof(c.LogProof(0))
			ts.Check(err)
			enrolment, err := block.ParseLogProof(c.LogProof(i - 1))
			ts.Check(err)
			a := enrol.Approval{Policy: c.Policy, Charter: charter, Enrolment: enrolment}
			ts.Check(os.WriteFile(ts.MkAbs(args[1]), a.Encode(), 0o644))
			return
		}
		ts.Fatalf("the ledger has not taken the request")
	}
}
