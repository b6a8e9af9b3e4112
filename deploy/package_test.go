package deploy_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/gateway/console"
	"wattmark/hardware/emulated"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
)

const (
	origin = "wattmark.example/deploy"
	name   = "home-01"
)

// buildPackage builds a package for this machine.
func buildPackage(t *testing.T, name string) []byte {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command("go", "run", "./deb", "-package", name, "-source", "../..", "-out", dir, "-arch", runtime.GOARCH, "-version", "0.1.0~test", "-time", "2026-11-26T00:00:00Z")
	c.Dir = "tools"
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go run ./deb: %v\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, name+"_0.1.0~test_"+runtime.GOARCH+".deb"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// meter is an emulated SDM120 at the far end of a serial port.
func meter(t *testing.T) (port string) {
	t.Helper()
	l, err := emulated.OpenLine()
	if err != nil {
		t.Fatal(err)
	}
	m := emulated.NewMeter("sdm120", 12345678)
	m.SetPower(1200)
	l.Attach(1, m)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		l.Close()
	})
	// A serial adapter is for the group dialout; the far end of a pseudo-terminal is
	// whose it is, and the groups of the other machine have other numbers.
	if err := os.Chmod(l.Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	return l.Path()
}

// configure puts into /etc/wattmark what the consortium hands out, and a configuration
// for a meter at port. Nobody answers at the broker's address.
func (m *machine) configure(port string) {
	m.t.Helper()
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	far := m.t.TempDir()
	keys, err := oracle.LoadKeys(filepath.Join(far, "keys"))
	must(err)
	policy, err := oracle.PolicyOf(oracle.NewCharter(origin, time.Now(), []entry.OracleKeys{keys.Public("wattmark.example/oracle", origin)}))
	must(err)
	set, err := audit.EncodeKeys([]audit.KnownKey{{Public: keys.Statement.Public(), Name: "wattmark.example/oracle", Role: audit.RoleOracle}})
	must(err)
	pki, err := broker.OpenPKI(filepath.Join(far, "pki"), time.Now())
	must(err)
	files, err := pki.Gateway(time.Now(), wire.ShortName(origin), name)
	must(err)
	m.write("/etc/wattmark/policy", []byte(policy.String()))
	m.write("/etc/wattmark/keys.jwks", set)
	for _, f := range [][2]string{{files.Certificate, "gateway.pem"}, {files.Key, "gateway.key"}, {files.Roots, "roots.pem"}} {
		b, err := os.ReadFile(f[0])
		must(err)
		m.write("/etc/wattmark/"+f[1], b)
	}
	m.write("/etc/wattmark/gateway.toml", fmt.Appendf(nil, `[gateway]
name = %q
point = "mp-0123456789abcdef"
pack_max_age = "1s"

[uplink]
ledger = %q
broker = "mqtts://127.0.0.1:1"
certificate = "gateway.pem"
certificate_key = "gateway.key"
roots = "roots.pem"
policy = "policy"
oracle_keys = "keys.jwks"

[[bus]]
name = "meters"
kind = "serial"
port = %q

[[device]]
name = "grid"
model = "sdm120"
bus = "meters"
unit = 1
period = "1s"
`, name, origin, port))
}

