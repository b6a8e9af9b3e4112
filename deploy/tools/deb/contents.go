package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
)

// file is one file of a package.
type file struct {
	to   string
	mode os.FileMode
	from string // in the checkout's folder deploy, or where the build makes it
	how  how
}

// how says what becomes of a file on its way into a package.
type how int

const (
	asIs how = iota
	zipped
	made    // by the build, as it is packed
	setting // as it is, and the administrator's changes stay (a conffile)
)

// contents is what is in a package.
var contents = []file{
	{"/usr/bin/wattmark-gateway", 0o755, "wattmark-gateway", made},
	{"/usr/lib/systemd/system/wattmark-gateway.service", 0o644, "wattmark-gateway.service", asIs},
	{"/usr/lib/systemd/system.conf.d/20-wattmark-watchdog.conf", 0o644, "20-wattmark-watchdog.conf", asIs},
	{"/usr/lib/sysusers.d/wattmark-gateway.conf", 0o644, "wattmark-gateway.sysusers", asIs},
	{"/usr/lib/tmpfiles.d/wattmark-gateway.conf", 0o644, "wattmark-gateway.tmpfiles", asIs},
	{"/usr/lib/udev/rules.d/60-wattmark-gateway.rules", 0o644, "60-wattmark-gateway.rules", asIs},
	{"/etc/wattmark/gateway.toml.sample", 0o640, "gateway.toml", setting},
	{"/usr/share/man/man8/wattmark-gateway.8.gz", 0o644, "wattmark-gateway.8", zipped},
	{"/usr/share/doc/wattmark-gateway/changelog.gz", 0o644, "changelog.gz", made},
	{"/usr/share/doc/wattmark-gateway/copyright", 0o644, "copyright", made},
	{"/usr/share/lintian/overrides/wattmark-gateway", 0o644, "debian/lintian-overrides", asIs},
}

// relations to other packages of Debian.
var (
	depends    = []string{"debconf (>= 0.5) | debconf-2.0", "systemd (>= 252)"}
	recommends = []string{"systemd-timesyncd | time-daemon"}
)

// compress is gzip -9n: without the name and the time of what is in it.
func compress(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// stage lays a file into dir as it is packed, and returns where it is.
func (f *file) stage(source, dir string) (string, error) {
	if f.how == made {
		return filepath.Join(dir, f.from), nil
	}
	from := filepath.Join(source, "deploy", f.from)
	if f.how != zipped {
		return from, nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	if text, err = compress(text); err != nil {
		return "", err
	}
	to := filepath.Join(dir, filepath.Base(f.to))
	return to, os.WriteFile(to, text, 0o644)
}
