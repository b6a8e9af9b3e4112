package doctor_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/gateway/console"
	"wattmark/gateway/doctor"
	"wattmark/gateway/enrol"
	"wattmark/oracle/broker"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// found returns the findings of a check.
func found(r *doctor.Report, check string) []doctor.Finding {
	var all []doctor.Finding
	for _, f := range r.Findings {
		if f.Check == check {
			all = append(all, f)
		}
	}
	return all
}

// TestWell examines a gateway that is well: every check is made, and finds nothing.
func TestWell(t *testing.T) {
	c := newConsortium(t)
	running := newSite(t, c)
	stopped := newSite(t, c)
	stopped.runs = false
	r, without := running.examine(), stopped.examine()
	for _, f := range r.Findings {
		if f.Level != doctor.OK || f.Text == "" || f.Remedy != "" {
			t.Errorf("%s %s: %s: %s (%s)", f.Check, f.Of, f.Level, f.Text, f.Remedy)
		}
	}
	for _, name := range doctor.Names() {
		if len(found(r, name)) == 0 {
			t.Errorf("%s was not looked at: %+v", name, r.Skipped)
		}
	}
	if r.Faults+r.Warnings > 0 || len(doctor.Names()) < 40 {
		t.Errorf("%d faults, %d warnings of %d checks", r.Faults, r.Warnings, len(doctor.Names()))
	}
	for _, f := range without.Findings {
		if f.Level != doctor.OK && f.Check != "running" {
			t.Errorf("stopped: %s %s: %s: %s (%s)", f.Check, f.Of, f.Level, f.Text, f.Remedy)
		}
	}
	for _, name := range []string{"broker", "framing", "bus-reached"} { // by attempt
		if len(found(without, name)) == 0 {
			t.Errorf("stopped: %s was not looked at: %+v", name, without.Skipped)
		}
	}
}

// ill is something wrong with a site.
type ill struct {
	check string
	of    string
	level doctor.Level
	want  string // in the text
	do    string // in the remedy
	harm  func(s *site)
}

const (
	warn  = doctor.Warn
	fault = doctor.Fault
)

