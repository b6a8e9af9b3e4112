package main

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"wattmark/gateway/settings"
)

const sample = "../../deploy/oracle.toml"

func readSample(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSamples loads every configuration in deploy as the program does.
func TestSamples(t *testing.T) {
	for _, path := range []string{sample, "../../deploy/kustomize/base/oracle.toml", "../../deploy/kustomize/cluster/oracle.toml"} {
		if _, err := parseFile(path, []byte(readSample(t, path))); err != nil {
			t.Error(err)
		}
	}
	if _, err := parseFile("written.toml", []byte(sampleFor("/var/lib/wattmark-oracle"))); err != nil {
		t.Errorf("what init writes: %v", err)
	}
}

// TestSampleOptions takes the comments from all options: they are right too, with a broker
// of its own and with servers.
func TestSampleOptions(t *testing.T) {
	text := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAllString(readSample(t, sample), "$1")
	drop := func(keys ...string) string {
		less := text
		for _, key := range keys {
			less = regexp.MustCompile(`(?m)^`+key+` = .*\n`).ReplaceAllString(less, "")
		}
		return less
	}
	for what, text := range map[string]string{
		"a broker of its own": drop("servers", "replicas"),
		"servers":             drop("mqtt", "nats", "hosts", "max_store"),
	} {
		if _, err := parseFile(sample, []byte(text)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := parseFile(sample, []byte(text)); err == nil {
		t.Error("a broker of its own and servers elsewhere were taken together")
	}
}

// TestSampleKeys looks for keys of the program that the sample does not show.
func TestSampleKeys(t *testing.T) {
	text := readSample(t, sample)
	for _, table := range []string{"[oracle]", "[broker]", "[http]"} {
		_, part, ok := strings.Cut(text, "\n"+table+"\n")
		if !ok {
			t.Errorf("the sample has no table %s", table)
			continue
		}
		if i := strings.Index(part, "\n["); i >= 0 {
			part = part[:i]
		}
		_, err := parseFile(sample, []byte(table+"\nno_such_key_at_all = 1\n"))
		var m *settings.Mistakes
		if !errors.As(err, &m) || len(m.List) != 1 {
			t.Fatalf("an unknown key of %s: %v", table, err)
		}
		keys, ok := strings.CutPrefix(m.List[0].Remedy, "the keys here are ")
		if !ok {
			t.Fatalf("an unknown key of %s: %v", table, err)
		}
		for key := range strings.SplitSeq(keys, ", ") {
			if !regexp.MustCompile(`(?m)^#?` + key + ` = `).MatchString(part) {
				t.Errorf("the sample does not show the key %q of %s", key, table)
			}
		}
	}
}

// FuzzConfiguration reads any bytes as a configuration.
func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(sampleFor("/var/lib/wattmark-oracle")))
	f.Add([]byte("[broker]\nservers = [\"tls://a:1\"]\nreplicas = 3\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseFile("fuzz.toml", text)
		var m *settings.Mistakes
		if err != nil && !errors.As(err, &m) {
			t.Errorf("an error that lists no mistakes: %v", err)
		}
		if err == nil && c.Oracle.State == "" {
			t.Error("a configuration without a state directory was taken")
		}
	})
}
