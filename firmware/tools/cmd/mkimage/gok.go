package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tools is the module that builds images.
const tools = "github.com/gokrazy/tools"

// buildGok builds gok so that what it writes depends on what it is given alone: gok
// stamps the time of day and the path of its configuration into the image, and takes
// certificates and the time zone from the machine that it runs on. The changes are made to a copy of the module's pinned
// source that lives as long as the build; a version where they do not fit is an error.
func buildGok(ctx context.Context, dir string, at time.Time) (gok string, err error) {
	// go list has no folder for a module that is not in the cache yet.
	if out, err := exec.CommandContext(ctx, "go", "mod", "download", tools).CombinedOutput(); err != nil {
		return "", fmt.Errorf("getting %s: %w: %q", tools, err, out)
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", tools).Output()
	if err != nil {
		return "", fmt.Errorf("looking for %s: %w", tools, err)
	}
	source := filepath.Join(dir, "tools")
	if err := os.CopyFS(source, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		return "", err
	}
	if err := change(filepath.Join(source, "internal", "packer"), at); err != nil {
		return "", err
	}
	mod, err := modFile(dir, source)
	if err != nil {
		return "", err
	}
	gok = filepath.Join(dir, "gok")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-modfile", mod, "-o", gok, tools+"/cmd/gok")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building gok: %w", err)
	}
	return gok, nil
}

// change takes the machine and the time of day out of package packer.
func change(packer string, at time.Time) error {
	fixed := fmt.Sprintf("time.Unix(%d, 0).UTC()", at.Unix())
	for _, c := range []struct {
		file, old string
		times     int
		by        string
	}{
		{"write.go", "time.Now()", 7, fixed},
		// The variable must stay in use.
		{"write.go", "st.ModTime()", 3, "st.ModTime().Add(" + fixed + ".Sub(st.ModTime()))"},
		{"packerprepare.go", "time.Now()", 1, fixed},
		{"sbom.go", "config.InstanceConfigPath()", 1, `"config.json"`},
	} {
		name := filepath.Join(packer, c.file)
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text := string(b)
		if n := strings.Count(text, c.old); n != c.times {
			return fmt.Errorf("%s of %s has %q %d times instead of %d: it is another version than this program is for", c.file, tools, c.old, n, c.times)
		}
		if err := overwrite(name, strings.ReplaceAll(text, c.old, c.by)); err != nil {
			return err
		}
	}
	// The certificates are the ones that are pinned with the module, and the time is UTC.
	return errors.Join(
		overwrite(filepath.Join(packer, "cacerts_linux.go"), "package packer\n\nvar certFiles []string\n"),
		overwrite(filepath.Join(packer, "localtime.go"), "package packer\n\nfunc hostLocaltime(string) (string, error) { return \"\", nil }\n"),
	)
}

// overwrite writes a file that may be read-only, as those of modules are.
func overwrite(name, text string) error {
	return errors.Join(os.Remove(name), os.WriteFile(name, []byte(text), 0o644))
}

// modFile is this module's go.mod, with gok's module from a folder.
func modFile(dir, source string) (string, error) {
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("%w: mkimage runs in firmware/tools", err)
		}
		if name == "go.mod" {
			b = fmt.Appendf(b, "\nreplace %s => %s\n", tools, source)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "go.mod"), nil
}
