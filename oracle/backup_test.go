package oracle_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/oracle"
)

// TestBackups reads what was noted, and says of a damaged note what to do.
func TestBackups(t *testing.T) {
	dir := t.TempDir()
	if b, err := oracle.ReadBackups(dir); err != nil || len(b) != 0 {
		t.Errorf("nothing was noted, and read as %v, %v", b, err)
	}
	want := oracle.Backups{oracle.BackupLedger: time.Date(2026, 6, 17, 10, 0, 0, 0, time.UTC), oracle.BackupCheck: time.Date(2026, 6, 18, 0, 0, 1, 0, time.UTC)}
	text, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		text, err string
		want      oracle.Backups
	}{
		{string(text), "", want},
		{`{"ledger":"2026-06-17T12:00:00+02:00","tape":"soon"}`, "", oracle.Backups{oracle.BackupLedger: want[oracle.BackupLedger]}},
		{`{"vault":"yesterday"}`, `"yesterday" is no time: delete it`, nil},
		{`{"vault":`, "delete it", nil},
		{`{"vault":"` + strings.Repeat("x", 5000) + `"}`, "more than 4096 bytes", nil},
	} {
		if err := os.WriteFile(filepath.Join(dir, oracle.BackupsFile), []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := oracle.ReadBackups(dir)
		if diff := cmp.Diff(test.want, got); test.err == "" && (err != nil || diff != "") {
			t.Errorf("%.60s: %v\n%s", test.text, err, diff)
		} else if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%.60s: %v, want %s", test.text, err, test.err)
		}
	}
}

// FuzzBackups: what is read is written and read again as the same.
func FuzzBackups(f *testing.F) {
	f.Add([]byte(`{"ledger":"2026-06-17T10:00:00Z","vault":"2026-06-17T10:00:00.5+05:30"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := oracle.ParseBackups(text)
		if err != nil {
			return
		}
		again, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := oracle.ParseBackups(again)
		if err != nil {
			t.Fatalf("%s is not read again: %v", again, err)
		}
		for kind, at := range b {
			if !got[kind].Equal(at.Truncate(time.Second)) {
				t.Fatalf("%s: %v is read again as %v", kind, at, got[kind])
			}
		}
	})
}
