package qemutest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// copyCheckout copies the files of the checkout, as they are, to a folder.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	list := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = filepath.Join("..", "..")
	out, err := list.Output()
	if err != nil {
		t.Skipf("no checkout to copy: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join("..", "..", name))
		if os.IsNotExist(err) {
			continue // it was removed and that is not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheSameRoot builds one commit in two folders of different depth, where nothing has
// been built before: the roots are the same. WATTMARK_EMPTY_CACHE=1 gives the second
// build an empty build cache too, and takes minutes.
func TestTheSameRoot(t *testing.T) {
	needQEMU(t)
	const commit = "0123456789abcdef0123456789abcdef01234567"
	roots := make(map[string]string)
	for _, depth := range []string{"a", filepath.Join("b", "deeper", "and", "deeper")} {
		dir := filepath.Join(t.TempDir(), depth)
		copyCheckout(t, dir)
		out := t.TempDir()
		cmd := exec.Command("go", "run", "./cmd/mkimage", "-instance", "rpi", "-version", "1", "-commit", commit, "-out", out)
		cmd.Dir = filepath.Join(dir, "firmware", "tools")
		cmd.Env = os.Environ()
		if depth != "a" && os.Getenv("WATTMARK_EMPTY_CACHE") == "1" {
			cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
		}
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("mkimage: %v\n%s", err, b)
		}
		var d built
		b, err := os.ReadFile(filepath.Join(out, "rpi-1.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		roots[depth] = fmt.Sprintf("%s, %d bytes", d.Root, d.Size)
		t.Logf("built in %s: %s", dir, roots[depth])
	}
	if roots["a"] != roots[filepath.Join("b", "deeper", "and", "deeper")] {
		t.Errorf("one commit gives two roots: %v", roots)
	}
}
