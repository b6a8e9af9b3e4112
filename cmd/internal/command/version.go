package command

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

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
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built with and for",
		Long: `Version prints the version of the program: of a package that of the package,
else the commit that it was built from.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := cmd.OutOrStdout()
			if asJSON {
				return failed(json.NewEncoder(w).Encode(built{version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}))
			}
			_, err := io.WriteString(w, VersionLine(program, version()))
			return failed(err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
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
