package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wattmark/gateway/console"
	"wattmark/gateway/enrol"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/oracle/founding"
)

// fielded is the real gateway on a machine of its own: what a technician left.
type fielded struct {
	*process
	name, program, config string
	console               *console.Client
}

// field installs a gateway with a policy over a transport, and neither enrols nor starts
// it.
func (c *cluster) field(program, name, transport, url string, policy []byte) *fielded {
	t := c.t
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(c.dir, name)
	must(os.Mkdir(dir, 0o700))
	shared := c.nodes[0].certificate(t, "bootstrap")
	g := &fielded{name: name, program: program, config: filepath.Join(dir, "gateway.toml"), console: console.NewClient(filepath.Join(dir, "console.sock"))}
	t.Cleanup(g.console.Close)
	must(os.WriteFile(filepath.Join(dir, "policy"), policy, 0o644))
	keys, err := os.ReadFile(c.nodes[0].state.file("keys.jwks"))
	must(err)
	must(os.WriteFile(filepath.Join(dir, "keys.jwks"), keys, 0o644))
	must(os.WriteFile(g.config, fmt.Appendf(nil, `[gateway]
name = %q
state = "."
console = "console.sock"
page = "off"
point = "mp-%s"
pack_max_age = "1s"

[outbox]
flush_after = "10ms"

[uplink]
ledger = %q
transport = %q
broker = %q
certificate = "tls.pem"
certificate_key = "tls-key.pem"
bootstrap = %q
roots = %q
policy = "policy"
oracle_keys = "keys.jwks"
resend_after = "1s"
reconnect_most = "1s"

[[bus]]
name = "meters"
kind = "serial"
port = %q
timeout = "2s"

[[device]]
name = "grid"
model = "sdm120"
mode = "open"
bus = "meters"
unit = 1
period = "1s"
`, name, name, origin, transport, url, shared.Certificate, shared.Roots, emulatedMeter(t)), 0o600))
	return g
}

// says runs a program that must end well, and returns what it printed.
func says(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	c := exec.Command(program, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", filepath.Base(program), args, err, out, &stderr)
	}
	return out
}

// enrol has it ask by a file, with more arguments or without, and an operator approve that
// and give a file back.
func (g *fielded) enrol(t *testing.T, tool string, operator *node, more ...string) {
	t.Helper()
	at := filepath.Dir(g.config)
	request, approval := filepath.Join(at, "request"), filepath.Join(at, "approval")
	says(t, g.program, append([]string{"enrol", "--config", g.config, "--offline", "--request", request, "--json"}, more...)...)
	says(t, tool, "member", "approve", request, "--dir", string(operator.state), "--yes", "--approval", approval)
	says(t, g.program, "enrol", "--config", g.config, "--approval", approval)
}

// enrolOnLine has it ask on line and wait, and an operator find it there and approve it.
func (g *fielded) enrolOnLine(t *testing.T, tool string, operator *node) {
	t.Helper()
	ask := exec.Command(g.program, "enrol", "--config", g.config)
	ask.Stdout, ask.Stderr = &lines{t, g.name}, &lines{t, g.name}
	if err := ask.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- ask.Wait() }()
	t.Cleanup(func() { _ = ask.Process.Kill() }) // where it waits in vain
	until(t, g.name+" asks on line", func() bool {
		var list struct{ Requests []struct{ Gateway string } }
		out := says(t, tool, "member", "pending", "--dir", string(operator.state), "--json")
		return json.Unmarshal(out, &list) == nil && len(list.Requests) == 1 && list.Requests[0].Gateway == g.name
	})
	says(t, tool, "member", "approve", g.name, "--dir", string(operator.state), "--yes", "--approval", filepath.Join(filepath.Dir(g.config), "approval"))
	until(t, g.name+" has its approval", func() bool {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%s is not enrolled: %v", g.name, err)
			}
			return true
		default:
			return false
		}
	})
}

// start starts it.
func (g *fielded) start(t *testing.T) {
	t.Helper()
	if g.process != nil {
		g.process.start()
		return
	}
	p := &process{t: t, name: g.name}
	p.command = func() *exec.Cmd {
		c := exec.Command(g.program, "run", "--config", g.config)
		c.Stderr = &lines{t, p.name}
		return c
	}
	t.Cleanup(p.kill)
	p.start()
	g.process = p
}

