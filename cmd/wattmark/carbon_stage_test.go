package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

// TestARegistryCommits has a registry ask to be appointed, the oracles appoint it, and its
// tables of CAD Trust staged, looked at, committed, changed and exported again: each as it
// is typed.
func TestARegistryCommits(t *testing.T) {
	t.Parallel() // it waits for blocks more than it computes
	s := openSite(t)
	dir := t.TempDir()
	s.until("the first blocks to be final", func() bool {
		return run(t.Context(), []string{"carbon", "units", "--dir", s.dir}, io.Discard, io.Discard) == 0
	})
	key, asked := filepath.Join(dir, "registry.pem"), filepath.Join(dir, "registry.party")
	s.exec(2, "carbon", "join", "reg", "--role", "member", "--title", "R", "--ledger", s.cluster.charter.Origin, "--key", key)
	s.exec(0, "carbon", "join", "reg", "--role", "registry", "--title", "The Registry", "--ledger", s.cluster.charter.Origin, "--key", key, "--out", asked)

	sample, err := os.ReadFile("../../ledger/carbon/testdata/corpus/sample.import.in")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "tables.json")
	write := func(old, new string) {
		t.Helper()
		text := strings.Replace(string(sample), old, new, 1)
		if old != new && text == string(sample) {
			t.Fatalf("no %q", old)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stage := []string{"carbon", "import", "--format", "cadt-v2", "--stage", "--dir", s.dir, file}
	// A file with an error stages nothing; in parts it does.
	write(`"programName":"Restoration & Conservation"`, `"programName":""`)
	if said := s.exec(1, stage...); !strings.Contains(said, `"rule":"required"`) {
		t.Errorf("an error in the file: %s", said)
	}
	if said := s.exec(0, "carbon", "staged", "--dir", s.dir); said != "" {
		t.Errorf("staged all the same: %s", said)
	}
	write("", "")
	said := s.exec(0, stage...)
	if !strings.Contains(said, "Staged 17 records of tables.json as batch ") {
		t.Fatalf("staged: %s", said)
	}
	again := jsonLines[stagePrinted](t, s.exec(0, append(stage, "--json")...))[0]
	batch := again.Batch
	if all := jsonLines[stagePrinted](t, s.exec(0, "carbon", "staged", "--dir", s.dir, "--json")); len(all) != 1 || all[0].Batch != batch || all[0].Records != 17 {
		t.Fatalf("the same file is another batch: %+v", all)
	}
	rows := jsonLines[checkedRecord](t, s.exec(0, "carbon", "staged", batch[:5], "--dir", s.dir, "--json"))
	if len(rows) != 17 || rows[0].Would != "new" || rows[0].Table != "program" || rows[0].Key != batch+"-1" {
		t.Fatalf("rows: %+v", rows)
	}
	commit := []string{"carbon", "commit", batch, "--dir", s.dir, "--key", key, "--author", "Dora Ito", "--comment", "first"}
	if said := s.exec(1, commit...); !strings.Contains(said, "is of no registry of") {
		t.Errorf("nobody has appointed it: %s", said)
	}
	for _, oracle := range []string{"1", "2", "3"} {
		s.exec(0, "carbon", "enter", "appointment", "request=@"+asked, "--dir", s.dir, "--oracle", oracle)
	}
	// First two rows, then a process that goes on with the rest.
	some := append(commit, "--rows", "methodology/"+batch+"-1,program/"+batch+"-1", "--json")
	if done := jsonLines[committed](t, s.exec(0, some...)); len(done) != 2 || done[0].Table != "program" || done[1].Leaf == 0 {
		t.Fatalf("committed: %+v", done)
	}
	s.exec(1, append(commit, "--rows", "program/nothing")...)
	done := jsonLines[committed](t, s.exec(0, append(commit, "--json")...))
	if len(done) != 17 || done[0].Did != "same" || done[0].Leaf != 0 || done[16].Did != "new" {
		t.Fatalf("committed: %+v", done)
	}
	if said := s.exec(0, "carbon", "staged", "--dir", s.dir); said != "" {
		t.Errorf("all is committed, and staged still: %s", said)
	}
	exported := s.exec(0, "carbon", "export", "--format", "cadt-v2", "--dir", s.dir)
	if exported != string(sample) && strings.TrimSpace(exported) != strings.TrimSpace(string(sample)) {
		t.Errorf("exported\n%s\nand imported was\n%s", exported, sample)
	}

	// Another file with a serial that stands, and one with a project next door.
	write(`"projectRegistryName":"Singapore National Registry"`, `"projectRegistryName":"Verra"`)
	other := jsonLines[stagePrinted](t, s.exec(0, append(stage, "--json")...))[0].Batch
	text := s.exec(0, "carbon", "staged", other, "--dir", s.dir)
	for _, want := range []string{"unit " + other + "-1: conflicts", "D2 error (", "D3 candidate ("} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	commit[2] = other
	if said := s.exec(1, commit...); !strings.Contains(said, "nothing was committed: unit/"+other+"-1: ") {
		t.Errorf("a serial that stands already: %s", said)
	}
	s.exec(0, append(commit, "--rows", strings.Join([]string{"program/" + other + "-1", "methodology/" + other + "-1", "project/" + other + "-1", "project_methodology/" + other + "-1",
		"validation/" + other + "-1"}, ","))...)
	if said := s.exec(0, "carbon", "conflicts", "--dir", s.dir); !strings.Contains(said, "candidate ") || !strings.Contains(said, "(D3)") {
		t.Errorf("conflicts: %s", said)
	}
	s.exec(0, "carbon", "unstage", other, "--dir", s.dir)
	s.exec(1, "carbon", "unstage", other, "--dir", s.dir)

	records := jsonLines[listedRecord](t, s.exec(0, "carbon", "records", "--dir", s.dir, "--table", "program", "--json"))
	if len(records) != 2 || records[0].Registry != "reg" || records[0].Author != "Dora Ito" || records[0].Class != "declared" || !records[0].Stands || len(records[0].Entry) != 64 {
		t.Errorf("records: %+v", records)
	}
	if said := s.exec(0, "carbon", "records", "--dir", s.dir, "--all"); !strings.Contains(said, "by Dora Ito: first") {
		t.Errorf("records: %s", said)
	}
}

// TestHistory tells the lives of a retired block and of a claimed bundle from the first.
func TestHistory(t *testing.T) {
	p := ledgertest.NewPlant(t)
	p.Measure(t, 4, 100, 300, 500)
	p.Expect(t, p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From, To: p.From + 900}), "", "")
	gc := p.State.Bundles()[0].ID
	p.Expect(t, p.Say("home2", &entry.GCSplit{Bundle: gc, Sizes: []int64{300, 200}}), "", "")
	part := p.State.Bundles()[1].ID
	p.Expect(t, p.Say("home2", &entry.GCCancel{Bundle: part, Beneficiary: "home1"}), "", "")
	p.Expect(t, p.Say("home1", &entry.GCClaim{Load: "load", From: p.From, To: p.From + 900, Bundles: []string{part}}), "", "")
	dir := filepath.Join(t.TempDir(), "oracle")
	p.Save(dir)
	events := jsonLines[lifeEvent](t, wattmark(t, 0, "carbon", "history", part, "--dir", dir, "--json"))
	var got []string
	for _, v := range events {
		got = append(got, v.What+" "+v.ID+" "+v.Status+" "+v.By)
	}
	want := []string{"gc-issue " + gc + " Active member home2", "gc-split " + gc + " Split member home2", "gc-split " + part + " Active member home2",
		"gc-cancel " + part + " Cancelled member home2", "gc-claim " + part + " Claimed member home1"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if said := wattmark(t, 0, "carbon", "history", part, "--dir", dir); !strings.Contains(said, "for the load load") || !strings.Contains(said, "serials 1 to 300") {
		t.Errorf("told:\n%s", said)
	}
	wattmark(t, 1, "carbon", "history", "nothing", "--dir", dir)
	wattmark(t, 2, "carbon", "history", "--dir", dir)
}
