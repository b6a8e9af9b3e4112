package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway"
	"wattmark/gateway/console"
	"wattmark/hardware"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// runUntil runs a gateway until a condition holds, which is looked at after each
// statement; the configuration's own OnSigned comes first.
func runUntil(t *testing.T, cfg gateway.Config, done func() bool) *gateway.Gateway {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := cfg.OnSigned
	cfg.OnSigned = func(s gateway.Signed) {
		if before != nil {
			before(s)
		}
		if done() {
			cancel()
		}
	}
	g, _, err := gateway.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return g
}

func calibration(ratio int64) *entry.Calibration {
	return &entry.Calibration{
		Device: "grid", Model: "sdm120", Method: "comparison", Person: "licence 4711", Time: time.Now().UnixMilli(),
		Reference: &entry.Reference{Model: "1738", Certificate: "D-K-15070"},
		Corrections: []entry.Correction{{
			Channel: "active_power", Before: entry.Uncorrected,
			After: entry.Factors{Ratio: entry.Decimal{Mantissa: ratio, Exponent: -3}, Sign: 1}, Uncertainty: entry.Decimal{Mantissa: 5, Exponent: -3},
		}},
	}
}

// TestCalibration puts a calibration in force while the gateway runs: it is signed, and
// later readings name it, in the next life too.
func TestCalibration(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := newKey(t, signer.EdDSA)
	cfg := config(t, t.TempDir(), port, key)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	signed := make(chan gateway.Signed, 100)
	cfg.OnSigned = func(s gateway.Signed) { signed <- s }
	g, _, err := gateway.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	next := func(what string) *entry.Pack {
		t.Helper()
		select {
		case s := <-signed:
			_, _, p := opened(t, key, s)
			return p
		case <-ctx.Done():
			t.Fatalf("no statement %s", what)
			return nil
		}
	}
	if r := find(next("before"), "active_power.calibration"); r != nil {
		t.Errorf("a calibration is named before there is one: %+v", r)
	}
	for what, change := range map[string]func(*entry.Calibration){
		"no channel of that name":  func(c *entry.Calibration) { c.Corrections[0].Channel = "voltage_l3" },
		"no device of that name":   func(c *entry.Calibration) { c.Device = "sun" },
		"no person":                func(c *entry.Calibration) { c.Person = "" },
		"other factors before":     func(c *entry.Calibration) { c.Corrections[0].Before = c.Corrections[0].After },
		"undoes what is not there": func(c *entry.Calibration) { c.Undoes = make([]byte, 32) },
	} {
		c := calibration(1010)
		change(c)
		if _, err := g.Calibrate(ctx, subject, c); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	id, err := g.Calibrate(ctx, subject, calibration(1010))
	if err != nil {
		t.Fatal(err)
	}
	checked := false
	for !checked {
		select {
		case s := <-signed:
			if s.Type == entry.TypeCalibration {
				m, err := signer.Parse(s.Statement)
				if err != nil || m.Hash() != id {
					t.Errorf("the calibration that was signed has another identity: %v", err)
				}
				continue
			}
			_, _, p := opened(t, key, s)
			r := find(p, "active_power.calibration")
			if r == nil { // it was on its way
				continue
			}
			power := find(p, "active_power")
			if r.Text != entry.CalibrationText(id) || power.Value.String() != "1212.000" {
				t.Errorf("after the calibration the pack names %q and has %s W, want 1212.000", r.Text, power.Value)
			}
			checked = true
		case <-ctx.Done():
			t.Fatal("no reading names the calibration")
		}
	}
	grid := g.Live().Devices[0]
	want := []console.Correction{{
		Channel: "active_power", Factors: console.Factors{Ratio: "1.010", Sign: 1, Offset: "0"},
		Before: &console.Factors{Ratio: "1", Sign: 1, Offset: "0"}, Record: entry.CalibrationText(id),
	}}
	if diff := cmp.Diff(want, grid.Corrections); diff != "" || grid.Adjusts {
		t.Errorf("the console tells %+v (-want +got):\n%s", grid, diff)
	}
	if _, err := g.Adjust(ctx, subject, "grid", hardware.CalibrationStep{Channel: "active_power"}); err == nil {
		t.Error("a meter without an adjustment of its own was adjusted")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, err := g.Calibrate(t.Context(), subject, calibration(1020)); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("calibrating a gateway that has ended: %v", err)
	}

	cfg.OnSigned = nil
	_, _, p := opened(t, key, signFor(t, cfg, 1)[0])
	if r := find(p, "active_power.calibration"); r == nil || r.Text != entry.CalibrationText(id) || find(p, "active_power").Value.String() != "1212.000" {
		t.Errorf("the next life names %+v", r)
	}

	// With another device at its point records have its name before the channel, and the
	// calibration stays its own.
	second := cfg.Devices[0]
	second.Name = "sun"
	cfg.Devices = append(cfg.Devices, second)
	_, _, p = opened(t, key, signFor(t, cfg, 1)[0])
	if r := find(p, "grid.active_power.calibration"); r == nil || r.Text != entry.CalibrationText(id) || find(p, "grid.active_power").Value.String() != "1212.000" {
		t.Errorf("beside another device it names %+v", r)
	}
	if r := find(p, "sun.active_power"); r == nil || r.Value.String() != "1200" {
		t.Errorf("the other device says %+v", r)
	}
}
