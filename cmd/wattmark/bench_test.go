package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// command is this test's own binary as the command wattmark; TestMain makes it so.
func command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "wattmark"
	return cmd, nil
}

// figures runs a bench and returns the numbers and words of its one line of JSON.
func figures(t *testing.T, args ...string) (numbers map[string]float64, words map[string]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), buildBinary(t), append(append([]string{"bench"}, args...), "--json")...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("bench %v: %v, standard error: %s", args, err, stderr.String())
	}
	if n := strings.Count(stdout.String(), "\n"); n != 1 {
		t.Errorf("bench %v printed %d lines, want one:\n%s", args, n, stdout.String())
	}
	var all map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &all); err != nil {
		t.Fatalf("bench %v: %v in %s", args, err, stdout.String())
	}
	numbers, words = make(map[string]float64), make(map[string]string)
	for k, v := range all {
		switch v := v.(type) {
		case float64:
			numbers[k] = v
		case string:
			words[k] = v
		default:
			t.Errorf("bench %v: %q is %v, want a number or a word", args, k, v)
		}
	}
	return numbers, words
}

// positive fails for figures that are missing or not above nothing.
func positive(t *testing.T, numbers map[string]float64, names ...string) {
	t.Helper()
	for _, name := range names {
		if v, ok := numbers[name]; !ok || v <= 0 {
			t.Errorf("%s is %v (there: %v), want more than 0", name, v, ok)
		}
	}
}

func TestBenchIngest(t *testing.T) {
	always := []string{"statements_per_s", "cpu_us_per_statement", "receipt_p50_ms", "receipt_p99_ms", "disk_bytes_per_statement", "peak_rss_mb", "statement_bytes"}
	behind := []string{"behind_broker_per_s", "floor_per_s", "ratio_behind_to_floor", "worst_ratio_behind_to_floor", "behind_broker_cpu_us_per_statement", "floor_cpu_us_per_statement"}
	over := []string{"broker_alone_per_s", "ratio_to_broker_alone", "worst_ratio_to_broker_alone", "broker_alone_cpu_us_per_statement", "generator_cpu_us_per_statement"}
	for _, test := range []struct {
		name    string
		args    []string
		figures []string
		want    map[string]float64
		words   map[string]string
	}{
		{"mqtt", []string{"--rounds", "2"}, slices.Concat(always, behind, over),
			map[string]float64{"oracles": 1, "rounds": 2, "size_bytes": 1024}, map[string]string{"transport": "mqtt", "alg": "ed25519"}},
		{"nats", []string{"--transport", "nats", "--size", "2000"}, slices.Concat(always, behind, over),
			map[string]float64{"size_bytes": 2000}, map[string]string{"transport": "nats"}},
		{"direct", []string{"--transport", "direct"}, slices.Concat(always, behind),
			map[string]float64{"broker_alone_per_s": 0, "generator_cpu_us_per_statement": 0}, map[string]string{"transport": "direct"}},
		{"es256", []string{"--alg", "es256"}, slices.Concat(always, behind, over), nil, map[string]string{"alg": "es256"}},
		{"two oracles", []string{"--oracles", "2"}, slices.Concat(always, behind, over), map[string]float64{"oracles": 2}, nil},
		{"open loop", []string{"--rate", "1000", "--oracles", "4"}, slices.Concat(always, []string{"generator_cpu_us_per_statement"}),
			map[string]float64{"oracles": 4, "offered_per_s": 1000, "floor_per_s": 0}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, words := figures(t, append([]string{"ingest", "--statements", "600", "--gateways", "5", "--outstanding", "300"}, test.args...)...)
			positive(t, got, test.figures...)
			if got["statements"] != 600 {
				t.Errorf("%v statements, want 600", got["statements"])
			}
			for name, want := range test.want {
				if v, ok := got[name]; !ok || v != want {
					t.Errorf("%s is %v (there: %v), want %v", name, v, ok, want)
				}
			}
			for name, want := range test.words {
				if words[name] != want {
					t.Errorf("%s is %q, want %q", name, words[name], want)
				}
			}
			if got["receipt_p50_ms"] > got["receipt_p99_ms"] {
				t.Errorf("the median to receipt is %v ms, above the 99th percentile of %v ms", got["receipt_p50_ms"], got["receipt_p99_ms"])
			}
			// A statement is on disk once, and what comes with it is smaller than it.
			if d, b := got["disk_bytes_per_statement"], got["statement_bytes"]; d < b || d > 3*b {
				t.Errorf("%v bytes on disk a statement of %v bytes", d, b)
			}
			if w, m := got["worst_ratio_behind_to_floor"], got["ratio_behind_to_floor"]; w > m {
				t.Errorf("the worst ratio is %v, above the median of %v", w, m)
			}
			for _, name := range []string{"resent", "reconnects"} {
				if v, ok := got[name]; !ok || v < 0 {
					t.Errorf("%s is %v (there: %v), want a count", name, v, ok)
				}
			}
		})
	}
}

func TestBenchFloor(t *testing.T) {
	for _, transport := range []string{"mqtt", "nats"} {
		got, _ := figures(t, "floor", "--statements", "600", "--gateways", "5", "--outstanding", "300", "--transport", transport)
		positive(t, got, "statements_per_s", "broker_alone_per_s", "cpu_us_per_statement", "broker_alone_cpu_us_per_statement", "statement_bytes")
		if got["statements"] != 600 || got["size_bytes"] != 1024 {
			t.Errorf("%v statements of %v bytes, want 600 of 1024", got["statements"], got["size_bytes"])
		}
	}
}

func TestBenchLimits(t *testing.T) {
	got, _ := figures(t, "limits", "--dir", t.TempDir())
	positive(t, got, "fdatasync_us", "sha256_mb_per_s", "ed25519_verify_us", "ed25519_verify_batch_1024_us", "es256_verify_us", "ed25519_sign_us",
		"es256_sign_us", "loopback_mb_per_s", "loopback_round_trip_us", "broker_alone_per_s", "processors")
}

func TestBenchUsage(t *testing.T) {
	for _, args := range [][]string{
		{"ingest", "--statements", "0"},
		{"ingest", "--size", "100"},
		{"ingest", "--oracles", "0"},
		{"ingest", "--transport", "pigeon"},
		{"ingest", "--alg", "rsa"},
		{"ingest", "--rate", "-1"},
		{"ingest", "--transport", "direct", "--rate", "100"},
		{"ingest", "--outstanding", "3"},
		{"floor", "--transport", "direct"},
		{"floor", "surplus"},
		{"limits", "surplus"},
	} {
		cmd, err := command(t.Context(), append([]string{"bench"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err = cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || stdout.Len() > 0 || stderr.Len() == 0 {
			t.Errorf("bench %v: %v, prints %q and says %q, want exit status 2 and why", args, err, stdout.String(), stderr.String())
		}
	}
}
