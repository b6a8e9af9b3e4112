package browser_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// ledgers are drawn so that every sort of entry about keys is there: enrolled by an
// oracle and proven, rotated, revoked by itself and by oracles, calibrated; and a metering
// point that was forgotten.
func ledgers(t *testing.T) map[string]*ledgertest.Chain {
	street := ledgertest.New(t, 4).Draw("+home1 +home2:committed +stack:es256\nhome1=1000 home2=500 stack=7\nhome1=900 junk forged:home2=520 again:home1=1000\n-stack home1=1020\nhome1=1030 home2=530")
	field := ledgertest.New(t, 4).Draw("+home1:committed:proven +home2\ncal:home1=1010 map:home1=12")
	value := ledgertest.Record("home1", "energy", 1000, field.State.Time())
	named := field.Last().Messages[4].Identity()
	name := entry.Record{Name: entry.CalibrationName(value.Name), Time: value.Time, Text: entry.CalibrationText(named)}
	s, pack := field.Reading("home1", value, name).Sign(t)
	field.Append(append(field.Clocks(60_000), field.Deliver(s, pack))...)
	field.Draw(">home1:es256\nhome2=1 home1=1010\nhome1=1020")
	ended := ledgertest.New(t, 4).Draw("+home1 +home2:committed\nhome1=1000 home2=7\nend4:home1 end1:home1 end2:home1\n.")
	body, err := (&entry.Forgetting{Subject: ledgertest.Subject("home2"), Reason: "moved out"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	ended.Adopt(entry.MotionForget, ended.State.Height()+1, body)
	ended.Draw("home2=8\n.")
	return map[string]*ledgertest.Chain{"street": street, "field": field, "ended": ended}
}

// TestSameCodesOfHistories proves every leaf of the drawn ledgers, and puts each file,
// and one with a byte of a leaf's proof or of a disclosure changed, through both.
func TestSameCodesOfHistories(t *testing.T) {
	b := chromium(t)
	type file struct {
		Name   string `json:"name"`
		Bytes  []byte `json:"bytes"`
		Policy string `json:"policy"`
		want   string
	}
	var files []file
	kinds := make(map[string]int)
	for what, c := range ledgers(t) {
		add := func(name string, b []byte) {
			r := audit.Verify(name, b, audit.Trust{Policy: c.Policy})
			files = append(files, file{name, b, c.Policy.String(), codes(r)})
			for _, v := range r.Verdicts {
				kinds[string(v.Check)+":"+string(v.Verdict)]++
			}
		}
		for i, leaf := range c.All() {
			e, err := ledger.Evidence(c, c.Note(), c.Last().Checkpoint, uint64(i), c.Packs)
			if err != nil {
				t.Fatalf("%s, leaf %d: %v", what, i, err)
			}
			good := e.Encode()
			add("a.evidence", good)
			if len(e.Disclosures) > 0 {
				bare := *e
				bare.Disclosures = nil
				add("a.evidence", bare.Encode())
				e.Disclosures[0] = append(bytes.Clone(e.Disclosures[0]), 0)
				add("a.evidence", e.Encode())
			}
			last := &e.Leaves[len(e.Leaves)-1]
			last.Path[0][i%32] ^= 1
			add("a.evidence", e.Encode())
			if _, err := signer.Parse(leaf); err == nil {
				add("a.cose", c.Transparent(uint64(i)))
			}
		}
	}
	for _, want := range []string{"key:holds", "calibration:holds", "disclosure:holds", "disclosure:false", "disclosure:unchecked", "inclusion:false", "chain:holds", "rerun:unchecked"} {
		if kinds[want] == 0 {
			t.Errorf("no file comes to %s: %v", want, kinds)
		}
	}
	list, err := json.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	ctx := tab(t, b, serve(t, nil)["with WebCrypto"])
	got := eval[[]string](t, ctx, `(async () => {
		const out = [];
		for (const f of `+string(list)+`) {
			const r = await Wattmark.verify(f.name, Uint8Array.from(atob(f.bytes), (c) => c.charCodeAt(0)), { policy: Wattmark.parsePolicy(f.policy), keys: null });
			out.push(r.kind + " " + r.verdicts.map((v) => v.check + ":" + v.verdict).join(" "));
		}
		return out;
	})()`)
	t.Logf("%d files", len(files))
	for i, f := range files {
		if got[i] != f.want {
			t.Fatalf("file %d, %s of %d bytes:\n page %s\n go   %s", i, f.Name, len(f.Bytes), got[i], f.want)
		}
	}
}
