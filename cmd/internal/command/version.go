package command

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/spf13/cobra"
)

// built is what version prints.
type built struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"` // as "linux/arm64"
}

// VersionLine says what a program is, in a line.
func VersionLine(program, version string) string {
	return fmt.Sprintf("%s %s (%s, %s/%s)\n", program, version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// NewVersion is the verb version of a program. An error of writing is handed to failed.
func NewVersion(program string, version func() string, failed func(error) error) *cobra.Command {
	var asJSON, parts bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built with and for",
		Long: `Version prints the version of the program: of a package that of the package,
else the commit that it was built from. With --sbom it prints what is linked
into it, as a CycloneDX 1.6 bill of materials, for who looks for parts with
known flaws.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := cmd.OutOrStdout()
			if parts {
				return failed(writeParts(w, program, version()))
			}
			if asJSON {
				return failed(json.NewEncoder(w).Encode(built{version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}))
			}
			_, err := io.WriteString(w, VersionLine(program, version()))
			return failed(err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&parts, "sbom", false, "print the bill of materials, as JSON")
	c.MarkFlagsMutuallyExclusive("json", "sbom")
	return c
}

// Commit is the version of a program that was given none: the commit that it was built
// from, or "devel".
func Commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return "0.0.0~" + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return "devel"
}

// writeParts writes what is linked into this program. The same program gives the same bytes.
func writeParts(w io.Writer, program, version string) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return fmt.Errorf("%s was built without modules: build it with go build", program)
	}
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &cyclonedx.Component{
		BOMRef: program, Type: cyclonedx.ComponentTypeApplication, Name: program, Version: version,
	}}
	release := strings.TrimPrefix(info.GoVersion, "go")
	list := []cyclonedx.Component{{
		BOMRef: "pkg:golang/std@" + release, Type: cyclonedx.ComponentTypeLibrary, Name: "std", Version: release, PackageURL: "pkg:golang/std@" + release,
	}}
	for _, m := range info.Deps {
		for m.Replace != nil {
			m = m.Replace
		}
		at := "pkg:golang/" + m.Path + "@" + m.Version
		part := cyclonedx.Component{BOMRef: at, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: at}
		if m.Sum != "" { // of the module's files, as in go.sum
			part.Properties = &[]cyclonedx.Property{{Name: "go:sum", Value: m.Sum}}
		}
		list = append(list, part)
	}
	bom.Components = &list
	on := make([]string, 0, len(list))
	for _, part := range list {
		on = append(on, part.BOMRef)
	}
	slices.Sort(on)
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: program, Dependencies: &on}}
	return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
}