// TestPackage installs the package on a machine with systemd, as a technician does.
// Nothing starts before there is a configuration; in its sandbox the service reads,
// signs and keeps; a hang ends with a restart; removing and purging keep what exists
// nowhere else, until somebody says that it may go.
func TestPackage(t *testing.T) {
	m := newMachine(t)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := m.try("systemctl status --no-pager --lines=0 " + unit + " || true; systemctl show " + unit + " -p WatchdogUSec,NRestarts,Result; journalctl --sync; journalctl --no-pager -o cat --lines=40 -u " + unit)
			t.Logf("the service:\n%s", out)
		}
	})
	m.write("/srv/gateway.deb", buildPackage(t, "wattmark-gateway"))
	m.run("dpkg --install /srv/gateway.deb")
	if got := m.property("UnitFileState") + " " + m.property("ActiveState") + " " + m.property("ConditionResult"); got != "enabled inactive no" {
		t.Errorf("after installing, the service is %s", got)
	}
	if got, want := m.run("stat -c '%n %a %U:%G' /etc/wattmark /etc/wattmark/* /var/lib/wattmark"), "/etc/wattmark 2750 root:wattmark\n/etc/wattmark/gateway.toml.sample 640 root:wattmark\n/var/lib/wattmark 750 wattmark:wattmark\n"; got != want {
		t.Errorf("it installs\n%swant\n%s", got, want)
	}
	if out := m.run("systemd-analyze verify --man=yes " + unit); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}

	m.configure(meter(t))
	m.run("runuser -u wattmark -- wattmark-gateway enrol --offline --plain")
	m.run("systemctl start " + unit)
	// What is read is signed and waits; without a broker there is no receipt.
	asked := console.NewClient(filepath.Join("/proc", m.init, "root/run/wattmark/console.sock"))
	t.Cleanup(asked.Close)
	m.until("readings are signed and wait", func() bool {
		s, err := asked.Status(t.Context())
		return err == nil && s.Outbox.Pending > 0 && len(s.Devices) == 1 && s.Devices[0].State == console.StateGood
	})
	log := m.run("journalctl --no-pager -o cat -u " + unit)
	if !strings.Contains(log, `version=0.1.0~test`) || strings.Contains(log, "operation not permitted") {
		t.Errorf("the log says\n%s", log)
	}

	if out := m.run("grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/" + m.property("MainPID") + "/status"); out != "CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n" {
		t.Errorf("its process has\n%s", out)
	}

	// Its key is sealed to the machine, as the man page tells.
	before, err := asked.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.run("mkdir -p /etc/credstore.encrypted; systemd-creds encrypt --name=wattmark-key.pem /var/lib/wattmark/key.pem /etc/credstore.encrypted/wattmark-key.pem; shred -u /var/lib/wattmark/key.pem")
	m.run(`printf '[key]\nfile = "/run/credentials/wattmark-gateway.service/wattmark-key.pem"\n' >> /etc/wattmark/gateway.toml; systemctl restart ` + unit)
	m.until("the sealed key signs", func() bool {
		s, err := asked.Status(t.Context())
		return err == nil && s.Key.ID == before.Key.ID && s.Key.Signed > 0
	})

	// One that hangs is killed and comes back.
	m.run("mkdir -p /run/systemd/system/" + unit + ".d")
	m.write("/run/systemd/system/"+unit+".d/soon.conf", []byte("[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\nRestartSec=0\n"))
	m.run("systemctl daemon-reload; systemctl restart " + unit)
	first := m.property("MainPID")
	m.run("kill -STOP " + first)
	m.until("systemd restarts what hangs", func() bool {
		return m.property("NRestarts") != "0" && m.property("ActiveState") == "active" && m.property("MainPID") != first
	})
	m.run("systemctl reload " + unit + "; systemctl is-active " + unit)

	m.run("dpkg --remove wattmark-gateway")
	kept := "test -s /etc/credstore.encrypted/wattmark-key.pem && test -d /var/lib/wattmark/outbox && test -s /etc/wattmark/gateway.toml"
	if out, err := m.try("systemctl is-active " + unit); err == nil {
		t.Errorf("removed, it is %s", out)
	}
	m.run(kept)
	if out := m.run("dpkg --purge wattmark-gateway"); !strings.Contains(out, "/var/lib/wattmark stays") {
		t.Errorf("purging with nobody there says\n%s", out)
	}
	m.run(kept)

	// Installed again it is the gateway that it was; now somebody says yes.
	m.run("dpkg --install /srv/gateway.deb && systemctl is-active " + unit)
	m.run("echo wattmark-gateway wattmark-gateway/erase boolean true | debconf-set-selections; dpkg --purge wattmark-gateway")
	if out, err := m.try("ls -d /var/lib/wattmark /etc/wattmark /etc/credstore.encrypted/* 2>/dev/null"); err == nil {
		t.Errorf("purged for good there are %s", out)
	}
}
