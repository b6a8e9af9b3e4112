package cmd_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the lists of linked modules beside each main package")

// linkPlatforms are what each binary is linked for. The list beside its main is of
// all of them, so that it does not depend on the machine that checks it.
var linkPlatforms = []string{"linux/amd64", "linux/arm64", "linux/arm"}

// modulesHeader is the first line of each list.
const modulesHeader = "# Modules linked into this binary on " +
	"linux/amd64, linux/arm64 and linux/arm; versions are in go.mod. Rewrite with go test ./cmd -run TestLinkedModules -update\n"

// TestLinkedModules compares the modules that each binary links with the reviewed
// list beside its main package: nothing new is shipped unseen.
func TestLinkedModules(t *testing.T) {
	tree, err := readTree(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tree.packages {
		// What is linked into a nested module's binary is that module's to check,
		// and what runs in a browser is built by its own test.
		if p.nested || top(p.dir) != "cmd" || !isCommand(p) {
			continue
		}
		t.Run(filepath.Base(p.dir), func(t *testing.T) {
			t.Parallel()
			got := modulesHeader + strings.Join(linkedModules(t, p.dir), "\n") + "\n"
			file := filepath.Join("..", p.dir, "deps.txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%s/deps.txt is missing: review this list, and write it with -update:\n%s", p.dir, got)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s links other modules than the reviewed deps.txt says; once reviewed, rewrite it with -update (-listed +linked):\n%s", p.dir, diff)
			}
		})
	}
}

func isCommand(p *pkg) bool {
	return slices.ContainsFunc(p.sources(false), func(s source) bool { return s.name == "main" })
}

// linkedModules returns the modules of all packages a binary depends on, sorted.
func linkedModules(t *testing.T, dir string) []string {
	t.Helper()
	var modules []string
	for _, platform := range linkPlatforms {
		goos, goarch, _ := strings.Cut(platform, "/")
		env := []string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + goarch, "GOARM=6"}
		for _, l := range goList(t, env, "-deps", "./"+dir) {
			if l.Module != nil && l.Module.Path != modulePath {
				modules = append(modules, l.Module.Path)
			}
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}
