package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"wattmark/gateway/console"
	"wattmark/hardware"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// unpack returns the files of a bundle by name.
func unpack(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[path.Base(h.Name)] = string(b)
	}
}

// TestBundleHoldsNoSecrets gathers a bundle of a gateway whose log, errors and exchanges
// are full of what must not leave it, and looks for each secret, value and serial number.
func TestBundleHoldsNoSecrets(t *testing.T) {
	key, err := signer.Generate(signer.ES256)
	if err != nil {
		t.Fatal(err)
	}
	const pin, password, serial = "7391", "correct horse <battery> & staple", "48213377"
	values := []string{"4711.25", "-231.9", "98765432"}
	source := told{status: quiet()}
	source.status.Devices[0].Last.Value = values[0]
	source.status.Devices[0].Error = fmt.Sprintf("wrong device: %s answers, the register holds %s", serial, values[2])
	source.status.Uplink.Failure = "password " + password + " and PIN " + pin
	source.status.Warnings = []console.Warning{{Code: "device_silent", Text: source.status.Devices[0].Error, Remedy: "check it"}}
	grid := console.DeviceValue{Name: "grid", Serial: serial, Error: source.status.Devices[0].Error}
	for i, v := range values {
		grid.Values = append(grid.Values, console.Value{Channel: fmt.Sprintf("active_power_l%d", i+1), Value: v, Unit: "W", Quality: "ok"})
	}
	source.live = console.Live{Version: 1, Devices: []console.DeviceValue{grid}}
	var went hardware.Transcript
	went.Send([]byte{1, 3, 0xfc, 0, 0, 2, 0xf5, 0x9b})
	went.Receive([]byte{1, 3, 4, 0x02, 0xdf, 0xad, 0x81, 0x11, 0x22}) // 48213377
	went.Send([]byte("/?" + serial + "!\r\n"))
	went.Receive([]byte("0-0:96.1.1(" + strings.ToUpper(hex.EncodeToString([]byte(serial))) + ")\r\n0-1:96.1.0(4730)\r\n1-0:1.7.0(04.711*kW)\r\n"))
	source.exchanges = console.Exchanges{Version: 1, Devices: []console.DeviceExchange{{Name: "grid", Model: "sdm120", Serial: serial, Transcript: went.String()}}}

	config := tell(t, source)
	dir := filepath.Dir(config)
	if err := keyfile.Save(filepath.Join(dir, "key.pem"), key); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{password, pin, serial}
	for line := range strings.Lines(string(pem)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			secrets = append(secrets, line)
		}
	}
	for name, text := range map[string]string{
		"pin": pin + "\n", "password": password + "\n", "gateway.key": string(pem), "gateway.pem": "-----BEGIN CERTIFICATE-----\n",
		// A comment with a password, and a key that is wrong so that its line is told.
		"gateway.toml": fmt.Sprintf(`[gateway]
name = "home-01"
state = "."
console = "console.sock" # %s
[key]
pin_file = "pin"
[uplink]
broker = "mqtts://broker.example.org:8883"
certificate = "gateway.pem"
certificate_key = "gateway.key"
[home_assistant]
broker = "mqtt://127.0.0.1:1883"
user = "wattmark"
password_file = "password"
`, password),
		// What stands in for the journal tells all it knows.
		"journalctl": fmt.Sprintf("#!/bin/sh\ncat <<'END'\n%s\n%s pin=%s %s value=%s %s %s\nEND\n", pem, password, pin, serial, values[0], values[1], values[2]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))

	gather := func(name string, flags ...string) map[string]string {
		t.Helper()
		var out, complaint bytes.Buffer
		file := filepath.Join(dir, name)
		if code := run(t.Context(), append([]string{"support-bundle", file, "--config", config}, flags...), nil, &out, &complaint); code != 0 {
			t.Fatalf("exit status %d: %s", code, complaint.String())
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the bundle: %v, %v", info, err)
		}
		files := unpack(t, file)
		for name, text := range files {
			for _, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s holds the secret %q:\n%s", name, secret, text)
				}
			}
			if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
				t.Errorf("%s is no JSON:\n%s", name, text)
			}
		}
		return files
	}
	without := gather("without.tar.gz")
	for _, want := range []string{"README.txt", "configuration.txt", "doctor.txt", "doctor.json", "status.txt", "status.json", "metrics.txt", "exchanges.txt", "log.txt", "versions.txt"} {
		if len(without[want]) == 0 {
			t.Errorf("%s is not in the bundle, or empty", want)
		}
	}
	for name, text := range without {
		for _, v := range values {
			if strings.Contains(text, strings.TrimPrefix(v, "-")) {
				t.Errorf("%s holds the value %s:\n%s", name, v, text)
			}
		}
	}
	if got, want := without["exchanges.txt"], "> 01 03 fc 00 00 02 f5 9b\n# 9 bytes came\n> 2f 3f .. .. .. .. .. .. .. .. 21 0d 0a\n# 70 bytes came\n"; !strings.HasSuffix(strings.TrimRight(got, "\n")+"\n", want) {
		t.Errorf("exchanges without values:\n%s, want\n%s", got, want)
	}
	if log := without["log.txt"]; !strings.Contains(log, "[cut] pin=[cut] [cut] value=[cut] -[cut] [cut]") {
		t.Errorf("the log:\n%s", log)
	}
	if text := without["configuration.txt"]; !strings.Contains(text, `key.pin_file`) || !strings.Contains(text, "gateway.toml:6: key.pin_file is not used") {
		t.Errorf("the configuration:\n%s", text)
	}
	with := gather("with.tar.gz", "--with-values", "--json")
	if !strings.Contains(with["values.json"], values[0]) || !strings.Contains(with["exchanges.txt"], "< 01 03 04 .. .. .. .. 11 22\n") || strings.Contains(with["exchanges.txt"], "34 37 33 30") {
		t.Errorf("with values: %s\n%s", with["values.json"], with["exchanges.txt"])
	}
	if _, ok := without["values.json"]; ok {
		t.Error("values.json is in a bundle without values")
	}

	// A file that is there is not replaced.
	var out, complaint bytes.Buffer
	if code := run(t.Context(), []string{"support-bundle", filepath.Join(dir, "with.tar.gz"), "--config", config}, nil, &out, &complaint); code != 1 || !strings.Contains(complaint.String(), "file exists") {
		t.Errorf("over another file: exit status %d: %s", code, complaint.String())
	}
}

