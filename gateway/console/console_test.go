package console_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/console"
)

// teller is a gateway that always tells the same.
type teller struct {
	status    console.Status
	live      console.Live
	exchanges console.Exchanges
}

func (t teller) Status() console.Status { return t.status }

func (t teller) Live() console.Live { return t.live }

func (t teller) Exchanges() console.Exchanges { return t.exchanges }

func serve(t *testing.T, address string, source console.Source) {
	t.Helper()
	l, err := console.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "wattmark_up 1\n") })
		if err := console.Serve(ctx, l, console.Handler(source, metrics)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

func TestAsk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "console.sock")
	at := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	want := teller{
		console.Status{
			Version: console.Version, Time: at, Gateway: console.Gateway{Name: "home-01", Boot: 3, Started: at},
			Ledger: console.Ledger{Points: []string{"mp-1"}}, Buses: []console.Bus{},
			Devices:  []console.Device{{Name: "grid", State: console.StateGood, LastAt: &at, Last: &console.Value{Channel: "active_power", Unit: "W", Value: "-12.50"}}},
			Warnings: []console.Warning{{Code: "clock_unsynced", Text: "the clock was never set", Remedy: "give it one"}},
			Line:     "Not ready: <nothing> & more.",
		},
		console.Live{Version: console.Version, Time: at, Devices: []console.DeviceValue{{Name: "grid", Values: []console.Value{}}}},
		console.Exchanges{Version: console.Version, Devices: []console.DeviceExchange{{Name: "grid", At: at, Transcript: "> 01 04 00 00 00 02 71 cb\n"}}},
	}
	serve(t, "unix:"+path, want)
	c := console.NewClient(path)
	defer c.Close()
	s, err := c.Status(t.Context())
	if diff := cmp.Diff(want.status, s); err != nil || diff != "" {
		t.Errorf("status: %v (-want +got):\n%s", err, diff)
	}
	l, err := c.Live(t.Context())
	if diff := cmp.Diff(want.live, l); err != nil || diff != "" {
		t.Errorf("values: %v (-want +got):\n%s", err, diff)
	}
	e, err := c.Exchanges(t.Context())
	if diff := cmp.Diff(want.exchanges, e); err != nil || diff != "" {
		t.Errorf("exchanges: %v (-want +got):\n%s", err, diff)
	}
	if m, err := c.Metrics(t.Context()); err != nil || string(m) != "wattmark_up 1\n" {
		t.Errorf("metrics: %v: %q", err, m)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v", err, info.Mode())
	}
	// It only tells.
	h := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	defer h.CloseIdleConnections()
	for _, page := range []string{"/status", "/values"} {
		a, err := h.Post("http://gateway"+page, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %s", page, a.Status)
		}
	}
}

func TestNotRunning(t *testing.T) {
	c := console.NewClient(filepath.Join(t.TempDir(), "none.sock"))
	defer c.Close()
	if _, err := c.Status(t.Context()); !errors.Is(err, console.ErrNotRunning) {
		t.Errorf("without a gateway: %v", err)
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "console.sock")
	// One that a process left behind when it was killed.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	again, err := console.Listen("unix:" + path)
	if err != nil {
		t.Fatalf("a socket that was left behind: %v", err)
	}
	defer again.Close()
	if _, err := console.Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a socket that is in use: %v", err)
	}
	// A file of somebody's is not a socket to be replaced.
	file := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := console.Listen("unix:" + file); err == nil {
		t.Error("a file was replaced by a socket")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "keep" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	loop, err := console.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	loop.Close()
	if open, err := console.Listen("0.0.0.0:0"); err == nil {
		open.Close()
		t.Error("it listens for everybody")
	}
}
