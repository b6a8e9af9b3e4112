package qemutest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/hardware/emulated"
	"wattmark/oracle/oracletest"
)

// program builds a program of this module into a directory.
func program(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	c := exec.Command("go", "build", "-o", path, "wattmark/cmd/"+name)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", name, err, out)
	}
	return path
}

// newcomer is a gateway that has nothing but its card.
type newcomer struct {
	name, point string
	instance    string // of the image
	broker      string // as its configuration names it
	port        string // of the serial line
	forwards    string // of a lab, on this machine
	line        string // of the machine, see there
	console     bool   // whether the test sees the console
}

// TestEnrolment switches on cards with nothing on them but the configuration and what the
// consortium gives to every technician: one of a lab, and one of a Raspberry Pi as it is
// released, whose serial port is wired to a meter that is emulated on this side of the
// wire. Each gateway makes its key, shows its words, is approved by the operator of a real
// oracle, and its readings stand on the ledger.
func TestEnrolment(t *testing.T) {
	needQEMU(t)
	o := newOperator(t)
	t.Run("lab", func(t *testing.T) {
		t.Parallel() // they wait for most of their time
		o.enrols(t, newcomer{name: "lab-1", point: "mp-lab", instance: "lab", broker: "127.0.0.1:8883", port: "/tmp/meter",
			forwards: fmt.Sprintf("8883 10.0.2.2:%d\n", o.mqtt), console: true})
	})
	t.Run("rpi", func(t *testing.T) {
		t.Parallel()
		line, err := emulated.OpenLine()
		if err != nil {
			t.Fatal(err)
		}
		meter := emulated.NewMeter("sdm120", 12345678)
		meter.SetPower(1200)
		meter.SetEnergy(512_345, 0)
		line.Attach(1, meter)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() {
			if err := line.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(func() { cancel(); running.Wait(); line.Close() })
		o.enrols(t, newcomer{name: "pi-1", point: "mp-pi", instance: "rpi", broker: fmt.Sprintf("10.0.2.2:%d", o.mqtt), port: "/dev/ttyAMA0", line: line.Path()})
	})
}

// operator is who runs an oracle and approves gateways, as programs.
type operator struct {
	oracle, tool       string // programs
	dir, config, state string
	mqtt               int
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	dir := t.TempDir()
	o := &operator{oracle: program(t, dir, "wattmark-oracle"), tool: program(t, dir, "wattmark"), dir: dir,
		config: filepath.Join(dir, "oracle.toml"), state: filepath.Join(dir, "state"), mqtt: oracletest.FreePort(t)}
	// 10.0.2.2 is the host's loopback in QEMU's user network.
	write(t, o.config, fmt.Sprintf("[oracle]\nstate = %q\n[broker]\nmqtt = \"127.0.0.1:%d\"\nnats = \"127.0.0.1:0\"\nhosts = [\"10.0.2.2\"]\n", o.state, o.mqtt))
	must(t, o.oracle, "--config", o.config, "init", "--origin", origin, "--name", "alone.example/oracle")
	ctx, cancel := context.WithCancel(context.Background())
	run := exec.CommandContext(ctx, o.oracle, "--config", o.config, "run")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = run.Wait() })
	until(t, "the oracle runs", func() bool { _, ok := do(o.oracle, "--config", o.config, "status"); return ok })
	must(t, o.oracle, "--config", o.config, "certificate", "bootstrap")
	return o
}

// enrols has a newcomer enrolled, and waits for its readings before and after a power cut.
func (o *operator) enrols(t *testing.T, n newcomer) {
	perm := t.TempDir()
	at := func(name string) string { return filepath.Join(perm, "wattmark", name) }
	for to, from := range map[string]string{"bootstrap.pem": "bootstrap.pem", "roots.pem": "pki/ca.pem", "policy": "policy", "keys.jwks": "keys.jwks"} {
		b, err := os.ReadFile(filepath.Join(o.state, from))
		if err != nil {
			t.Fatal(err)
		}
		write(t, at(to), string(b))
	}
	write(t, at("gateway.toml"), fmt.Sprintf(`[gateway]
name = %q
state = "."
console = "/tmp/console.sock"
point = %q
mode = "open"
pack_max_age = "1s"
board = "4b"

[outbox]
flush_after = "100ms"

[uplink]
ledger = %q
broker = "mqtts://%s"
certificate = "client.pem"
certificate_key = "client.key"
bootstrap = "bootstrap.pem"
roots = "roots.pem"
policy = "policy"
oracle_keys = "keys.jwks"
resend_after = "2s"

[[bus]]
name = "rs485"
kind = "serial"
port = %q
timeout = "2s"

[[device]]
name = "grid"
model = "sdm120"
bus = "rs485"
unit = 1
period = "1s"
`, n.name, n.point, origin, n.broker, n.port))
	write(t, filepath.Join(perm, "lab", "forwards"), n.forwards)
	m := &machine{t: t, firmware: efi(t), card: build(t, n.instance, 1, perm).image, line: n.line}
	t.Cleanup(func() {
		m.off()
		if t.Failed() {
			t.Logf("the machine's console, its end:\n%s", m.tail(80))
		}
	})
	m.on()

	var words []string
	until(t, "the request waits", func() bool {
		var list struct {
			Requests []struct{ Gateway, Words string }
		}
		out, ok := do(o.tool, "member", "pending", "--dir", o.state, "--json")
		if !ok || json.Unmarshal([]byte(out), &list) != nil {
			return false
		}
		for _, r := range list.Requests {
			if r.Gateway == n.name {
				words = strings.Fields(r.Words)
			}
		}
		return words != nil
	})
	if len(words) != 8 {
		t.Fatalf("the words of what waits: %q", words)
	}
	if n.console {
		until(t, "the console shows the words", func() bool {
			said := strings.Join(strings.Fields(m.log.String()), " ")
			return strings.Contains(said, strings.Join(words[:4], " ")) && strings.Contains(said, strings.Join(words[4:], " "))
		})
	}
	must(t, o.tool, append(append([]string{"member", "approve"}, words...), "--dir", o.state, "--approval", filepath.Join(o.dir, "approval-"+n.name))...)
	var last uint64
	heard := func() bool {
		out, ok := do(o.tool, "gateway", "list", o.state, "--json")
		for line := range strings.Lines(out) {
			var g struct {
				Gateway string
				Leaf    uint64 `json:"last_leaf"`
			}
			if ok && json.Unmarshal([]byte(line), &g) == nil && g.Gateway == n.name && g.Leaf > last {
				last = g.Leaf
				return true
			}
		}
		return false
	}
	until(t, "its readings are on the ledger", heard)
	m.off()
	m.on() // it is enrolled for good
	until(t, "its readings are on the ledger after a power cut", heard)
}

// do runs a command; ok reports whether it ended well.
func do(program string, args ...string) (out string, ok bool) {
	var stdout, stderr bytes.Buffer
	c := exec.Command(program, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		return stdout.String() + stderr.String(), false
	}
	return stdout.String(), true
}

// must runs a command that must end well.
func must(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, ok := do(program, args...); !ok {
		t.Fatalf("%s %q: %s", filepath.Base(program), args, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !yes() {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
