package main

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

	"wattmark/gateway/enrol"
	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// asking is a gateway's program that asks on line, with the certificate that all share.
type asking struct {
	t        *testing.T
	dir      string
	cmd      *exec.Cmd
	out, err bytes.Buffer
	done     chan error
}

// ask starts the program that technicians run, in a directory of its own.
func (s *site) ask(program, name, transport string) *asking {
	s.t.Helper()
	a := &asking{t: s.t, dir: s.t.TempDir(), done: make(chan error, 1)}
	files, err := s.cluster.pki.Bootstrap(time.Now(), wire.ShortName(s.cluster.charter.Origin))
	if err != nil {
		s.t.Fatal(err)
	}
	var bootstrap []byte
	for _, f := range []string{files.Certificate, files.Key} {
		b, err := os.ReadFile(f)
		if err != nil {
			s.t.Fatal(err)
		}
		bootstrap = append(bootstrap, b...)
	}
	broker := s.cluster.broker.NATSURL()
	if transport == "mqtt" {
		broker = strings.Replace(s.cluster.broker.MQTTURL(), "ssl://", "mqtts://", 1)
	}
	for name, content := range map[string][]byte{
		"policy": []byte(s.cluster.policy.String()), "bootstrap.pem": bootstrap,
		"gateway.toml": fmt.Appendf(nil, `[gateway]
name = %q
state = "state"
point = "mp-%s"

[uplink]
ledger = %q
transport = %q
broker = %q
certificate = "gateway.pem"
certificate_key = "gateway.key"
bootstrap = "bootstrap.pem"
roots = %q
policy = "policy"
oracle_keys = "keys.jwks"

[[bus]]
name = "meters"
kind = "serial"
port = "/dev/ttyUSB0"

[[device]]
name = "main"
model = "sdm630"
bus = "meters"
unit = 3
`, name, name, s.cluster.charter.Origin, transport, broker, files.Roots),
	} {
		if err := os.WriteFile(filepath.Join(a.dir, name), content, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cmd = exec.CommandContext(ctx, program, "enrol", "--config", filepath.Join(a.dir, "gateway.toml"), "--json")
	a.cmd.Stdout, a.cmd.Stderr = &a.out, &a.err
	if err := a.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { a.done <- a.cmd.Wait() }()
	s.t.Cleanup(func() {
		cancel()
		if a.cmd.ProcessState == nil {
			<-a.done
		}
	})
	return a
}

// ends waits for the program's end, which is to come by itself.
func (a *asking) ends() {
	a.t.Helper()
	select {
	case err := <-a.done:
		a.done <- err
		if err != nil {
			a.t.Fatalf("enrol: %v\n%s", err, &a.err)
		}
	case <-time.After(time.Minute):
		a.t.Fatal("enrol still waits")
	}
	if _, err := enrol.Load(filepath.Join(a.dir, "state")); err != nil {
		a.t.Error(err)
	}
}

// waits returns what waits at an oracle, once that is so many requests.
func (s *site) waits(oracle string, n int) *shownPending {
	s.t.Helper()
	var list shownPending
	s.until(fmt.Sprintf("%d requests to wait at oracle %s", n, oracle), func() bool {
		list = shownPending{}
		if err := json.Unmarshal([]byte(s.exec(0, "member", "pending", "--dir", s.dir, "--oracle", oracle, "--json")), &list); err != nil {
			s.t.Fatal(err)
		}
		return len(list.Requests) == n
	})
	return &list
}

// TestEnrolmentOnLine has the programs of gateways ask on line, over MQTT and NATS, with
// nothing but the certificate that all share who have none: their operator sees them
// with the words of their keys, approves one by its words and one by its name, and
// both programs end with what proves it.
func TestEnrolmentOnLine(t *testing.T) {
	program := filepath.Join(t.TempDir(), "wattmark-gateway")
	build := exec.Command("go", "build", "-o", program, "wattmark/cmd/wattmark-gateway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	s := openSite(t)
	if got := s.waits("1", 0); got.Ledger != s.cluster.charter.Origin || got.Dropped != 0 {
		t.Errorf("before anybody asks: %+v", got)
	}
	one, two := s.ask(program, "home-91", "mqtt"), s.ask(program, "home-92", "nats")
	list := s.waits("1", 2)
	s.waits("3", 2) // each oracle hears them
	by := make(map[string]*pendingItem)
	for i := range list.Requests {
		r := &list.Requests[i]
		by[r.Gateway] = r
		if r.CameBy != "shared" || r.Times == 0 || r.Admitted || len(strings.Fields(r.Words)) != 8 || len(r.Points) != 1 {
			t.Errorf("a request that waits: %+v", r)
		}
	}
	if by["home-91"] == nil || by["home-92"] == nil {
		t.Fatalf("what waits: %+v", list)
	}
	text := s.exec(0, "member", "pending", "--dir", s.dir)
	for _, want := range append(strings.Fields(by["home-91"].Words), "home-92", "measures 1 metering point with", "the certificate that all share") {
		if !strings.Contains(text, want) {
			t.Errorf("pending does not say %q:\n%s", want, text)
		}
	}

	// Somebody else asks under the same name: the name alone does not tell them apart.
	thief, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	ask := entry.EnrolmentRequest{Gateway: "home-92", Points: []entry.Point{{Subject: "mp-x", Mode: entry.ModeOpen, Channels: []entry.Channel{{Name: "active_power", Unit: "W", Kind: entry.KindGauge, Most: entry.Int(9)}}}}}
	r, err := enrol.NewRequest(thief, s.cluster.charter.Origin, time.Now(), ask)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.cluster.broker.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish(wire.For(r.Origin).Enrol(), wire.EncodeRequest(r.Carried)); err != nil {
		t.Fatal(err)
	}
	s.waits("1", 3)
	file := filepath.Join(t.TempDir(), "approval")
	if said := s.exec(1, "member", "approve", "home-92", "--dir", s.dir, "--approval", file, "--yes"); !strings.Contains(said, `2 requests wait under the name "home-92"`) {
		t.Errorf("approve of a name that two ask for says:\n%s", said)
	}
	if said := s.exec(1, "member", "approve", "home-93", "--dir", s.dir, "--yes"); !strings.Contains(said, "no request waits") {
		t.Errorf("approve of a name that nobody asks for says:\n%s", said)
	}
	if said := s.exec(2, "member", "approve", "home-91", "--dir", s.dir); !strings.Contains(said, "nobody is there to compare the words") {
		t.Errorf("approve by name without a terminal says:\n%s", said)
	}

	said := s.exec(0, append(append([]string{"member", "approve"}, strings.Fields(by["home-92"].Words)...), "--dir", s.dir, "--approval", file)...)
	if !strings.Contains(said, "signs for home-92 from block") {
		t.Errorf("approve by words says:\n%s", said)
	}
	two.ends()
	s.exec(0, "member", "approve", "home-91", "--dir", s.dir, "--oracle", "2", "--approval", file, "--yes")
	one.ends()
	for _, oracle := range []string{"1", "4"} {
		if left := s.waits(oracle, 1).Requests[0]; left.KeyID != thief.Public().ID().String() {
			t.Errorf("at oracle %s waits %+v", oracle, left)
		}
	}

	// A gateway that was away when it was approved asks again, and is told at once.
	var said1 struct{ Request string }
	if err := json.NewDecoder(&one.out).Decode(&said1); err != nil {
		t.Fatal(err)
	}
	if r, err = enrol.ParseRequest([]byte(said1.Request)); err != nil {
		t.Fatal(err)
	}
	again, err := conn.SubscribeSync(wire.For(r.Origin).Approval(r.Public.ID()))
	if err == nil {
		err = conn.Publish(wire.For(r.Origin).Enrol(), wire.EncodeRequest(r.Carried))
	}
	if err != nil {
		t.Fatal(err)
	}
	if m, err := again.NextMsg(20 * time.Second); err != nil {
		t.Error(err)
	} else if _, err := enrol.ParseApproval(m.Data); err != nil {
		t.Error(err)
	}
}
