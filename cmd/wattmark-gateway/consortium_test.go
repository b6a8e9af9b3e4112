package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"wattmark/hardware/emulated"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/oracle/oracletest"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

const (
	origin  = "wattmark.example/gateway-binary"
	name    = "home-01"
	subject = "mp-0123456789abcdef"
	unit    = 1
)

// buildProgram builds the program that this package is.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "wattmark-gateway")
	c := exec.Command("go", "build", "-o", program, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// meter is an emulated SDM120 at the far end of a serial port, importing 1.2 kW.
func meter(t *testing.T) (port string) {
	t.Helper()
	l, err := emulated.OpenLine()
	if err != nil {
		t.Fatal(err)
	}
	m := emulated.NewMeter("sdm120", 12345678)
	m.SetPower(1200)
	m.SetEnergy(512_345, 0)
	l.Attach(unit, m)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		l.Close()
	})
	return l.Path()
}

// site is a gateway's machine: what a technician finds in its directory, with a
// consortium of one oracle and its broker at the other end of the line.
type site struct {
	dir, config string
	page        string // where its page listens
	key         *signer.PrivateKey
	policy      string
}

func newSite(t *testing.T, port string) *site {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &site{dir: t.TempDir()}
	s.page = fmt.Sprintf("127.0.0.1:%d", oracletest.FreePort(t))
	at := func(name string) string { return filepath.Join(s.dir, name) }
	far := oracletest.New(t, origin, name)
	s.policy = far.Policy.String()
	must(os.WriteFile(at("policy"), []byte(s.policy), 0o644))
	set, err := audit.EncodeKeys([]audit.KnownKey{{Public: far.Keys.Statement.Public(), Name: oracletest.Name, Role: audit.RoleOracle}})
	must(err)
	must(os.WriteFile(at("keys.jwks"), set, 0o644))
	s.key, err = signer.Generate(signer.EdDSA)
	must(err)
	must(keyfile.Save(at("key.pem"), s.key))
	far.Enrol(t, name, subject, entry.ModeCommitted, s.key.Public())
	files := far.Files(t, name)

	s.config = at("gateway.toml")
	s.write(t, fmt.Sprintf(`[gateway]
name = %q
state = "."
console = "console.sock"
page = %q
point = %q
pack_max_age = "1s"

[outbox]
flush_after = "10ms"

[uplink]
ledger = %q
broker = %q
certificate = %q
certificate_key = %q
roots = %q
policy = "policy"
oracle_keys = "keys.jwks"
resend_after = "1s"

[metrics]
listen = "unix:metrics.sock"

[[bus]]
name = "rs485"
kind = "serial"
port = %q
timeout = "2s" # the meter shares its cores with other tests

[[device]]
name = "grid"
model = "sdm120"
bus = "rs485"
unit = %d
period = "1s"
`, name, s.page, subject, origin, strings.Replace(far.MQTTURL(), "tls://", "mqtts://", 1), files.Certificate, files.Key, files.Roots, port, unit))
	return s
}

// write puts a configuration in place.
func (s *site) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.config, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// text is the configuration in place.
func (s *site) text(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
