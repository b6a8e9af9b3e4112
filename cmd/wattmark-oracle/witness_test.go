package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/witness"
)

// startWitness runs the verb as a process and returns the line that it prints, as
// fields, and how to end it.
func startWitness(t *testing.T, args ...string) (line []string, end func(os.Signal) int) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Args = append([]string{"wattmark-oracle", "witness"}, args...)
	c.Stderr = &lines{t, "witness"}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func(s os.Signal) int {
		if !ended {
			ended = true
			c.Process.Signal(s)
			c.Wait() // its status says how it ended
		}
		return c.ProcessState.ExitCode()
	}
	t.Cleanup(func() { end(os.Kill) })
	r := bufio.NewScanner(out)
	if !r.Scan() {
		t.Fatalf("the witness prints nothing: %v", r.Err())
	}
	return strings.Fields(r.Text()), end
}

// TestWitnessVerb makes a witness, has it cosign what a drawn ledger's oracles agree on,
// kills it, and goes on where it was.
func TestWitnessVerb(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1\nhome1=1\nhome1=2")
	dir := filepath.Join(t.TempDir(), "witness")
	policy := filepath.Join(t.TempDir(), "policy")
	if err := os.WriteFile(policy, []byte(c.Policy.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--dir", dir, "--name", "witness.example/w", "--policy", policy, "--listen", "127.0.0.1:0"}
	var first string
	for i, b := range c.Blocks[1:] {
		line, end := startWitness(t, args...)
		if len(line) != 4 || line[0] != "witness" {
			t.Fatalf("it prints %q", line)
		}
		key, err := block.ParseVerifierKey(line[2])
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = line[2]
		} else if line[2] != first {
			t.Errorf("another key after it was killed: %s", line[2])
		}
		k, err := witness.NewClient(key, line[3], nil)
		if err != nil {
			t.Fatal(err)
		}
		cosigned, err := k.Cosign(context.Background(), c.Sign(t, b.Checkpoint), b.Checkpoint, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := block.OpenSigned([]byte(b.Checkpoint.Text()+"\n"+cosigned), key); err != nil {
			t.Error(err)
		}
		if i < 2 {
			end(os.Kill)
		} else if code := end(syscall.SIGTERM); code != 0 {
			t.Errorf("SIGTERM ends it with status %d", code)
		}
	}
	var out, talk bytes.Buffer
	if code := run(t.Context(), append([]string{"witness", "--show", "--json"}, args...), nil, &out, &talk); code != 0 {
		t.Fatalf("--show: status %d: %s", code, &talk)
	}
	var s shownWitness
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	last := c.Last().Checkpoint
	if s.Key != first || len(s.Ledgers) != 1 || s.Ledgers[0] != (shownCosigned{ledgertest.Origin, last.Size, last.Root.String()}) {
		t.Errorf("--show: %+v", s)
	}
	// Without its key the directory is not gone on with.
	if err := os.Remove(filepath.Join(dir, "witness.pem")); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), append([]string{"witness"}, args...), nil, &out, &talk); code != exitFailed || !strings.Contains(talk.String(), "begin in a new directory") {
		t.Errorf("without its key: status %d: %s", code, &talk)
	}
	if _, err := os.Stat(filepath.Join(dir, "witness.pem")); !errors.Is(err, os.ErrNotExist) {
		t.Error("it made another key")
	}
}
