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
	"testing"
	"time"

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

// TestEnrolment switches on a card with nothing on it but the configuration and what the
// consortium gives to every technician. The gateway makes its key, shows its words, is
// approved by the operator of a real oracle, and its readings stand on the ledger.
func TestEnrolment(t *testing.T) {
	needQEMU(t)
	dir, perm := t.TempDir(), t.TempDir()
	oracle, tool := program(t, dir, "wattmark-oracle"), program(t, dir, "wattmark")
	config, state := filepath.Join(dir, "oracle.toml"), filepath.Join(dir, "state")
	// do runs a command; ok reports whether it ended well.
	do := func(program string, args ...string) (out string, ok bool) {
		var stdout, stderr bytes.Buffer
		c := exec.Command(program, args...)
		c.Stdout, c.Stderr = &stdout, &stderr
		err := c.Run()
		if err != nil {
			return stdout.String() + stderr.String(), false
		}
		return stdout.String(), true
	}
	must := func(program string, args ...string) string {
		t.Helper()
		out, ok := do(program, args...)
		if !ok {
			t.Fatalf("%s %q: %s", filepath.Base(program), args, out)
		}
		return out
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	mqtt := oracletest.FreePort(t)
	write(config, fmt.Sprintf("[oracle]\nstate = %q\n[broker]\nmqtt = \"127.0.0.1:%d\"\nnats = \"127.0.0.1:0\"\n", state, mqtt))
	must(oracle, "--config", config, "init", "--origin", origin, "--name", "alone.example/oracle")
	ctx, cancel := context.WithCancel(context.Background())
	run := exec.CommandContext(ctx, oracle, "--config", config, "run")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = run.Wait() })
	m := &machine{t: t, firmware: efi(t)}
	t.Cleanup(func() {
		m.off()
		if t.Failed() {
			t.Logf("the machine's console, its end:\n%s", m.tail(80))
		}
	})
	until := func(what string, yes func() bool) {
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
	until("the oracle runs", func() bool { _, ok := do(oracle, "--config", config, "status"); return ok })
	must(oracle, "--config", config, "certificate", "bootstrap")

	at := func(name string) string { return filepath.Join(perm, "wattmark", name) }
	for to, from := range map[string]string{"bootstrap.pem": "bootstrap.pem", "roots.pem": "pki/ca.pem", "policy": "policy", "keys.jwks": "keys.jwks"} {
		b, err := os.ReadFile(filepath.Join(state, from))
		if err != nil {
			t.Fatal(err)
		}
		write(at(to), string(b))
	}
	write(at("gateway.toml"), fmt.Sprintf(`[gateway]
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
broker = "mqtts://127.0.0.1:8883"
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
port = "/tmp/meter"
timeout = "2s"

[[device]]
name = "grid"
model = "sdm120"
bus = "rs485"
unit = 1
period = "1s"
`, name, subject, origin))
	write(filepath.Join(perm, "lab", "forwards"), fmt.Sprintf("8883 10.0.2.2:%d\n", mqtt))
	m.card = build(t, "lab", 1, perm).image
	m.on()

	var list struct {
		Requests []struct{ Gateway, Words string }
	}
	until("the request waits", func() bool {
		out, ok := do(tool, "member", "pending", "--dir", state, "--json")
		return ok && json.Unmarshal([]byte(out), &list) == nil && len(list.Requests) > 0
	})
	words := strings.Fields(list.Requests[0].Words)
	if list.Requests[0].Gateway != name || len(words) != 8 {
		t.Fatalf("what waits: %+v", list)
	}
	until("the console shows the words", func() bool {
		said := strings.Join(strings.Fields(m.log.String()), " ")
		return strings.Contains(said, strings.Join(words[:4], " ")) && strings.Contains(said, strings.Join(words[4:], " "))
	})
	must(tool, append(append([]string{"member", "approve"}, words...), "--dir", state, "--approval", filepath.Join(dir, "approval"))...)
	heard := func(leaf *uint64) func() bool {
		return func() bool {
			out, ok := do(tool, "gateway", "list", state, "--json")
			var g struct {
				Gateway string
				Leaf    uint64 `json:"last_leaf"`
			}
			if !ok || json.Unmarshal([]byte(out), &g) != nil || g.Gateway != name || g.Leaf <= *leaf {
				return false
			}
			*leaf = g.Leaf
			return true
		}
	}
	var last uint64
	until("its readings are on the ledger", heard(&last))
	m.off()
	m.on() // it is enrolled for good
	until("its readings are on the ledger after a power cut", heard(&last))
}