var ills = []ill{
	{"configuration", "line 48", fault, `unknown key "device[0].unti"`, `did you mean "unit"?`, func(s *site) { s.edit("unit = 1", "unti = 1") }},
	{"configuration-mode", "", fault, "others may write", "chmod go-w", func(s *site) {
		must(s.t, os.WriteFile(s.file("gateway.toml"), nil, 0o640))
		must(s.t, os.Chmod(s.file("gateway.toml"), 0o662))
	}},
	{"power", "", fault, "too low", "supply made for the board", func(s *site) { s.put("/sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n") }},
	{"power", "", warn, "was too low", "supply made for the board", func(s *site) {
		s.drop("/sys/devices/platform/soc/soc:firmware/get_throttled")
		s.command("/usr/bin/vcgencmd", "throttled=0x50000\n")
	}},
	{"power", "", warn, "is slowed down by heat", "air", func(s *site) { s.put("/sys/devices/platform/soc/soc:firmware/get_throttled", "80008\n") }},
	{"power", "", warn, "was slowed down by heat", "air", func(s *site) { s.put("/sys/devices/platform/soc/soc:firmware/get_throttled", "80000\n") }},
	{"temperature", "", fault, "86 degrees", "air", func(s *site) { s.put("/sys/class/thermal/thermal_zone0/temp", "86100\n") }},
	{"temperature", "", warn, "77 degrees", "air", func(s *site) { s.put("/sys/class/thermal/thermal_zone0/temp", "77000\n") }},
	{"memory", "", warn, "39 MB", "end what else runs", func(s *site) { s.put("/proc/meminfo", "MemAvailable: 40000 kB\n") }},
	{"memory", "", fault, "9 MB", "end what else runs", func(s *site) { s.put("/proc/meminfo", "MemAvailable: 10000 kB\n") }},
	{"memory-killed", "", warn, "ended 2 processes", "journalctl -k", func(s *site) { s.put("/proc/vmstat", "oom_kill 2\n") }},
	{"board", "", warn, `"acme,pi-like"`, "gateway.board", func(s *site) {
		s.edit("board = \"4b\"\n", "")
		s.put("/proc/device-tree/compatible", "acme,pi-like\x00")
	}},
	{"board", "", fault, "says Raspberry Pi 4 Model B, and the machine is a Raspberry Pi Zero W", `board = "zero-w"`, func(s *site) {
		s.put("/proc/device-tree/compatible", "raspberrypi,model-zero-w\x00brcm,bcm2835\x00")
	}},

	{"bus-present", "air", fault, "/dev/i2c-1 is not there: no values of stack", "dtparam=i2c_arm=on", func(s *site) { s.drop("/dev/i2c-1") }},
	{"bus-present", "p1", fault, "/dev/ttyUSB9 is not there", "/dev/serial/by-id/usb-FTDI_FT232R_A1", func(s *site) { s.edit("/dev/ttyUSB0", "/dev/ttyUSB9") }},
	{"bus-permitted", "p1", fault, "wattmark may not use /dev/ttyUSB0 (mode 0000)", "udevadm trigger", func(s *site) {
		must(s.t, os.Chmod(filepath.Join(s.root, "dev/ttyUSB0"), 0))
	}},
	{"bus-held", "meters", fault, "held by process 901 (agetty)", "kill 901", func(s *site) {
		s.put("/proc/901/comm", "agetty\n")
		s.link("/proc/901/fd/0", "/dev/ttyAMA0")
	}},
	{"bus-name", "p1", warn, "/dev/ttyUSB0 may be another", `port = "/dev/serial/by-id/usb-FTDI_FT232R_A1"`, func(s *site) { s.put("/dev/ttyUSB1", "") }},
	{"bus-name", "p1", warn, "/dev/ttyUSB0 may be another", "/dev/serial/by-path", func(s *site) {
		s.put("/dev/ttyUSB1", "")
		s.drop("/dev/serial/by-id")
	}},
	{"mini-uart", "meters", fault, "/dev/serial0 is the mini-UART", `dtoverlay=disable-bt to /boot/firmware/config.txt, set port = "/dev/ttyAMA0"`, func(s *site) {
		s.put("/dev/ttyS0", "")
		s.link("/dev/serial0", "ttyS0")
	}},
	{"serial-console", "meters", fault, "the kernel writes its messages to /dev/serial0", "cmdline.txt", func(s *site) {
		s.put("/proc/cmdline", "console=serial0,115200 console=tty1 root=PARTUUID=5e3da3da-02\n")
	}},
	{"pin-clash", "water", fault, `GPIO17 (header pin 11) is taken by "dtoverlay=w1-gpio,gpiopin=17"`, "move the wire", func(s *site) {
		s.put("/boot/firmware/config.txt", "dtoverlay=w1-gpio,gpiopin=17 # thermometer\n")
	}},
	{"pin-clash", "water", fault, `GPIO17 (header pin 11) is taken by "dtoverlay=spi1-3cs"`, "/boot/config.txt", func(s *site) {
		s.drop("/boot/firmware")
		s.put("/boot/config.txt", "dtoverlay=spi1-3cs\n")
	}},
	{"i2c-speed", "air", warn, "stack stretches the clock", "dtparam=i2c_arm_baudrate=50000", func(s *site) { s.drop("/sys/class/i2c-adapter") }},
	{"bus-reached", "roof", fault, "is not reached: connection refused", "check address", func(s *site) {
		s.runs = false
		s.config = strings.Replace(s.config, s.roof(), closedPort(s.t), 1)
	}},
	{"framing", "roof", fault, "speaks rtu-over-tcp, and the configuration says modbus-tcp", `kind = "rtu-over-tcp"`, func(s *site) {
		s.runs = false
		s.config = strings.Replace(s.config, s.roof(), s.modbus(false), 1)
	}},
	{"framing", "roof", fault, "speaks modbus-tcp, and the configuration says rtu-over-tcp", `kind = "modbus-tcp"`, func(s *site) {
		s.status.Devices[3].State = console.StateSilent
		s.edit(`kind = "modbus-tcp"`, `kind = "rtu-over-tcp"`)
	}},
	{"bus-errors", "meters", warn, "1.4 % of replies come damaged", "120 ohm", func(s *site) {
		s.status.Buses[0].Failures = map[string]uint64{"bad checksum": 14}
		s.status.Buses[0].Stale = 1
	}},
	{"bus-errors", "meters", fault, "19 % of replies come damaged", "120 ohm", func(s *site) {
		s.status.Buses[0].Failures = map[string]uint64{"bad checksum": 200}
	}},
	{"bus-hung", "air", warn, "3 transfers hung", "another adapter", func(s *site) { s.status.Buses[2].Hung = 3 }},
	{"bus-low", "air", warn, "held the bus low 2 times", "pull-ups", func(s *site) { s.status.Buses[2].Freed = 2 }},
	{"bus-busy", "meters", warn, "97 % of the time", "longer periods", func(s *site) { s.status.Buses[0].BusyRatio = 0.97 }},

	{"device", "grid", fault, "no values any more: timeout", "check supply", func(s *site) {
		s.status.Devices[0].State, s.status.Devices[0].Error = console.StateSilent, "timeout"
	}},
	{"device", "sun", warn, "the last attempt gave no values: bad checksum", "look at the cable", func(s *site) {
		d := &s.status.Devices[3]
		d.State, d.Error, d.Remedy = console.StateFailing, "bad checksum (look at the cable)", "look at the cable"
	}},
	{"device", "stack", warn, "disabled", "disabled = true", func(s *site) { s.status.Devices[2].State = console.StateDisabled }},
	{"device-quality", "grid", warn, "current_l1: at full scale", "larger range", func(s *site) { s.live.Devices[0].Values[3].Quality = "saturated" }},
	{"device-quality", "stack", warn, "less than outdoors", "fresh air", func(s *site) { s.live.Devices[1].Values[0].Value = "212" }},
	{"device-stuck", "stack", warn, "the very same 240 times", "off and on", func(s *site) { s.status.Devices[2].Unchanged = 240 }},
	{"clamp", "grid", warn, "L2 clamp looks reversed", "turn the clamp", func(s *site) { s.set("active_power_l2", "-290") }},
	{"wiring", "grid", warn, "current and voltage of different phases?", "put the clamp", func(s *site) {
		s.set("active_power_l1", "150")
		s.set("active_power", "645")
	}},
	{"wiring", "grid", warn, "L3 has no voltage", "fuse", func(s *site) { s.set("voltage_l3", "3") }},

	{"clock", "", warn, "follows no source", "set-ntp true", func(s *site) { s.kernel.synced = false }},
	{"clock", "", fault, "the clock says 1970-01-01", "set-ntp true", func(s *site) { s.now = time.Unix(100, 0).UTC() }},
	{"clock-error", "", warn, "may be off by 1.5s", "time.warn_above", func(s *site) { s.kernel.most = 1500 * time.Millisecond }},
	{"clock-service", "", warn, "no service sets the clock", "set-ntp true", func(s *site) { s.drop("/proc/412") }},
	{"clock-service", "", warn, "no service sets the clock", "install", func(s *site) {
		s.drop("/proc/412")
		s.drop("/usr/bin/timedatectl")
	}},
	{"clock-moved", "", warn, "was moved 2 times", "one service", func(s *site) { s.status.Clock.Steps = 2 }},

	{"state", "", fault, "no such file", "enrol", func(s *site) {
		s.runs = false
		s.edit(`state = "."`, `state = "gone"`)
	}},
	{"state", "", fault, "is no directory", "to a directory", func(s *site) { s.edit(`state = "."`, `state = "policy"`) }},
	{"state", "", fault, "everybody on the machine", "chmod o=", func(s *site) { must(s.t, os.Chmod(s.dir, 0o755)) }},
	{"state", "", fault, "wattmark may not write", "chown", func(s *site) {
		s.runs = false
		must(s.t, os.WriteFile(s.file("gateway.toml"), nil, 0o640))
		must(s.t, os.Chmod(s.dir, 0o500))
		s.t.Cleanup(func() { must(s.t, os.Chmod(s.dir, 0o700)) })
	}},
	{"state-disk", "", fault, "is in memory (tmpfs)", "a disk", func(s *site) { s.mounted("25 24 0:22 / %s rw - tmpfs tmpfs rw") }},
	{"state-disk", "", fault, "is read-only", "failing", func(s *site) { s.mounted("25 24 179:2 / %s ro,noatime - ext4 /dev/mmcblk0p2 rw") }},
	{"state-disk", "", warn, "is on an overlay", "raspi-config", func(s *site) { s.mounted("25 24 0:30 / %s rw - overlay overlay rw,lowerdir=/lower") }},
	{"space", "", fault, "3 MB are free", "vacuum", func(s *site) { s.kernel.free = 3 << 20 }},
	{"space", "", warn, "200 MB are free", "outbox.max_bytes", func(s *site) { s.kernel.free = 200 << 20 }},
	{"files", "", fault, "no more than 7 files", "df -i", func(s *site) { s.kernel.files = 7 }},
	{"disk-life", "", warn, "more than 80 %", "copy it", func(s *site) { s.put("/sys/devices/platform/emmc2bus/mmcblk0/device/life_time", "0x02 0x09\n") }},
	{"disk-life", "", fault, "worn out", "copy it", func(s *site) { s.put("/sys/devices/platform/emmc2bus/mmcblk0/device/pre_eol_info", "0x03\n") }},
	{"disk-errors", "", fault, "has met 12 errors", "fsck", func(s *site) { s.put("/sys/fs/ext4/mmcblk0p2/errors_count", "12\n") }},

	{"key", "", fault, "there is no key", "enrol", func(s *site) { must(s.t, os.Remove(s.file("key.pem"))) }},
	{"key", "", fault, "does not open", "put the key back", func(s *site) { must(s.t, os.WriteFile(s.file("key.pem"), []byte("no key\n"), 0o600)) }},
	{"key-mode", "", fault, "others may use", "chmod 0600", func(s *site) { must(s.t, os.Chmod(s.file("key.pem"), 0o640)) }},
	{"key-mode", "", fault, "wattmark may not read", "chown wattmark", func(s *site) { must(s.t, os.Chmod(s.file("key.pem"), 0o200)) }},
	{"key-enrolled", "", fault, "is enrolled", "have it revoked", func(s *site) {
		must(s.t, os.Remove(s.file("key.pem")))
		other, err := signer.Generate(signer.EdDSA)
		must(s.t, err)
		must(s.t, keyfile.Save(s.file("key.pem"), other))
	}},
	{"key-rotation", "", warn, "was begun and not finished", "enrol --rotate", func(s *site) { must(s.t, os.WriteFile(s.file("key.pem.next"), nil, 0o600)) }},
	{"secrets", "gateway.key", fault, "others may use", "chmod 0640", func(s *site) { must(s.t, os.Chmod(s.file("gateway.key"), 0o644)) }},
	{"secrets", "bootstrap.pem", fault, "others may use", "chmod 0640", func(s *site) {
		s.edit("roots = ", "bootstrap = \"bootstrap.pem\"\nroots = ")
		must(s.t, os.WriteFile(s.file("bootstrap.pem"), nil, 0o600))
		must(s.t, os.Chmod(s.file("bootstrap.pem"), 0o644))
	}},
	{"secrets", "password", fault, "is not there", "put the file", func(s *site) {
		s.edit("[home_assistant]\n", "[home_assistant]\nuser = \"w\"\npassword_file = \"password\"\n")
	}},
	{"enrolment", "", fault, "is not enrolled", "run wattmark-gateway enrol", func(s *site) { must(s.t, os.Remove(s.file("enrolment"))) }},
	{"enrolment", "", fault, "waits for its approval", "member approve", func(s *site) {
		must(s.t, os.Remove(s.file("enrolment")))
		must(s.t, enrol.SaveRequest(s.dir, request(s.t, s.key)))
	}},
	{"enrolment", "", fault, "is damaged", "from a copy", func(s *site) { must(s.t, os.WriteFile(s.file("enrolment"), []byte("x"), 0o640)) }},
	{"enrolment", "", fault, `enrolled as "home-01"`, "gateway.name", func(s *site) { s.edit(`"home-01"`, `"home-02"`) }},
	{"enrolment", "", fault, "enrolled with the ledger", "uplink.ledger", func(s *site) { s.edit(`ledger = "`, `ledger = "x`) }},
	{"signing", "", fault, "nothing can be signed: the token is gone", "key's store", func(s *site) { s.status.Key.Failure = "the token is gone" }},
	{"signing", "", warn, "3 attempts", "who else", func(s *site) { s.status.Key.Failures = 3 }},

	{"policy", "", fault, "no such file", "from the consortium", func(s *site) { must(s.t, os.Remove(s.file("policy"))) }},
	{"policy", "", fault, "the policy is for the ledger", "from the consortium", func(s *site) { s.edit(`ledger = "`, `ledger = "x`) }},
	{"policy", "", fault, "/policy: ", "from the consortium", func(s *site) { must(s.t, os.WriteFile(s.file("policy"), []byte("all\n"), 0o644)) }},
	{"oracle-keys", "", fault, "keys.jwks: no such file", "from the consortium", func(s *site) { must(s.t, os.Remove(s.file("keys.jwks"))) }},
	{"oracle-keys", "", fault, "key set", "from the consortium", func(s *site) { must(s.t, os.WriteFile(s.file("keys.jwks"), []byte("[]"), 0o644)) }},
	{"roots", "", fault, "no certificate in PEM", "from the consortium", func(s *site) { must(s.t, os.WriteFile(s.file("roots.pem"), nil, 0o644)) }},
	{"roots", "", fault, "the last root certificate ended", "from the consortium", func(s *site) { s.now = s.now.AddDate(11, 0, 0) }},
	{"certificate", "", fault, "the client certificate ended", "ask the consortium", func(s *site) { s.now = s.now.AddDate(9, 0, 0) }},
	{"certificate", "", fault, "is of use from", "set the clock", func(s *site) { s.now = s.now.AddDate(-1, 0, 0) }},
	{"certificate", "", fault, "certificate and key", "with its key", func(s *site) {
		s.copy(s.server().Key, "gateway.key")
	}},
	{"broker-name", "", fault, "broker.invalid is not found", "resolv.conf", func(s *site) { s.edit(s.url, "mqtts://broker.invalid:8883") }},
	{"broker-route", "", fault, "connection refused", "firewall", func(s *site) { s.edit(s.url, "mqtts://"+closedPort(s.t)) }},
	{"broker-tls", "", fault, "certificate is for", "name in the broker's certificate", func(s *site) {
		server, _, err := s.server().Load()
		must(s.t, err)
		s.edit(s.url, "mqtts://"+s.secure("127.0.0.2", server))
	}},
	{"broker-tls", "", fault, "is not the consortium's", "stands between", func(s *site) {
		pki, err := broker.OpenPKI(s.t.TempDir(), time.Now())
		must(s.t, err)
		files, err := pki.Server(time.Now())
		must(s.t, err)
		server, _, err := files.Load()
		must(s.t, err)
		s.edit(s.url, "mqtts://"+s.secure("127.0.0.1", server))
	}},
	{"broker-tls", "", fault, "the broker's certificate ended", "set the clock", func(s *site) { s.now = s.now.AddDate(9, 0, 0) }},
	{"broker-tls", "", fault, "no TLS on the broker's port", "the port with TLS", func(s *site) {
		s.edit(s.url, "mqtts://"+s.roof())
	}},
	{"broker", "", fault, "the broker does not take the gateway", "admit the gateway", func(s *site) {
		s.runs = false
		s.edit(`"home-01"`, `"home-02"`)
	}},
	{"broker", "", fault, "no connection: not authorised", "admit the gateway", func(s *site) {
		s.status.Uplink.Connected, s.status.Uplink.Failure = false, "not authorised"
	}},
	{"broker", "", warn, "no connection yet", "in a minute", func(s *site) { s.status.Uplink.Connected = false }},
	{"receipts", "", warn, "for 20 min", "enrolment", func(s *site) { s.status.Outbox.OldestAgeS = 1200 }},
	{"receipts", "", fault, "for 30 h", "enrolment", func(s *site) { s.status.Outbox.OldestAgeS = 30 * 3600 }},
	{"receipts", "", warn, "no receipt since the start", "enrolment", func(s *site) { s.status.Uplink.LastReceipt = nil }},
	{"oracles-followed", "", warn, "is not believed", "restart the gateway", func(s *site) { must(s.t, os.WriteFile(s.file("oracles"), []byte("x"), 0o640)) }},
	{"oracles-followed", "", fault, "not trusted here, since 2026-06-17 12:00:00, and no handover came", "wattmark ledger policy", func(s *site) {
		s.status.Ledger.Policy.Behind = &noon
	}},
	{"oracles-followed", "", fault, "the set before is not the one", "wattmark ledger policy", func(s *site) {
		s.status.Ledger.Policy.Behind, s.status.Ledger.Policy.Failure = &noon, "the set before is not the one that is trusted"
	}},
	{"oracles-followed", "", warn, "not on disk: no space", "check the disk", func(s *site) { s.status.Ledger.Policy.Unkept = "no space" }},
	{"receipts-verify", "", warn, "2 receipts did not verify", "policy", func(s *site) { s.status.Uplink.Unverified = 2 }},
	{"refusals", "revoked-key", fault, "4 of them for good: revoked-key", "", func(s *site) {
		s.status.Outbox.Refused, s.status.Uplink.Refusals = 4, map[string]uint64{"revoked-key": 4}
	}},
	{"refusals", "unknown-key", warn, "unknown-key", "", func(s *site) { s.status.Uplink.Refusals = map[string]uint64{"unknown-key": 4} }},
	{"refusals", "", fault, "1 statement was refused", "log", func(s *site) { s.status.Outbox.Refused = 1 }},
	{"outbox", "", fault, "in memory: input/output error", "check the disk", func(s *site) {
		s.status.Outbox.State, s.status.Outbox.Cause = "memory", "input/output error"
	}},
	{"outbox", "", warn, "90 % full", "outbox.max_bytes", func(s *site) { s.status.Outbox.DiskBytes = 231 << 20 }},
	{"outbox", "", warn, "5 statements were dropped", "outbox.max_bytes", func(s *site) { s.status.Outbox.Dropped = 5 }},
	{"screen", "", fault, "the screen shows nothing: no answer from 0x3c", "display.address", func(s *site) { s.status.Display.ScreenFailure = "no answer from 0x3c" }},
	{"lamp", "", fault, "the lamp shows nothing: device or resource busy", "display.lamp", func(s *site) { s.status.Display.LampFailure = "device or resource busy" }},
	{"pin-clash", "lamp", fault, `is taken by "dtoverlay=gpio-fan,gpiopin=27"`, "another pin", func(s *site) { s.put("/boot/firmware/config.txt", "dtoverlay=gpio-fan,gpiopin=27\n") }},
	{"display", "", warn, "is not reached", "[home_assistant]", func(s *site) {
		i := strings.Index(s.config, "mqtt://") + len("mqtt://")
		s.config = s.config[:i] + closedPort(s.t) + s.config[i+strings.IndexByte(s.config[i:], '"'):]
	}},

	{"running", "", fault, "does not run", "systemctl start", func(s *site) { s.runs = false }},
	{"version", "", warn, "version v0.0.9 runs", "restart", func(s *site) { s.status.Gateway.Version = "v0.0.9" }},
	{"in-force", "", warn, "was changed", "reload", func(s *site) { s.status.Gateway.Config = "00" }},
	{"service", "", fault, "failed: exit-code", "journalctl", func(s *site) {
		s.shown("ActiveState=active", "ActiveState=failed", "Result=success", "Result=exit-code")
	}},
	{"service", "", warn, "not started with the machine (disabled)", "systemctl enable", func(s *site) { s.shown("=enabled", "=disabled") }},
	{"service", "", warn, "started again 7 times", "journalctl", func(s *site) { s.shown("NRestarts=0", "NRestarts=7") }},
	{"watchdog", "", warn, "no watchdog", "WatchdogSec=30", func(s *site) { s.shown("=30s", "=0") }},
	{"watchdog-hardware", "", warn, "is switched off", "dtparam=watchdog=on", func(s *site) { s.drop("/sys/class/watchdog") }},
	{"watchdog-hardware", "", warn, "nothing feeds", "RuntimeWatchdogSec=14", func(s *site) { s.put("/sys/class/watchdog/watchdog0/state", "inactive\n") }},
	{"watchdog-hardware", "", warn, "waits for 60 s", "RuntimeWatchdogSec=14", func(s *site) { s.put("/sys/class/watchdog/watchdog0/timeout", "60\n") }},
	{"resident", "", warn, "takes 60 MB", "support bundle", func(s *site) { s.status.Gateway.ResidentBytes = 60 << 20 }},
}

