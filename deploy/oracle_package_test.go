package deploy_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestOraclePackage installs the oracle's package on a machine with systemd, as the guide
// tells: nothing starts before there is a configuration; then a ledger is founded, the
// service runs in its sandbox and makes blocks; removing and purging keep keys and ledger.
func TestOraclePackage(t *testing.T) {
	m := newMachine(t)
	const unit = "wattmark-oracle.service"
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := m.try("systemctl status --no-pager --lines=0 " + unit + " || true; journalctl --sync; journalctl --no-pager -o cat --lines=40 -u " + unit)
			t.Logf("the service:\n%s", out)
		}
	})
	property := func(name string) string {
		return strings.TrimSpace(m.run("systemctl show --value -p " + name + " " + unit))
	}
	m.write("/srv/oracle.deb", buildPackage(t, "wattmark-oracle"))
	m.run("dpkg --install /srv/oracle.deb")
	if got := property("UnitFileState") + " " + property("ActiveState") + " " + property("ConditionResult"); got != "enabled inactive no" {
		t.Errorf("after installing, the service is %s", got)
	}
	if got, want := m.run("stat -c '%n %a %U:%G' /etc/wattmark /etc/wattmark/* /var/lib/wattmark-oracle"), "/etc/wattmark 2770 root:wattmark-oracle\n/etc/wattmark/oracle.toml.sample 644 root:root\n/var/lib/wattmark-oracle 700 wattmark-oracle:wattmark-oracle\n"; got != want {
		t.Errorf("it installs\n%swant\n%s", got, want)
	}
	if out := m.run("systemd-analyze verify --man=yes " + unit + " wattmark-oracle-server.service"); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}

	// As the guide says, and on an address that nobody else has.
	m.run("runuser -u wattmark-oracle -- wattmark-oracle init --origin wattmark.example/street")
	m.run(`sed -i -e 's/^#*mqtt *=.*/mqtt = "127.0.0.1:0"/' -e 's/^#*listen *=.*/listen = "127.0.0.1:0"/' -e 's/^#*admin *=.*/admin = "127.0.0.1:0"/' /etc/wattmark/oracle.toml`)
	m.run("systemctl start " + unit)
	var status struct {
		Running  bool   `json:"running"`
		Ledger   string `json:"ledger"`
		Version  string `json:"version"`
		CaughtUp bool   `json:"caught_up"`
	}
	m.until("it runs", func() bool {
		out, err := m.command("runuser -u wattmark-oracle -- wattmark-oracle status --json").Output()
		return err == nil && json.Unmarshal(out, &status) == nil && status.Running && status.CaughtUp
	})
	if status.Ledger != "wattmark.example/street" || status.Version != "0.1.0~test" {
		t.Errorf("it says %+v", status)
	}
	if out := m.run("grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/" + property("MainPID") + "/status"); out != "CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n" {
		t.Errorf("its process has\n%s", out)
	}
	// The tool that comes with it reads the ledger, and has its manual.
	if out := m.run("runuser -u wattmark-oracle -- wattmark ledger check /var/lib/wattmark-oracle"); out == "" {
		t.Error("the check of its ledger says nothing")
	}
	m.run("test -s /usr/share/man/man1/wattmark-ledger-check.1.gz && wattmark version parts --of 1 /usr/bin/wattmark-oracle | grep -q nats-server")
	m.run("runuser -u wattmark-oracle -- wattmark-oracle backup ledger vault")

	m.run("systemctl restart " + unit)
	m.run("dpkg --remove wattmark-oracle")
	if out, err := m.try("systemctl is-active " + unit); err == nil {
		t.Errorf("removed, it is %s", out)
	}
	kept := "test -s /var/lib/wattmark-oracle/keys/log.pem && test -s /etc/wattmark/oracle.toml"
	if out := m.run("dpkg --purge wattmark-oracle"); !strings.Contains(out, "/var/lib/wattmark-oracle stays") {
		t.Errorf("purging says\n%s", out)
	}
	m.run(kept)
	// Installed again it is the oracle that it was.
	m.run("dpkg --install /srv/oracle.deb")
	m.until("it runs again", func() bool {
		_, err := m.try("runuser -u wattmark-oracle -- wattmark-oracle status --json")
		return err == nil
	})
}
