package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newRun() *cobra.Command {
	var check, debug bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Check, order, seal and cosign, until SIGTERM",
		Long: `Run is the oracle. It starts its own broker, or reaches the servers that the
configuration names; it runs on the charter that was accepted here, and refuses
any other.

The whole configuration is checked before anything starts, and everything that
is wrong with it is listed. SIGTERM ends it cleanly; a kill loses nothing that
anybody was promised. An oracle that cannot know which history is right halts:
it writes nothing more, serves reads, and says so.

Exit status: 0 ended as asked, 1 could not start or had to stop, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := configured(cmd)
			if err != nil {
				return err
			}
			if check {
				return failed(printChecked(cmd.OutOrStdout(), f))
			}
			level := slog.LevelInfo
			if debug {
				level = slog.LevelDebug
			}
			d := &daemon{file: f, log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})), changed: make(chan struct{}, 1)}
			return failed(d.run(cmd.Context()))
		},
	}
	c.Flags().BoolVar(&check, "check", false, "check the configuration and the charter, print what would run, and end")
	c.Flags().BoolVar(&debug, "debug", false, "log what is for those who look for a fault")
	return c
}

// printChecked prints what a configuration comes to.
func printChecked(w io.Writer, f *file) error {
	a, err := f.state().agreed()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, s := range f.fill.Settings("", f) {
		origin := "default"
		if s.Line > 0 {
			origin = fmt.Sprintf("line %d", s.Line)
		}
		fmt.Fprintf(t, "%s\t= %s\t# %s\n", s.Key, s.Value, origin)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&text, "\nThe configuration is right: oracle %s of %s would run, one of %d.\n", a.own.Oracle.Name, a.charter.Origin, len(a.charter.Oracles))
	_, err = w.Write(text.Bytes())
	return err
}
