// Package deploy_test loads every sample that is in this folder as the programs do.
package deploy_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"wattmark/gateway"
)

const sample = "gateway.toml"

func read(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestGatewaySample(t *testing.T) {
	if _, err := gateway.ParseFile(sample, []byte(read(t))); err != nil {
		t.Error(err)
	}
}

// option is a line of the sample that is commented out.
var option = regexp.MustCompile(`(?m)^#(\[\[|\[|[a-z_0-9]+ = )`)

// TestGatewayOptions takes the comments from all options: they are right too, but for
// those that exclude one another, and for a device that is not there.
func TestGatewayOptions(t *testing.T) {
	text := read(t)
	for _, key := range []string{"device", "module", "token", "label", "pin_file", "flow"} {
		text = regexp.MustCompile(`(?m)^#`+key+` = .*\n`).ReplaceAllString(text, "")
	}
	text = strings.Replace(option.ReplaceAllString(text, "$1"), `velocity = "duct.gas_velocity"`, `velocity = "stack.temperature"`, 1)
	if _, err := gateway.ParseFile(sample, []byte(text)); err != nil {
		t.Error(err)
	}
}

// TestGatewayKeys looks for keys of the program that the sample does not show.
func TestGatewayKeys(t *testing.T) {
	text := read(t)
	for _, table := range []string{"[gateway]", "[time]", "[key]", "[outbox]", "[uplink]", "[metrics]", "[home_assistant]", "[display]", "[[bus]]", "[[derived]]"} {
		var shown string
		for part := range strings.SplitSeq(text, "\n\n") {
			if strings.HasPrefix(strings.TrimPrefix(part, "#"), table) {
				shown += part + "\n"
			}
		}
		_, err := gateway.ParseFile(sample, []byte(table+"\nno_such_key_at_all = 1\n"))
		var m *gateway.Mistakes
		if !errors.As(err, &m) {
			t.Fatal(err)
		}
		found := false
		for _, x := range m.List {
			keys, ok := strings.CutPrefix(x.Remedy, "the keys here are ")
			if !ok || !strings.Contains(x.Cause, "no_such_key_at_all") {
				continue
			}
			found = true
			for key := range strings.SplitSeq(keys, ", ") {
				if !regexp.MustCompile(`(?m)^#?` + key + ` = `).MatchString(shown) {
					t.Errorf("the sample does not show the key %q of %s", key, table)
				}
			}
		}
		if !found {
			t.Errorf("an unknown key of %s is not refused: %v", table, err)
		}
	}
}
