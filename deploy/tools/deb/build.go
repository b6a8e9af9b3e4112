package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

// architecture is one that Debian has, as Go names it.
type architecture struct {
	debian string
	env    []string
}

// architectures are those that are shipped. The program for armhf is ARMv6's, which
// the Pi Zero needs and ARMv7 runs too: a second package would have the same name.
var architectures = []architecture{
	{"arm64", []string{"GOARCH=arm64", "GOARM64=v8.0"}},
	{"armhf", []string{"GOARCH=arm", "GOARM=6"}},
	{"amd64", []string{"GOARCH=amd64", "GOAMD64=v1"}},
}

// Build is what all packages of one version have in common.
type Build struct {
	Source  string // the checkout
	Version string // Debian's, without epoch and revision
	Time    time.Time
	Env     []string // added to the go command's environment
	// Tool is a wattmark that runs here, of the same source; empty builds one when it is needed.
	Tool string
}

// Package is a package that was built.
type Package struct {
	Path    string
	SHA256  string
	Size    int64 // bytes
	Program int64 // bytes of the program that it is named for
}

// Package builds a product for an architecture into the directory out, under the name that
// Debian gives it.
func (b *Build) Package(pr *product, debian, out string) (*Package, error) {
	if !slices.Contains(pr.architectures, debian) {
		return nil, fmt.Errorf("no such architecture is shipped: take %s", strings.Join(pr.architectures, " or "))
	}
	i := slices.IndexFunc(architectures, func(a architecture) bool { return a.debian == debian })
	a := architectures[i]
	dir, err := os.MkdirTemp("", "wattmark-deb-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p := new(Package)
	if p.Program, err = b.make(pr, a, dir); err != nil {
		return nil, err
	}
	info, err := b.info(pr, a, dir)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := deb.Default.Package(info, &text); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text.Bytes())
	p.SHA256, p.Size = hex.EncodeToString(sum[:]), int64(text.Len())
	p.Path = filepath.Join(out, fmt.Sprintf("%s_%s_%s.deb", pr.name, b.Version, debian))
	return p, os.WriteFile(p.Path, text.Bytes(), 0o644)
}

// make makes the files that are not in the checkout, and returns the size of the program
// that the package is named for.
func (b *Build) make(pr *product, a architecture, dir string) (int64, error) {
	var modules []module
	for _, p := range pr.programs {
		from := "./cmd/" + p.name
		if _, err := b.goTool(a, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -X "+p.version+"="+b.Version, "-o", filepath.Join(dir, p.name), from); err != nil {
			return 0, err
		}
		parts, err := b.wattmark("version", "parts", "--of", b.Version, filepath.Join(dir, p.name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, p.name+".cdx.json"), parts, 0o644)
		}
		if err != nil {
			return 0, err
		}
		linked, err := b.linked(a, from)
		if err != nil {
			return 0, err
		}
		modules = append(modules, linked...)
	}
	slices.SortFunc(modules, func(x, y module) int { return cmp.Compare(x.path, y.path) })
	about, err := os.Stat(filepath.Join(dir, pr.name))
	if err != nil {
		return 0, err
	}
	notices, err := copyright(b.Source, slices.Compact(modules))
	if err != nil {
		return 0, err
	}
	if pr.manual {
		if err := b.manual(filepath.Join(dir, manualDir)); err != nil {
			return 0, err
		}
	}
	log, err := changelog(b.Source, pr.name, b.Version, b.Time)
	if err != nil {
		return 0, err
	}
	if log, err = compress(log); err != nil {
		return 0, err
	}
	return about.Size(), errors.Join(
		os.WriteFile(filepath.Join(dir, "copyright"), notices, 0o644),
		os.WriteFile(filepath.Join(dir, "changelog.gz"), log, 0o644),
	)
}

// manualDir is where the pages of wattmark are made.
const manualDir = "man"

// wattmark runs the tool of the checkout, as it is built for this machine.
func (b *Build) wattmark(args ...string) ([]byte, error) {
	c := exec.Command(b.Tool, args...)
	if b.Tool == "" {
		c = exec.Command("go", append([]string{"run", "-trimpath", "-buildvcs=false", "./cmd/wattmark"}, args...)...)
	}
	c.Dir = b.Source
	// Not b.Env: what the tool writes is the same whatever it was built with.
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("wattmark %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// manual has wattmark write its pages, and packs them.
func (b *Build) manual(dir string) error {
	if _, err := b.wattmark("man", dir); err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		return err
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		if text, err = compress(text); err != nil {
			return err
		}
		if err := os.WriteFile(page+".gz", text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// info tells nfpm what is in a package.
func (b *Build) info(pr *product, a architecture, dir string) (*nfpm.Info, error) {
	script := func(name string) string { return filepath.Join(b.Source, "deploy", pr.scripts, name) }
	info := &nfpm.Info{
		Name: pr.name, Arch: a.debian, Platform: "linux",
		Version: b.Version, VersionSchema: "none",
		Section: "net", Priority: "optional",
		Maintainer:  "Wattmark <packages@wattmark.example>",
		Description: pr.about,
		MTime:       b.Time,
		Overridables: nfpm.Overridables{
			Depends: pr.depends, Recommends: pr.recommends, Conflicts: pr.conflicts,
			Scripts: nfpm.Scripts{PostInstall: script("postinst"), PreRemove: script("prerm"), PostRemove: script("postrm")},
			Deb:     nfpm.Deb{Compression: pr.compression},
		},
	}
	if pr.templates {
		info.Deb.Scripts.Templates = script("templates")
	}
	all := slices.Clone(pr.contents)
	if pr.manual {
		pages, err := filepath.Glob(filepath.Join(dir, manualDir, "*.1.gz"))
		if err != nil || len(pages) == 0 {
			return nil, errors.Join(errors.New("the manual has no pages"), err)
		}
		for _, page := range pages {
			name := filepath.Base(page)
			all = append(all, file{"/usr/share/man/man1/" + name, 0o644, filepath.Join(manualDir, name), made})
		}
	}
	for _, f := range all {
		from, err := f.stage(b.Source, dir)
		if err != nil {
			return nil, err
		}
		kind := files.TypeFile
		if f.how == setting {
			kind = files.TypeConfig
		}
		info.Contents = append(info.Contents, &files.Content{
			Source: from, Destination: f.to, Type: kind,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: f.mode, MTime: b.Time},
		})
	}
	return info, nfpm.Validate(info)
}

// goTool runs the go command in the checkout, for an architecture and whatever the
// user's own settings are.
func (b *Build) goTool(a architecture, args ...string) ([]byte, error) {
	c := exec.Command("go", args...)
	c.Dir = b.Source
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off")
	c.Env = append(append(c.Env, a.env...), b.Env...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
