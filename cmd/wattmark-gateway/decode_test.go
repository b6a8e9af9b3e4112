package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway"
)

var update = flag.Bool("update", false, "rewrite what decode prints for the recordings of the drivers")

// models of the recordings in each driver's testdata. A file whose name starts with a
// model's is of that.
var models = map[string]string{
	"sdm": "sdm630", "pzem": "pzem004t", "s8": "s8", "sunspec": "sunspec", "generic": "modbus", "dsmr": "dsmr", "sml": "sml", "iec62056": "iec62056",
	"ina2xx": "ina219", "atm90e32": "atm90e32", "scd30": "scd30", "scd4x": "scd41", "sps30": "sps30", "pms": "pms5003", "mhz19": "mhz19b", "bme280": "bme280",
}

// arguments of recordings that do not say everything themselves.
var arguments = map[string][]string{
	"ina2xx": {"--set", "shunt_ohm=0.1"},
	"generic": {
		"--set", "channel=voltage_l1:V:gauge:input:0:u16:-1", "--set", "channel=temperature:Cel:gauge:input:1:i16:-1",
		"--set", "channel=active_energy_import:Wh:counter:input:2:u32:1", "--set", "channel=active_power:W:gauge:input:4:i32",
		"--set", "channel=active_energy_absolute:Wh:counter:holding:0x100:u32le", "--set", "channel=reactive_power:var:gauge:holding:0x102:i32le:-1",
	},
}

// recordings returns the recordings of all drivers.
func recordings(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"transcript", "telegram", "readout", "registers"} {
		list, err := filepath.Glob("../../hardware/*/testdata/*." + pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
	}
	if len(all) < 20 {
		t.Fatalf("only %d recordings of drivers: %q", len(all), all)
	}
	return all
}

// decodeArguments returns the arguments of decode for a recording, but for the file,
// and the name of the golden file with what it prints.
func decodeArguments(t *testing.T, file string) (args []string, golden string) {
	t.Helper()
	part := filepath.Base(filepath.Dir(filepath.Dir(file)))
	base := filepath.Base(file)
	model := models[part]
	for _, name := range gateway.Models() {
		if strings.HasPrefix(base, name) {
			model = name
		}
	}
	if model == "" {
		t.Fatalf("which model is recorded in %s?", file)
	}
	args = append([]string{"decode", "--device", model}, arguments[part]...)
	switch filepath.Ext(base) {
	case ".registers":
		args = append(args, "--format", "registers")
	case ".transcript":
		args = append(args, "--format", "hex")
	}
	return args, filepath.Join("testdata", "decoded", part+"-"+base)
}

// decodedText is what a golden file holds of one run of decode.
func decodedText(args []string, stdout, stderr string, code int) string {
	return fmt.Sprintf("%s\n%s%sexit status %d\n", strings.Join(args, " "), stdout, stderr, code)
}

// TestDecodeRecordings decodes what every driver keeps as a recording and compares
// what is printed, to the byte: this is what builds for other machines are held
// against too.
func TestDecodeRecordings(t *testing.T) {
	for _, file := range recordings(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			args, golden := decodeArguments(t, file)
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), append(args, file), strings.NewReader(""), &stdout, &stderr)
			got := decodedText(args, stdout.String(), stderr.String(), code)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("decode prints (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDecodedIsWhole looks for golden files whose recording has gone.
func TestDecodedIsWhole(t *testing.T) {
	var want []string
	for _, file := range recordings(t) {
		want = append(want, filepath.Base(filepath.Dir(filepath.Dir(file)))+"-"+filepath.Base(file))
	}
	list, err := os.ReadDir("testdata/decoded")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if !slices.Contains(want, f.Name()) {
			t.Errorf("testdata/decoded/%s is of no recording", f.Name())
		}
	}
}
