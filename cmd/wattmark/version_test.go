package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, text []byte) (bom cyclonedx.BOM) {
	t.Helper()
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(text), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	return bom
}

// TestBillOfMaterials: the program as it is built names the modules that are linked into it:
// those of the reviewed list, and nothing else.
func TestBillOfMaterials(t *testing.T) {
	binary := buildBinary(t)
	out, err := exec.CommandContext(t.Context(), binary, "version", "parts").Output()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), binary, "version", "parts", "deps.txt").CombinedOutput(); err == nil || !strings.Contains(string(out), "built with Go's modules") {
		t.Errorf("of what is no program it says %s (%v)", out, err)
	}
	bom := read(t, out)
	if out, err = exec.CommandContext(t.Context(), binary, "version", "parts", "--of", "1.2.3", binary).Output(); err != nil {
		t.Fatal(err)
	}
	if again := read(t, out); again.Metadata.Component.Version != "1.2.3" || !cmp.Equal(again.Components, bom.Components) {
		t.Errorf("asked of its own file it says\n%.600s", out)
	}
	var got []string
	for _, part := range *bom.Components {
		got = append(got, part.Name)
		if part.PackageURL != "pkg:golang/"+part.Name+"@"+part.Version || part.Version == "" {
			t.Errorf("a part: %+v", part)
		}
		if part.Name != "std" && (part.Properties == nil || !strings.HasPrefix((*part.Properties)[0].Value, "h1:")) {
			t.Errorf("%s has no sum", part.Name)
		}
	}
	text, err := os.ReadFile("deps.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"std"}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			want = append(want, line)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the parts are %v, and deps.txt has %v", got, want)
	}
}
