// Command wattmark is Wattmark's tool for people: it runs the demonstration
// street, verifies what somebody handed over, looks into a ledger, and measures.
// "wattmark help" lists its nouns; each is one file here.
//
// Results go to standard output, everything else to standard error. Exit
// statuses: 0 done, 1 failed or could not be checked, 2 wrong usage, 3 checked
// and false.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"wattmark/cmd/internal/command"
)

// Exit statuses besides those of ledger/audit.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks a second time does not want to wait for an orderly end
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: testscript calls it as a command.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.err != nil {
			newPage(stderr).line(2, "wattmark: %v", exit.err)
		}
		return exit.code
	}
	// What cobra itself refuses is usage; commands wrap their failures.
	newPage(stderr).line(2, "wattmark: %v", err)
	fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	return exitUsage
}

// exitError ends the program with a status, and a message unless err is nil.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// failed turns an error of a command's work into exit status 1.
func failed(err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return &exitError{exitFailed, err}
}

// usageWidth is how wide help is, in columns.
const usageWidth = 79

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "wattmark",
		Short: "Signed sensor readings, a ledger nobody can change alone, and proofs",
		Long: `Wattmark turns sensor readings that gateways signed into a ledger that nobody
can change alone, for peer-to-peer energy trading and carbon accounting.

Start with:  wattmark demo`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", fmt.Sprintf(".FlagUsagesWrapped %d ", usageWidth)))
	root.AddCommand(newDemo(), newVerify(), newLedger(), newGateway(), newMember(), newMarket(), newCarbon(), newBench(), newRelease(), newVersion(), newMan())
	command.AddExamples(root, examples)
	completeNames(root)
	return root
}

// noun returns a command that only groups verbs, and says so when used alone.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return fmt.Errorf("%q needs a verb: see '%s --help'", cmd.CommandPath(), cmd.CommandPath())
		},
	}
	c.AddCommand(verbs...)
	return c
}
