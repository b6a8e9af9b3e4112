package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"wattmark/gateway/console"
	"wattmark/hardware/emulated"
)

const readConfig = `[gateway]
name = "home-01"
point = "mp-house"
console = "console.sock"

[uplink]
ledger = "example.org/street"
broker = "mqtt://127.0.0.1:1883"
policy = "policy"
oracle_keys = "keys.jwks"

[[bus]]
name = "meters"
kind = "serial"
port = %q

[[device]]
name = "grid"
model = "sdm120"
bus = "meters"
unit = 1

[[device]]
name = %q
model = %q
bus = "meters"
unit = %d
`

// TestReadScripts reads emulated meters where no gateway runs: testdata/read/*.txt.
func TestReadScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/read",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			line, err := emulated.OpenLine()
			if err != nil {
				return err
			}
			e.Defer(func() { line.Close() })
			grid := emulated.NewMeter("sdm120", 1001)
			grid.SetPower(1200)
			grid.SetEnergy(512_345, 0)
			line.Attach(1, grid)
			house := emulated.NewMeter("sdm630", 1002)
			house.Set(emulated.Supply{Frequency: 50, Phases: [3]emulated.Phase{
				{Voltage: 230, Current: 3.5, Power: 800}, {Voltage: 231, Current: 2.2, Power: -500}, {Voltage: 229, Current: 4, Power: 900},
			}})
			line.Attach(2, house)
			runs(e, line.Run)
			for name, text := range map[string]string{
				"gateway.toml": fmt.Sprintf(readConfig, line.Path(), "house", "sdm630", 2),
				"silent.toml":  fmt.Sprintf(readConfig, line.Path(), "attic", "sdm120", 9),
			} {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// typed runs a verb as somebody types it, and what they answer.
func typed(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

// TestCalibrateRunning calibrates a meter of a gateway that runs: by a value that is
// typed in, by a register, and back. The record is signed and receipted, and reading
// tells what is in force.
func TestCalibrateRunning(t *testing.T) {
	t.Parallel()
	line, err := emulated.OpenLine()
	if err != nil {
		t.Fatal(err)
	}
	m := emulated.NewMeter("sdm120", 12345678)
	m.SetPower(1200)
	line.Attach(unit, m)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := line.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() { // its register goes on, by odd steps
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for wh := int64(512_000); ctx.Err() == nil; wh += 3 + wh%5 {
			m.SetEnergy(wh, 0)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		line.Close()
	})
	s := newSite(t, line.Path())
	d := s.start(t, buildProgram(t))
	d.status("ready", func(s *console.Status) bool { return s.Ready })
	calibrate := func(stdin string, args ...string) (int, string, string) {
		return typed(t, stdin, append([]string{"calibrate", "grid", "--config", s.config}, args...)...)
	}
	reads := func() readDevice {
		t.Helper()
		code, stdout, stderr := typed(t, "", "read", "grid", "--config", s.config, "--json")
		var r read
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || len(r.Devices) != 1 || r.From != "gateway" {
			t.Fatalf("read ended with %d: %v\n%s%s", code, err, stdout, stderr)
		}
		return r.Devices[0]
	}
	power := func(d readDevice) string {
		for _, v := range d.Values {
			if v.Channel == "active_power" {
				return v.Value
			}
		}
		return ""
	}

	// Somebody who says no, or nothing more, has changed nothing.
	for _, answers := range []string{"", "active_power\n"} {
		code, stdout, stderr := calibrate(answers)
		if code != exitAbandoned || stdout != "" || !strings.Contains(stderr, "Abandoned: nothing was changed.") {
			t.Errorf("answering %q ended with %d:\n%s%s", answers, code, stdout, stderr)
		}
	}
	if d := reads(); len(d.Corrections) > 0 {
		t.Fatalf("abandoned, and there is %+v", d.Corrections)
	}

	code, stdout, stderr := calibrate("active_power\n1738\nD-K-1\n0.5%\nabout 1200\n1176\nlicence 4711\ny\n")
	if code != 0 || !strings.HasPrefix(stdout, "Signed: record ") {
		t.Fatalf("ended with %d:\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{
		"grid active_power against 1738, certificate D-K-1\n", "  device       1200 W\n", "  reference    1176 W\n",
		"  error        +2.04 %, uncertain by 0.5 % (k = 2)\n", "  in force     x 1\n", "  proposal     x 0.98\n",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("it says, without %q:\n%s", want, stderr)
		}
	}
	for line := range strings.Lines(stderr) {
		if len(strings.TrimSuffix(line, "\n")) > screenWidth && !strings.Contains(line, "? ") && !strings.Contains(line, ": ") {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	if d := reads(); len(d.Corrections) != 1 || d.Corrections[0].Ratio != "0.98" || power(d) != "1176" {
		t.Errorf("in force is %+v, and the power %s", d.Corrections, power(d))
	}

	// It is right now: a second comparison leaves it.
	code, stdout, stderr = calibrate("", "--channel", "active_power", "--reference", "1176", "--uncertainty", "0.5%", "--instrument", "1738",
		"--certificate", "D-K-1", "--person", "licence 4711", "--yes", "--json")
	var record calibrated
	if err := json.Unmarshal([]byte(stdout), &record); err != nil || code != 0 || record.After.Ratio != "0.98" || record.Error == nil || *record.Error != 0 {
		t.Errorf("ended with %d: %v\n%s%s", code, err, stdout, stderr)
	}

	// Back, twice: to what was before the second one, and that is the same.
	code, stdout, stderr = calibrate("", "--undo", "--person", "licence 4711", "--yes")
	if code != 0 || !strings.Contains(stderr, "takes back record "+record.Record[:12]) {
		t.Errorf("undoing ended with %d:\n%s%s", code, stdout, stderr)
	}

	// Registers: against another, until it has gone far enough, and against what is typed
	// in before and after. Both see the same here.
	var comparing sync.WaitGroup
	for want, c := range map[string]struct {
		stdin string
		args  []string
	}{
		"leave it at x 1: the error is within its uncertainty": {"1\n0.5%\nme\nn\n", []string{"--against", "grid.active_energy_absolute"}},
		"  reference    10000 Wh\n":                            {"1738\n1\n0.5%\n1000\n11000\nme\nn\n", nil},
	} {
		comparing.Go(func() {
			code, stdout, stderr := calibrate(c.stdin, append([]string{"--channel", "active_energy_import"}, c.args...)...)
			if code != exitAbandoned || stdout != "" || !strings.Contains(stderr, want) || !strings.Contains(stderr, "Comparing for 10 minutes, or 100 steps of the register.") {
				t.Errorf("%v ended with %d, without %q:\n%s%s", c.args, code, want, stdout, stderr)
			}
		})
	}
	comparing.Wait()

	for what, args := range map[string][]string{
		"is compared with itself":              {"--channel", "active_power", "--certificate", "1", "--uncertainty", "1%", "--against", "grid"},
		"did you mean \"active_power\"":        {"--channel", "active_powr"},
		"does not set itself":                  {"--channel", "active_power", "--fresh-air"},
		"is a register":                        {"--channel", "active_energy_import", "--reference", "5"},
		"it is given in per cent":              {"--channel", "active_power", "--instrument", "1738", "--certificate", "1", "--uncertainty", "0.5"},
		"no calibration of device \"grid\" is": {"--undo", "--channel", "voltage_l1"},
	} {
		if code, _, stderr := calibrate("", args...); code != exitFailed || !strings.Contains(stderr, what) {
			t.Errorf("%v ended with %d:\n%s", args, code, stderr)
		}
	}
	if err := d.end(); err != nil {
		t.Error(err)
	}
	if log := d.log.String(); strings.Contains(log, "1176") || !strings.Contains(log, "msg=calibrated") {
		t.Errorf("the log:\n%s", log)
	}
	s.checkReceipts(t)
}
