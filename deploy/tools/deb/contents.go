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

// product is a package as Debian knows it, for each architecture.
type product struct {
	name     string
	about    string    // a line, and then the text
	programs []program // the first one has the package's name
	// architectures are Debian's names of those that it is for.
	architectures []string
	scripts       string // the folder below deploy of what dpkg runs
	templates     bool   // whether it asks something, by debconf
	manual        bool   // whether the pages that wattmark man writes are in it
	contents      []file
	// What it says of other packages.
	depends, recommends, conflicts []string
	compression                    string
}

// program is one that a package has in /usr/bin.
type program struct {
	name    string // of its package below cmd, too
	version string // the variable that says the version
}

// products are the packages that there are.
var products = []product{
	{
		name: "wattmark-gateway",
		about: `reads energy meters and sensors, signs and sends what they say
The Wattmark gateway reads electricity meters and emission sensors on serial
lines, I2C, SPI, TCP and pins, signs each reading where it is taken, keeps it
through outages and power cuts, and forgets it only with a signed receipt of
the ledger that it is for.`,
		programs:      []program{{"wattmark-gateway", "wattmark/gateway.version"}},
		architectures: []string{"arm64", "armhf", "amd64"},
		scripts:       "debian", templates: true,
		contents:   gatewayContents,
		depends:    []string{"debconf (>= 0.5) | debconf-2.0", "systemd (>= 252)"},
		recommends: []string{"systemd-timesyncd | time-daemon"},
		// Small: it may come over a line that is paid by the byte.
		compression: "xz",
	},
	{
		name: "wattmark-oracle",
		about: `checks, orders and seals signed energy and emissions readings
A Wattmark oracle takes the signed readings of gateways, agrees with the other
oracles on one order, and makes a ledger of them that nobody can change alone:
for trade among neighbours and for carbon accounts. With it comes the tool
wattmark, for operators, members and auditors.`,
		programs:      []program{{"wattmark-oracle", "main.version"}, {"wattmark", "main.version"}},
		architectures: []string{"arm64", "amd64"},
		scripts:       "debian/oracle", manual: true,
		contents:   oracleContents,
		depends:    []string{"systemd (>= 252)"},
		recommends: []string{"systemd-timesyncd | time-daemon"},
		// Both keep their configuration in /etc/wattmark, each for a group of its own.
		conflicts: []string{"wattmark-gateway"},
		// Quick to make and to unpack: xz takes a fifth off, and a minute.
		compression: "gzip",
	},
}

var gatewayContents = []file{
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
	{"/usr/share/doc/wattmark-gateway/wattmark-gateway.cdx.json", 0o644, "wattmark-gateway.cdx.json", made},
	{"/usr/share/lintian/overrides/wattmark-gateway", 0o644, "debian/lintian-overrides", asIs},
}

var oracleContents = []file{
	{"/usr/bin/wattmark-oracle", 0o755, "wattmark-oracle", made},
	{"/usr/bin/wattmark", 0o755, "wattmark", made},
	{"/usr/lib/systemd/system/wattmark-oracle.service", 0o644, "wattmark-oracle.service", asIs},
	{"/usr/lib/systemd/system/wattmark-oracle-server.service", 0o644, "wattmark-oracle-server.service", asIs},
	{"/usr/lib/sysusers.d/wattmark-oracle.conf", 0o644, "wattmark-oracle.sysusers", asIs},
	{"/usr/lib/tmpfiles.d/wattmark-oracle.conf", 0o644, "wattmark-oracle.tmpfiles", asIs},
	{"/etc/wattmark/oracle.toml.sample", 0o644, "oracle.toml", setting},
	{"/usr/share/doc/wattmark-oracle/OPERATOR.md.gz", 0o644, "OPERATOR.md", zipped},
	{"/usr/share/doc/wattmark-oracle/METRICS.md.gz", 0o644, "METRICS.md", zipped},
	{"/usr/share/doc/wattmark-oracle/examples/alerts.yaml", 0o644, "alerts.yaml", asIs},
	{"/usr/share/doc/wattmark-oracle/examples/grafana.json", 0o644, "grafana/oracles.json", asIs},
	{"/usr/share/man/man8/wattmark-oracle.8.gz", 0o644, "wattmark-oracle.8", zipped},
	{"/usr/share/doc/wattmark-oracle/changelog.gz", 0o644, "changelog.gz", made},
	{"/usr/share/doc/wattmark-oracle/copyright", 0o644, "copyright", made},
	{"/usr/share/doc/wattmark-oracle/wattmark-oracle.cdx.json", 0o644, "wattmark-oracle.cdx.json", made},
	{"/usr/share/doc/wattmark-oracle/wattmark.cdx.json", 0o644, "wattmark.cdx.json", made},
	{"/usr/share/lintian/overrides/wattmark-oracle", 0o644, "debian/oracle/lintian-overrides", asIs},
}

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
