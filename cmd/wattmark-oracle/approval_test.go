package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"wattmark/oracle/broker"
	"wattmark/oracle/oracletest"
	"wattmark/signer/keyfile"
)

// TestApprovalBringsTheCertificate enrols a gateway with the three programs as people type
// them. The gateway makes its TLS key, the operator's approval brings the certificate, and
// with it the gateway connects, which it could not before.
func TestApprovalBringsTheCertificate(t *testing.T) {
	dir := t.TempDir()
	gateway, tool := build(t, dir, "wattmark-gateway"), build(t, dir, "wattmark")
	do := func(program string, args ...string) {
		t.Helper()
		c := exec.Command(program, args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", filepath.Base(program), args, err, out)
		}
	}
	m := &node{name: "alone.example/oracle", config: filepath.Join(dir, "oracle.toml"), state: stateDir(filepath.Join(dir, "state"))}
	port := oracletest.FreePort(t)
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("oracle.toml", fmt.Sprintf("[oracle]\nstate = \"state\"\ncut_after = \"20ms\"\n[broker]\nmqtt = \"127.0.0.1:0\"\nnats = \"127.0.0.1:%d\"\n", port))
	verb(t, "--config", m.config, "init", "--origin", origin, "--name", m.name)
	m.run(t)
	until(t, "the oracle runs", func() bool { s := m.status(t); return s != nil && s.Running })

	config := write("gateway.toml", fmt.Sprintf(`[gateway]
name = "home-1"
state = "gateway"
point = "mp-home-1"
mode = "open"

[uplink]
ledger = %q
transport = "nats"
broker = "tls://127.0.0.1:%d"
certificate = "gateway/tls.pem"
certificate_key = "gateway/tls-key.pem"
roots = "gateway/roots.pem"
policy = "state/policy"
oracle_keys = "state/keys.jwks"

[[bus]]
name = "meters"
kind = "serial"
port = "/dev/ttyUSB0"

[[device]]
name = "grid"
model = "sdm120"
bus = "meters"
unit = 1
`, origin, port))
	do(gateway, "--config", config, "enrol", "--offline", "--request", "home-1.request", "--json")
	files := broker.Files{Certificate: filepath.Join(dir, "gateway/tls.pem"), Key: filepath.Join(dir, "gateway/tls-key.pem"), Roots: filepath.Join(dir, "gateway/roots.pem")}
	if info, err := os.Stat(files.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the TLS key that the gateway made: %v, %v", info, err)
	}
	do(tool, "member", "approve", "home-1.request", "--dir", string(m.state), "--yes", "--approval", "home-1.approval")
	do(gateway, "--config", config, "enrol", "--approval", "home-1.approval")

	key, err := keyfile.Load(filepath.Join(dir, "gateway/key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	g := newMeter(t, "home-1", m.policyFile(t))
	g.key, g.channel = key, "grid.active_energy_import"
	until(t, "the gateway connects", func() bool { return g.connect(fmt.Sprintf("tls://127.0.0.1:%d", port), files) == nil })
	g.publish(3)
	g.settle(1)
}
