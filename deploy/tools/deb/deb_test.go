package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// checkout is the source that the packages are built from.
const checkout = "../../.."

// maxProgram is how many bytes the program may have, stripped: a gateway gets it over
// a line that may be paid by the byte.
const maxProgram = 14 << 20

// need skips a test whose tool is not installed.
func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatalf("%s is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test", tool)
		}
		t.Skipf("%s is not installed: the packages are not looked at with it", tool)
	}
}

var dir string // of the packages

func TestMain(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("", "wattmark-deb-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// when is the time of the commit that the tests build.
var when = time.Date(2026, 11, 26, 3, 47, 52, 0, time.UTC)

func build(source string) Build {
	// Where it cannot be built, each package says so.
	tool, _ := tool()
	return Build{Source: source, Version: "0.1.0~20261126034752.d4ad614f36e2", Time: when, Tool: tool}
}

// tool builds wattmark for this machine, once for all packages.
var tool = sync.OnceValues(func() (string, error) {
	name := filepath.Join(dir, "wattmark")
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", name, "./cmd/wattmark")
	c.Dir = checkout
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building wattmark: %w: %s", err, out)
	}
	return name, nil
})

// one is a package and what it is of.
type one struct {
	*product
	*Package
	architecture string
}

// packages builds the packages, once for all tests: the gateway's for each architecture, the
// oracle's for the last one.
var packages = sync.OnceValues(func() (all []one, err error) {
	b := build(checkout)
	for i := range products {
		pr := &products[i]
		for _, a := range pr.architectures {
			if i > 0 && a != "amd64" {
				continue // twice as large, and made in the same way
			}
			p, err := b.Package(pr, a, dir)
			if err != nil {
				return nil, fmt.Errorf("%s for %s: %w", pr.name, a, err)
			}
			all = append(all, one{pr, p, a})
		}
	}
	return all, nil
})

func built(t *testing.T) []one {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// entryOf is a file of a package.
type entryOf struct {
	tar.Header
	text []byte
}

// unpack returns the files of a package, or of its control part.
func unpack(t *testing.T, p *Package, part string) map[string]entryOf {
	t.Helper()
	need(t, "dpkg-deb")
	out, err := exec.Command("dpkg-deb", part, p.Path).Output()
	if err != nil {
		t.Fatalf("dpkg-deb %s: %v", part, err)
	}
	all := make(map[string]entryOf)
	r := tar.NewReader(bytes.NewReader(out))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(h.Name, ".")] = entryOf{*h, text}
	}
}

// TestContents looks into each package: the files with their modes, all times the
// commit's, a program for the machine that links nothing and names no path of ours.
func TestContents(t *testing.T) {
	here, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "armhf": elf.EM_ARM}
	for _, p := range built(t) {
		t.Run(p.name+" "+p.architecture, func(t *testing.T) {
			t.Logf("%.1f MB, its program %.1f MB", float64(p.Size)/1e6, float64(p.Program)/1e6)
			if p.Program > maxProgram && p.name == "wattmark-gateway" {
				t.Errorf("the program has %d bytes, and may have %d", p.Program, maxProgram)
			}
			for _, part := range []string{"--fsys-tarfile", "--ctrl-tarfile"} {
				for path, e := range unpack(t, p.Package, part) {
					if !e.ModTime.Equal(when) || e.Uid != 0 || e.Gid != 0 {
						t.Errorf("%s is of %s and of %d:%d", path, e.ModTime.UTC(), e.Uid, e.Gid)
					}
				}
			}
			all := unpack(t, p.Package, "--fsys-tarfile")
			for _, f := range p.contents {
				e, ok := all[f.to]
				if !ok || os.FileMode(e.Mode) != f.mode || len(e.text) == 0 {
					t.Errorf("%s: in the package: %t, mode %04o, %d bytes, want mode %04o", f.to, ok, e.Mode, len(e.text), f.mode)
				}
			}
			for _, each := range p.programs {
				program := all["/usr/bin/"+each.name].text
				if bytes.Contains(program, []byte(here)) {
					t.Errorf("%s names %s", each.name, here)
				}
				x, err := elf.NewFile(bytes.NewReader(program))
				if err != nil {
					t.Fatal(err)
				}
				if x.Machine != machines[p.architecture] {
					t.Errorf("%s is for %v", each.name, x.Machine)
				}
				for _, s := range x.Progs {
					if s.Type == elf.PT_INTERP || s.Type == elf.PT_DYNAMIC {
						t.Errorf("%s needs a dynamic linker: it has a segment %v", each.name, s.Type)
					}
				}
			}
			for _, page := range []string{"wattmark", "wattmark-verify", "wattmark-ledger-audit"} {
				if _, ok := all["/usr/share/man/man1/"+page+".1.gz"]; ok != p.manual {
					t.Errorf("the page %s is there: %t", page, ok)
				}
			}
		})
	}
}

