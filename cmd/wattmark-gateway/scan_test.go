package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"wattmark/gateway"
	"wattmark/gateway/survey"
	"wattmark/hardware/emulated"
)

// TestScanFinds: whatever is in the catalogue is looked for, but for what has nothing to
// find.
func TestScanFinds(t *testing.T) {
	t.Parallel()
	cannot := []string{"modbus", "s0"} // a map that is given, and pulses
	for _, name := range gateway.Models() {
		if found := slices.Contains(survey.Models(), name); found == slices.Contains(cannot, name) {
			t.Errorf("%s: looked for: %v", name, found)
		}
	}
	for _, name := range survey.Models() {
		if _, err := gateway.LookupModel(name); err != nil {
			t.Error(err)
		}
	}
}

// runs lets a part of an emulated site run until the script ends.
func runs(e *testscript.Env, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			e.T().Log(err)
		}
	})
	e.Defer(func() { cancel(); running.Wait() })
}

// scanConfig is the configuration of a gateway that has not seen all of its line.
const scanConfig = `# Kept as it is.
[gateway]
name = "home-01"
point = "mp-house"

[uplink]
ledger = "example.org/street"
broker = "mqtt://127.0.0.1:1883"
policy = "policy" # not there yet
oracle_keys = "keys.jwks"

[[bus]]
name = "meters"
kind = "serial"
port = "PORT"

[[device]]
name = "grid"
model = "sdm630"
bus = "meters"
unit = 1`

// TestScanScripts scans emulated lines as a technician does: testdata/scan/*.txt.
func TestScanScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/scan",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			line, err := emulated.OpenLine()
			if err != nil {
				return err
			}
			e.Defer(func() { line.Close() })
			grid := emulated.NewMeter("sdm630", 1001)
			grid.SetPower(1200)
			line.Attach(1, grid)
			line.Attach(2, emulated.NewMeter("sdm120", 1002))
			unknown := emulated.NewMap(10, true)
			unknown.SetHolding(100, 1)
			line.Attach(3, unknown)
			runs(e, line.Run)
			head, err := emulated.OpenCable(emulated.NewSMLMeter("EMH", 4711))
			if err != nil {
				return err
			}
			e.Defer(func() { head.Close() })
			runs(e, head.Run)
			server, err := emulated.Listen(true)
			if err != nil {
				return err
			}
			server.Attach(1, emulated.NewSunSpec(40000, "4711", false, 103))
			runs(e, server.Run)
			e.Setenv("LINE", line.Path())
			e.Setenv("LINENAME", strings.ReplaceAll(strings.TrimPrefix(line.Path(), "/dev/"), "/", ""))
			text := strings.ReplaceAll(scanConfig, "PORT", line.Path())
			pointless := strings.ReplaceAll(strings.Replace(text, "point = \"mp-house\"\n", "", 1), "[[device]]\n", "[[device]]\npoint = \"mp-1\"\n")
			for name, text := range map[string]string{"gateway.toml": text, "pointless.toml": pointless, "pointless.before": pointless} {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600); err != nil {
					return err
				}
			}
			e.Setenv("SIZE", strconv.Itoa(len(text)))
			e.Setenv("HEAD", head.Path())
			e.Setenv("SERVER", server.Address())
			return nil
		},
	})
}

// TestScanStopped: Ctrl-C ends a scan with what it has.
func TestScanStopped(t *testing.T) {
	t.Parallel()
	line, err := emulated.OpenLine()
	if err != nil {
		t.Fatal(err)
	}
	line.Attach(1, emulated.NewMeter("sdm120", 1001))
	ctx, stop := context.WithCancel(t.Context())
	running, end := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := line.Run(running); err != nil {
			t.Error(err)
		}
	})
	beside.Go(func() { // once the next speed is being asked somebody has had enough
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for line.Requests() < 6 && running.Err() == nil {
			<-tick.C
		}
		stop()
	})
	t.Cleanup(func() {
		end()
		beside.Wait()
		line.Close()
	})
	var out, errs bytes.Buffer
	code := run(ctx, []string{"scan", "--serial", line.Path(), "--units", "1,9"}, strings.NewReader(""), &out, &errs)
	if code != 0 || !strings.Contains(out.String(), `model = "sdm120"`) || !strings.Contains(errs.String(), "Stopped after ") {
		t.Errorf("it ended with %d:\n%s%s", code, &out, &errs)
	}
}
