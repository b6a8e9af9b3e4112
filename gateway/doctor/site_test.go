package doctor_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/gateway"
	"wattmark/gateway/console"
	"wattmark/gateway/doctor"
	"wattmark/gateway/enrol"
	"wattmark/hardware/emulated"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/broker"
	"wattmark/oracle/oracletest"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// consortium is what all sites share: a ledger on which a gateway is enrolled, and a
// broker with TLS that admits it. Nobody changes it.
type consortium struct {
	chain    *ledgertest.Chain
	key      *signer.PrivateKey
	enrolled string // directory with the enrolment
	pki      *broker.PKI
	files    broker.Files // of the gateway
	url      string
}

const (
	name    = "home-01"
	subject = "mp-0123456789abcdef"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newConsortium(t *testing.T) *consortium {
	t.Helper()
	c := &consortium{chain: ledgertest.New(t, 4), enrolled: t.TempDir()}
	var err error
	c.key, err = signer.Generate(signer.EdDSA)
	must(t, err)
	r := request(t, c.key)
	statement, _ := c.chain.Admitting(r.Carried).Sign(t)
	c.chain.Append(c.chain.Deliver(statement, nil))
	e, err := enrol.Accept(&enrol.Approval{Policy: c.chain.Policy, Charter: c.proof(t, 0), Enrolment: c.proof(t, c.leaf(t, r.Carried))}, r, c.chain.Policy, nil)
	must(t, err)
	must(t, enrol.Save(c.enrolled, e, r))

	b := oracletest.StartBroker(t, ledgertest.Origin, 4, name)
	c.pki, c.files = b.PKI, b.Files(t, name)
	c.url = strings.Replace(b.MQTTURL(), "ssl://", "mqtts://", 1)
	c.url = strings.Replace(c.url, "tls://", "mqtts://", 1)
	return c
}

// request asks for the enrolment of a key.
func request(t testing.TB, key signer.Signer) *enrol.Request {
	t.Helper()
	r, err := enrol.NewRequest(key, ledgertest.Origin, time.Now(), entry.EnrolmentRequest{
		Gateway: name, Points: []entry.Point{{Subject: subject, Mode: entry.ModeCommitted, Channels: []entry.Channel{
			{Name: "active_power", Unit: "W", Kind: entry.KindGauge, Most: entry.Int(1 << 40)},
		}}},
	})
	must(t, err)
	return r
}

func (c *consortium) proof(t testing.TB, index uint64) *block.LogProof {
	t.Helper()
	p, err := block.ParseLogProof(c.chain.LogProof(index))
	must(t, err)
	return p
}

func (c *consortium) leaf(t testing.TB, carried []byte) uint64 {
	t.Helper()
	for i := c.chain.Size(); i > 0; i-- {
		if b, err := c.chain.Leaf(i - 1); err == nil && bytes.Contains(b, carried) {
			return i - 1
		}
	}
	t.Fatal("the ledger has not taken the request")
	return 0
}

// kernel is what a kernel says.
type kernel struct {
	synced      bool
	most        time.Duration
	free, files int64
}

func (k *kernel) Time() (bool, time.Duration, error) { return k.synced, k.most, nil }

func (k *kernel) Space(string) (int64, int64, error) { return k.free, k.files, nil }

// site is a gateway's machine: a file system root, a directory with configuration and
// state, and what the gateway that runs there says on its socket. It is well until a
// test makes it ill.
type site struct {
	*consortium
	t      *testing.T
	root   string
	dir    string
	config string
	kernel kernel
	uid    int // of the gateway's user
	// runs says that the gateway runs; status and live are what it says, exchanges nothing.
	runs   bool
	status console.Status
	live   console.Live
	now    time.Time
}

// Status, Live and Exchanges implement console.Source.
func (s *site) Status() console.Status       { return s.status }
func (s *site) Live() console.Live           { return s.live }
func (s *site) Exchanges() console.Exchanges { return console.Exchanges{} }

// put writes a file of the system.
func (s *site) put(path, text string) {
	s.t.Helper()
	at := filepath.Join(s.root, path)
	must(s.t, os.MkdirAll(filepath.Dir(at), 0o755))
	must(s.t, os.WriteFile(at, []byte(text), 0o660))
	must(s.t, os.Chmod(at, 0o660)) // whatever the umask
}

// link makes a link of the system.
func (s *site) link(path, target string) {
	s.t.Helper()
	at := filepath.Join(s.root, path)
	must(s.t, os.MkdirAll(filepath.Dir(at), 0o755))
	_ = os.Remove(at) // the one before
	must(s.t, os.Symlink(target, at))
}

// drop removes a file of the system.
func (s *site) drop(path string) {
	s.t.Helper()
	must(s.t, os.RemoveAll(filepath.Join(s.root, path)))
}

// command puts a command in place that prints a text and notes its arguments.
func (s *site) command(path, prints string) {
	s.t.Helper()
	s.put(path+".prints", prints)
	s.put(path, fmt.Sprintf("#!/bin/sh\necho \"$(basename $0) $*\" >> %q\ncat %q\n", filepath.Join(s.root, "calls"), filepath.Join(s.root, path+".prints")))
	must(s.t, os.Chmod(filepath.Join(s.root, path), 0o755))
}

// edit replaces a text in the configuration.
func (s *site) edit(old, text string) {
	s.t.Helper()
	if !strings.Contains(s.config, old) {
		s.t.Fatalf("%q is not in the configuration", old)
	}
	s.config = strings.Replace(s.config, old, text, 1)
}

// file is the path of a file beside the configuration.
func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// own gives a file to the gateway's user, with a mode.
func (s *site) own(path string, mode os.FileMode) {
	s.t.Helper()
	must(s.t, os.Chmod(path, mode))
	if s.uid != os.Getuid() {
		must(s.t, os.Chown(path, s.uid, os.Getgid()))
	}
}

const unitShown = `LoadState=loaded
ActiveState=active
UnitFileState=enabled
NRestarts=0
Result=success
WatchdogUSec=30s
User=wattmark
SupplementaryGroups=dialout i2c
`

func newSite(t *testing.T, c *consortium) *site {
	t.Helper()
	s := &site{consortium: c, t: t, root: t.TempDir(), dir: t.TempDir(), uid: os.Getuid(), runs: true, now: time.Now().UTC()}
	if s.uid == 0 {
		s.uid = 990 // root may do everything
	}
	s.kernel = kernel{synced: true, most: 12 * time.Millisecond, free: 8 << 30, files: -1}
	s.put("/proc/device-tree/compatible", "raspberrypi,4-model-b\x00brcm,bcm2711\x00")
	s.put("/proc/cmdline", "console=tty1 root=PARTUUID=5e3da3da-02 rootfstype=ext4 rootwait\n")
	s.put("/proc/meminfo", "MemTotal:        3884332 kB\nMemFree:          102400 kB\nMemAvailable:    2884332 kB\n")
	s.put("/proc/vmstat", "pgfault 10\noom_kill 0\n")
	s.put("/proc/412/comm", "systemd-timesyn\n")
	s.put("/proc/413/comm", "wattmark-gatewa\n")
	s.link("/proc/413/fd/7", "/dev/ttyAMA0")
	s.put("/proc/self/mountinfo", "24 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n25 24 0:22 / /run rw,nosuid shared:5 - tmpfs tmpfs rw\n")
	s.put("/sys/devices/platform/soc/soc:firmware/get_throttled", "0\n")
	s.put("/sys/class/thermal/thermal_zone0/temp", "48312\n")
	s.put("/sys/class/watchdog/watchdog0/state", "active\n")
	s.put("/sys/class/watchdog/watchdog0/timeout", "14\n")
	s.put("/sys/class/i2c-adapter/i2c-1/of_node/clock-frequency", "\x00\x00\xc3\x50") // 50 kHz
	s.link("/sys/dev/block/179:2", "../../devices/platform/emmc2bus/mmcblk0/mmcblk0p2")
	s.put("/sys/devices/platform/emmc2bus/mmcblk0/mmcblk0p2/partition", "2\n")
	s.put("/sys/devices/platform/emmc2bus/mmcblk0/device/life_time", "0x01 0x02\n")
	s.put("/sys/devices/platform/emmc2bus/mmcblk0/device/pre_eol_info", "0x01\n")
	s.put("/sys/fs/ext4/mmcblk0p2/errors_count", "0\n")
	s.put("/dev/ttyAMA0", "")
	s.put("/dev/ttyUSB0", "")
	s.put("/dev/i2c-1", "")
	s.link("/dev/serial0", "ttyAMA0")
	s.link("/dev/serial/by-id/usb-FTDI_FT232R_A1", "../../ttyUSB0")
	s.put("/boot/firmware/config.txt", "# for the gateway\ndtparam=i2c_arm=on\ndtparam=i2c_arm_baudrate=50000\ndtoverlay=disable-bt\n")
	s.put("/etc/passwd", fmt.Sprintf("root:x:0:0::/root:/bin/sh\nwattmark:x:%d:64999::/var/lib/wattmark:/usr/sbin/nologin\n", s.uid))
	s.put("/etc/group", fmt.Sprintf("dialout:x:%d:\nwattmark:x:64999:\n", os.Getgid()))
	s.command("/usr/bin/systemctl", unitShown)
	s.command("/usr/bin/timedatectl", "")

	must(t, keyfile.Save(s.file("key.pem"), c.key))
	s.own(s.file("key.pem"), 0o600)
	s.copy(filepath.Join(c.enrolled, "enrolment"), "enrolment")
	s.copy(c.files.Certificate, "gateway.pem")
	s.copy(c.files.Key, "gateway.key")
	s.copy(c.files.Roots, "roots.pem")
	s.own(s.file("gateway.key"), 0o600)
	must(t, os.WriteFile(s.file("policy"), []byte(c.chain.Policy.String()), 0o644))
	oracle, err := signer.Generate(signer.EdDSA)
	must(t, err)
	set, err := audit.EncodeKeys([]audit.KnownKey{{Public: oracle.Public(), Name: "oracle", Role: audit.RoleOracle}})
	must(t, err)
	must(t, os.WriteFile(s.file("keys.jwks"), set, 0o644))
	s.own(s.dir, 0o750)

	roof := s.modbus(true)
	display, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { display.Close() })
	s.config = fmt.Sprintf(`[gateway]
name = "home-01"
state = "."
board = "4b"
console = "console.sock"
point = "mp-0123456789abcdef"

[uplink]
ledger = %q
broker = %q
certificate = "gateway.pem"
certificate_key = "gateway.key"
roots = "roots.pem"
policy = "policy"
oracle_keys = "keys.jwks"

[home_assistant]
broker = "mqtt://%s"

[[bus]]
name = "meters"
kind = "serial"
port = "/dev/serial0"

[[bus]]
name = "p1"
kind = "serial"
port = "/dev/ttyUSB0"

[[bus]]
name = "air"
kind = "i2c"
port = "/dev/i2c-1"

[[bus]]
name = "roof"
kind = "modbus-tcp"
address = %q

[[bus]]
name = "pins"
kind = "gpio"

[[device]]
name = "grid"
model = "sdm630"
bus = "meters"
unit = 1

[[device]]
name = "house"
model = "dsmr"
bus = "p1"

[[device]]
name = "stack"
model = "scd30"
bus = "air"

[[device]]
name = "sun"
model = "sdm120"
bus = "roof"
unit = 1

[[device]]
name = "water"
model = "s0"
bus = "pins"
pin = "GPIO17"
pulses_per_kwh = 1000

[display]
screen = "ssd1306"
bus = "air"
lamp = "GPIO27"
`, ledgertest.Origin, c.url, display.Addr(), roof)
	s.tell()
	return s
}

