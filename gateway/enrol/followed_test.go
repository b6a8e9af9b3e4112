package enrol_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wattmark/gateway/enrol"
	"wattmark/ledger/block"
	"wattmark/ledger/handover"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// exchanged is a ledger whose oracles were exchanged one by one, with the policies that
// were good, the charter's first, and what led from one to the next.
func exchanged(t testing.TB, n int) (*ledgertest.Chain, []*block.Policy, []*handover.Handover) {
	t.Helper()
	c := ledgertest.New(t, n)
	policies := []*block.Policy{c.Policy}
	var list []*handover.Handover
	for i := range n {
		next := slices.Clone(c.Oracles)
		next[i] = ledgertest.NewOracle(t, fmt.Sprintf("ledgertest.example/new%d", i+1))
		list = append(list, c.HandedOver(next...))
	}
	spans, err := handover.Follow(c.Policy, list)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spans[1:] {
		policies = append(policies, s.Policy)
	}
	c.Policy = policies[n] // the chain leaves it as it was
	return c, policies, list
}

// approved is what a gateway gets for a request, as it comes to it.
func approved(c *ledgertest.Chain, r *enrol.Request, list []*handover.Handover) *enrol.Approval {
	c.TB().Helper()
	a := admit(c, r)
	a.History = list
	a, err := enrol.ParseApproval(a.Encode())
	if err != nil {
		c.TB().Fatal(err)
	}
	return a
}

