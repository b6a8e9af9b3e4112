package audit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// fieldStreet has a gateway that asked for its key, calibrated, told the time and
// changed its key, and readings under both keys that name the calibration.
func fieldStreet(tb testing.TB, mode string) (c *ledgertest.Chain, first, second, calibration uint64) {
	tb.Helper()
	c = ledgertest.New(tb, 4).Draw("+home1" + mode + ":proven +home2\ncal:home1=1010 map:home1=12")
	calibration = c.Last().Header.First + 4
	named := c.Last().Messages[4].Identity()
	read := func(wh int64) uint64 {
		value := ledgertest.Record("home1", "energy", wh, c.State.Time())
		name := entry.Record{Name: entry.CalibrationName(value.Name), Time: value.Time, Text: entry.CalibrationText(named)}
		s, pack := c.Reading("home1", value, name).Sign(tb)
		return c.Append(append(c.Clocks(60_000), c.Deliver(s, pack))...).Header.First + 4
	}
	first = read(1000)
	c.Draw(">home1:es256\nhome2=1")
	second = read(1010)
	return c, first, second, calibration
}

// said returns what a report says of one check.
func said(r *audit.Report, check audit.Check) string {
	v := verdict(r, check)
	return string(v.Verdict) + ": " + v.Detail
}

func TestEvidenceOfFieldEntries(t *testing.T) {
	for _, mode := range []string{"", ":committed"} {
		c, first, second, calibration := fieldStreet(t, mode)
		trust := audit.Trust{Policy: c.Policy}
		for what, index := range map[string]uint64{"under the first key": first, "under the second key": second} {
			r := audit.Verify("a.evidence", evidence(t, c, index, c.Packs), trust)
			want := "signature:holds key:holds calibration:holds time:holds inclusion:holds quorum:holds chain:holds disclosure:holds"
			if got := answers(r); got != want {
				t.Errorf("%s%s:\n got %s\nwant %s\n%v", what, mode, got, want, r.Verdicts)
			}
			if got := said(r, audit.CheckCalibration); !strings.Contains(got, "energy by leaf") || !strings.Contains(got, "comparison") {
				t.Errorf("%s%s: %s", what, mode, got)
			}
		}
		const rest = "inclusion:holds quorum:holds chain:holds"
		for _, tt := range []struct {
			what  string
			index uint64
			want  string
		}{
			{"calibration", calibration, "signature:holds key:holds time:holds " + rest},
			{"clock map", calibration + 1, "signature:holds key:holds time:holds " + rest},
			{"enrolment", c.Blocks[1].Header.First + 4, "signature:holds key:holds " + rest}, // an oracle's
			{"rotation", first + 6, "signature:holds key:holds " + rest},
		} {
			if got := answers(audit.Verify("a.evidence", evidence(t, c, tt.index, c.Packs), trust)); got != tt.want {
				t.Errorf("%s%s:\n got %s\nwant %s", tt.what, mode, got, tt.want)
			}
		}
		// Without the calibration at hand nothing is said of it.
		if got := said(audit.Verify("a.cose", c.Transparent(first), audit.Trust{Policy: c.Policy, Keys: keySet(t, c)}), audit.CheckCalibration); mode == "" && !strings.HasPrefix(got, "unchecked: ") {
			t.Errorf("without evidence: %s", got)
		}
	}
}

