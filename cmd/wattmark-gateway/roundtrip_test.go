package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wattmark/gateway/console"
	"wattmark/gateway/outbox"
	"wattmark/ledger/block"
	"wattmark/oracle/wire"
)

// daemonProcess is the real program, running.
type daemonProcess struct {
	t       *testing.T
	cmd     *exec.Cmd
	console *console.Client
	log     *logBuffer
	told    *net.UnixConn // what it tells the service manager
}

// logBuffer collects what a process writes.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (s *site) start(t *testing.T, program string) *daemonProcess {
	t.Helper()
	manager := filepath.Join(t.TempDir(), "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: manager, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { told.Close() })
	d := &daemonProcess{t: t, cmd: exec.Command(program, "run", "--config", s.config), log: new(logBuffer), told: told}
	d.cmd.Stderr = d.log
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+manager, "WATCHDOG_USEC=400000")
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.console = console.NewClient(filepath.Join(s.dir, "console.sock"))
	t.Cleanup(func() {
		d.console.Close()
		_ = d.cmd.Process.Kill() // unless it has ended
		_, _ = d.cmd.Process.Wait()
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", d.log)
		}
	})
	return d
}

// testPatience is how long something may take: machines are emulated beside these tests.
const testPatience = 3 * time.Minute

// until asks again until the answer is yes.
func (d *daemonProcess) until(what string, yes func() bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), testPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s, err := d.console.Status(context.Background())
			d.t.Fatalf("not within %s: %s; its status (%v): %s, %+v", testPatience, what, err, s.Line, s.Devices)
		}
	}
}

// status asks how it fares, until it answers what is wanted.
func (d *daemonProcess) status(what string, yes func(s *console.Status) bool) console.Status {
	d.t.Helper()
	var last console.Status
	d.until(what, func() bool {
		s, err := d.console.Status(d.t.Context())
		last = s
		return err == nil && yes(&s)
	})
	return last
}

// hears waits for what it tells the service manager.
func (d *daemonProcess) hears(want string) {
	d.t.Helper()
	if err := d.told.SetReadDeadline(time.Now().Add(testPatience)); err != nil {
		d.t.Fatal(err)
	}
	for {
		b := make([]byte, 256)
		n, err := d.told.Read(b)
		if err != nil {
			d.t.Fatalf("the service manager did not hear %q: %v", want, err)
		}
		if string(b[:n]) == want {
			return
		}
	}
}

// end asks it to end, and returns how it did.
func (d *daemonProcess) end() error {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	return d.cmd.Wait()
}

// TestRoundTrip runs the real program: it reads an emulated meter on a
// pseudo-terminal, signs, publishes over TLS to a broker, and forgets what has its
// receipt from the oracle; it answers on its socket, feeds the watchdog, takes a new
// configuration and keeps the old one where the new one is wrong.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := newSite(t, meter(t))
	program := buildProgram(t)
	checked, err := exec.Command(program, "run", "--check", "--config", s.config).Output()
	for _, want := range []string{`gateway.name +`, `= "home-01" +# line 2\n`, `outbox.max_bytes += "256MiB" +# default\n`, `\nThe configuration is right: 1 device on 1 bus would run.\n$`} {
		if err != nil || !regexp.MustCompile(want).Match(checked) {
			t.Errorf("run --check (%v) prints no %q:\n%s", err, want, checked)
		}
	}
	d := s.start(t, program)
	d.hears("READY=1")
	d.hears("WATCHDOG=1")
	ready := d.status("ready", func(s *console.Status) bool { return s.Ready && s.Uplink.Receipts >= 2 })
	if want := "Ready: readings signed, sent and receipted."; ready.Line != want || len(ready.Warnings) > 1 {
		t.Errorf("status says %q with %+v, want %q", ready.Line, ready.Warnings, want)
	}
	if g := ready.Gateway; g.Name != name || g.Boot != 1 || len(g.Config) != 64 {
		t.Errorf("status of the gateway: %+v", g)
	}
	if k := ready.Key; k.ID != s.key.Public().ID().String() || k.Backend != "file" || k.Signed < 2 {
		t.Errorf("status of the key: %+v", k)
	}
	if len(ready.Devices) != 1 || ready.Devices[0].State != console.StateGood || ready.Devices[0].Last == nil || ready.Devices[0].Last.Channel != "active_power" || ready.Devices[0].Last.Value != "1200" {
		t.Errorf("status of devices: %+v", ready.Devices)
	}
	if u := ready.Uplink; !u.Connected || u.LastReceipt == nil || u.CertificateEnds == nil || u.Unverified > 0 {
		t.Errorf("status of the uplink: %+v", u)
	}
	live, err := d.console.Live(t.Context())
	if err != nil || len(live.Devices) != 1 || len(live.Devices[0].Values) < 8 {
		t.Errorf("live values: %v: %+v", err, live)
	}
	metrics, err := d.console.Metrics(t.Context())
	for _, want := range []string{`wattmark_samples_total{device="grid",point="` + subject + `"}`, "wattmark_receipts_total", "wattmark_bus_stale_total", `wattmark_clock_quality{quality=`} {
		if err != nil || !strings.Contains(string(metrics), want) {
			t.Errorf("metrics (%v) without %s:\n%s", err, want, metrics)
		}
	}

	// A configuration that is wrong changes nothing, and the log says why.
	good := s.text(t)
	s.write(t, strings.Replace(good, "unit = 1", "unti = 1", 1))
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.until("the log says why", func() bool { return strings.Contains(d.log.String(), `did you mean \"unit\"?`) })
	// One that is right is taken: the device has another name.
	s.write(t, strings.Replace(good, `name = "grid"`, `name = "main"`, 1))
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.hears("RELOADING=1")
	d.hears("READY=1")
	after := d.status("the new name", func(s *console.Status) bool {
		return len(s.Devices) == 1 && s.Devices[0].Name == "main" && s.Ready
	})
	if after.Gateway.Boot != 1 || after.Gateway.Config == ready.Gateway.Config {
		t.Errorf("after reading the configuration again: %+v, before %+v", after.Gateway, ready.Gateway)
	}

	if err := d.end(); err != nil {
		t.Errorf("asked to end it ended with %v", err)
	}
	if log := d.log.String(); strings.Contains(log, "1200") || strings.Contains(log, "512345") {
		t.Error("the log has a reading of the household")
	}
	s.checkReceipts(t)
}

// checkReceipts looks at what the program left on disk: the newest receipts verify
// under the policy, over the statements that they stand with.
func (s *site) checkReceipts(t *testing.T) int {
	t.Helper()
	policy, err := block.ParsePolicy([]byte(s.policy))
	if err != nil {
		t.Fatal(err)
	}
	o, _, err := outbox.Open(outbox.Disk, filepath.Join(s.dir, "outbox"), outbox.Options{GatewayID: name})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	list, err := o.Receipts()
	if err != nil || len(list) < 2 {
		t.Fatalf("%d receipts are kept: %v", len(list), err)
	}
	for _, r := range list {
		m, err := wire.ParseReceipts(r.Receipt)
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := m.Accept(policy)
		if err != nil {
			t.Fatal(err)
		}
		if err := accepted.Check(&m.Items[0], r.Statement); err != nil {
			t.Errorf("receipt of %v: %v", r.Number(), err)
		}
	}
	return len(list)
}
