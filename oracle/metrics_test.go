package oracle_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/api"
)

// figures reads a node's metrics as Prometheus does: name, or name and label values, to
// value.
func (s *street) figures(i int) map[string]float64 {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.nodes[i].API().Admin().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		s.t.Fatalf("metrics: %d: %s", w.Code, w.Body)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(w.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	out := make(map[string]float64)
	for name, f := range families {
		for _, m := range f.Metric {
			key := name
			for _, l := range m.Label {
				if l.GetValue() != "" {
					key += " " + l.GetValue()
				}
			}
			switch {
			case m.Counter != nil:
				out[key] = m.Counter.GetValue()
			case m.Gauge != nil:
				out[key] = m.Gauge.GetValue()
			case m.Histogram != nil:
				out[key] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return out
}

// ready asks a node whether it is, and why not.
func (s *street) ready(i int) (status int, reasons []string) {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.nodes[i].API().Admin().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	var answer struct {
		Ready   bool
		Reasons []api.Reason
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		s.t.Fatal(err)
	}
	if answer.Ready != (w.Code == http.StatusOK) {
		s.t.Errorf("ready %v with status %d", answer.Ready, w.Code)
	}
	for _, r := range answer.Reasons {
		if r.Detail == "" || r.Remedy == "" {
			s.t.Errorf("%q has no detail or remedy", r.Reason)
		}
		reasons = append(reasons, r.Reason)
	}
	return w.Code, reasons
}

func TestMetricsAndReadiness(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	s.until("all of them ready", func() bool {
		for i := range s.nodes {
			if status, _ := s.ready(i); status != http.StatusOK {
				return false
			}
		}
		return true
	})
	g := s.enrol("home-1", entry.ModeOpen)
	g.deliver(g.read(20)...)
	s.level(0, 1, 2, 3)
	accepted := 0.0
	for i, n := range s.nodes {
		h, c, _ := n.Ledger().Last()
		s.until("the final height to be counted", func() bool { return s.figures(i)["wattmark_final_height"] == float64(h.Height) })
		f := s.figures(i)
		for name, want := range map[string]float64{
			"wattmark_block_height": float64(h.Height), "wattmark_final_height": float64(h.Height), "wattmark_ledger_leaves": float64(c.Size),
			"wattmark_halted": 0, "wattmark_caught_up": 1, "wattmark_quorum": 3, "wattmark_pending_block_seconds": 0,
			"wattmark_conflicts_total equivocation": 0, "wattmark_blocks_total": float64(h.Height), "wattmark_final_seconds": float64(h.Height),
		} {
			if got, ok := f[name]; !ok || got != want {
				t.Errorf("oracle %d: %s is %v, want %v", i+1, name, got, want)
			}
		}
		if f["wattmark_disk_free_bytes"] <= 0 || f["go_goroutines"] <= 0 || f["process_open_fds"] <= 0 {
			t.Errorf("oracle %d tells nothing of its process", i+1)
		}
		if f["wattmark_statements_total executed"] < 20 {
			t.Errorf("oracle %d executed %v statements", i+1, f["wattmark_statements_total executed"])
		}
		accepted += f["wattmark_statements_total accepted"]
	}
	noted, err := oracle.Backups{oracle.BackupVault: time.Unix(1_800_000_000, 0)}.Encode()
	if err == nil {
		err = os.WriteFile(filepath.Join(s.oracleDir(0), oracle.BackupsFile), noted, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	f := s.figures(0)
	if _, ok := f["wattmark_backup_timestamp_seconds ledger"]; ok || f["wattmark_backup_timestamp_seconds vault"] != 1_800_000_000 {
		t.Errorf("the noted backup is told as %v", f["wattmark_backup_timestamp_seconds vault"])
	}
	if list, err := s.nodes[0].API().Backups(); err != nil || len(list) != 3 || list[0].At != "" || list[1].At != "2027-01-15T08:00:00Z" {
		t.Errorf("backups: %+v, %v", list, err)
	}
	if accepted != 20 {
		t.Errorf("%v statements were taken in, want 20", accepted)
	}
}
