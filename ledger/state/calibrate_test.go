package state_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

// TestCalibrationsFollowOneAnother calibrates, undoes, and undoes what is in force no
// more; the second calibration from nothing has missed one.
func TestCalibrationsFollowOneAnother(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1:committed\ncal:home1=1010 home1=1")
	if got := outcomes(t, c.Last()); got != nil {
		t.Fatalf("the first one: %q", got)
	}
	first := c.Last().Messages[1].Identity()
	undo := func(of [32]byte) *entry.Calibration {
		k := c.Calibrated(1000)
		k.Corrections[0].Before.Ratio = entry.Decimal{Mantissa: 10100, Exponent: -4} // the same in other words
		k.Method, k.Undoes = "undo", of[:]
		return k
	}
	b := c.Append(c.Open(c.Calibration("home1", undo([32]byte{1}))), c.Open(c.Calibration("home1", undo(first))), c.Open(c.Calibration("home1", undo(first))))
	if diff := cmp.Diff([]entry.Reason{entry.ReasonUnknownCalibration, "", entry.ReasonUnknownCalibration}, b.Result.Reasons); diff != "" {
		t.Errorf("undoing (-want +got)\n%s", diff)
	}
	if got := outcomes(t, b); got != nil {
		t.Errorf("undoing what it is flags %q", got)
	}
	c.Draw("cal:home1=1020 cal:home1=1030 map:home1=17")
	if diff := cmp.Diff([]entry.Reason{"", "", ""}, reasons(c.Last())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"flagged calibration_gap energy 2"}, outcomes(t, c.Last())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestFieldEntriesHaveNumbers shows that they share the numbers of readings.
func TestFieldEntriesHaveNumbers(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1\ncal:home1=1010 map:home1=17 home1=1\nhome1#1=1 home1#2=1 home1#3=1 home1#4=1")
	used := entry.ReasonSequenceUsed
	if diff := cmp.Diff([]entry.Reason{used, used, used, ""}, reasons(c.Last())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var got []uint64
	for _, s := range c.Blocks[2].Result.Sequences {
		got = append(got, s.Sequence.Count)
	}
	if diff := cmp.Diff([]uint64{1, 2, 3}, got); diff != "" {
		t.Errorf("for the index (-want +got)\n%s", diff)
	}
}

// TestDerivedValuesSayHow has a stack's mass flow, computed from a concentration.
func TestDerivedValuesSayHow(t *testing.T) {
	value := func(channel, unit string) entry.Record {
		return entry.Record{Name: "p-home9/" + channel, Unit: unit, Time: ledgertest.Start + 60_000, Value: entry.Int(3)}
	}
	say := func(names ...string) (out []entry.Record) {
		for _, n := range names {
			out = append(out, entry.Record{Name: "p-home9/" + n, Time: ledgertest.Start + 60_000, Text: "x"})
		}
		return out
	}
	flow, mass := value("co2_mass_flow", "kg/s"), value("co2_mass", "kg")
	whole := say("co2_mass_flow.method", "co2_mass_flow.inputs", "co2_mass_flow.config")
	const missing = "flagged not_derivable "
	for _, tt := range []struct {
		name    string
		mode    string
		old     bool // registered without a request
		records []entry.Record
		want    []string
	}{
		{"all is said", entry.ModeOpen, false, append(whole, flow), nil},
		{"the value comes first", entry.ModeOpen, false, append([]entry.Record{flow}, whole...), nil},
		{"nothing is said", entry.ModeOpen, false, []entry.Record{flow}, []string{missing + "co2_mass_flow 0"}},
		{"of one of two", entry.ModeOpen, false, append(whole, flow, mass), []string{missing + "co2_mass 0"}},
		{"a part is missing", entry.ModeOpen, false, append(whole[:2:2], flow), []string{missing + "co2_mass_flow 0"}},
		{"a part of what need not be", entry.ModeOpen, false, append(say("power.method"), value("power", "W")), []string{missing + "power 0"}},
		{"all of what need not be", entry.ModeOpen, false, append(say("power.method", "power.inputs", "power.config"), value("power", "W")), nil},
		{"hidden, and registered", entry.ModeCommitted, false, []entry.Record{flow}, []string{missing + "co2_mass_flow 0"}},
		{"hidden, and not registered", entry.ModeCommitted, false, say("secret.method"), []string{missing + " 0"}},
		{"other remarks", entry.ModeOpen, false, append(say("power.quality", "power.gap", "method"), value("power", "W")), nil},
		{"registered before there was a rule", entry.ModeOpen, true, []entry.Record{flow}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := ledgertest.New(t, 1)
			channels := []entry.Channel{
				{Name: "co2_mass", Unit: "kg", Kind: entry.KindCounter, Most: entry.Int(1000)},
				{Name: "co2_mass_flow", Unit: "kg/s", Kind: entry.KindGauge, Most: entry.Int(1000)},
				{Name: "power", Unit: "W", Kind: entry.KindGauge, Most: entry.Int(1000)},
			}
			a := ask(c)
			a.Points[0].Channels, a.Points[0].Mode = channels, tt.mode
			s := c.Admitting(a.sign(t))
			if tt.old {
				b, err := a.Enrolment().Encode()
				if err != nil {
					t.Fatal(err)
				}
				s = c.Stated(0, entry.TypeEnrolment, b)
			}
			c.Append(append(c.Clocks(60_000), c.Open(s))...)

			r := &ledgertest.Statement{Key: a.by, Type: entry.TypeReading, Claims: a.claims}
			r.Claims.Subject, r.Claims.Sequence = "p-home9", entry.Sequence{Boot: 1, Count: 1}
			c.SetPack(r, tt.mode == entry.ModeCommitted, pack("home9", tt.records...))
			b := c.Append(c.Open(r))
			if got := b.Result.Reasons[0]; got != "" {
				t.Fatalf("refused because %q", got)
			}
			if diff := cmp.Diff(tt.want, outcomes(t, b)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if strings.Join(entry.DerivationSuffixes[:], "") != ".method.inputs.config" {
		t.Error("the format has other names")
	}
}
