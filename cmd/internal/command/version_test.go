package command_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"

	"wattmark/cmd/internal/command"
)

// TestVersion: the version is a line, an object, or a bill of materials that readers of
// CycloneDX read and which is the same each time. (A test has no modules: what is in a
// program's is held against it in cmd/wattmark.)
func TestVersion(t *testing.T) {
	says := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		c := command.NewVersion("wattmark-test", func() string { return "1.2.3" }, func(err error) error { return err })
		c.SetArgs(args)
		c.SetOut(&out)
		c.SetErr(&out)
		if err := c.Execute(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := says(); !strings.HasPrefix(got, "wattmark-test 1.2.3 (go1.") {
		t.Errorf("the line is %q", got)
	}
	if got := says("--json"); !strings.HasPrefix(got, `{"version":"1.2.3","go":"go1.`) {
		t.Errorf("the object is %s", got)
	}
	text := says("--sbom")
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(strings.NewReader(text), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	parts, on := *bom.Components, (*bom.Dependencies)[0]
	if bom.Metadata.Component.Name != "wattmark-test" || bom.Metadata.Component.Version != "1.2.3" || on.Ref != "wattmark-test" || len(*on.Dependencies) != len(parts) || parts[0].Name != "std" {
		t.Errorf("it is of %+v, with %d parts", bom.Metadata.Component, len(parts))
	}
	if again := says("--sbom"); again != text {
		t.Error("it is another one the second time")
	}

	full := errors.New("the disk is full")
	c := command.NewVersion("x", func() string { return "1" }, func(err error) error { return errors.Join(err) })
	c.SetArgs([]string{"--sbom"})
	c.SetOut(broken{full})
	c.SilenceErrors, c.SilenceUsage = true, true
	if err := c.Execute(); !errors.Is(err, full) {
		t.Errorf("on a full disk: %v", err)
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }
