package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/console"
)

// machine is one that gateways run on, and the emulator of its processor, which must
// be able to no more than the oldest of its kind.
type machine struct {
	name, emulator string
	arguments      []string
	env            []string
}

var machines = []machine{
	{"arm64", "qemu-aarch64", []string{"-cpu", "cortex-a53"}, []string{"GOARCH=arm64"}},   // Pi 3, Zero 2
	{"armv6", "qemu-arm", []string{"-cpu", "arm1176"}, []string{"GOARCH=arm", "GOARM=6"}}, // Pi 1, Zero
}

// program builds the program for the machine, as it ships, and returns a file that runs
// it on this one.
func (m *machine) program(t *testing.T) string {
	t.Helper()
	emulator, err := exec.LookPath(m.emulator)
	if err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatalf("%s is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test", m.emulator)
		}
		t.Skipf("%s is not installed (Debian: qemu-user): nothing is run as %s", m.emulator, m.name)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "program")
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", binary, ".")
	c.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux"), m.env...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	program := filepath.Join(dir, "wattmark-gateway")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' %s '%s' \"$@\"\n", emulator, strings.Join(m.arguments, " "), binary)
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// TestMachines runs the program as the machines of the field have it: every recording
// decodes to the bytes that it does here, and readings make the whole way.
func TestMachines(t *testing.T) {
	for _, m := range machines {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			program := m.program(t)
			t.Run("decode", func(t *testing.T) { decodeAll(t, program) })
			t.Run("round trip", func(t *testing.T) { roundTripOn(t, program) })
		})
	}
}

// decodeAll decodes every recording with a program in a process of its own.
func decodeAll(t *testing.T, program string) {
	for _, file := range recordings(t) {
		args, golden := decodeArguments(t, file)
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		c := exec.Command(program, append(args, file)...)
		c.Stdout, c.Stderr = &stdout, &stderr
		var exit *exec.ExitError
		if err := c.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), decodedText(args, stdout.String(), stderr.String(), c.ProcessState.ExitCode())); diff != "" {
			t.Errorf("%s: decode prints (-here +there):\n%s", file, diff)
		}
	}
}

// absentBuses are in the configuration of a machine that has none of them.
const absentBuses = `
[[bus]]
name = "air"
kind = "i2c"
port = "/dev/i2c-97"

[[bus]]
name = "front"
kind = "spi"
port = "/dev/spidev97.0"

[[device]]
name = "stack"
model = "scd30"
bus = "air"
period = "1s"

[[device]]
name = "mains"
model = "atm90e32"
bus = "front"
period = "1s"
`

// roundTripOn reads an emulated meter at a serial port, signs, publishes over TLS, and
// forgets what has its receipt. Buses that the machine lacks keep nothing from it.
func roundTripOn(t *testing.T, program string) {
	s := newSite(t, meter(t))
	s.write(t, s.text(t)+absentBuses)
	d := s.start(t, program)
	d.hears("READY=1")
	d.hears("WATCHDOG=1")
	d.status("receipts for all, and silence on the other buses", func(s *console.Status) bool {
		states := make(map[string]string)
		for _, x := range s.Devices {
			states[x.Name] = x.State
		}
		return s.Uplink.Receipts >= 3 && s.Outbox.Pending == 0 && cmp.Equal(states, map[string]string{
			"grid": console.StateGood, "stack": console.StateSilent, "mains": console.StateSilent,
		})
	})
	if err := d.end(); err != nil {
		t.Errorf("asked to end it ended with %v", err)
	}
	s.checkReceipts(t)
}
