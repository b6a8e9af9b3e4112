package main

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOpener(t *testing.T) {
	for _, c := range []struct {
		goos string
		env  map[string]string
		want []string
	}{
		{"linux", map[string]string{"DISPLAY": ":0"}, []string{"xdg-open"}},
		{"linux", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, []string{"xdg-open"}},
		{"linux", nil, nil},
		{"linux", map[string]string{"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.7 50000 192.0.2.2 22"}, nil},
		{"freebsd", map[string]string{"DISPLAY": ":0"}, []string{"xdg-open"}},
		{"darwin", nil, []string{"open"}},
		{"darwin", map[string]string{"SSH_CONNECTION": "192.0.2.7 50000 192.0.2.2 22"}, nil},
		{"darwin", map[string]string{"SSH_TTY": "/dev/ttys001"}, nil},
		{"windows", nil, []string{"rundll32", "url.dll,FileProtocolHandler"}},
	} {
		got := opener(c.goos, func(name string) string { return c.env[name] })
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s with %v (-want +got)\n%s", c.goos, c.env, diff)
		}
	}
}

// TestNoBrowser: without a terminal none is opened, though there is a desktop.
func TestNoBrowser(t *testing.T) {
	dir := t.TempDir()
	opened := filepath.Join(dir, "opened")
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\n: > "+opened+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("DISPLAY", ":0")
	t.Setenv("SSH_CONNECTION", "")
	t.Setenv("SSH_TTY", "")
	log := slog.New(slog.DiscardHandler)
	terminal := newScreen(&bytes.Buffer{}, false)
	terminal.width = 80
	for name, d := range map[string]*demo{
		"no terminal": {demoOptions: &demoOptions{}, screen: newScreen(&bytes.Buffer{}, false), log: log},
		"json":        {demoOptions: &demoOptions{asJSON: true}, screen: terminal, log: log},
		"asked not":   {demoOptions: &demoOptions{noBrowser: true}, screen: terminal, log: log},
	} {
		d.openBrowser()
		if _, err := os.Stat(opened); err == nil {
			t.Errorf("%s: a browser was opened", name)
		}
	}
}

// TestOpenBrowser: on a terminal of a desktop the page is opened, and that it cannot be is no
// matter.
func TestOpenBrowser(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the opener is another one")
	}
	dir := t.TempDir()
	pipe := filepath.Join(dir, "opened")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DISPLAY", ":0")
	t.Setenv("SSH_CONNECTION", "")
	t.Setenv("SSH_TTY", "")
	d := &demo{demoOptions: &demoOptions{}, screen: newScreen(&bytes.Buffer{}, false), pageURL: "http://127.0.0.1:8080/", log: slog.New(slog.DiscardHandler)}
	d.screen.width = 80
	t.Setenv("PATH", dir)
	d.openBrowser() // there is no such command
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\necho \"$@\" > "+pipe+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.openBrowser()
	got, err := os.ReadFile(pipe)
	if err != nil || string(got) != d.pageURL+"\n" {
		t.Errorf("opened %q, %v", got, err)
	}
}

func TestCheckLAN(t *testing.T) {
	for http, want := range map[string]bool{
		"": true, ":8080": true, "0.0.0.0:8080": true, "[::]:8080": true, "127.0.0.1:8080": false, "off": false, "street.example:8080": false, "8080": false,
	} {
		o := demoOptions{lan: true, speed: 60, gateways: 12, oracles: 4, http: http, given: func(flag string) bool { return flag == "http" && http != "" }}
		if http == "" {
			o.http = defaultHTTP
		}
		if err := o.check(); (err == nil) != want {
			t.Errorf("--lan --http %s: %v", http, err)
		}
	}
}

// TestListenLAN: the page is on every interface with --lan, and on the loopback without.
func TestListenLAN(t *testing.T) {
	for _, lan := range []bool{false, true} {
		d := &demo{demoOptions: &demoOptions{lan: lan, http: "127.0.0.1:0", given: func(string) bool { return false }}}
		l, err := d.listenPage()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if got := l.Addr().(*net.TCPAddr).IP; got.IsUnspecified() != lan || got.IsLoopback() == lan {
			t.Errorf("--lan %v listens on %v", lan, got)
		}
	}
}

func TestBestAddress(t *testing.T) {
	list := []net.Addr{}
	for _, text := range []string{"127.0.0.1/8", "fe80::1/64", "2001:db8::7/64", "fd00::2/64", "203.0.113.9/24", "192.168.1.7/24"} {
		ip, n, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, &net.IPNet{IP: ip, Mask: n.Mask})
	}
	for n, want := range map[int]string{6: "192.168.1.7", 5: "203.0.113.9", 4: "fd00::2", 3: "2001:db8::7", 2: "", 1: "", 0: ""} {
		got, ok := bestAddress(list[:n])
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("of %v it is %v, want %q", list[:n], got, want)
		}
	}
}

// TestShowLAN: with a terminal there is a code in colours of its own, with a border, and in
// any case the address and who can see it.
func TestShowLAN(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	for _, width := range []int{0, 20, 80} {
		var b bytes.Buffer
		d := &demo{demoOptions: &demoOptions{lan: true}, screen: newScreen(&b, false)}
		d.screen.width = width
		at := d.showLAN(netip.MustParseAddr("192.168.1.7"), 8080)
		lines := bytes.Split(b.Bytes(), []byte("\n"))
		if !bytes.Contains(b.Bytes(), []byte("network    http://"+at.String()+"/\n")) || !bytes.Contains(b.Bytes(), []byte("anyone on this network can look there")) {
			t.Errorf("at %d columns the screen says\n%s", width, b.Bytes())
		}
		code := bytes.Count(b.Bytes(), []byte("\x1b[38;5;231;48;5;16m"))
		if (code > 10) != (width == 80) {
			t.Errorf("at %d columns the code has %d lines", width, code)
		}
		if width == 80 && (!slices.Contains([]rune(string(lines[0])), '█') || !bytes.HasSuffix(lines[0], []byte("\x1b[0m"))) {
			t.Errorf("the code begins with %q", lines[0])
		}
	}
	var b bytes.Buffer
	alone := &demo{demoOptions: &demoOptions{lan: true}, screen: newScreen(&b, false)}
	if at := alone.showLAN(netip.Addr{}, 8080); at.String() != "127.0.0.1:8080" || !bytes.Contains(b.Bytes(), []byte("this machine has no address on one")) {
		t.Errorf("without a network it is at %v:\n%s", at, b.Bytes())
	}
	if got := coloured([]string{"█"}, func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }); got[0] != "█" {
		t.Errorf("without colours a line is %q", got[0])
	}
}
