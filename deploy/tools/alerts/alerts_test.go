// Package alerts_test reads the alarms for Prometheus and the dashboard for Grafana with
// Prometheus's own parser, and holds the metrics that they name against METRICS.md, which a
// test of package oracle holds against the program.
package alerts_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"
)

// metric is a row of the table in METRICS.md.
type metric struct{ alarm string }

func documented(t *testing.T) map[string]metric {
	t.Helper()
	b, err := os.ReadFile("../../METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]metric)
	for _, m := range regexp.MustCompile("(?m)^\\| `(wattmark_[a-z_]+)` \\|.*\\| ([^|]*) \\|$").FindAllStringSubmatch(string(b), -1) {
		out[m[1]] = metric{m[2]}
	}
	if len(out) < 15 {
		t.Fatalf("METRICS.md names %d metrics: has its table another form?", len(out))
	}
	return out
}

// names parses an expression and returns the metrics that it asks for.
func names(t *testing.T, expr string) (out []string) {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return nil
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			out = append(out, strings.TrimSuffix(v.Name, "_bucket"))
		}
		return nil
	})
	return out
}

// known reports whether a metric exists: one of ours, of the Go client's collectors, or
// Prometheus's own.
func known(all map[string]metric, name string) bool {
	_, ok := all[name]
	return ok || name == "up" || strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "go_")
}

func TestAlerts(t *testing.T) {
	all := documented(t)
	b, err := os.ReadFile("../../alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert       string
				Expr        string
				For         string
				Labels      struct{ Severity string }
				Annotations struct{ Summary, Remedy string }
			}
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	watched, seen := make(map[string]bool), make(map[string]bool)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.For != "" {
				if _, err := model.ParseDuration(r.For); err != nil {
					t.Errorf("%s: %v", r.Alert, err)
				}
			}
			if r.Labels.Severity != "page" && r.Labels.Severity != "ticket" || r.Annotations.Summary == "" || r.Annotations.Remedy == "" || seen[r.Alert] {
				t.Errorf("%s: say once what it is, what to do, and whether to wake somebody: %+v", r.Alert, r)
			}
			seen[r.Alert] = true
			for _, n := range names(t, r.Expr) {
				watched[n] = true
				if !known(all, n) {
					t.Errorf("%s: there is no metric %q", r.Alert, n)
				}
			}
		}
	}
	// Those that others stand for: with what shows the same sooner.
	standIn := map[string]string{"wattmark_final_height": "wattmark_pending_block_seconds", "wattmark_receipts_total": "wattmark_pending_block_seconds",
		"wattmark_statements_in_flight": "wattmark_pending_block_seconds", "wattmark_witness_failures_total": "wattmark_witness_leaves"}
	for name, m := range all {
		if m.alarm != "-" && !watched[name] && !watched[standIn[name]] {
			t.Errorf("METRICS.md has an alarm for %s, and no rule watches it", name)
		}
	}
}

func TestDashboard(t *testing.T) {
	all := documented(t)
	b, err := os.ReadFile("../../grafana/oracles.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		UID    string
		Panels []struct {
			Title, Description string
			GridPos            struct{ X, Y, W, H int }
			Targets            []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	if board.UID == "" || len(board.Panels) == 0 {
		t.Fatal("no dashboard")
	}
	taken := make(map[[2]int]string)
	for _, p := range board.Panels {
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("a panel without title, description or query: %+v", p)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies over %q, or beside the page", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, q := range p.Targets {
			// Grafana puts the instances chosen in the place of its variable.
			for _, n := range names(t, strings.ReplaceAll(q.Expr, "$instance", ".*")) {
				if !known(all, n) {
					t.Errorf("%q asks for %q, which is no metric", p.Title, n)
				}
			}
		}
	}
}