// shown changes what the service manager says.
var noon = time.Date(2026, 6, 17, 12, 0, 0, 0, time.UTC)

func (s *site) shown(pairs ...string) {
	s.command("/usr/bin/systemctl", strings.NewReplacer(pairs...).Replace(unitShown))
}

// mounted mounts something on the state directory.
func (s *site) mounted(line string) {
	dir, err := filepath.EvalSymlinks(s.dir)
	must(s.t, err)
	s.put("/proc/self/mountinfo", "24 1 179:2 / / rw,noatime - ext4 /dev/root rw\n"+fmt.Sprintf(line, dir)+"\n")
}

// roof is the address of the bus over TCP.
func (s *site) roof() string {
	_, rest, _ := strings.Cut(s.config, "\naddress = \"")
	address, _, _ := strings.Cut(rest, "\"")
	return address
}

// server is the broker's certificate.
func (s *site) server() broker.Files {
	s.t.Helper()
	files, err := s.pki.Server(time.Now())
	must(s.t, err)
	return files
}

// closedPort is an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	return address
}

// TestIlls makes a site ill in one way at a time, and wants the right check to say so.
func TestIlls(t *testing.T) {
	c := newConsortium(t)
	seen := make(map[string]bool)
	for _, i := range ills {
		seen[i.check] = true
		t.Run(i.check+" "+i.want, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c)
			i.harm(s)
			r := s.examine()
			for _, f := range found(r, i.check) {
				if f.Level != i.level || f.Of != i.of {
					continue
				}
				if !strings.Contains(f.Text, i.want) || !strings.Contains(f.Remedy, i.do) || f.Remedy == "" {
					t.Errorf("found %q, do %q; want %q, %q", f.Text, f.Remedy, i.want, i.do)
				}
				return
			}
			t.Errorf("no %s of %q: %+v\nskipped %+v", i.level, i.of, found(r, i.check), r.Skipped)
		})
	}
	for _, name := range doctor.Names() {
		if !seen[name] {
			t.Errorf("nothing makes the check %s fail", name)
		}
	}
}

