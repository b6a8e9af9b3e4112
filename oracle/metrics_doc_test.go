package oracle_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wattmark/ledger/entry"
)

// TestMetricsAreExplained holds the operator's page against what an oracle tells: no
// figure of ours is without its row, and no row without its figure.
func TestMetricsAreExplained(t *testing.T) {
	page, err := os.ReadFile("../deploy/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	s := newStreet(t, 1)
	s.start(0)
	g := s.enrol("home-1", entry.ModeOpen)
	g.deliver(g.read(1)...)
	g.publish([]byte("no frame"))
	s.until("every figure", func() bool {
		f := s.figures(0)
		return f["wattmark_refusals_total malformed"] > 0 && f["wattmark_final_leaves"] > 0
	})
	told := make(map[string]bool)
	for name := range s.figures(0) {
		if name, _, _ = strings.Cut(name, " "); strings.HasPrefix(name, "wattmark_") {
			told[name] = true
		}
	}
	// Those of witnesses are told where some are asked: TestWitnessSignsWhatIsPublished.
	told["wattmark_witness_leaves"], told["wattmark_witness_failures_total"] = true, true
	told["wattmark_backup_timestamp_seconds"] = true          // once one is noted: TestMetricsAndReadiness
	told["wattmark_certificate_end_timestamp_seconds"] = true // of a program that has certificates: TestCertificatesEnd of cmd/wattmark-oracle
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(wattmark_[a-z_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		rows = append(rows, m[1])
		if !told[m[1]] {
			t.Errorf("the page explains %s, which there is not", m[1])
		}
	}
	for name := range told {
		if !slices.Contains(rows, name) {
			t.Errorf("the page does not explain %s", name)
		}
	}
	for _, reason := range []string{"halted", "no_broker", "catching_up", "quarantined", "no_quorum", "disk_full"} {
		if !strings.Contains(string(page), "| `"+reason+"` |") {
			t.Errorf("the page does not explain why an oracle is not ready: %s", reason)
		}
	}
}