// TestControl looks at what dpkg reads.
func TestControl(t *testing.T) {
	for _, p := range built(t) {
		name := p.name + " " + p.architecture
		all := unpack(t, p.Package, "--ctrl-tarfile")
		control := string(all["/control"].text)
		for _, want := range []string{"Package: " + p.name + "\n", "Version: 0.1.0~20261126034752.d4ad614f36e2\n", "Architecture: " + p.architecture + "\n"} {
			if !strings.Contains(control, want) {
				t.Errorf("%s: control without %q:\n%s", name, want, control)
			}
		}
		if got := string(all["/conffiles"].text); got != "/etc/wattmark/"+strings.TrimPrefix(p.name, "wattmark-")+".toml.sample\n" {
			t.Errorf("%s: conffiles %q", name, got)
		}
		for _, script := range []string{"/postinst", "/prerm", "/postrm"} {
			if all[script].Mode != 0o755 {
				t.Errorf("%s: mode of %s is %04o", name, script, all[script].Mode)
			}
		}
	}
}

// TestLinks looks for the licence of each library that the reviewed lists say is linked.
func TestLinks(t *testing.T) {
	for _, p := range built(t) {
		notices := string(unpack(t, p.Package, "--fsys-tarfile")["/usr/share/doc/"+p.name+"/copyright"].text)
		for _, each := range p.programs {
			list, err := os.ReadFile(filepath.Join(checkout, "cmd", each.name, "deps.txt"))
			if err != nil {
				t.Fatal(err)
			}
			modules := strings.Fields(string(regexp.MustCompile(`(?m)^#.*`).ReplaceAll(list, nil)))
			if len(modules) < 10 {
				t.Fatalf("deps.txt of %s lists %d modules", each.name, len(modules))
			}
			for _, m := range append(modules, "Go") {
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(m) + ` v?\d`).MatchString(notices) {
					t.Errorf("%s for %s: no notice of %s", p.name, p.architecture, m)
				}
			}
		}
	}
}

