package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wattmark/ledger/store"
	"wattmark/oracle/oracletest"
)

// TestAlone founds a ledger with no further set-up and runs it, with systemd's socket
// listening. A gateway that is enrolled while it runs may connect at once; a kill loses
// nothing; SIGTERM ends it with status 0.
func TestAlone(t *testing.T) {
	dir := t.TempDir()
	m := &node{name: "alone.example/oracle", config: filepath.Join(dir, "oracle.toml"), state: stateDir(filepath.Join(dir, "state"))}
	port, admin := oracletest.FreePort(t), oracletest.FreePort(t)
	text := fmt.Sprintf("[oracle]\nstate = \"state\"\ncut_after = \"20ms\"\n[broker]\nmqtt = \"127.0.0.1:0\"\nnats = \"127.0.0.1:%d\"\n[http]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:%d\"\n", port, admin)
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	verb(t, "--config", m.config, "init", "--origin", origin, "--name", m.name)
	manager := listen(t)
	m.process = newProcess(t, "alone", "wattmark-oracle", []string{"NOTIFY_SOCKET=" + manager.path, "WATCHDOG_USEC=200000"}, "--config", m.config, "run")
	manager.expect("READY=1", "WATCHDOG=1", "WATCHDOG=1")

	g := newMeter(t, "home-1", m.policyFile(t))
	files := m.certificate(t, "gateway", g.name)
	if err := g.connect(fmt.Sprintf("tls://127.0.0.1:%d", port), files); err == nil {
		t.Error("a gateway connected that nobody has enrolled")
	}
	m.enrol(t, g.name, g.key)
	until(t, "the gateway connects", func() bool { return g.connect(fmt.Sprintf("tls://127.0.0.1:%d", port), files) == nil })
	g.publish(10)
	g.settle(1)
	m.kill()
	m.start()
	g.publish(10)
	g.settle(1)
	s := m.status(t)
	if s == nil || !s.Running || !s.Connected || s.Gateways != 1 || s.FinalHeight == nil {
		t.Errorf("status %+v", s)
	}
	manager.expect("READY=1")
	for path, want := range map[string]string{
		"/gateways": "home-1", "/ledger": "Blocks from", "/static/style.css": ":root", "/readyz": "ready",
		"/metrics": `wattmark_certificate_end_timestamp_seconds{of="broker",server=""} `,
	} {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", admin, path))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if res.Body.Close(); err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(b), want) {
			t.Errorf("the operator's %s: status %d, %v: %q is not in it", path, res.StatusCode, err, want)
		}
	}
	news, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/events?topics=ledger,gateway", admin))
	if err != nil {
		t.Fatal(err)
	}
	defer news.Body.Close()
	g.publish(1)
	missing := map[string]bool{"event: ledger": true, "event: gateway": true}
	for lines := bufio.NewScanner(news.Body); len(missing) > 0; {
		if !lines.Scan() {
			t.Fatalf("the stream ended without %v: %v", missing, lines.Err())
		}
		delete(missing, lines.Text())
	}
	g.settle(1)
	m.end()
	manager.expect("STOPPING=1")
	r, _, err := store.OpenReader(string(m.state))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if last := g.leaves()[20]; last >= r.Size() {
		t.Errorf("a receipt for leaf %d of %d", last, r.Size())
	}
	if s := m.status(t); s == nil || s.Running {
		t.Errorf("ended, its status is %+v", s)
	}
}

// TestRestore puts an older copy of an oracle's ledger back, without the order, which is
// where it was. The oracle executes again what it lacks and comes to the same blocks: what
// had receipts has its places.
func TestRestore(t *testing.T) {
	dir := t.TempDir()
	m := &node{name: "alone.example/oracle", config: filepath.Join(dir, "oracle.toml"), state: stateDir(filepath.Join(dir, "state"))}
	port := oracletest.FreePort(t)
	text := fmt.Sprintf("[oracle]\nstate = \"state\"\ncut_after = \"20ms\"\n[broker]\nmqtt = \"\"\nnats = \"127.0.0.1:%d\"\n", port)
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	verb(t, "--config", m.config, "init", "--origin", origin, "--name", m.name)
	m.run(t)
	until(t, "the oracle runs", func() bool { s := m.status(t); return s != nil && s.Running })
	g := newMeter(t, "home-1", m.policyFile(t))
	m.enrol(t, g.name, g.key)
	files := m.certificate(t, "gateway", g.name)
	until(t, "the gateway connects", func() bool { return g.connect(fmt.Sprintf("tls://127.0.0.1:%d", port), files) == nil })
	g.publish(10)
	g.settle(1)
	m.kill() // as a snapshot of its file system would leave it
	if err := os.Remove(m.state.file(statusSocket)); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(dir, "backup")
	if err := os.CopyFS(backup, os.DirFS(string(m.state))); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(backup, "broker")); err != nil {
		t.Fatal(err)
	}
	m.start()
	g.publish(10)
	g.settle(1)
	m.end()
	whole := readLeaves(t, m.state)

	if err := os.Rename(m.state.file("broker"), filepath.Join(backup, "broker")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(string(m.state)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, string(m.state)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"statement.pem", "log.pem", "cosigner.pem"} { // a copy has other modes
		if err := os.Chmod(m.state.file("keys/"+key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if old := readLeaves(t, m.state); len(old) >= len(whole) {
		t.Fatalf("the copy has %d leaves of %d: it is not older", len(old), len(whole))
	}
	m.start()
	until(t, "the oracle has caught up", func() bool { s := m.status(t); return s != nil && s.Leaves >= uint64(len(whole)) })
	g.publish(5)
	g.settle(1)
	m.end()
	again := readLeaves(t, m.state)
	if len(again) < len(whole) || !slices.EqualFunc(whole, again[:len(whole)], slices.Equal[[]byte]) {
		t.Errorf("it came to other blocks: %d leaves, which were %d", len(again), len(whole))
	}
}

// manager is a service manager's socket.
type manager struct {
	t    *testing.T
	path string
	told chan string
}

func listen(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, path: filepath.Join(t.TempDir(), "notify"), told: make(chan string, 1024)}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return // closed
			}
			for line := range strings.SplitSeq(string(b[:n]), "\n") {
				m.told <- line
			}
		}
	}()
	return m
}

// expect waits until it was told each of the lines, in this order.
func (m *manager) expect(lines ...string) {
	m.t.Helper()
	for _, want := range lines {
		until(m.t, "the service manager is told "+want, func() bool {
			for {
				select {
				case got := <-m.told:
					if got == want {
						return true
					}
				default:
					return false
				}
			}
		})
	}
}