// TestFix mends what can be undone, says so, and leaves everything else alone.
func TestFix(t *testing.T) {
	s := newSite(t, newConsortium(t))
	must(t, os.Chmod(s.file("key.pem"), 0o644))
	must(t, os.Chmod(s.file("gateway.key"), 0o644))
	must(t, os.Chmod(s.dir, 0o757))
	s.shown("=enabled", "=disabled")
	s.drop("/proc/412") // the time service
	s.drop("/dev/i2c-1")
	s.status.Gateway.Config = "00"
	r := s.examine()
	before := len(r.Findings)
	must(t, r.Fix(t.Context()))
	for check, want := range map[string]string{
		"key-mode": "set mode 0600; undo it with chmod 0644", "secrets": "set mode 0640; undo it with chmod 0644", "state": "set mode 0750; undo it with chmod 0757",
		"service": "systemctl disable", "clock-service": "set-ntp false", "in-force": "put the old file back",
	} {
		f := found(r, check)
		if len(f) != 1 || !strings.Contains(f[0].Done, want) {
			t.Errorf("%s: %+v, want %q", check, f, want)
		}
	}
	for _, check := range []string{"key-mode", "secrets", "state"} {
		if f := found(r, check); f[0].Level != doctor.OK {
			t.Errorf("%s is still wrong: %+v", check, f)
		}
	}
	if f := found(r, "bus-present"); !slices.ContainsFunc(f, func(f doctor.Finding) bool { return f.Level == fault && f.Done == "" }) {
		t.Errorf("a bus was made: %+v", f)
	}
	calls, err := os.ReadFile(filepath.Join(s.root, "calls"))
	must(t, err)
	for _, want := range []string{"systemctl enable wattmark-gateway\n", "systemctl reload wattmark-gateway\n", "timedatectl set-ntp true\n"} {
		if strings.Count(string(calls), want) != 1 {
			t.Errorf("%q was run %d times", want, strings.Count(string(calls), want))
		}
	}
	if len(r.Findings) != before {
		t.Errorf("%d findings after it, %d before", len(r.Findings), before)
	}
}

// TestWithoutValues leaves out of a report what a household uses.
func TestWithoutValues(t *testing.T) {
	s := newSite(t, newConsortium(t))
	s.set("active_power", "4321")
	r := s.examine()
	if f := found(r, "wiring"); len(f) != 1 || !strings.Contains(f[0].Text, "4.32 kW") {
		t.Fatalf("with values: %+v", f)
	}
	if f := found(r.WithoutValues(), "wiring"); len(f) != 1 || f[0].Text != "sum differs" || f[0].Level != warn {
		t.Errorf("without: %+v", f)
	}
	b, err := json.Marshal(r)
	must(t, err)
	var back doctor.Report
	must(t, json.Unmarshal(b, &back))
	if len(back.Findings) != len(r.Findings) || back.Warnings != 1 || back.Version != doctor.Version {
		t.Errorf("read back: %+v", back)
	}
}
