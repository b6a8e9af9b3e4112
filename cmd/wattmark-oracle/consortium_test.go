package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/oracle/broker"
	"wattmark/signer"
)

const origin = "wattmark.example/cluster"

// patience is how long a test waits for what other processes do on a machine that is
// busy; nothing is asserted about how fast it is.
const patience = 3 * time.Minute

// until asks again until the answer is yes.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// verb runs a verb as a person types it, in this process, and returns what it printed.
func verb(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); code != 0 {
		t.Fatalf("wattmark-oracle %s: exit status %d\n%s%s", strings.Join(args, " "), code, &stdout, &stderr)
	}
	return stdout.String()
}

// process is a program of this test's binary that runs.
type process struct {
	t       *testing.T
	name    string
	command func() *exec.Cmd
	cmd     *exec.Cmd
	ended   chan struct{}
}

// lines passes what a process says on to the test's log.
type lines struct {
	t    *testing.T
	name string
}

func (l *lines) Write(b []byte) (int, error) {
	l.t.Logf("%s: %s", l.name, bytes.TrimRight(b, "\n"))
	return len(b), nil
}

func newProcess(t *testing.T, name, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name}
	p.command = func() *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Args = append([]string{program}, args...)
		c.Env = append(os.Environ(), env...)
		c.Stderr = &lines{t, name}
		return c
	}
	t.Cleanup(p.kill)
	p.start()
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.cmd, p.ended = p.command(), make(chan struct{})
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func(c *exec.Cmd, ended chan struct{}) {
		_ = c.Wait() // killed or ended: the test looks at what it left
		close(ended)
	}(p.cmd, p.ended)
}

func (p *process) signal(s os.Signal) {
	_ = p.cmd.Process.Signal(s) // unless it has ended
}

// kill is kill -9.
func (p *process) kill() {
	p.signal(os.Kill)
	<-p.ended
}

// end is SIGTERM.
func (p *process) end() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	until(p.t, p.name+" ends", func() bool {
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	})
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("%s ended with status %d", p.name, code)
	}
}

// node is an oracle on a machine of its own: a directory with its configuration.
type node struct {
	*process
	config string
	state  stateDir
	name   string
	keys   string // where its keys in force are, keysDir where empty
}

// members founds a ledger of n oracles as their members do, each with the configuration
// text below its [oracle] table.
func members(t *testing.T, n int, below func(i int) string) []*node {
	t.Helper()
	dir := t.TempDir()
	var list []*node
	charter := []string{"init", "--charter", filepath.Join(dir, "street.charter")}
	for i := range n {
		m := &node{name: fmt.Sprintf("member-%d.example/oracle", i+1), config: filepath.Join(dir, fmt.Sprintf("oracle-%d.toml", i+1))}
		m.state = stateDir(filepath.Join(dir, fmt.Sprint(i+1)))
		text := fmt.Sprintf("[oracle]\nstate = %q\ncut_after = \"20ms\"\n\n%s", string(m.state), below(i))
		if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		request := filepath.Join(dir, fmt.Sprintf("%d.request", i+1))
		verb(t, "--config", m.config, "init", "--request", request, "--origin", origin, "--name", m.name)
		charter = append(charter, "--member", request)
		list = append(list, m)
	}
	verb(t, append([]string{"--config", list[0].config}, charter...)...)
	for _, m := range list {
		verb(t, "--config", m.config, "init", "--accept", charter[2], "--yes")
	}
	return list
}

// run starts the oracle.
func (m *node) run(t *testing.T) {
	t.Helper()
	m.process = newProcess(t, filepath.Base(string(m.state)), "wattmark-oracle", nil, "--config", m.config, "run")
}

// status asks the oracle; nil while nobody answers.
func (m *node) status(t *testing.T) *status {
	t.Helper()
	var stdout bytes.Buffer
	run(t.Context(), []string{"--config", m.config, "status", "--json"}, strings.NewReader(""), &stdout, io.Discard)
	var s status
	if json.Unmarshal(stdout.Bytes(), &s) != nil {
		return nil
	}
	return &s
}

// enrol has the oracle's operator admit a gateway that asked.
func (m *node) enrol(t *testing.T, name string, key signer.Signer) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	asked, err := request.Sign(key, entry.EnrolmentRequest{Gateway: name, Devices: []entry.RequestDevice{}, Points: []entry.Point{{
		Subject: "mp-" + name, Mode: entry.ModeOpen,
		Channels: []entry.Channel{{Name: "active_energy_import", Unit: "Wh", Kind: entry.KindCounter, Most: entry.Int(1 << 40)}},
	}}}, origin, time.Now().Unix())
	must(err)
	payload, err := (&entry.ProvenEnrolment{Request: asked}).Encode()
	must(err)
	m.states(t, entry.TypeProvenEnrolment, payload)
}

// policyFile is the policy that all members have.
func (m *node) policyFile(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(m.state.file("policy"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// certificate has the oracle's operator make one.
func (m *node) certificate(t *testing.T, args ...string) broker.Files {
	t.Helper()
	out := verb(t, append([]string{"--config", m.config, "certificate", "--json"}, args...)...)
	var f certificateFiles
	if err := json.Unmarshal([]byte(out), &f); err != nil {
		t.Fatal(err)
	}
	return broker.Files(f)
}

// build builds a program of this module into a directory.
func build(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	c := exec.Command("go", "build", "-o", path, "wattmark/cmd/"+name)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", name, err, out)
	}
	return path
}
