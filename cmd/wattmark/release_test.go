package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/firmware/manifest"
	"wattmark/firmware/update"
	"wattmark/firmware/update/slot/slottest"
)

// image writes what make image leaves of a version, and returns the two files.
func image(t *testing.T, dir string, version int) (about, root string) {
	t.Helper()
	content := slottest.Root(fmt.Sprint("version ", version), 1<<16)
	sum := slottest.Digest(content)
	b, err := json.Marshal(described{
		Board: "rpi", Version: uint64(version), Commit: strings.Repeat("0a", 20), Root: hex.EncodeToString(sum[:]), Size: uint64(len(content)), Kernel: "6.12.47-v8",
	})
	if err != nil {
		t.Fatal(err)
	}
	about, root = filepath.Join(dir, fmt.Sprintf("rpi-%d.json", version)), filepath.Join(dir, fmt.Sprintf("rpi-%d.squashfs", version))
	for name, b := range map[string][]byte{about: b, root: content} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return about, root
}

// TestRelease publishes releases to a ledger whose oracles run, as a person types it,
// and verifies what gateways would fetch.
func TestRelease(t *testing.T) {
	s := openSite(t)
	dir, out := t.TempDir(), t.TempDir()
	key, keys := filepath.Join(dir, "release.pem"), filepath.Join(dir, "release.keys")
	who := []string{"--origin", "wattmark.example/firmware", "--key", key}
	line := s.exec(0, append([]string{"release", "key"}, who...)...)
	if again := s.exec(0, append([]string{"release", "key"}, who...)...); again != line {
		t.Errorf("another key: %q, before %q", again, line)
	}
	if err := os.WriteFile(keys, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(dir, "policy")
	p, err := (&memberFlags{dir: s.dir, oracle: 1}).open()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(policy, []byte(p.policy.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	publish := func(want, version int, more ...string) string {
		t.Helper()
		about, root := image(t, dir, version)
		args := append([]string{"release", "publish", about, "--root", root, "--dir", s.dir, "--out", out}, who...)
		return s.exec(want, append(args, more...)...)
	}
	if got := publish(0, 3); !strings.Contains(got, "release 3 for rpi of wattmark.example/firmware") || !strings.Contains(got, "0% of the gateways may take it") {
		t.Errorf("published:\n%s", got)
	}
	proof := filepath.Join(out, "rpi", update.ProofFile)
	first, err := os.ReadFile(proof)
	if err != nil {
		t.Fatal(err)
	}
	// The same again is not put there again, and another image of the version never.
	publish(0, 3, "--percent", "20")
	about, root := image(t, dir, 3)
	b, err := os.ReadFile(about)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(about, bytes.Replace(b, []byte("6.12.47"), []byte("6.12.48"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"release", "publish", about, "--root", root, "--dir", s.dir, "--out", out}, who...)
	if got := s.exec(1, args...); !strings.Contains(got, "already_known") {
		t.Errorf("another image of version 3: %s", got)
	}
	publish(0, 4, "--after", "3")
	shown := s.exec(0, "release", "show", s.dir, "--json")
	if n := strings.Count(shown, "\n"); n != 2 || !strings.Contains(shown, `"version":3,"after":0`) || !strings.Contains(shown, `"version":4,"after":3`) {
		t.Errorf("the ledger has:\n%s", shown)
	}
	verify := []string{"release", "verify", proof, "--policy", policy, "--keys", keys}
	_, root = image(t, dir, 4)
	if got := s.exec(0, append(verify, "--root", root)...); !strings.Contains(got, "release 4 for rpi") || !strings.Contains(got, "ok: signed by a key that is trusted, and on the ledger") {
		t.Errorf("verified:\n%s", got)
	}
	_, other := image(t, dir, 3)
	if got := s.exec(3, append(verify, "--root", other, "--json")...); !strings.Contains(got, `"verdict":"false"`) {
		t.Errorf("another root:\n%s", got)
	}
	if err := os.WriteFile(proof, bytes.Replace(first, []byte("index "), []byte("index 1"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := s.exec(3, verify...); !strings.Contains(got, "NO: the manifest is not shown to be on the ledger") {
		t.Errorf("another place:\n%s", got)
	}
	s.exec(0, append([]string{"release", "rollout", "rpi", "--version", "4", "--percent", "50", "--out", out}, who...)...)
	trust, err := manifest.ParseKeys([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(filepath.Join(out, "rpi", update.RolloutFile)); err != nil {
		t.Fatal(err)
	}
	if r, err := manifest.OpenRollout(b, trust); err != nil || r.Version != 4 || r.Percent != 50 {
		t.Errorf("rolled out: %+v, %v", r, err)
	}
	// No gateway of this board can stand in the way of the next steps.
	stage := append([]string{"release", "stage", "rpi", "--version", "4", "--dir", s.dir, "--out", out, "--steps", "20,60,100"}, who...)
	for _, want := range []string{"release 4 for rpi at 50%: goes on to 60%\n", "at 60%: goes on to 100%\n", "at 100%: done"} {
		if got := s.exec(0, stage...); !strings.Contains(got, want) {
			t.Errorf("staged: %s, want %q", got, want)
		}
	}
	if got := s.exec(1, append([]string{"release", "stage", "rpi", "--version", "3", "--dir", s.dir, "--out", out}, who...)...); !strings.Contains(got, "is of version 4 for rpi: publish version 3 first") {
		t.Errorf("staged what is not published: %s", got)
	}
}
