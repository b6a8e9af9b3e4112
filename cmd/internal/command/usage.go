// Package command is what the daemons' command lines have in common: help that fits a
// terminal, and mistakes that say what may have been meant.
package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wattmark/gateway/settings"
)

// columns is the width of help: every terminal has so much.
const columns = 79

// Usage prints how a command is used. It is cobra's text with flags that fit the
// terminal; a template of cobra's does the same and makes the program larger by 2.7 MB,
// as text/template keeps the linker from leaving any method out.
func Usage(c *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if c.Runnable() {
		fmt.Fprintf(&b, "  %s\n", c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s [command]\n", c.CommandPath())
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		b.WriteString("\nAvailable Commands:\n")
		for _, v := range c.Commands() {
			if v.IsAvailableCommand() || v.Name() == "help" {
				fmt.Fprintf(&b, "  %-*s %s\n", v.NamePadding(), v.Name(), v.Short)
			}
		}
	}
	if c.HasAvailableLocalFlags() {
		b.WriteString("\nFlags:\n" + c.LocalFlags().FlagUsagesWrapped(columns))
	}
	if c.HasAvailableInheritedFlags() {
		b.WriteString("\nGlobal Flags:\n" + c.InheritedFlags().FlagUsagesWrapped(columns))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nUse \"%s [command] --help\" for more information about a command.\n", c.CommandPath())
	}
	_, err := io.WriteString(c.OutOrStderr(), b.String())
	return err
}

// One wants one argument, and says what it is.
func One(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes %s, and here are %d arguments", cmd.Name(), what, len(args))
		}
		return nil
	}
}

// UnknownVerb is the error of a verb that is not there.
func UnknownVerb(cmd *cobra.Command, name string) error {
	var verbs []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			verbs = append(verbs, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q%s", name, DidYouMean(settings.Nearest(name, verbs)))
}

// NearestFlag adds to an error of a flag the one that may have been meant.
func NearestFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var flags []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
	near := settings.Nearest(strings.TrimLeft(unknown.GetSpecifiedName(), "-"), flags)
	if near != "" {
		near = "--" + near
	}
	return fmt.Errorf("%w%s", err, DidYouMean(near))
}

// DidYouMean is the end of an error: near is the word that may have been meant, empty for
// none.
func DidYouMean(near string) string {
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", near)
}
