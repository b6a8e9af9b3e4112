package hardwaretest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wattmark/hardware"
)

// Report is Rows and what else b says: warnings, then what the part said of itself.
func Report(about hardware.Descriptor, b *hardware.Batch) []string {
	all := Rows(about, b)
	for _, w := range b.Warnings {
		all = append(all, "warning "+w)
	}
	if b.Identity != (hardware.Identity{}) {
		all = append(all, fmt.Sprintf("identity %q %q %q %q", b.Identity.Manufacturer, b.Identity.Model, b.Identity.Serial, b.Identity.Version))
	}
	if len(b.Models) > 0 {
		all = append(all, fmt.Sprint("models ", b.Models))
	}
	return all
}

// Recordings are the transcripts in testdata, by the file's name. There is at least one.
func Recordings(t testing.TB) map[string]*hardware.Transcript {
	t.Helper()
	return recordings(t, "*")
}

func recordings(t testing.TB, pattern string) map[string]*hardware.Transcript {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern+".transcript"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings %s: %v", pattern, err)
	}
	all := make(map[string]*hardware.Transcript)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if all[filepath.Base(file)], err = hardware.ParseTranscript(text); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return all
}

// Captures decodes each testdata/*.transcript with device and compares what comes out
// with the lines of the file beside it that ends in .want: those of Report, or one that
// starts with "refused " and is part of the error. With update it writes that file.
func Captures(t *testing.T, device hardware.Device, update bool, pattern string) {
	t.Helper()
	for file, recorded := range recordings(t, pattern) {
		var got []string
		if b, err := CheckDecode(t, device, recorded); err != nil {
			got = []string{"refused " + err.Error()}
		} else {
			got = Report(device.Describe(), b)
		}
		wanted := filepath.Join("testdata", strings.TrimSuffix(file, "transcript")+"want")
		if update {
			if err := os.WriteFile(wanted, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(wanted)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Split(strings.TrimSpace(string(want)), "\n"); !slices.Equal(lines, got) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, strings.Join(got, "\n"), want)
		}
	}
}