// follows waits until it trusts the oracles since a block, and has a receipt by them.
func (g *fielded) follows(t *testing.T, height uint64) {
	t.Helper()
	var s console.Status
	since := uint64(0)
	until(t, fmt.Sprintf("%s has a receipt of the oracles since block %d", g.name, height), func() bool {
		var err error
		if s, err = g.console.Status(t.Context()); err != nil || s.Ledger.Policy.Height != height {
			return false
		}
		if since == 0 {
			since = s.Uplink.Receipts + 1
		}
		return s.Uplink.Receipts > since // the first may have been on its way
	})
	if p := &s.Ledger.Policy; p.Behind != nil || len(p.Oracles) != 4 || p.Unkept != "" {
		t.Errorf("%s says of its policy: %+v", g.name, p)
	}
}

// exchange has the members vote new keys for one of them in, and blocks made until they
// are in force. It returns the first block of theirs.
func (c *cluster) exchange(set *entry.OracleSet) uint64 {
	t := c.t
	t.Helper()
	body, err := set.Encode()
	if err != nil {
		t.Fatal(err)
	}
	motion := entry.Motion{Kind: entry.MotionOracles, Height: c.nodes[0].status(t).Height + 20, Body: body}
	payload, err := motion.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes[:3] {
		n.states(t, entry.TypeMotion, payload)
	}
	policy, err := handover.PolicyOf(origin, set)
	if err != nil {
		t.Fatal(err)
	}
	m := c.meters[0]
	m.trust(policy)
	until(t, fmt.Sprint("block ", motion.Height), func() bool {
		m.publish(1)
		s := c.nodes[0].status(t)
		return s != nil && s.FinalHeight != nil && *s.FinalHeight >= motion.Height
	})
	m.settle(len(c.nodes))
	m.policy, m.later = policy, nil
	return motion.Height
}

