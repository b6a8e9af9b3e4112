package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/gateway/console"
	"wattmark/hardware/emulated"
	"wattmark/oracle/broker"
	"wattmark/oracle/oracletest"
	"wattmark/oracle/wire"
)

// TestFromNothingOnLine takes a gateway that has nothing but the certificate that all share
// to its first receipt, with the three programs as people type them: it asks on line, the
// operator finds it and approves by the words of its key, what the approval brings is the
// certificate with which the gateway then connects, and the technician may leave.
func TestFromNothingOnLine(t *testing.T) {
	dir := t.TempDir()
	gateway, tool := build(t, dir, "wattmark-gateway"), build(t, dir, "wattmark")
	// do runs a program that must end well, and returns what it printed.
	do := func(program string, args ...string) []byte {
		t.Helper()
		c := exec.Command(program, args...)
		c.Dir = dir
		var out, err bytes.Buffer
		c.Stdout, c.Stderr = &out, &err
		if e := c.Run(); e != nil {
			t.Fatalf("%s %q: %v\n%s%s", filepath.Base(program), args, e, &out, &err)
		}
		return out.Bytes()
	}
	// start runs one until the test ends, or it ends by itself, which ended then tells.
	start := func(program string, args ...string) (ended chan error, said *bytes.Buffer) {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		c := exec.CommandContext(ctx, program, args...)
		c.Dir, said = dir, new(bytes.Buffer)
		c.Stdout, c.Stderr = said, said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended = make(chan error, 1)
		var waiting sync.WaitGroup
		waiting.Go(func() { ended <- c.Wait() })
		t.Cleanup(func() { cancel(); waiting.Wait() })
		return ended, said
	}

	m := &node{name: "alone.example/oracle", config: filepath.Join(dir, "oracle.toml"), state: stateDir(filepath.Join(dir, "state"))}
	mqtt := oracletest.FreePort(t)
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("oracle.toml", fmt.Sprintf("[oracle]\nstate = \"state\"\ncut_after = \"20ms\"\n[broker]\nmqtt = \"127.0.0.1:%d\"\nnats = \"127.0.0.1:0\"\n", mqtt))
	verb(t, "--config", m.config, "init", "--origin", origin, "--name", m.name)
	m.run(t)
	until(t, "the oracle runs", func() bool { s := m.status(t); return s != nil && s.Running })
	verb(t, "--config", m.config, "certificate", "bootstrap")

	port := emulatedMeter(t)
	config := write("gateway.toml", fmt.Sprintf(`[gateway]
name = "home-1"
state = "gateway"
console = "gateway/console.sock"
page = "off"
point = "mp-home-1"
pack_max_age = "1s"

[outbox]
flush_after = "10ms"

[uplink]
ledger = %q
broker = "mqtts://127.0.0.1:%d"
certificate = "gateway/tls.pem"
certificate_key = "gateway/tls-key.pem"
bootstrap = "state/bootstrap.pem"
roots = "state/pki/ca.pem"
policy = "state/policy"
oracle_keys = "state/keys.jwks"
resend_after = "1s"

[[bus]]
name = "meters"
kind = "serial"
port = %q
timeout = "2s"

[[device]]
name = "grid"
model = "sdm120"
bus = "meters"
unit = 1
period = "1s"
`, origin, mqtt, port))

	ended, said := start(gateway, "--config", config, "enrol")
	var list struct {
		Requests []struct{ Gateway, Words string }
	}
	until(t, "the request waits", func() bool {
		list.Requests = nil
		if err := json.Unmarshal(do(tool, "member", "pending", "--dir", string(m.state), "--json"), &list); err != nil {
			t.Fatal(err)
		}
		return len(list.Requests) > 0
	})
	if len(list.Requests) != 1 || list.Requests[0].Gateway != "home-1" {
		t.Fatalf("what waits: %+v", list)
	}
	words := strings.Fields(list.Requests[0].Words)
	do(tool, append(append([]string{"member", "approve"}, words...), "--dir", string(m.state), "--approval", "home-1.approval")...)
	if err := <-ended; err != nil || !strings.Contains(said.String(), words[0]+" "+words[1]) || !strings.Contains(said.String(), "Enrolled: the ledger took the key") {
		t.Fatalf("enrol: %v\n%s", err, said)
	}

	run := &process{t: t, name: "home-1", command: func() *exec.Cmd {
		c := exec.Command(gateway, "--config", config, "run")
		c.Stderr = &lines{t, "home-1"}
		return c
	}}
	t.Cleanup(run.kill)
	run.start()
	ready := func() bool {
		c := exec.Command(gateway, "--config", config, "status")
		out, err := c.Output()
		return err == nil && strings.Contains(string(out), "Ready: readings signed, sent and receipted.")
	}
	until(t, "the technician may leave", ready)

	// A year later its certificate is near its end, and it has another before anybody does
	// anything. Killed, it comes back with that.
	run.kill()
	certificate := filepath.Join(dir, "gateway", "tls.pem")
	aged(t, certificate, m.state.file("pki"), "home-1")
	screen := console.NewClient(filepath.Join(dir, "gateway", "console.sock"))
	t.Cleanup(screen.Close)
	ends := func() time.Time {
		t.Helper()
		s, err := screen.Status(t.Context())
		if err != nil || !s.Uplink.Connected || s.Uplink.CertificateEnds == nil {
			return time.Time{}
		}
		return *s.Uplink.CertificateEnds
	}
	run.start()
	const most = 300 * 24 * time.Hour
	until(t, "another certificate", func() bool { return time.Until(ends()) > most })
	run.kill()
	before, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	run.start()
	until(t, "the gateway is back", ready)
	if left := time.Until(ends()); left < most {
		t.Errorf("after a kill it shows a certificate of %s", left)
	}
	if out, err := exec.Command(gateway, "--config", config, "doctor", "--json").Output(); !strings.Contains(string(out), "of use until "+ends().Format(time.DateOnly)) {
		t.Errorf("doctor does not say how long the certificate is of use (%v):\n%s", err, out)
	}
	if after, err := os.ReadFile(certificate); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the configuration's own certificate was written: %v", err)
	}
}

// aged puts a certificate for the same key into a file that ends in twenty days.
func aged(t *testing.T, path, authority, gateway string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("no certificate in %s", path)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pki, err := broker.OpenPKI(authority, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(20*24*time.Hour - leaf.NotAfter.Sub(leaf.NotBefore))
	der, err := pki.CertifyGateway(then, wire.ShortName(origin), gateway, leaf.RawSubjectPublicKeyInfo)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
}

// emulatedMeter is a meter at the far end of a serial port, at unit 1.
func emulatedMeter(t *testing.T) (port string) {
	t.Helper()
	line, err := emulated.OpenLine()
	if err != nil {
		t.Fatal(err)
	}
	part := emulated.NewMeter("sdm120", 12345678)
	part.SetPower(1200)
	line.Attach(1, part)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := line.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait(); line.Close() })
	return line.Path()
}
