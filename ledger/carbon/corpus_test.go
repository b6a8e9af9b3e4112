package carbon_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/carbon"
)

var update = flag.Bool("update", false, "write results of new files of the corpus; stored ones are never rewritten")

// notes are for people and no part of the format.
var notes = regexp.MustCompile(`"note":"([^"\\]|\\.)*"`)

// TestCorpus computes stored files, on every architecture to the same bytes. The
// pages' examples, whose results were written by hand, are among them.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.in")
	if err != nil || len(files) < 3 {
		t.Fatalf("the corpus has %d files: %v", len(files), err)
	}
	for _, name := range files {
		base := strings.TrimSuffix(name, ".in")
		t.Run(filepath.Base(base), func(t *testing.T) {
			in, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			switch filepath.Ext(base) {
			case ".emissions":
				got, err = carbon.Emissions(in)
			case ".convert":
				got, err = carbon.Convert(in)
			case ".check":
				got, _, err = carbon.CheckUnits(in)
			case ".export":
				got, _, _, err = carbon.Export(in)
			case ".import":
				got, _, err = carbon.Import(in, false)
			default:
				t.Fatalf("what is %s?", base)
			}
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(base + ".out")
			if errors.Is(err, os.ErrNotExist) && *update {
				want, err = got, os.WriteFile(base+".out", got, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(blank(want), blank(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// blank takes the notes out of a result.
func blank(b []byte) string { return string(notes.ReplaceAll(b, []byte(`"note":"..."`))) }
