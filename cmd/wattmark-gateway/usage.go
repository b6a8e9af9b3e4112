package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wattmark/gateway"
)

// unknownVerb is the error of a verb that is not there.
func unknownVerb(cmd *cobra.Command, name string) error {
	var verbs []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			verbs = append(verbs, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q%s", name, didYouMean(gateway.Nearest(name, verbs)))
}

// nearestFlag adds to an error of a flag the one that may have been meant.
func nearestFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var flags []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
	near := gateway.Nearest(strings.TrimLeft(unknown.GetSpecifiedName(), "-"), flags)
	if near != "" {
		near = "--" + near
	}
	return fmt.Errorf("%w%s", err, didYouMean(near))
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", near)
}