// TestCutLeavesNothing draws secrets, serial numbers and values, and texts and bytes
// with them: nothing of them is left, and nothing else is lost.
func TestCutLeavesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var c cutter
		secret := rapid.StringMatching(`[A-Za-z0-9+/=&<"]{8,40}`).Draw(r, "secret")
		serial := rapid.StringMatching(`[1-9][0-9]{6,9}`).Draw(r, "serial")
		value := rapid.StringMatching(`-?[1-9][0-9]{2,8}(\.[0-9]{1,3})?`).Draw(r, "value")
		c.secret(secret)
		c.serial(serial)
		c.value(value)
		before, after := rapid.StringMatching(`[a-z =:]{0,20}`).Draw(r, "before"), rapid.StringMatching(`[a-z =:]{0,20}`).Draw(r, "after")
		text := before + secret + " " + serial + " " + value + "/" + after
		if got := string(c.text([]byte(text))); strings.Contains(got, secret) || strings.Contains(got, serial) || strings.Contains(got, strings.TrimPrefix(value, "-")) ||
			!strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) {
			r.Errorf("%q became %q", text, got)
		}
		quoted, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			r.Fatal(err)
		}
		var back map[string]string
		if err := json.Unmarshal(c.json(quoted), &back); err != nil || len(back) != 1 {
			r.Fatalf("%v: %s", err, c.json(quoted))
		}
		for k, v := range back {
			if k != v || k != string(c.text([]byte(text))) {
				r.Errorf("%s became %q", quoted, k)
			}
		}
		raw := append([]byte{0xff}, append([]byte(serial), 0xfe)...)
		if got, want := c.bytes(raw), "ff"+strings.Repeat(" ..", len(serial))+" fe"; got != want {
			r.Errorf("%x became %s, want %s", raw, got, want)
		}
	})
}