// TestAnApprovalAfterAChangeOfOracles: a gateway that was given any policy of the ledger's
// life comes from there to those who have signed, and begins with them.
func TestAnApprovalAfterAChangeOfOracles(t *testing.T) {
	c, policies, list := exchanged(t, 4)
	k, next := key(t, signer.EdDSA, 1), key(t, signer.ES256, 2)
	r := request(t, k)
	a := approved(c, r, list)
	for i, p := range policies {
		dir := t.TempDir()
		e, err := enrol.Accept(a, r, p, nil)
		if err != nil {
			t.Fatalf("with the policy after %d changes: %v", i, err)
		}
		if err := errors.Join(e.SaveOracles(dir, p), enrol.Save(dir, e, r)); err != nil {
			t.Fatal(err)
		}
		kept, spans, err := enrol.LoadOracles(dir, p)
		if err != nil || len(kept) != len(list)-i || spans[len(spans)-1].Policy.String() != c.Policy.String() {
			t.Errorf("with the policy after %d changes: %d handovers kept, %v", i, len(kept), err)
		}
		again, err := enrol.Load(dir)
		if err != nil || again.Policy.String() != c.Policy.String() || again.Key != k.Public() || len(again.OracleKeys()) != 4 {
			t.Fatalf("kept %+v, %v", again, err)
		}
	}

	// A gateway that was enrolled by the first oracles, and has followed them since, has its
	// key replaced by those whom it trusts now; also where it is a step behind.
	old := ledgertest.New(t, 4)
	first, err := enrol.Accept(admit(old, r), r, policies[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	turn := rotation(t, next, k)
	b := approved(c, turn, list)
	for followed := range policies {
		dir := t.TempDir()
		if err := errors.Join(enrol.Save(dir, first, r), enrol.SaveOracles(dir, list[:followed])); err != nil {
			t.Fatal(err)
		}
		_, spans, err := enrol.LoadOracles(dir, policies[0])
		if err != nil {
			t.Fatal(err)
		}
		e, err := enrol.Accept(b, turn, spans[len(spans)-1].Policy, first)
		if err != nil {
			t.Fatalf("a rotation after %d changes: %v", followed, err)
		}
		if err := e.SaveOracles(dir, policies[0]); err != nil {
			t.Error(err)
		}
		if kept, _, err := enrol.LoadOracles(dir, policies[0]); err != nil || len(kept) != len(list) {
			t.Errorf("a rotation after %d changes keeps %d handovers, %v", followed, len(kept), err)
		}
	}

	// What is kept already is not written over by less.
	dir := t.TempDir()
	if err := enrol.SaveOracles(dir, list); err != nil {
		t.Fatal(err)
	}
	if err := first.SaveOracles(dir, policies[0]); err != nil {
		t.Fatal(err)
	}
	if kept, _, err := enrol.LoadOracles(dir, policies[0]); err != nil || len(kept) != len(list) {
		t.Errorf("an approval of before leaves %d handovers, %v", len(kept), err)
	}
}

// TestApprovalsOfOtherOraclesAreRefused: what does not lead from whom the gateway trusts to
// who has signed is none.
func TestApprovalsOfOtherOraclesAreRefused(t *testing.T) {
	c, policies, list := exchanged(t, 4)
	r := request(t, key(t, signer.EdDSA, 1))
	good := approved(c, r, list)
	earlier := ledgertest.New(t, 4)
	before := admit(earlier, r) // by the charter's oracles
	strangers := ledgertest.New(t, 4)
	away := strangers.HandedOver(append(slices.Clone(strangers.Oracles[:3]), ledgertest.NewOracle(t, "ledgertest.example/stranger"))...)
	others, err := handover.Follow(strangers.Policy, []*handover.Handover{away})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change  func(a *enrol.Approval)
		trusted *block.Policy
		want    string
	}{
		"without the handovers":       {func(a *enrol.Approval) { a.History = nil }, policies[0], "not those that are trusted here"},
		"without the first":           {func(a *enrol.Approval) { a.History = list[1:] }, policies[0], "no"},
		"without the last":            {func(a *enrol.Approval) { a.History = list[:3] }, policies[0], "do not lead"},
		"one twice":                   {func(a *enrol.Approval) { a.History = append(slices.Clone(list), list[3]) }, policies[0], "before those"},
		"in another order":            {func(a *enrol.Approval) { a.History = []*handover.Handover{list[0], list[2]} }, policies[0], "handover 1"},
		"with the charter's policy":   {func(a *enrol.Approval) { a.Policy = policies[0] }, policies[0], "do not lead"},
		"to strangers":                {func(*enrol.Approval) {}, others[1].Policy, "not those that are trusted here"},
		"of before those trusted":     {func(a *enrol.Approval) { *a = *before }, policies[2], "approve the same request again"},
		"signed by those of before":   {func(a *enrol.Approval) { a.Charter, a.Enrolment = before.Charter, before.Enrolment }, policies[0], "the charter's proof"},
		"the enrolment one of before": {func(a *enrol.Approval) { a.Enrolment = before.Enrolment }, policies[0], "the enrolment's proof"},
		"another charter": {func(a *enrol.Approval) {
			a.Charter = &block.LogProof{Checkpoint: a.Charter.Checkpoint, Index: 0, Path: a.Charter.Path, Extra: bytes.Replace(a.Charter.Extra, []byte("ledgertest.example/oracle1"), []byte("ledgertest.example/oracle9"), 1)}
		}, policies[0], ""},
	} {
		a := *good
		test.change(&a)
		e, err := enrol.Accept(&a, r, test.trusted, nil)
		if !errors.Is(err, enrol.ErrApproval) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v, want %q", name, e, err, test.want)
		}
	}

	b := good.Encode()
	for i := 0; i < len(b); i += 211 {
		d := bytes.Clone(b)
		d[i] ^= 1
		a, err := enrol.ParseApproval(d)
		if err != nil {
			if !errors.Is(err, enrol.ErrApproval) {
				t.Errorf("byte %d changed: %v", i, err)
			}
			continue
		}
		// A handover may have more signatures than it needs: without one of them it leads to
		// the same oracles.
		e, err := enrol.Accept(a, r, policies[0], nil)
		if rest := *a; err == nil {
			rest.History = good.History
			if !bytes.Equal(rest.Encode(), b) || e.Policy.String() != c.Policy.String() {
				t.Errorf("byte %d changed: accepted %v", i, e.Origin)
			}
		}
	}
	for name, b := range map[string][]byte{"too large": make([]byte, enrol.MaxApproval+1), "torn": b[:len(b)-1], "longer": append(bytes.Clone(b), 0)} {
		if _, err := enrol.ParseApproval(b); !errors.Is(err, enrol.ErrApproval) {
			t.Errorf("%s: %v", name, err)
		}
	}
	half := *good
	half.Roots = []byte("a root without a certificate")
	if _, err := enrol.ParseApproval(half.Encode()); !errors.Is(err, enrol.ErrApproval) {
		t.Errorf("a root without a certificate: %v", err)
	}
}

// TestVectorAfterAChange reads an approval of after three changes as it was written once.
func TestVectorAfterAChange(t *testing.T) {
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r, err := enrol.ParseRequest(read("request.txt"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := enrol.ParseApproval(read("approval.followed"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"policy.charter", "policy.followed"} {
		p, err := block.ParsePolicy(read(name))
		if err != nil {
			t.Fatal(err)
		}
		e, err := enrol.Accept(a, r, p, nil)
		if err != nil || e.Key != r.Public || len(e.Oracles.Oracles) != 3 || e.Policy.String() != string(read("policy.followed")) {
			t.Errorf("with %s: %+v, %v", name, e, err)
		}
	}
}
