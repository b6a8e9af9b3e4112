package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wattmark/gateway"
	"wattmark/gateway/enrol"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// startTPM starts a TPM in software and returns its socket.
func startTPM(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("swtpm is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("swtpm is not installed: no TPM to test against")
	}
	dir, err := os.MkdirTemp("", "tpm") // t.TempDir's name may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "tpm")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
			return socket
		}
		if time.Now().After(end) {
			t.Fatalf("swtpm does not listen: %v", err)
		}
	}
}

// TestAKeyInATPMAsks makes the key in a TPM, and asks with it for its enrolment.
func TestAKeyInATPMAsks(t *testing.T) {
	socket := startTPM(t)
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/enrol/enrol.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, config, ok := strings.Cut(string(script), "-- gateway.toml --\n")
	if !ok {
		t.Fatal("the script has no configuration")
	}
	config += "\n[key]\nbackend = \"tpm\"\ndevice = \"" + socket + "\"\n"
	for name, text := range map[string]string{"gateway.toml": config, "policy": ledgertest.New(t, 1).Policy.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var first string
	for range 2 {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"enrol", "--config", filepath.Join(dir, "gateway.toml"), "--offline", "--json"}, nil, &stdout, &stderr); code != 0 {
			t.Fatalf("status %d: %s", code, &stderr)
		}
		var f facts
		if err := json.Unmarshal(stdout.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		r, err := enrol.ParseRequest([]byte(f.Request))
		if err != nil {
			t.Fatal(err)
		}
		if r.Public.Algorithm() != signer.ES256 || r.Public.ID().String() != f.Key || f.Algorithm != "ES256" {
			t.Errorf("a request of key %v, %v", r.Public.ID(), f)
		}
		if first == "" {
			first = f.Request
		}
		if f.Request != first {
			t.Error("the second time asks with another request")
		}
	}
	key, err := os.ReadFile(filepath.Join(dir, "state", "key.pem"))
	if err != nil || !bytes.Contains(key, []byte("TSS2 PRIVATE KEY")) {
		t.Errorf("the key file: %.40q, %v", key, err)
	}
}

// TestAKeyInATPMIsRotated replaces a key in a TPM by another, as the ceremony does.
func TestAKeyInATPMIsRotated(t *testing.T) {
	f := new(gateway.File)
	f.Key.Backend, f.Key.Device, f.Key.File = "tpm", startTPM(t), filepath.Join(t.TempDir(), "key.pem")
	public := func(what string, key signer.Signer, err error) signer.PublicKey {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		message := []byte(what)
		sig, err := key.Sign(message)
		if err != nil || !signer.VerifyRaw(key.Public(), message, sig) {
			t.Fatalf("%s: signing: %v", what, err)
		}
		closeKey(key)
		return key.Public()
	}
	key, made, err := f.OpenOrMakeKey()
	first := public("the first", key, err)
	if !made {
		t.Error("the first key was there before")
	}
	key, err = f.NextKey()
	next := public("the next", key, err)
	key, err = f.NextKey()
	if again := public("the next, opened", key, err); again != next || next == first {
		t.Errorf("the first is %v, the next %v, then %v", first.ID(), next.ID(), again.ID())
	}
	if err := f.AdvanceKey(); err != nil {
		t.Fatal(err)
	}
	key, err = f.OpenKey()
	if now := public("the new one", key, err); now != next {
		t.Errorf("the key is %v, want %v", now.ID(), next.ID())
	}
}
