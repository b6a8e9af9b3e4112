package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"wattmark/gateway"
	"wattmark/ledger/audit"
	"wattmark/signer"
)

func newRun() *cobra.Command {
	var check, first bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Read, sign, keep and send, until SIGTERM",
		Long: `Run is the gateway: it reads the devices, signs what they say, keeps it and
sends it until each statement has its receipt.

The whole configuration is checked before anything starts, and everything that
is wrong with it is listed. SIGTERM makes what was read durable and ends within
5 s. SIGHUP reads the configuration again; if something is wrong with it the
old one stays in force and the log says why.

With --enrol a gateway that has no certificate yet but the one of
uplink.bootstrap asks for its enrolment first, on line, as enrol does: the log,
and on an appliance the machine's console, show the eight words for the operator
to compare. Images run so, as they have no shell.

Exit status: 0 ended as asked, 1 could not start or had to stop, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			if !check {
				feedWatchdog(cmd.Context(), imageFile, cmd.ErrOrStderr())
			}
			if first && !check {
				if err := enrolFirst(cmd.Context(), name, cmd.ErrOrStderr()); err != nil {
					return failed(err)
				}
			}
			file, cfg, err := load(name)
			if err != nil && !check {
				err = errors.Join(err, leaveTrial(imageFile))
			}
			if err != nil {
				return &exitError{exitFailed, err}
			}
			if check {
				return failed(printChecked(cmd.OutOrStdout(), file))
			}
			if os.Getenv("GOMAXPROCS") == "" {
				// A gateway sleeps nearly always. Threads that hand goroutines to each
				// other cost it more than its work does: a quarter of all (TestBudgets).
				runtime.GOMAXPROCS(1)
			}
			d := &daemon{name: name, log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))}
			if d.image, err = openImage(imageFile); err != nil {
				return failed(err)
			}
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			err = d.run(cmd.Context(), configured{file, cfg}, hup)
			if err != nil {
				err = errors.Join(err, leaveTrial(imageFile))
			}
			return failed(err)
		},
	}
	c.Flags().BoolVar(&first, "enrol", false, "where there is no certificate yet, ask for the enrolment on line first")
	c.Flags().BoolVar(&check, "check", false, "check the configuration, print what would run, and end")
	return c
}

// load reads a configuration and opens what it names. The error lists all that is
// wrong.
func load(name string) (*gateway.File, gateway.Config, error) {
	file, err := gateway.ReadFile(name)
	if file == nil {
		return nil, gateway.Config{}, err
	}
	// With mistakes in the file, those with what it names are listed too.
	cfg, err := file.Config(gateway.Readers{OracleKeys: readOracleKeys})
	return file, cfg, err
}

// readOracleKeys reads the keys that sign refusals from a JSON Web Key Set.
func readOracleKeys(set []byte) (map[signer.KeyID]signer.PublicKey, error) {
	keys, err := audit.ParseKeys(set)
	if err != nil {
		return nil, err
	}
	out := make(map[signer.KeyID]signer.PublicKey)
	for _, k := range keys.All() {
		if k.Role == audit.RoleOracle {
			out[k.Public.ID()] = k.Public
		}
	}
	return out, nil
}

// printChecked prints what a configuration comes to.
func printChecked(w io.Writer, f *gateway.File) error {
	var text bytes.Buffer
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, s := range f.Effective() {
		origin := "default"
		if s.Line > 0 {
			origin = fmt.Sprintf("line %d", s.Line)
		}
		fmt.Fprintf(t, "%s\t= %s\t# %s\n", s.Key, s.Value, origin)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&text, "\nThe configuration is right: %s on %s would run.\n", plural(len(f.Devices), "device", "devices"), plural(len(f.Buses), "bus", "buses"))
	_, err := w.Write(text.Bytes())
	return err
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
