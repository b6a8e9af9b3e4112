package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// TestBillOfMaterials: the program as it is built names the modules that are linked into it:
// those of the reviewed list, and nothing else.
func TestBillOfMaterials(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), buildBinary(t), "version", "--sbom").Output()
	if err != nil {
		t.Fatal(err)
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(out), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
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
