// Command mkimage builds the image of a gateway from this checkout: the whole card for
// flashing, the root file system for updates, and what a release manifest says of it. The
// same commit gives the same root on another machine.
//
//	mkimage -instance rpi -version 7 -source ../.. -out ../../bin
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// The layout that gok gives a card of cardBytes: 4 MiB, boot of 100 MiB, two roots of
// 500 MiB, and /perm.
const (
	cardBytes  = 1_600_000_000
	rootOffset = (4 + 100) << 20
	permOffset = rootOffset + 2*500<<20
	permBlocks = 431987 // of 1 KiB
)

type options struct {
	instance, source, out, perm, commit string
	version                             uint64
}

func main() {
	var o options
	flag.StringVar(&o.instance, "instance", "rpi", "which image: a folder of firmware/image")
	flag.StringVar(&o.source, "source", "../..", "the project's folder")
	flag.StringVar(&o.out, "out", "../../bin", "folder to write to")
	flag.StringVar(&o.perm, "perm", "", "a folder whose content /perm begins with")
	flag.StringVar(&o.commit, "commit", "", "the commit, where the project's folder is no checkout")
	flag.Uint64Var(&o.version, "version", 1, "the version, which only rises")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

// description is what a release manifest will say of an image, but for its origin.
type description struct {
	Board   string `json:"board"`
	Version uint64 `json:"version"`
	Commit  string `json:"commit"`
	Root    string `json:"root"` // SHA-256 in hexadecimal
	Size    int64  `json:"size"`
	Kernel  string `json:"kernel"`
}

func run(ctx context.Context, o options) (err error) {
	source, err := filepath.Abs(o.source)
	if err != nil {
		return err
	}
	commit, at, err := commitOf(source, o.commit)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "mkimage")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	gok, err := buildGok(ctx, temp, at)
	if err != nil {
		return err
	}
	d := description{Board: o.instance, Version: o.version, Commit: commit}
	parent, err := lay(source, o.instance, &d)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	image, err := filepath.Abs(filepath.Join(o.out, o.instance+".img"))
	if err != nil {
		return err
	}
	if err := pack(ctx, gok, parent, o.instance, image, temp); err != nil {
		return err
	}
	if d.Kernel, err = kernelOf(filepath.Join(parent, o.instance, "builddir")); err != nil {
		return err
	}
	root := filepath.Join(o.out, fmt.Sprintf("%s-%d.squashfs", o.instance, o.version))
	if err := extractRoot(image, root, &d); err != nil {
		return err
	}
	if err := formatPerm(ctx, image, o.perm); err != nil {
		return err
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	about := filepath.Join(o.out, fmt.Sprintf("%s-%d.json", o.instance, o.version))
	if err := os.WriteFile(about, append(b, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Printf("image    %s\nroot     %s\nboard    %s\nversion  %d\ncommit   %s\nkernel   %s\nsize     %d bytes\nsha256   %s\n", image, root, d.Board, d.Version, d.Commit, d.Kernel, d.Size, d.Root)
	return nil
}

// commitOf is the commit of a checkout, and when it was made: the time of everything in
// the image. Without a checkout the time is the epoch.
func commitOf(source, given string) (string, time.Time, error) {
	if given != "" {
		return given, time.Unix(0, 0), nil
	}
	cmd := exec.Command("git", "-c", "safe.directory=*", "log", "-1", "--format=%H %ct")
	cmd.Dir = source
	out, err := cmd.Output()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("asking git for the commit: %w: give -commit where %s is no checkout", err, source)
	}
	var commit string
	var seconds int64
	if _, err := fmt.Sscan(string(out), &commit, &seconds); err != nil {
		return "", time.Time{}, fmt.Errorf("git says %q: %w", out, err)
	}
	return commit, time.Unix(seconds, 0), nil
}

// lay makes gok's instance folder at a place of the same depth in every checkout, as
// binaries name replaced modules by their relative paths.
func lay(source, instance string, d *description) (parent string, err error) {
	base := filepath.Join(source, "firmware", "image")
	parent = filepath.Join(base, ".build")
	dir := filepath.Join(parent, instance)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Join(dir, "builddir"), 0o755)); err != nil {
		return "", err
	}
	for name, from := range map[string][]string{
		"go.mod": {filepath.Join(base, "builddir", "go.mod")},
		"go.sum": {filepath.Join(source, "go.sum"), filepath.Join(base, "builddir", "go.sum")},
	} {
		var text []byte
		for _, f := range from {
			b, err := os.ReadFile(f)
			if err != nil {
				return "", err
			}
			text = append(text, b...)
		}
		if err := os.WriteFile(filepath.Join(dir, "builddir", name), text, 0o644); err != nil {
			return "", err
		}
	}
	b, err := os.ReadFile(filepath.Join(base, instance, "config.json"))
	if err != nil {
		return "", fmt.Errorf("there is no image %q: %w", instance, err)
	}
	var config map[string]any
	if err := json.Unmarshal(b, &config); err != nil {
		return "", fmt.Errorf("config.json of %s: %w", instance, err)
	}
	said, err := json.Marshal(map[string]any{"board": d.Board, "version": d.Version, "commit": d.Commit})
	if err != nil {
		return "", err
	}
	packages, _ := config["PackageConfig"].(map[string]any)
	gateway, ok := packages["wattmark/cmd/wattmark-gateway"].(map[string]any)
	if !ok {
		return "", fmt.Errorf("config.json of %s configures no wattmark-gateway", instance)
	}
	gateway["ExtraFileContents"] = map[string]string{"/etc/wattmark/image.json": string(said) + "\n"}
	// The linker's flags hold for this package; GOFLAGS of the others can hold no spaces.
	gateway["GoBuildFlags"] = []string{"-ldflags=-s -w -buildid= -X wattmark/gateway.version=" + fmt.Sprintf("%s-%d", d.Board, d.Version)}
	if b, err = json.MarshalIndent(config, "", "  "); err != nil {
		return "", err
	}
	return parent, os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644)
}

