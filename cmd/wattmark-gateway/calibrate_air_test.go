package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/cmd/internal/street"
	"wattmark/gateway"
	"wattmark/gateway/console"
	"wattmark/gateway/uplink"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

const airConfig = `[gateway]
name = "home-01"
state = "."
point = "mp-0123456789abcdef"
console = "console.sock"

[uplink]
ledger = "example.org/street"
broker = "mqtt://127.0.0.1:1"
policy = "policy"
oracle_keys = "keys.jwks"

[[bus]]
name = "air"
kind = "i2c"
port = "/dev/i2c-1"

[[device]]
name = "room"
model = "scd41"
bus = "air"
period = "5s"
`

// TestCalibrateFreshAir has a CO2 sensor set itself. No program but one with the real bus
// can reach a part on I2C, so the gateway runs within the test, on an emulated bus and
// with a clock at sixty times the speed; what is typed is the real verb.
func TestCalibrateFreshAir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "gateway.toml")
	if err := os.WriteFile(name, []byte(airConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := gateway.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	clock, err := street.NewClock(time.Now().Truncate(time.Minute), 60)
	if err != nil {
		t.Fatal(err)
	}
	part := emulated.NewSCD4x(0x1234, clock.Monotonic)
	part.Set(emulated.Air{CO2: 472, Temperature: 21, Humidity: 40})
	wires := emulated.NewBus("i2c-1")
	wires.Attach(0x62, part)
	key, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := uplink.MQTT(uplink.Link{URL: "mqtt://127.0.0.1:1", ClientID: "home-01"})
	if err != nil {
		t.Fatal(err)
	}
	oracles := ledgertest.NewConsortium(t, 1)
	g, _, err := gateway.Open(gateway.Config{
		Name: "home-01", Dir: dir, Clock: clock, Key: key, Origin: ledgertest.Origin, Policy: oracles.Policy, Transport: transport,
		OracleKeys: map[signer.KeyID]signer.PublicKey{oracles.Oracles[0].Statement.Public().ID(): oracles.Oracles[0].Statement.Public()},
		Buses:      []gateway.Bus{{Name: "air", Open: bus.Given(wires)}},
		Devices: []gateway.Device{{
			Name: "room", Model: "scd41", Bus: "air", BusKind: gateway.BusI2C, Subject: subject, Mode: entry.ModeCommitted, Period: 5 * time.Second,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() {
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	d := &daemon{name: name, log: slog.New(slog.DiscardHandler)}
	running.Go(func() { d.serve(ctx, file, g) })
	running.Go(func() { d.takeCalibrations(ctx, file, g) })
	air := func() console.DeviceValue { return g.Live().Devices[0] }
	until := func(what string, yes func() bool) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !yes() {
			select {
			case <-tick.C:
			case <-t.Context().Done():
				t.Fatalf("not until the test's end: %s: %+v", what, air())
			}
		}
	}
	calibrate := func(stdin string, args ...string) (int, string, string) {
		return typed(t, stdin, append([]string{"calibrate", "room", "--config", name, "--person", "me"}, args...)...)
	}
	until("a value and the socket", func() bool {
		_, err := os.Stat(filepath.Join(dir, "console.sock"))
		return err == nil && air().At != nil
	})

	// The part has not run for long enough, and says so; nothing is signed.
	if code, _, stderr := calibrate("y\ny\n", "--fresh-air"); code != exitFailed || !strings.Contains(stderr, "must have measured the reference for 3m0s") {
		t.Errorf("at once it ended with %d:\n%s", code, stderr)
	}
	if code, _, stderr := calibrate("n\n", "--fresh-air"); code != exitAbandoned || !strings.Contains(stderr, "room shows 472 ppm and sets itself to 425 ppm.") {
		t.Errorf("not outdoors, it ended with %d:\n%s", code, stderr)
	}
	if len(air().Corrections) > 0 || !air().Adjusts {
		t.Errorf("before: %+v", air())
	}
	until("the part has rested", func() bool { return clock.Monotonic() > 4*time.Minute })
	code, stdout, stderr := calibrate("y\ny\n", "--fresh-air")
	if code != 0 || !strings.Contains(stdout, "The part has set itself: frc_correction is -47, was 0.\nSigned: record ") {
		t.Fatalf("it ended with %d:\n%s%s", code, stdout, stderr)
	}
	if c := air().Corrections; len(c) != 1 || c[0].Channel != "co2" || c[0].Ratio != "1" || len(c[0].Record) != 64 {
		t.Errorf("in force: %+v", c)
	}
	until("the part shows fresh air", func() bool {
		for _, v := range air().Values {
			if v.Channel == "co2" {
				return v.Value == "425"
			}
		}
		return false
	})

	// Indoors it is refused.
	part.Set(emulated.Air{CO2: 1900, Temperature: 21, Humidity: 40})
	until("the part shows bad air", func() bool {
		code, _, stderr := calibrate("", "--fresh-air")
		return code == exitFailed && strings.Contains(stderr, "carry it outdoors")
	})
}
