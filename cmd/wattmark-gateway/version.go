package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"wattmark/gateway"
)

func newVersion() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built with and for",
		Long: `Version prints the version of the program: of a package that of the package. It
is also in each birth message and in the status.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(thisProgram()))
			}
			_, err := io.WriteString(cmd.OutOrStdout(), versionLine())
			return failed(err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func thisProgram() built {
	return built{gateway.Version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
}

func versionLine() string {
	v := thisProgram()
	return fmt.Sprintf("wattmark-gateway %s (%s, %s)\n", v.Version, v.Go, v.Platform)
}

// built is what version prints.
type built struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"` // as "linux/arm64"
}
