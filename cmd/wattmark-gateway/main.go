// Command wattmark-gateway reads meters and sensors, signs what they say, and keeps
// it until the oracles' receipts are there. "wattmark-gateway help" lists its verbs;
// each is one file here.
//
// Results go to standard output, everything else to standard error. Exit statuses: 0
// done, 1 failed, 2 wrong usage, 3 and above as the verb's help says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"wattmark/cmd/internal/command"
	"wattmark/gateway"
)

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks a second time does not want to wait for an orderly end
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintln(stderr, exit.err)
		}
		return exit.code
	}
	// What cobra itself refuses is usage; verbs wrap their failures.
	fmt.Fprintf(stderr, "wattmark-gateway: %v\nRun '%s --help' for usage.\n", err, cmd.CommandPath())
	return exitUsage
}

// exitError ends the program with a status, and a message unless err is nil.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d: %v", e.code, e.err) }

func (e *exitError) Unwrap() error { return e.err }

// failed turns an error of a verb's work into exit status 1.
func failed(err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return &exitError{exitFailed, fmt.Errorf("wattmark-gateway: %w", err)}
}

func newRoot() *cobra.Command {
	version := false
	root := &cobra.Command{
		Use:           "wattmark-gateway",
		Short:         "Reads meters and sensors, signs what they say, keeps it until it has a receipt",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return command.UnknownVerb(cmd, args[0])
			case version:
				_, err := io.WriteString(cmd.OutOrStdout(), command.VersionLine("wattmark-gateway", gateway.Version()))
				return failed(err)
			}
			return cmd.Help()
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(command.NearestFlag)
	root.SetUsageFunc(command.Usage)
	root.Flags().BoolVar(&version, "version", false, "print the version")
	root.PersistentFlags().String("config", gateway.DefaultFile, "the configuration `FILE`")
	root.AddCommand(newRun(), newEnrol(), newDecode(), newDoctor(), newStatus(), newConsole(), newBundle(), newScan(), newRead(), newCalibrate(), newVersion())
	command.AddExamples(root, examples)
	return root
}

// examples are of the verbs that have none beside their own text.
var examples = map[string]string{
	"console":        "wattmark-gateway console",
	"doctor":         "wattmark-gateway doctor --config /etc/wattmark/gateway.toml",
	"enrol":          "wattmark-gateway enrol --approval home-06.approval",
	"run":            "wattmark-gateway run --config /etc/wattmark/gateway.toml",
	"status":         "wattmark-gateway status --json",
	"support-bundle": "wattmark-gateway support-bundle home-06.tar.gz",
	"version":        "wattmark-gateway version --json",
}
