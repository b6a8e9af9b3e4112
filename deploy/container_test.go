package deploy_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"wattmark/ledger/store"
)

// TestContainer does what compose.yaml tells a Docker engine: it builds the image, founds a
// ledger and runs the oracle, to which a gateway is enrolled and sends its readings. Stopped,
// and made anew on its volume, the oracle has the same ledger, which nobody founds again.
func TestContainer(t *testing.T) {
	m := newContainers(t)
	m.standIn("golang:1.26")
	c := readComposition(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	oracle := c.Services["oracle"]
	m.buildImage(here, oracle)

	run := func(service string, flags ...string) string {
		t.Helper()
		return m.run("podman run --pull never --cgroup-parent " + groups + quote(append(flags, c.arguments(m, here, service)...)...))
	}
	container := c.Name + "-oracle"
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := m.try("podman logs --tail 40 " + container)
			t.Logf("the oracle:\n%s", out)
		}
	})
	inspect := func(format string) string {
		t.Helper()
		return strings.TrimSpace(m.run("podman inspect --format" + quote(format, container)))
	}
	start := func() {
		t.Helper()
		run("oracle", "--detach")
		m.until("it is healthy", func() bool {
			_, err := m.try("podman healthcheck run " + container)
			return err == nil
		})
		m.until("it is ready", func() bool {
			_, err := m.get("http://127.0.0.1:9470/readyz", inspect("{{.State.Pid}}"))
			return err == nil
		})
		m.until("it has published its checkpoint", func() bool {
			_, err := m.get("http://127.0.0.1:8080/checkpoint")
			return err == nil
		})
	}
	stop := func() {
		t.Helper()
		m.run("podman stop " + container)
		if got := inspect("{{.State.ExitCode}} {{.State.OOMKilled}}"); got != "0 false" {
			t.Errorf("stopped, its exit status and whether memory was short are %s", got)
		}
		m.run("podman rm " + container)
	}
	if got := oracle.DependsOn["found"].Condition; got != "service_completed_successfully" {
		t.Errorf("the oracle waits for the founding until %q", got)
	}

	if out := run("found", "--rm"); !strings.Contains(out, "Founded ") {
		t.Errorf("founding says\n%s", out)
	}
	start()
	if out := m.run("grep -E '^(Uid|Gid|Seccomp|NoNewPrivs|CapEff|CapBnd):' /proc/" + inspect("{{.State.Pid}}") + "/status"); out !=
		"Uid:\t65532\t65532\t65532\t65532\nGid:\t65532\t65532\t65532\t65532\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n" {
		t.Errorf("its process has\n%s", out)
	}
	volume := strings.TrimSpace(m.run("podman volume inspect --format {{.Mountpoint}} " + c.Name + "_oracle"))
	volume = filepath.Join("/proc", m.init, "root", volume)
	before := m.checkpoint()

	// As OPERATOR.md tells, with what the image has.
	oracleVerb := func(args string) string {
		t.Helper()
		return m.run("podman exec " + container + " " + args)
	}
	const state = "/var/lib/wattmark-oracle"
	oracleVerb("/usr/bin/wattmark-oracle --config /etc/wattmark/oracle.toml certificate bootstrap")
	g := m.newGateway(before.origin, volume)
	enrolled := g.start("enrol", "--plain")
	m.until("its request waits", func() bool {
		return strings.Contains(oracleVerb("/usr/bin/wattmark member pending --json --dir "+state), `"`+name+`"`)
	})
	oracleVerb("/usr/bin/wattmark member approve " + name + " --yes --dir " + state + " --approval " + state + "/approval")
	if err := <-enrolled; err != nil {
		t.Fatalf("enrolling the gateway: %v\n%s", err, g.said())
	}
	g.start("run")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway:\n%s", g.said())
		}
	})
	arrive := func() {
		t.Helper()
		size := m.checkpoint().size
		m.until("readings arrive and have receipts", func() bool {
			out, err := g.command("status").CombinedOutput()
			return err == nil && strings.Contains(string(out), "Ready: readings signed, sent and receipted.") && m.checkpoint().size > size
		})
	}
	arrive()

	before = m.checkpoint()
	stop()
	if out := run("found", "--rm"); !strings.Contains(out, "holds a ledger already") {
		t.Errorf("founding a second time says\n%s", out)
	}
	start()
	if after := m.checkpoint(); after.origin != before.origin || after.size < before.size {
		t.Errorf("the ledger was %+v, and is %+v", before, after)
	}
	arrive()
	oracleVerb("/usr/bin/wattmark ledger audit " + state)
	stop()
	r, _, err := store.OpenReader(volume)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	same := false
	if err := r.Blocks(0, func(b store.Block) error {
		same = same || b.Size == before.size && base64.StdEncoding.EncodeToString(b.Root[:]) == before.root
		return nil
	}); err != nil || !same {
		t.Errorf("no block has the checkpoint of before, %+v (%v)", before, err)
	}
}

