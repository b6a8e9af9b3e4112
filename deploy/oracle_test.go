package deploy_test

import (
	"bytes"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// TestOracleUnits holds the units of oracle and broker to systemd's own judgement: they load
// without a warning, and their exposure is at most 1.5 of 10.
func TestOracleUnits(t *testing.T) {
	same := []string{"Restart=always", "StartLimitIntervalSec=0", "User=wattmark-oracle", "StateDirectoryMode=0700", "CapabilityBoundingSet=", "LimitCORE=0"}
	for unit, want := range map[string][]string{
		"wattmark-oracle.service":        {"Type=notify", "ExecStart=/usr/bin/wattmark-oracle run", "ConditionPathExists=/etc/wattmark/oracle.toml", "StateDirectory=wattmark-oracle"},
		"wattmark-oracle-server.service": {"Type=exec", "ExecStart=/usr/bin/wattmark-oracle server /etc/wattmark/node.conf", "ExecReload=/bin/kill -HUP $MAINPID", "StateDirectory=wattmark-oracle-server"},
	} {
		t.Run(unit, func(t *testing.T) {
			text, err := os.ReadFile(unit)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(text), "\n")
			for _, want := range append(want, same...) {
				if !slices.Contains(lines, want) {
					t.Errorf("the unit does not say %s", want)
				}
			}
			need(t, "systemd-analyze")
			path := filepath.Join(t.TempDir(), unit)
			if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte("/usr/bin/wattmark-oracle"), []byte("/bin/true")), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"verify", "--man=no", path}, {"security", "--offline=true", "--threshold=15", path}} {
				out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
				if err != nil || args[0] == "verify" && len(out) > 0 {
					t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
				}
				if exposure := regexp.MustCompile(`Overall exposure level.*`).Find(out); exposure != nil {
					t.Logf("%s", exposure)
				}
			}
		})
	}
}

// environment reads a file of NAME=VALUE lines.
func environment(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			env[name] = value
		}
	}
	return env
}

// TestClusterConfiguration reads the configuration of the NATS servers with the server's own
// parser, in the environment of the samples, and looks for what the oracles' promises rest
// on. cmd/wattmark-oracle runs them.
func TestClusterConfiguration(t *testing.T) {
	certs := t.TempDir()
	pemFile(t, certs)
	load := func(conf, env string) *server.Options {
		t.Helper()
		dir := t.TempDir()
		for name, value := range environment(t, filepath.Join("nats", env)) {
			switch name {
			case "WATTMARK_CERTIFICATE", "WATTMARK_ROOTS":
				value = filepath.Join(certs, "cert.pem")
			case "WATTMARK_CERTIFICATE_KEY":
				value = filepath.Join(certs, "key.pem")
			}
			t.Setenv(name, value)
		}
		text, err := os.ReadFile(filepath.Join("nats", conf))
		if err != nil {
			t.Fatal(err)
		}
		nobody, err := os.ReadFile("kustomize/cluster/authorization.conf")
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{conf: text, "authorization.conf": nobody} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		opts, err := server.ProcessConfigFile(filepath.Join(dir, conf))
		if err != nil {
			t.Fatalf("%s: %v", conf, err)
		}
		return opts
	}
	o := load("node.conf", "cluster.env")
	if !o.SyncAlways || !o.JetStream || o.MaxPayload != 1<<20 {
		t.Errorf("node.conf: sync always %v, JetStream %v, payload %d", o.SyncAlways, o.JetStream, o.MaxPayload)
	}
	if o.TLSConfig.ClientAuth != tls.RequireAndVerifyClientCert || !o.TLSMap || !o.MQTT.TLSMap || !o.LeafNode.TLSMap || !o.Cluster.TLSCheckKnownURLs {
		t.Errorf("node.conf lets somebody in without a certificate that says who: clients %v, MQTT %v, leaf nodes %v, servers %v",
			o.TLSMap, o.MQTT.TLSMap, o.LeafNode.TLSMap, o.Cluster.TLSCheckKnownURLs)
	}
	if len(o.Routes) != 3 || len(o.Users) != 1 {
		t.Errorf("node.conf: %d routes and %d users", len(o.Routes), len(o.Users))
	}
	l := load("leaf.conf", "leaf.env")
	if l.JetStream || len(l.LeafNode.Remotes) != 1 || len(l.LeafNode.Remotes[0].URLs) != 3 || !l.TLSMap {
		t.Errorf("leaf.conf: JetStream %v, remotes %v, certificates mapped %v", l.JetStream, l.LeafNode.Remotes, l.TLSMap)
	}
	a, errA := os.ReadFile("nats/node.conf")
	b, errB := os.ReadFile("kustomize/cluster/node.conf")
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("kustomize/cluster/node.conf is not nats/node.conf: copy it again (%v, %v)", errA, errB)
	}
}
