package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/api"
)

// wattmark runs the command and returns what it prints, which must end with a status.
func wattmark(t *testing.T, status int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(t.Context(), args, &out, &errs); got != status {
		t.Fatalf("wattmark %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), got, status, out.String(), errs.String())
	}
	return out.String()
}

// jsonLines reads JSON, an object a line.
func jsonLines[T any](t *testing.T, text string) (out []T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	for d.More() {
		var v T
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		out = append(out, v)
	}
	return out
}

// TestCarbonOfALedger lists what a ledger's carbon accounts came to.
func TestCarbonOfALedger(t *testing.T) {
	p := ledgertest.NewPlant(t)
	p.Measure(t, 4, 100, 300, 500)
	issue := &entry.GCIssue{Source: "roof", From: p.From, To: p.From + 900}
	p.Expect(t, p.Say("home2", issue), "", "")
	gc := p.State.Bundles()[0].ID
	p.Expect(t, p.Say("home2", &entry.GCSplit{Bundle: gc, Sizes: []int64{300, 200}}), "", "")
	part := p.State.Bundles()[1].ID
	p.Expect(t, p.Say("home2", &entry.GCCancel{Bundle: part, Beneficiary: "home1"}), "", "")
	p.Expect(t, p.Say("home1", &entry.GCClaim{Load: "load", From: p.From, To: p.From + 900, Bundles: []string{part}}), "", "")
	p.Expect(t, p.Say("home2", issue), "", entry.ReasonCountedTwice)
	p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", "")
	p.Expect(t, p.Say("the-verifier", &entry.Verification{Period: "hour", Version: 1, Digest: p.State.Periods()[0].Digest, Level: entry.AssuranceReasonable}), "", "")
	p.Expect(t, p.Say("the-registry", &entry.UnitIssue{Project: "oven", Period: "hour", Version: 1, Vintage: 2026}), "", "")
	mine := p.State.Blocks()[0].ID
	p.Expect(t, p.Say("home1", &entry.UnitRetire{Block: mine, Beneficiary: "The Bakery", Reason: "bread", From: p.From, To: p.From + 3600}), "", "")
	dir := filepath.Join(t.TempDir(), "oracle")
	p.Save(dir)

	periods := jsonLines[api.PeriodItem](t, wattmark(t, 0, "carbon", "inventory", "--dir", dir, "--json"))
	if len(periods) != 1 || periods[0].Status != "verified" || periods[0].CO2e != "0.400000000" || periods[0].Verifier != "the-verifier" || len(periods[0].Lines) != 2 {
		t.Fatalf("inventory: %+v", periods)
	}
	if l := periods[0].Lines[0].Scope2; l == nil || l.LoadWh != 1200 || l.MatchedWh != 300 {
		t.Errorf("the load: %+v", l)
	}
	bundles := jsonLines[api.CertificateItem](t, wattmark(t, 0, "carbon", "certificates", "--dir", dir, "--json"))
	if len(bundles) != 2 || bundles[0].Status != "Claimed" || bundles[0].Wh != 300 || bundles[0].Load != "load" || bundles[1].Status != "Active" {
		t.Errorf("certificates: %+v", bundles)
	}
	if all := jsonLines[api.CertificateItem](t, wattmark(t, 0, "carbon", "certificates", "--dir", dir, "--json", "--all", "--owner", "home2")); len(all) != 3 {
		t.Errorf("all certificates: %+v", all)
	}
	blocks := jsonLines[api.UnitsItem](t, wattmark(t, 0, "carbon", "units", "--dir", dir, "--json"))
	if len(blocks) != 2 || blocks[0].Status != "Retired" || blocks[0].Units != 17 || blocks[0].Serial != "W-OVEN-1-17" || blocks[0].Beneficiary != "The Bakery" || blocks[1].Status != "Buffer" {
		t.Errorf("units: %+v", blocks)
	}
	conflicts := jsonLines[listedConflict](t, wattmark(t, 0, "carbon", "conflicts", "--dir", dir, "--json"))
	if len(conflicts) != 1 || conflicts[0].Rule != "D1" || conflicts[0].Standing != gc || conflicts[0].Refused == "" || conflicts[0].From != seconds(p.From) || conflicts[0].Device != "p-home2/" {
		t.Errorf("conflicts: %+v", conflicts)
	}
	out := t.TempDir()
	file, policy := filepath.Join(out, "tonne.evidence"), filepath.Join(out, "policy")
	if err := os.WriteFile(policy, []byte(p.Policy.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for id, leaves := range map[string]string{mine: "retired for The Bakery", "hour": "period hour of site bakery", gc: "certificates " + gc} {
		wattmark(t, 0, "carbon", "prove", id, "--dir", dir, "--out", file)
		if got := wattmark(t, 0, "verify", "--policy", policy, file); !strings.Contains(got, leaves) || !strings.Contains(got, "8 hold, 0 not checked, 0 false, 1 do not apply") {
			t.Errorf("%s is shown as\n%s", id, got)
		}
		if r := jsonLines[audit.Report](t, wattmark(t, 0, "verify", "--policy", policy, "--json", file))[0]; r.Tree == nil || len(r.Tree.Rests) == 0 || r.Tree.Leaf == nil {
			t.Errorf("%s has no tree: %+v", id, r)
		}
	}
	wattmark(t, 1, "carbon", "prove", "nothing", "--dir", dir, "--out", file)
	wattmark(t, 1, "carbon", "prove", "hour", "--kind", "units", "--dir", dir, "--out", file)
	wattmark(t, 2, "carbon", "prove", "hour", "--kind", "tonnes", "--dir", dir, "--out", file)
	wattmark(t, 2, "carbon", "prove", "hour", "--dir", dir, "--out", "hour.txt")
	wattmark(t, 2, "carbon", "prove", "--dir", dir, "--out", file)
	for _, verb := range []string{"inventory", "certificates", "units", "conflicts"} {
		if wattmark(t, 0, "carbon", verb, "--dir", dir) == "" {
			t.Errorf("carbon %s tells people nothing", verb)
		}
		wattmark(t, 2, "carbon", verb)
		wattmark(t, 2, "carbon", verb, "more", "--dir", dir)
		wattmark(t, 1, "carbon", verb, "--dir", t.TempDir())
	}
	wattmark(t, 2, "carbon", "retire", mine, "--dir", dir, "--for", "x", "--reason", "y", "--from", "yesterday", "--to", "today")
}