// TestGatewaysFollow exchanges the keys of all oracles, one after the other, until none of
// the first set is left. A gateway that runs goes on getting receipts that it takes, and
// nobody touches it; one that was off through all of it catches up when it is on again;
// and killed, each comes back to where it was. Then others are enrolled and a key is
// replaced, by oracles of whom none was there when the technician's policy was made.
func TestGatewaysFollow(t *testing.T) {
	if testing.Short() {
		t.Skip("nine processes")
	}
	c := newCluster(t, "home-1") // makes blocks
	program := build(t, c.dir, "wattmark-gateway")
	tool := build(t, c.dir, "wattmark")
	founders := c.nodes[0].policyFile(t)
	mqtt := fmt.Sprintf("mqtts://localhost:%d", c.mqtt[0])
	on := c.field(program, "home-2", "mqtt", mqtt, founders)
	off := c.field(program, "home-3", "nats", c.urls[1], founders)
	on.enrol(t, tool, c.nodes[0])
	off.enrol(t, tool, c.nodes[0])
	c.permit()
	on.start(t)
	off.start(t)
	on.follows(t, 0)
	off.follows(t, 0)
	off.kill()

	// Every oracle has new keys beside its own.
	var next []entry.OracleKeys
	for i, n := range c.nodes {
		request := filepath.Join(c.dir, fmt.Sprintf("new-%d.request", i+1))
		verb(t, "--config", n.config, "rekey", "--request", request)
		n.kill()
		n.start()
		until(t, n.name+" is back", func() bool { s := n.status(t); return s != nil && s.Running && s.CaughtUp })
		b, err := read(request)
		if err != nil {
			t.Fatal(err)
		}
		r, err := founding.OpenRequest(b)
		if err != nil {
			t.Fatal(err)
		}
		next = append(next, r.Oracle)
	}
	a, err := c.nodes[0].state.agreed()
	if err != nil {
		t.Fatal(err)
	}
	set := a.charter.OracleSet()
	var height uint64
	for i := range next {
		change := &entry.OracleSet{Replaces: set.Hash(), Quorum: 3, Governance: 3, Oracles: slices.Clone(set.Oracles)}
		change.Oracles[i] = next[i]
		height = c.exchange(change)
		c.nodes[i].keys = nextKeys
		on.follows(t, height)
		set = change
	}

	// An operator sees who has not followed.
	behind := func() map[string]int {
		out := make(map[string]int)
		for line := range strings.Lines(string(says(t, tool, "gateway", "list", string(c.nodes[0].state), "--json"))) {
			var g struct {
				Gateway string
				Behind  int `json:"oracles_behind"`
			}
			if err := json.Unmarshal([]byte(line), &g); err != nil {
				t.Fatal(err)
			}
			out[g.Gateway] = g.Behind
		}
		return out
	}
	until(t, "home-2 is known to have followed, and home-3, which was off, to lack four changes", func() bool {
		b := behind()
		return b["home-2"] == 0 && b["home-3"] == 4
	})

	off.start(t)
	off.follows(t, height)
	on.kill()
	on.start(t)

	// A new one comes on line with the founders' policy, another by file with the present
	// one, and the one that was off has its key replaced.
	off.kill()
	late := c.field(program, "home-4", "mqtt", mqtt, founders)
	present := c.field(program, "home-5", "nats", c.urls[1], says(t, tool, "ledger", "policy", string(c.nodes[0].state)))
	late.enrolOnLine(t, tool, c.nodes[0])
	present.enrol(t, tool, c.nodes[0])
	off.enrol(t, tool, c.nodes[0], "--rotate")
	c.permit()
	late.start(t)
	present.start(t)
	off.start(t)
	on.follows(t, height)
	late.follows(t, height)
	present.follows(t, 0)
	off.follows(t, height)

	// What people ask says it too.
	out, err := exec.Command(program, "status", "--config", on.config).CombinedOutput()
	if want := fmt.Sprintf("4 oracles since block %d", height); !strings.Contains(string(out), want) {
		t.Errorf("status (%v) does not say %q:\n%s", err, want, out)
	}
	out, err = exec.Command(program, "doctor", "--config", on.config, "--json").Output()
	var report struct {
		Findings []struct{ Check, Level, Text string }
	}
	if json.Unmarshal(out, &report) != nil {
		t.Fatalf("doctor: %v\n%s", err, out)
	}
	want := fmt.Sprintf("the oracles since block %d, by 4 changes", height)
	if !slices.ContainsFunc(report.Findings, func(f struct{ Check, Level, Text string }) bool {
		return f.Check == "oracles-followed" && f.Level == "ok" && f.Text == want
	}) {
		t.Errorf("doctor does not say %q: %+v", want, report.Findings)
	}
	// Its file is a history that a verifier reads.
	b, err := os.ReadFile(filepath.Join(filepath.Dir(on.config), "oracles"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := handover.ParseHistory(b)
	if err != nil {
		t.Fatal(err)
	}
	if spans, err := handover.Follow(a.policy, list); err != nil || spans[len(spans)-1].Height != height {
		t.Errorf("a verifier follows its file to %+v, %v", spans, err)
	}

	// Those in force prove what the founders admitted, for a gateway that waited too long.
	again := filepath.Join(c.dir, "again")
	asked, err := os.ReadFile(filepath.Join(filepath.Dir(on.config), "request"))
	if err != nil {
		t.Fatal(err)
	}
	says(t, tool, "member", "approve", filepath.Join(filepath.Dir(on.config), "request"), "--dir", string(c.nodes[1].state), "--yes", "--approval", again)
	request, err := enrol.ParseRequest(asked)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(again); err != nil {
		t.Fatal(err)
	}
	proven, err := enrol.ParseApproval(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.Accept(proven, request, a.policy, nil); err != nil {
		t.Errorf("what the founders admitted, proven again: %v", err)
	}

	// What the new one keeps is what came with its approval, and not what it was sent.
	b, err = os.ReadFile(filepath.Join(filepath.Dir(late.config), "approval"))
	if err != nil {
		t.Fatal(err)
	}
	approval, err := enrol.ParseApproval(b)
	if err != nil {
		t.Fatal(err)
	}
	b, err = os.ReadFile(filepath.Join(filepath.Dir(late.config), "oracles"))
	if err != nil || len(approval.History) != 4 || !bytes.Equal(b, handover.EncodeHistory(approval.History)) {
		t.Errorf("%s keeps %d bytes of handovers, %v; its approval has %d handovers", late.name, len(b), err, len(approval.History))
	}
}
