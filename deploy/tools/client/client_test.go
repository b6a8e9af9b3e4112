// Package client_test generates a client from the description of the API, as anybody may,
// and has it ask a ledger that runs.
package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/oapi-codegen/runtime" // what is generated needs it
)

// TestGeneratedClient builds the client and the program, runs a street of one oracle, and
// compares what the client was told.
func TestGeneratedClient(t *testing.T) {
	dir := t.TempDir()
	generated := filepath.Join(dir, "client.go")
	run(t, "go", "tool", "oapi-codegen", "-generate", "types,client", "-package", "generated", "-o", generated, "../../../oracle/api/openapi.json")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "generated", "client.go"): generated}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	ask, program := filepath.Join(dir, "ask"), filepath.Join(dir, "wattmark")
	run(t, "go", "build", "-tags", "generated", "-overlay", filepath.Join(dir, "overlay.json"), "-o", ask, "./ask")
	run(t, "go", "-C", "../../..", "build", "-o", program, "./cmd/wattmark")

	address := free(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	demo := exec.CommandContext(ctx, program, "demo", "--dir", filepath.Join(dir, "street"), "--oracles", "1", "--gateways", "3", "--http", address)
	var said bytes.Buffer
	demo.Stdout, demo.Stderr = &said, &said
	demo.Cancel = func() error { return demo.Process.Signal(os.Interrupt) }
	demo.WaitDelay = 20 * time.Second
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		if err := demo.Wait(); err != nil && t.Failed() {
			t.Logf("the street: %v\n%s", err, said.Bytes())
		}
	}()

	var a struct {
		Origin        string
		Height        int64
		Blocks        []int64
		Leaves        int
		Evidence      int `json:"evidence_bytes"`
		Zones, Found  []string
		Intervals     int
		Periods       int
		Problem, Hint string
	}
	var out []byte
	for wait := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		c := exec.CommandContext(t.Context(), ask, "http://"+address, "home-01")
		var wrong strings.Builder
		c.Stderr = &wrong
		if out, err = c.Output(); err == nil {
			if err := json.Unmarshal(out, &a); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if a.Height >= 6 && len(a.Zones) > 0 && len(a.Found) > 0 {
				break
			}
		}
		if time.Now().After(wait) {
			t.Fatalf("asked for two minutes: %v: %s%s", err, wrong.String(), out)
		}
	}
	t.Logf("%s", out)
	if !strings.HasPrefix(a.Origin, "wattmark.example/street/") || !slices.Contains(a.Zones, "street") || !slices.Contains(a.Found, "gateway") {
		t.Errorf("told of ledger %q, zones %q, found %q", a.Origin, a.Zones, a.Found)
	}
	for i, height := range a.Blocks {
		if want := int64(len(a.Blocks) - 1 - i); height != want {
			t.Fatalf("blocks %d: the newest first, and every one, down to 0", a.Blocks)
		}
	}
	if int64(len(a.Blocks)) < a.Height || a.Leaves == 0 || a.Evidence == 0 {
		t.Errorf("%d blocks of a ledger of height %d, %d leaves in the first, %d bytes of evidence", len(a.Blocks), a.Height, a.Leaves, a.Evidence)
	}
	if !strings.HasSuffix(a.Problem, "no-such-leaf") || a.Hint == "" {
		t.Errorf("of a block that is not there: %q, %q", a.Problem, a.Hint)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// free returns an address of the loopback that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