// copy copies a file of the consortium beside the configuration.
func (s *site) copy(from, to string) {
	s.t.Helper()
	b, err := os.ReadFile(from)
	must(s.t, err)
	must(s.t, os.WriteFile(s.file(to), b, 0o644))
}

// modbus serves a meter as unit 1, with the framing of Modbus TCP or that of a converter,
// and returns the address.
func (s *site) modbus(tcp bool) string {
	s.t.Helper()
	server, err := emulated.Listen(tcp)
	must(s.t, err)
	server.Attach(1, emulated.NewMeter("sdm120", 12345678))
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(func() { cancel(); serving.Wait() })
	return server.Address()
}

// secure serves TLS with a certificate, to nobody's use, and returns the port.
func (s *site) secure(host string, certificate tls.Certificate) string {
	s.t.Helper()
	l, err := tls.Listen("tcp", host+":0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	must(s.t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_ = c.(*tls.Conn).Handshake() // the client decides
				c.Close()
			}
		}
	})
	s.t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String()
}

// tell fills in what a gateway says that is well.
func (s *site) tell() {
	started, last := s.now.Add(-3*time.Hour), s.now.Add(-4*time.Second)
	s.status = console.Status{
		Version: console.Version, Time: s.now,
		Gateway: console.Gateway{Name: name, Version: "v1.4.0", Boot: 3, Started: started, ResidentBytes: 21 << 20},
		Key:     console.Key{Backend: "file", Algorithm: "EdDSA", Signed: 180},
		Clock:   console.Clock{Quality: entry.ClockNTP, UncertaintyMS: 12},
		Outbox:  console.Outbox{State: "disk", Pending: 1, DiskBytes: 1 << 20, MaxBytes: 256 << 20, OldestAgeS: 3},
		Display: &console.Display{Screen: true, Lamp: true},
		Uplink:  console.Uplink{Broker: "MQTT", Connected: true, Since: started, LastReceipt: &last, Receipts: 179},
		Buses: []console.Bus{
			{Name: "meters", BusyRatio: 0.12, Jobs: 1080}, {Name: "p1", Jobs: 1080}, {Name: "air", Jobs: 1080}, {Name: "roof", Jobs: 1080},
		},
	}
	for _, d := range []struct{ name, bus string }{{"grid", "meters"}, {"house", "p1"}, {"stack", "air"}, {"sun", "roof"}, {"water", "pins"}} {
		s.status.Devices = append(s.status.Devices, console.Device{Name: d.name, Bus: d.bus, Point: subject, State: console.StateGood, PeriodS: 10, Samples: 1080, LastAt: &last})
	}
	grid := values("V", "voltage_l1", "231.2", "voltage_l2", "229.8", "voltage_l3", "230.4")
	grid = append(grid, values("A", "current_l1", "2.2", "current_l2", "1.3", "current_l3", "0.9", "current_n", "0.4")...)
	grid = append(grid, values("W", "active_power_l1", "500", "active_power_l2", "290", "active_power_l3", "205", "active_power", "995")...)
	s.live = console.Live{Version: console.Version, Time: s.now, Devices: []console.DeviceValue{
		{Name: "grid", Point: subject, Values: grid},
		{Name: "stack", Point: subject, Values: values("ppm", "co2", "431.5")},
	}}
}