// pack runs gok.
func pack(ctx context.Context, gok, parent, instance, image, home string) error {
	if err := os.Remove(image); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	cmd := exec.CommandContext(ctx, gok, "-i", instance, "--parent_dir", parent, "overwrite", "--full", image, fmt.Sprintf("--target_storage_bytes=%d", cardBytes), "--sudo=never")
	// HOME is empty, so that nothing of its owner gets into the image; the caches of the
	// go command are named, as it would look for them there.
	caches, err := exec.CommandContext(ctx, "go", "env", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	if err != nil {
		return err
	}
	dirs := strings.Fields(string(caches))
	if len(dirs) != 3 {
		return fmt.Errorf("go env says %q", caches)
	}
	cmd.Env = append(os.Environ(), "HOME="+home, "GOCACHE="+dirs[0], "GOMODCACHE="+dirs[1], "GOPATH="+dirs[2],
		"GOFLAGS=-mod=mod -buildvcs=false -trimpath", "GOARCH=arm64", "GOOS=linux", "CGO_ENABLED=0", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("gok: %w\n%s", err, out)
	}
	if _, err := os.Stat(image); err != nil {
		return fmt.Errorf("gok wrote no image:\n%s", out)
	}
	return nil
}

// kernelOf is the release of the kernel, by the folder of its modules.
func kernelOf(builddir string) (string, error) {
	cmd := exec.Command("go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", "github.com/gokrazy/kernel.rpi")
	cmd.Dir = builddir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("looking for the kernel: %w", err)
	}
	list, err := os.ReadDir(filepath.Join(strings.TrimSpace(string(out)), "lib", "modules"))
	if err != nil || len(list) != 1 {
		return "", fmt.Errorf("the kernel's package has modules of %d releases: %w", len(list), err)
	}
	return list[0].Name(), nil
}

// formatPerm makes /perm's file system, which gokrazy mounts and never makes.
func formatPerm(ctx context.Context, image, content string) error {
	args := []string{"-q", "-F", "-E", fmt.Sprintf("offset=%d", permOffset)}
	if content != "" {
		args = append(args, "-d", content)
	}
	cmd := exec.CommandContext(ctx, "mkfs.ext4", append(args, image, fmt.Sprint(permBlocks))...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("making the file system of /perm: %w: it needs mkfs.ext4 of e2fsprogs", err)
	}
	return nil
}
