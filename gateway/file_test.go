package gateway_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway"
)

// good is a configuration with a bus of each kind that this machine needs nothing for.
const good = `[gateway]
name = "home-01"
point = "mp-0123456789abcdef"
board = "4b"
[uplink]
ledger = "example.org/street"
broker = "mqtts://broker.example:8883"
certificate = "gateway.pem"
certificate_key = "gateway.key"
roots = "roots.pem"
policy = "policy"
oracle_keys = "keys.jwks"

[[bus]]
name = "rs485"
kind = "serial"
port = "/dev/ttyUSB0"

[[bus]]
name = "i2c"
kind = "i2c"
port = "/dev/i2c-1"

[[device]]
name = "grid"
model = "sdm630"
bus = "rs485"
unit = 1
channels = ["active_power", "active_energy_import"]

[[device]]
name = "air"
model = "scd41"
bus = "i2c"
self_calibration = true
period = "30s"
`

func TestParseFile(t *testing.T) {
	f, err := gateway.ParseFile("gateway.toml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Devices) != 2 || len(f.Buses) != 2 {
		t.Fatalf("%d devices on %d buses", len(f.Devices), len(f.Buses))
	}
	var got []string
	for _, s := range f.Effective() {
		got = append(got, fmt.Sprintf("%s = %s %d", s.Key, s.Value, s.Line))
	}
	for _, want := range []string{
		`gateway.name = "home-01" 2`, `gateway.mode = "committed" 0`, `outbox.max_bytes = "256MiB" 0`,
		`device[0].channels = ["active_power", "active_energy_import"] 29`, `device[1].period = "30s" 36`, `device[0].period = "10s" 0`,
		`device[1].self_calibration = true 35`, `bus[1].port = "/dev/i2c-1" 22`,
	} {
		if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("no %q in what the configuration comes to:\n%s", want, strings.Join(got, "\n"))
		}
	}
}

// A serial line that says nothing of its mode is set to what its device usually speaks.
func TestUsualMode(t *testing.T) {
	for device, want := range map[string]string{
		`model = "iec62056"`:                 "300 7E1",
		"model = \"iec62056\"\npush = true":  "9600 7E1",
		"model = \"iec62056\"\npush = false": "300 7E1",
		`model = "dsmr"`:                     "115200 8N1",
		`model = "sml"`:                      "", // package bus's own: 9600 8N1
	} {
		text := strings.Replace(good, "model = \"sdm630\"\nbus = \"rs485\"\nunit = 1\nchannels = [\"active_power\", \"active_energy_import\"]", device+"\nbus = \"rs485\"", 1)
		f, err := gateway.ParseFile("gateway.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Buses[0].Mode; got != want {
			t.Errorf("%s: the line is set to %q, want %q", device, got, want)
		}
	}
}