// checkpoint is what an oracle publishes at /checkpoint.
type checkpoint struct {
	origin string
	size   uint64
	root   string
}

// checkpoint asks for the newest one, at the port that compose publishes.
func (m *machine) checkpoint() (c checkpoint) {
	m.t.Helper()
	out, err := m.get("http://127.0.0.1:8080/checkpoint")
	lines := strings.Split(out, "\n")
	if err == nil && len(lines) < 4 {
		err = errors.New("it has not three lines")
	}
	if err == nil {
		c.origin, c.root = lines[0], lines[2]
		c.size, err = strconv.ParseUint(lines[1], 10, 64)
	}
	if err != nil {
		m.t.Fatalf("asking for the checkpoint: %v\n%s", err, out)
	}
	return c
}

// site is a gateway on the machine, with a meter.
type site struct {
	m       *machine
	program string
	dir     string
}

// newGateway configures a gateway for the oracle of a state directory; it has what
// technicians are given.
func (m *machine) newGateway(ledger, state string) *site {
	m.t.Helper()
	g := &site{m: m, dir: m.t.TempDir()}
	g.program = filepath.Join(g.dir, "wattmark-gateway")
	goTool(m.t, "build", "-o", g.program, "./cmd/wattmark-gateway")
	for _, name := range []string{"policy", "keys.jwks", "bootstrap.pem", "pki/ca.pem"} {
		b, err := os.ReadFile(filepath.Join(state, name))
		if err != nil {
			m.t.Fatal(err)
		}
		put(m.t, filepath.Join(g.dir, filepath.Base(name)), string(b))
	}
	put(m.t, filepath.Join(g.dir, "gateway.toml"), fmt.Sprintf(`[gateway]
name = %q
state = "state"
console = "state/console.sock"
page = "off"
point = "mp-0123456789abcdef"
pack_max_age = "1s"

[uplink]
ledger = %q
broker = "mqtts://127.0.0.1:8883"
certificate = "state/tls.pem"
certificate_key = "state/tls-key.pem"
bootstrap = "bootstrap.pem"
roots = "ca.pem"
policy = "policy"
oracle_keys = "keys.jwks"
resend_after = "1s"

[[bus]]
name = "meters"
kind = "serial"
port = %q

[[device]]
name = "grid"
model = "sdm120"
bus = "meters"
unit = 1
period = "1s"
`, name, ledger, meter(m.t)))
	return g
}

func (g *site) command(args ...string) *exec.Cmd {
	return g.m.command("exec" + quote(append([]string{g.program, "--config", filepath.Join(g.dir, "gateway.toml")}, args...)...))
}

// start starts a verb, which ends with the machine unless it ends by itself.
func (g *site) start(args ...string) <-chan error {
	g.m.t.Helper()
	log, err := os.OpenFile(filepath.Join(g.dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		g.m.t.Fatal(err)
	}
	defer log.Close()
	c := g.command(args...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		g.m.t.Fatal(err)
	}
	ended := make(chan error, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() { ended <- c.Wait() })
	g.m.t.Cleanup(func() {
		_ = c.Process.Kill() // nsenter; the machine ends what it started
		waiting.Wait()
	})
	return ended
}

// said is what the verbs that were started have printed.
func (g *site) said() string {
	b, err := os.ReadFile(filepath.Join(g.dir, "log"))
	if err != nil {
		g.m.t.Error(err)
	}
	return string(b)
}
