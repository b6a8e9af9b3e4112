package main

import (
	"bytes"
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

// program is the package of the program, in the checkout.
const program = "./cmd/wattmark-gateway"

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
}

// Package is a package that was built.
type Package struct {
	Path    string
	SHA256  string
	Size    int64 // bytes
	Program int64 // bytes of the program in it
}

// Package builds the package of an architecture into the directory out, under the name
// that Debian gives it.
func (b *Build) Package(debian, out string) (*Package, error) {
	i := slices.IndexFunc(architectures, func(a architecture) bool { return a.debian == debian })
	if i < 0 {
		return nil, errors.New("no such architecture is shipped: take arm64, armhf or amd64")
	}
	a := architectures[i]
	dir, err := os.MkdirTemp("", "wattmark-deb-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p := new(Package)
	if p.Program, err = b.make(a, dir); err != nil {
		return nil, err
	}
	info, err := b.info(a, dir)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := deb.Default.Package(info, &text); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text.Bytes())
	p.SHA256, p.Size = hex.EncodeToString(sum[:]), int64(text.Len())
	p.Path = filepath.Join(out, fmt.Sprintf("wattmark-gateway_%s_%s.deb", b.Version, debian))
	return p, os.WriteFile(p.Path, text.Bytes(), 0o644)
}

// make makes the files that are not in the checkout, and returns the program's size.
func (b *Build) make(a architecture, dir string) (int64, error) {
	binary := filepath.Join(dir, "wattmark-gateway")
	if _, err := b.goTool(a, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -X wattmark/gateway.version="+b.Version, "-o", binary, program); err != nil {
		return 0, err
	}
	about, err := os.Stat(binary)
	if err != nil {
		return 0, err
	}
	modules, err := b.linked(a)
	if err != nil {
		return 0, err
	}
	notices, err := copyright(b.Source, modules)
	if err != nil {
		return 0, err
	}
	log, err := changelog(b.Source, b.Version, b.Time)
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

// info tells nfpm what is in a package.
func (b *Build) info(a architecture, dir string) (*nfpm.Info, error) {
	script := func(name string) string { return filepath.Join(b.Source, "deploy/debian", name) }
	info := &nfpm.Info{
		Name: "wattmark-gateway", Arch: a.debian, Platform: "linux",
		Version: b.Version, VersionSchema: "none",
		Section: "net", Priority: "optional",
		Maintainer: "Wattmark <packages@wattmark.example>",
		Description: `reads energy meters and sensors, signs and sends what they say
The Wattmark gateway reads electricity meters and emission sensors on serial
lines, I2C, SPI, TCP and pins, signs each reading where it is taken, keeps it
through outages and power cuts, and forgets it only with a signed receipt of
the ledger that it is for.`,
		MTime: b.Time,
		Overridables: nfpm.Overridables{
			Depends: depends, Recommends: recommends,
			Scripts: nfpm.Scripts{PostInstall: script("postinst"), PreRemove: script("prerm"), PostRemove: script("postrm")},
			Deb:     nfpm.Deb{Compression: "xz", Scripts: nfpm.DebScripts{Templates: script("templates")}},
		},
	}
	for _, f := range contents {
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