// TestCalibrationsOfOthers has readings that name what is no calibration of theirs.
func TestCalibrationsOfOthers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		named int // of own, undo, other
		edit  func(r *entry.Record)
		want  string
	}{
		{"their own", 0, nil, "holds: calibrated: energy by leaf"},
		{"an undoing", 1, nil, "not_applicable: its calibration was undone"},
		{"another gateway's", 2, nil, "false: "},
		{"of another channel", 0, func(r *entry.Record) { r.Name = "p-home1/power.calibration" }, "false: "},
		{"of another metering point", 0, func(r *entry.Record) { r.Name = "p-home1/p-home1/energy.calibration" }, "false: "},
		{"a remark that names none", 0, func(r *entry.Record) { r.Text = "a remark" }, "not_applicable: no calibration"},
		{"one that nobody has", 0, func(r *entry.Record) { r.Text = entry.CalibrationText([32]byte{7}) }, "unchecked: "},
	} {
		c := ledgertest.New(t, 4).Draw("+home1 +home2")
		own := c.Word("cal:home1=1010")
		of := own.Identity()
		k := c.Calibrated(1000)
		k.Corrections[0].Before, k.Undoes, k.Method = c.Calibrated(1010).Corrections[0].After, of[:], "undo"
		messages := []ledgertest.Message{own, c.Open(c.Calibration("home1", k)), c.Word("cal:home2=1010")}
		named := messages[tt.named].Identity()
		value := ledgertest.Record("home1", "energy", 1, c.State.Time())
		name := entry.Record{Name: entry.CalibrationName(value.Name), Time: value.Time, Text: entry.CalibrationText(named)}
		if tt.edit != nil {
			tt.edit(&name)
		}
		messages = append(messages, c.Open(c.Reading("home1", value, name)))
		b := c.Append(messages...)
		if diff := cmp.Diff([]entry.Reason{"", "", "", ""}, b.Result.Reasons); diff != "" {
			t.Fatalf("%s:\n%s", tt.name, diff)
		}
		r := audit.Verify("a.evidence", evidence(t, c, b.Header.First+3, nil), audit.Trust{Policy: c.Policy})
		if got := said(r, audit.CheckCalibration); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}

// TestRotatedKeySigns shows what is said of a statement under a key that ended in a
// rotation before, and under one that began in it.
func TestRotatedKeySigns(t *testing.T) {
	c, first, second, _ := fieldStreet(t, "")
	keys := keySet(t, c)
	m, err := signer.Parse(c.All()[first])
	if err != nil {
		t.Fatal(err)
	}
	k, ok := keys.Find(m.KeyID)
	if !ok || k.Revoked == 0 {
		t.Fatalf("the first key is %+v %v", k, ok)
	}
	trust := audit.Trust{Policy: c.Policy, Keys: keys}
	for index, want := range map[uint64]string{first: "holds: listed", second: "holds: listed"} {
		if got := said(audit.Verify("a.evidence", evidence(t, c, index, nil), trust), audit.CheckKey); !strings.HasPrefix(got, want) {
			t.Errorf("leaf %d: %s", index, got)
		}
	}
	set := &audit.KeySet{}
	k.Revoked = first - 1
	set.Add(k)
	r := audit.Verify("a.evidence", evidence(t, c, first, nil), audit.Trust{Policy: c.Policy, Keys: set})
	if got := said(r, audit.CheckKey); !strings.HasPrefix(got, "false: ") {
		t.Errorf("after its end: %s", got)
	}
}

func TestDescribeFieldEntries(t *testing.T) {
	c, first, _, calibration := fieldStreet(t, "")
	for _, tt := range []struct {
		leaf    uint64
		summary string
		fields  map[string]string
	}{
		{c.Blocks[1].Header.First + 4, "proven-enrolment by urn:wattmark:oracle:1", map[string]string{
			"enrols gateway": "home1", "proof of possession": "the key has signed the request, 2026-01-01T00:00:00Z", "metering point": "p-home1, open, 2 channels"}},
		{c.Blocks[1].Header.First + 5, "enrolment by urn:wattmark:oracle:1", map[string]string{"proof of possession": "none: an oracle vouches for the key"}},
		{calibration, "calibration by urn:wattmark:gateway:home1", map[string]string{
			"device": "meter, sdm120", "corrects": "energy: 1.010 x, before 1 x", "found by": "comparison", "person": "drawn"}},
		{calibration + 1, "clock-map by urn:wattmark:gateway:home1", map[string]string{"boot": "1", "since boot": "12s", "sequence number": "1-2"}},
		{first + 6, "proven-enrolment by urn:wattmark:oracle:1", map[string]string{
			"in place of key": c.State.Keys()[0].Public.ID().String() + ", which has signed it too"}},
	} {
		leaf := c.All()[tt.leaf]
		d := audit.Describe(tt.leaf, leaf)
		if d.Err != nil || d.Summary != tt.summary {
			t.Errorf("leaf %d: %q, %v", tt.leaf, d.Summary, d.Err)
		}
		got := make(map[string]string)
		for _, f := range d.Fields {
			got[f.Name] = f.Value
		}
		for name, want := range tt.fields {
			if got[name] != want {
				t.Errorf("leaf %d: %s is %q, want %q", tt.leaf, name, got[name], want)
			}
		}
	}
}
