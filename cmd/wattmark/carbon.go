package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"wattmark/ledger/carbon"
)

func newCarbon() *cobra.Command {
	return noun("carbon", "Compute tonnes, check carbon units, and pass them on",
		newCarbonEmissions(), newCarbonConvert(), newCarbonUnits(), newCarbonExport(), newCarbonImport(),
		newCarbonInventory(), newCarbonCertificates(), newCarbonRetire(), newCarbonEnter(), newCarbonConflicts(), newCarbonProve(),
		newCarbonHistory(), newCarbonJoin(), newCarbonStaged(), newCarbonCommit(), newCarbonUnstage(), newCarbonRecords())
}

func newCarbonEmissions() *cobra.Command {
	return &cobra.Command{
		Use:   "emissions FILE",
		Short: "Compute emissions from stacks, fuel and electricity",
		Long: `Emissions reads one JSON object with items: stack monitors, fuel meters,
electricity, substitution of missing hours, uncertainty. It prints what they
come to, as one line of JSON. FILE may be - for standard input.

Exit status: 0 computed, 1 the file could not be read, 2 wrong usage or input:
then nothing is printed but the first fault, by its field.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return pureCommand(cmd, args[0], always(carbon.Emissions))
		},
	}
}

func newCarbonConvert() *cobra.Command {
	return &cobra.Command{
		Use:   "convert FILE",
		Short: "Convert units, gas volumes, ppm and gases to CO2e",
		Long: `Convert reads one JSON object with conversions, each with the decimals it
wants, and prints the results as one line of JSON. FILE may be - for standard
input.

Exit status: 0 computed, 1 the file could not be read, 2 wrong usage or input:
then nothing is printed but the first fault, by its field.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return pureCommand(cmd, args[0], always(carbon.Convert))
		},
	}
}

func newCarbonUnits() *cobra.Command {
	return listUnits(noun("units", "Check carbon units", &cobra.Command{
		Use:   "check FILE",
		Short: "Find units, claims and projects that are counted twice",
		Long: `Check reads one JSON object with blocks of carbon units and their issuances,
and optionally splits, claims and projects. It prints what it found as one
line of JSON: an error is counted twice, a candidate is for a person to look
at. FILE may be - for standard input.

Exit status: 0 no errors were found, 1 some were, or the file could not be
read, 2 wrong usage or input: then nothing is printed but the first fault, by
its field.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return pureCommand(cmd, args[0], carbon.CheckUnits)
		},
	}))
}

// always is a rule on a file that has no other answer than yes.
func always(rule func([]byte) ([]byte, error)) func([]byte) ([]byte, bool, error) {
	return func(file []byte) ([]byte, bool, error) {
		result, err := rule(file)
		return result, true, err
	}
}

// pureCommand runs a rule on a file: it prints the whole result or nothing, and
// exits 0 where it is agreed, 1 where the answer is no, 2 for invalid input.
func pureCommand(cmd *cobra.Command, name string, rule func([]byte) (result []byte, agreed bool, err error)) error {
	file, err := readCarbonFile(cmd.InOrStdin(), name)
	if err != nil {
		return failed(err)
	}
	return pureResult(cmd, file, rule)
}

// pureResult is pureCommand on what was read.
func pureResult(cmd *cobra.Command, file []byte, rule func([]byte) (result []byte, agreed bool, err error)) error {
	result, agreed, err := rule(file)
	var fault *carbon.Fault
	switch {
	case errors.As(err, &fault):
		// One line, however narrow the terminal is: programs read it.
		fmt.Fprintf(cmd.ErrOrStderr(), "wattmark: %v\n", fault)
		return &exitError{code: exitUsage}
	case err != nil:
		return failed(err)
	}
	if _, err := cmd.OutOrStdout().Write(result); err != nil {
		return failed(fmt.Errorf("writing the result: %w", err))
	}
	if !agreed {
		return &exitError{code: exitFailed}
	}
	return nil
}

// readCarbonFile reads a file, or standard input where its name is -.
func readCarbonFile(stdin io.Reader, name string) ([]byte, error) {
	if name != "-" {
		if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() || info.IsDir() {
			return readLimited(name, maxFile)
		}
		f, err := os.Open(name) // a pipe, whose size nobody knows
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	b, err := io.ReadAll(io.LimitReader(stdin, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case len(b) > maxFile:
		return nil, fmt.Errorf("%s has more than %d bytes, the limit", name, maxFile)
	}
	return b, nil
}
