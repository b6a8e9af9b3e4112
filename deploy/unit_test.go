package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const unit = "wattmark-gateway.service"

// need skips a test whose tool is not installed.
func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatalf("%s is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test", tool)
		}
		t.Skipf("%s is not installed: nothing is said about what only it knows", tool)
	}
}

// TestUnit holds the unit to systemd's own judgement: it loads without a warning, and
// its exposure is at most 2.0 of 10.
func TestUnit(t *testing.T) {
	need(t, "systemd-analyze")
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	// verify looks for the program, which is not installed here.
	const program = "/usr/bin/wattmark-gateway"
	if !bytes.Contains(text, []byte("ExecStart="+program+" run\n")) {
		t.Fatalf("the unit does not start %s", program)
	}
	path := filepath.Join(t.TempDir(), unit)
	if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte(program), []byte("/bin/true")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", path},
		{"security", "--offline=true", "--threshold=20", path},
	} {
		out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
		if exposure := regexp.MustCompile(`Overall exposure level.*`).Find(out); exposure != nil {
			t.Logf("%s", exposure)
		}
	}
}

// TestUnitPromises looks for what no tool judges.
func TestUnitPromises(t *testing.T) {
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, want := range []string{
		"Type=notify", "WatchdogSec=30", "Restart=always", "StartLimitIntervalSec=0", // it comes back, always
		"ConditionPathExists=/etc/wattmark/gateway.toml", // not before there is something to run
		"User=wattmark", "StateDirectory=wattmark", "CapabilityBoundingSet=",
		"MemoryMax=64M", "Environment=GOMEMLIMIT=32MiB", "LimitCORE=0",
		"DevicePolicy=closed", "ProtectSystem=strict",
		"SystemCallFilter=adjtimex clock_adjtime clock_adjtime64", // quality of the clock
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the unit does not say %s", want)
		}
	}
	for _, line := range lines {
		for _, never := range []string{"ProtectClock=", "PrivateDevices=", "RestartPreventExitStatus="} {
			if strings.HasPrefix(line, never) {
				t.Errorf("%s takes from the gateway what it needs", line)
			}
		}
	}
}