// TestLintian has Debian's own checker look at each package.
func TestLintian(t *testing.T) {
	need(t, "lintian")
	args := []string{"--allow-root", "--fail-on", "error,warning"}
	for _, p := range built(t) {
		args = append(args, p.Path)
	}
	if out, err := exec.Command("lintian", args...).CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// TestScripts has shellcheck read what dpkg runs as root, and what CI runs.
func TestScripts(t *testing.T) {
	need(t, "shellcheck")
	var scripts []string
	for _, name := range []string{"deploy/debian/postinst", "deploy/debian/prerm", "deploy/debian/postrm",
		"deploy/debian/oracle/postinst", "deploy/debian/oracle/prerm", "deploy/debian/oracle/postrm", ".ci/run", ".ci/fuzz"} {
		scripts = append(scripts, filepath.Join(checkout, name))
	}
	if out, err := exec.Command("shellcheck", scripts...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// TestReproducible builds the same source in two directories, the second time with
// nothing that the first one left behind.
func TestReproducible(t *testing.T) {
	first := filepath.Join(t.TempDir(), "first")
	second := filepath.Join(t.TempDir(), "in", "another", "place")
	copySource(t, checkout, first)
	copySource(t, first, second)
	a := build(first)
	p, err := a.Package(&products[0], "arm64", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := build(second)
	cache := t.TempDir()
	b.Env = []string{"GOCACHE=" + cache}
	if err := os.Chmod(filepath.Join(second, "deploy/gateway.toml"), 0o600); err != nil { // umask is no part of it
		t.Fatal(err)
	}
	q, err := b.Package(&products[0], "arm64", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if p.SHA256 != q.SHA256 || p.Size == 0 {
		t.Errorf("of one source %s (%d bytes) and %s (%d bytes) were built", p.SHA256, p.Size, q.SHA256, q.Size)
	}
	b.Version = "0.1.0"
	if q, err = b.Package(&products[0], "arm64", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if p.SHA256 == q.SHA256 {
		t.Error("packages of two versions are alike")
	}
}

// copySource copies what packages are built from.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"go.mod", "go.sum", "cmd", "deploy", "firmware", "gateway", "hardware", "ledger", "oracle", "signer"} {
		about, err := os.Stat(filepath.Join(from, name))
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			t.Fatal(err)
		case about.IsDir():
			err = os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(from, name)))
		default:
			var text []byte
			if text, err = os.ReadFile(filepath.Join(from, name)); err == nil {
				err = errors.Join(os.MkdirAll(to, 0o755), os.WriteFile(filepath.Join(to, name), text, 0o644))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestUnknownArchitecture asks for what is not shipped.
func TestUnknownArchitecture(t *testing.T) {
	b := build(checkout)
	if p, err := b.Package(&products[0], "riscv64", t.TempDir()); err == nil || !strings.Contains(err.Error(), "arm64 or armhf or amd64") {
		t.Errorf("got %v, %v", p, err)
	}
}

// TestDescribe gives versions to commits: the release's to what is tagged with it, an
// older one, with the commit in it, to all others.
func TestDescribe(t *testing.T) {
	need(t, "git")
	repo := t.TempDir()
	log := filepath.Join(repo, changelogFile)
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(log), 0o755), os.WriteFile(log, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		c := exec.Command("git", args...)
		c.Dir = repo
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example", "GIT_COMMITTER_DATE=2026-11-26T04:47:52+01:00")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	const text = "wattmark-gateway (1.2.0) unstable; urgency=medium\n\n  * That.\n\n -- A <a@example>  Thu, 26 Nov 2026 00:00:00 +0000\n"
	run("init", "-q")
	write(text)
	run("add", ".")
	run("commit", "-q", "-m", "first")
	check := func(want string) {
		t.Helper()
		version, at, err := describe(repo)
		if err != nil || !regexp.MustCompile(want).MatchString(version) || !at.Equal(when) {
			t.Errorf("the version is %q of %s (%v), want %s of %s", version, at, err, want, when)
		}
	}
	check(`^1\.2\.0~20261126034752\.[0-9a-f]{12}$`)
	run("tag", "v1.2")
	check(`^1\.2\.0~20261126034752\.[0-9a-f]{12}$`)
	run("tag", "v1.2.0")
	check(`^1\.2\.0$`)
	write(text + "\n")
	check(`^1\.2\.0~20261126034752\.[0-9a-f]{12}\.dirty$`)
	write("1.2.0\n")
	if version, _, err := describe(repo); err == nil || !strings.Contains(err.Error(), changelogFile) {
		t.Errorf("a changelog that is none: %q, %v", version, err)
	}
	write(text)
	if err := os.RemoveAll(filepath.Join(repo, ".git")); err != nil {
		t.Fatal(err)
	}
	if version, _, err := describe(repo); err == nil || !strings.Contains(err.Error(), "-version and -time") {
		t.Errorf("no repository: %q, %v", version, err)
	}
}

// TestUsage runs the command as a person types it.
func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"now"}, "only flags"},
		{[]string{"-version", "1"}, "go together"},
		{[]string{"-version", "1", "-time", "now"}, "-time"},
		{[]string{"-package", "wattmark-oracle", "-arch", "armhf", "-version", "1", "-time", "2026-11-26T03:47:52Z"}, "no package wattmark-oracle is for"},
	} {
		if err := run(append([]string{"-source", checkout, "-out", t.TempDir()}, test.args...), io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want an error with %q", test.args, err, test.want)
		}
	}
	var out bytes.Buffer
	to := t.TempDir()
	args := []string{"-source", checkout, "-out", to, "-package", "wattmark-gateway", "-arch", "amd64", "-version", "0.1.0", "-time", "2026-11-26T03:47:52Z"}
	if err := run(args, &out); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(to)
	if err != nil || !slices.ContainsFunc(files, func(f os.DirEntry) bool { return f.Name() == "wattmark-gateway_0.1.0_amd64.deb" }) || !strings.Contains(out.String(), "wattmark-gateway_0.1.0_amd64.deb\n") {
		t.Errorf("it made %v (%v) and said:\n%s", files, err, out.String())
	}
}
