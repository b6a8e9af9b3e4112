// Command wattmark-oracle is an oracle: it checks what gateways send, puts it into one
// order with the other oracles, seals it into blocks and cosigns them. "wattmark-oracle
// help" lists its verbs; each is one file here.
//
// Results go to standard output, everything else to standard error. Exit statuses: 0
// done, 1 failed, 2 wrong usage.
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
	var failure *failure
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failure):
		fmt.Fprintln(stderr, failure.err)
		return exitFailed
	}
	// What cobra itself refuses is usage; verbs wrap their failures.
	fmt.Fprintf(stderr, "wattmark-oracle: %v\nRun '%s --help' for usage.\n", err, cmd.CommandPath())
	return exitUsage
}

// failure ends the program with exit status 1.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// failed makes the error of a verb's work a failure.
func failed(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &failure{fmt.Errorf("wattmark-oracle: %w", err)}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "wattmark-oracle",
		Short:         "Checks, orders and seals what gateways send, together with other oracles",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return command.UnknownVerb(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(command.NearestFlag)
	root.SetUsageFunc(command.Usage)
	root.PersistentFlags().String("config", defaultFile, "the configuration `FILE`")
	root.AddCommand(newInit(), newRun(), newStatus(), newPermissions(), newCertificate(), newWitness(), newServer(), newRekey(), newBackup(), newVersion())
	command.AddExamples(root, examples)
	return root
}

// examples are of the commands that have none beside their own text.
var examples = map[string]string{
	"certificate": "wattmark-oracle certificate gateway home-06",
	"init":        "wattmark-oracle init --config oracle.toml",
	"permissions": "wattmark-oracle permissions --config oracle.toml",
	"run":         "wattmark-oracle run --config /etc/wattmark/oracle.toml",
	"status":      "wattmark-oracle status --json",
	"version":     "wattmark-oracle version --json",
	"witness":     "wattmark-oracle witness --dir DIR --name witness.example --policy policy",
}