// TestMistakes makes one change to a good file each, and all of them together.
func TestMistakes(t *testing.T) {
	tests := []struct {
		name, from, to string
		want           []string
	}{
		{"unknown key", `unit = 1`, "unit = 1\nunti = 1", []string{`:29: unknown key "device[0].unti"; did you mean "unit"?`}},
		{"unknown table", "[uplink]", "[uplnk]", []string{
			`missing key "uplink.broker"; give its address, such as "mqtts://broker.example:8883"`, `missing key "uplink.ledger"; give the ledger's origin, as its policy says it`,
			`missing key "uplink.oracle_keys"; give the path of the oracles' keys (JSON Web Key Set)`, `missing key "uplink.policy"; give the path of the ledger's policy`,
			`:5: unknown key "uplnk"; did you mean "uplink"?`}},
		{"key of another model", `self_calibration = true`, `channels = ["co2"]`, []string{`:35: unknown key "device[1].channels"; the keys here are address, bus, disabled, mode, model, name, offset, period, point, self_calibration, unit`}},
		{"wrong type", `unit = 1`, `unit = "one"`, []string{`:28: device[0].unit: "one" is not a whole number`}},
		{"out of range", `unit = 1`, `unit = 70000`, []string{`:28: device[0].unit: 70000 is out of range`}},
		{"time without unit", `period = "30s"`, `period = 30`, []string{`:36: device[1].period: 30 is not a time with its unit, such as "10s"`}},
		{"period", `period = "30s"`, `period = "7s"`, []string{`:36: device[1].period: 7s does not divide an interval of 15 minutes; take one of 1s, 2s, 5s, 10s, 15s, 30s, 60s, 5m, 15m`}},
		{"channel twice", `"active_power", "active_energy_import"`, `"active_power", "active_power"`, []string{`:24: device "grid": channel "active_power" is named twice`}},
		{"unknown channel", `"active_power"`, `"active_powr"`, []string{`:24: device "grid": Eastron SDM630 has no channel "active_powr"`}},
		{"no bus", `bus = "rs485"`, ``, []string{`:24: device "grid" has no bus; add bus = "…", the name of a [[bus]]`}},
		{"missing bus", `bus = "rs485"`, `bus = "rs845"`, []string{`:27: device "grid" is on the bus "rs845", which is not there; did you mean "rs485"?`}},
		{"bus of another kind", `bus = "i2c"`, `bus = "rs485"`, []string{`:34: device "air" is a scd41, which cannot be on bus "rs485" of kind serial; it belongs on one of kind i2c`}},
		{"unknown model", `model = "sdm630"`, `model = "smd630"`, []string{`:26: unknown model "smd630"; did you mean "sdm630"?`}},
		{"unit", `unit = 1`, `unit = 248`, []string{`:24: device "grid": unit 248 is not within 1 to 247`}},
		{"two buses of a name", `name = "i2c"`, `name = "rs485"`, []string{`:20: there is a bus "rs485" already, on line 14; rename one of them`,
			`:34: device "air" is on the bus "i2c", which is not there; add a [[bus]] of that name`}},
		{"two buses on a port", `"/dev/i2c-1"`, `"/dev/ttyUSB0"`, []string{`:19: bus "i2c" is on /dev/ttyUSB0, as bus "rs485" on line 14 is; put the devices of both on one bus`}},
		{"kind", `kind = "serial"`, `kind = "seriel"`, []string{`:16: bus[0].kind: unknown value "seriel"; did you mean "serial"?`}},
		{"plain broker", `mqtts://`, `mqtt://`, []string{`:7: uplink.broker: "mqtt://broker.example:8883" is not protected; begin it with mqtts://: without TLS only the loopback may be reached`}},
		{"no certificate", `certificate = "gateway.pem"`, ``, []string{`:5: missing key "uplink.certificate"; give the path of the client certificate that the consortium issued`}},
		{"two devices of a name", `name = "air"`, `name = "grid"`, []string{`:32: there is a device "grid" already, on line 24; rename one of them`}},
		{"point", "point = \"mp-0123456789abcdef\"\n", "\n", []string{
			`:24: missing key "device[0].point"; add point = "…" here or to [gateway]: the metering point as it is enrolled`,
			`:31: missing key "device[1].point"; add point = "…" here or to [gateway]: the metering point as it is enrolled`}},
		{"modes", `self_calibration = true`, `mode = "open"`, []string{`:35: metering point "mp-0123456789abcdef" is both committed (device "grid") and open; a metering point has one mode, as it is enrolled`}},
		{"syntax", `unit = 1`, `unit = `, []string{`:28: expected value but found '\n' instead; the file is TOML: see the commented sample`}},
		{"metrics for all", `[uplink]`, "[metrics]\nlisten = \"0.0.0.0:9469\"\n[uplink]", []string{`:6: metrics.listen: "0.0.0.0:9469" is neither on the loopback nor a socket; take "127.0.0.1:9469" or "unix:/run/wattmark/metrics.sock"`}},
		{"page", `board = "4b"`, "board = \"4b\"\npage = \"8480\"", []string{`:5: gateway.page: "8480" is no address with a port; take "127.0.0.1:8480" for this machine alone, an address of its own with a port for others, or "off"`}},
		{"screen without a bus", `[uplink]`, "[display]\nscreen = \"ssd1306\"\n[uplink]", []string{`:5: the screen has no bus; add bus = "…", the name of a [[bus]] of kind i2c`}},
		{"screen on another bus", `[uplink]`, "[display]\nscreen = \"ssd1306\"\nbus = \"rs485\"\n[uplink]", []string{`:7: the screen cannot be on bus "rs485" of kind serial; it belongs on one of kind i2c`}},
		{"screen on no bus", `[uplink]`, "[display]\nscreen = \"ssd1306\"\nbus = \"air\"\n[uplink]", []string{`:7: the screen is on the bus "air", which is not there; add a [[bus]] of that name and of kind i2c`}},
		{"no such screen", `[uplink]`, "[display]\nscreen = \"ssd1360\"\nbus = \"i2c\"\n[uplink]", []string{`:6: display.screen: unknown value "ssd1360"; did you mean "ssd1306"?`}},
		{"address of no screen", `[uplink]`, "[display]\nscreen = \"ssd1306\"\nbus = \"i2c\"\naddress = 0x40\n[uplink]", []string{`:8: display.address: a screen is never at 0x40; take 0x3c or 0x3d`}},
		{"bus without a screen", `[uplink]`, "[display]\nbus = \"i2c\"\n[uplink]", []string{`:6: display.bus without a screen; add screen = "ssd1306", or take it out`}},
		{"lamp on no pin", `[uplink]`, "[display]\nlamp = \"GPIO99\"\n[uplink]", []string{`:6: display.lamp: Raspberry Pi 4 Model B has no GPIO99 on its header; take a free one of GPIO2 to GPIO27`}},
		{"lamp on the bus", `[uplink]`, "[display]\nlamp = \"GPIO2\"\n[uplink]", []string{`:6: GPIO2 (header pin 3) is wanted by bus "i2c" and by the lamp of [display]: move one of them`}},
		{"no lamp", `[uplink]`, "[display]\nlamp_active_low = true\n[uplink]", []string{`:6: display.lamp_active_low without a lamp; add lamp = "GPIO27", or take it out`}},
		{"key of another backend", `[uplink]`, "[key]\nmodule = \"x.so\"\n[uplink]", []string{`:6: key.module is not used with the backend "file"; take it out, or set backend = "pkcs11"`}},
		{"impossible pin", `[[device]]
name = "air"`, `[[bus]]
name = "pins"
kind = "gpio"
[[device]]
name = "gas"
model = "s0"
bus = "pins"
pin = "pin 6"
[[device]]
name = "air"`, []string{`:38: device "gas": pin: header pin 6 of Raspberry Pi 4 Model B carries GND, not a GPIO line; take a free one of GPIO2 to GPIO27`}},
		{"pin of a bus", `[[device]]
name = "air"`, `[[bus]]
name = "pins"
kind = "gpio"
[[device]]
name = "gas"
model = "s0"
bus = "pins"
pin = "GPIO2"
[[device]]
name = "air"`, []string{`:34: GPIO2 (header pin 3) is wanted by bus "i2c" and by device "gas": move one of them`}},
		{"board", `board = "4b"`, `board = "4a"`, []string{`:4: gateway.board: unknown value "4a"; did you mean "4b"?`}},
		{"derived from what is not there", `[[bus]]
name = "rs485"`, `[[derived]]
name = "emission"
method = "mass-flow/1"
co2 = "air.co2"
velocity = "air.gas_velocity"
area_m2 = 0.5
temperature = "air.temperature"
pressure = "grid.presure"
background_ppm = 420
uncertainty = 0.05

[[bus]]
name = "rs485"`, []string{
			`:18: device "air" has no channel "gas_velocity"; it has co2, temperature, relative_humidity`,
			`:21: device "grid" has no channel "presure"; it has active_power, active_energy_import`}},
		{"derived from ppm alone", `[[bus]]
name = "rs485"`, strings.NewReplacer("velocity = \"air.gas_velocity\"\narea_m2 = 0.5\n", "", "grid.presure", "air.relative_humidity").Replace(`[[derived]]
name = "emission"
method = "mass-flow/1"
co2 = "air.co2"
velocity = "air.gas_velocity"
area_m2 = 0.5
temperature = "air.temperature"
pressure = "grid.presure"
background_ppm = 420
uncertainty = 0.05

[[bus]]
name = "rs485"`), []string{
			`:14: derived "emission": air.co2: a concentration alone proves no emission: give the flow, or the velocity and the area of the duct`}},
		{"device as table", `[[device]]`, `[device]`, nil},
		{"two devices on an address", `[[device]]
name = "air"`, `[[device]]
name = "sun"
model = "sdm120"
bus = "rs485"

[[device]]
name = "air"`, []string{`:31: device "sun" is on bus rs485 at address 1, as device "grid" on line 24 is; give one of them another address, or another bus`}},
		{"two devices on an I2C address", `period = "30s"`, "[[device]]\nname = \"attic\"\nmodel = \"scd40\"\nbus = \"i2c\"",
			[]string{`:36: device "attic" is on bus i2c at address 0x62, as device "air" on line 31 is; give one of them another address, or another bus`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(good, test.from) {
				t.Fatalf("%q is not in the good file", test.from)
			}
			text := strings.Replace(good, test.from, test.to, 1)
			_, err := gateway.ParseFile("gateway.toml", []byte(text))
			var m *gateway.Mistakes
			if !errors.As(err, &m) {
				t.Fatalf("got %v, want a list of mistakes", err)
			}
			if test.want == nil {
				return
			}
			var want []string
			for _, w := range test.want {
				if !strings.HasPrefix(w, ":") {
					w = ": " + w
				}
				want = append(want, "gateway.toml"+w)
			}
			if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	text := strings.NewReplacer(`unit = 1`, `unti = 1`, `period = "30s"`, `period = "7s"`, `kind = "i2c"`, `kind = "i2d"`).Replace(good)
	_, err := gateway.ParseFile("gateway.toml", []byte(text))
	if got := strings.Count(fmt.Sprint(err), "\n") + 1; got != 3 {
		t.Errorf("%d mistakes, want 3:\n%v", got, err)
	}
}

func TestReadFileMissing(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{
		filepath.Join(dir, "none.toml"): "no such file",
		dir:                             "no regular file",
	} {
		if f, err := gateway.ReadFile(name); f != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	large := filepath.Join(dir, "large.toml")
	if err := os.WriteFile(large, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.ReadFile(large); err == nil || !strings.Contains(err.Error(), "2097152 bytes") {
		t.Errorf("a file of 2 MB: %v", err)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add(good)
	f.Add("device = [{name = \"a\", model = \"sdm630\"}, {}]\nbus = 3\n[gateway]\nname = '''\n[x]\n'''\n\"st\\u0061te\" = 1")
	f.Add("[[device]]\n[[device.channel]]\nname=\"x\"\n[[device]]\n[[device.channel]]\n[[device.channel]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := gateway.ParseFile("gateway.toml", []byte(text))
		if err == nil {
			file.Effective()
			return
		}
		var m *gateway.Mistakes
		if !errors.As(err, &m) || len(m.List) == 0 {
			t.Fatalf("%T: %v", err, err)
		}
		lines := strings.Count(text, "\n") + 1
		for _, x := range m.List {
			if x.Line < 0 || x.Line > lines || x.Cause == "" {
				t.Errorf("in a text of %d lines: %+v", lines, x)
			}
		}
	})
}