// values are values of one unit: name, value, name, value ...
func values(unit string, pairs ...string) []console.Value {
	var all []console.Value
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, console.Value{Channel: pairs[i], Value: pairs[i+1], Unit: unit, Quality: "ok"})
	}
	return all
}

// set changes the value of a channel of the first device.
func (s *site) set(channel, value string) {
	for i := range s.live.Devices[0].Values {
		if v := &s.live.Devices[0].Values[i]; v.Channel == channel {
			v.Value = value
		}
	}
}

// patient writes the configuration, has the gateway answer if it runs, and returns what
// the configuration says.
func (s *site) patient() *doctor.Patient {
	s.t.Helper()
	path := s.file("gateway.toml")
	if _, err := os.Stat(path); err != nil {
		must(s.t, os.WriteFile(path, nil, 0o640))
	}
	f, err := gateway.ParseFile(path, []byte(s.config))
	p := f.Patient(err, gateway.Readers{OracleKeys: func(b []byte) (map[signer.KeyID]signer.PublicKey, error) {
		keys, err := audit.ParseKeys(b)
		if err != nil {
			return nil, err
		}
		out := make(map[signer.KeyID]signer.PublicKey)
		for _, k := range keys.All() {
			out[k.Public.ID()] = k.Public
		}
		return out, nil
	}})
	s.t.Cleanup(p.Console.Close)
	p.Version = "v1.4.0"
	if s.status.Gateway.Config == "" {
		s.status.Gateway.Config = p.Digest
	}
	if s.runs {
		l, err := console.Listen("unix:" + s.file("console.sock"))
		must(s.t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := console.Serve(ctx, l, console.Handler(s, http.NotFoundHandler())); err != nil {
				s.t.Error(err)
			}
		})
		s.t.Cleanup(func() { cancel(); serving.Wait() })
	}
	return p
}

func (s *site) machine() doctor.Machine {
	return doctor.Machine{Root: s.root, Kernel: &s.kernel, Now: func() time.Time { return s.now }}
}

// examine examines the site.
func (s *site) examine() *doctor.Report {
	s.t.Helper()
	return doctor.Examine(s.t.Context(), s.machine(), s.patient())
}
