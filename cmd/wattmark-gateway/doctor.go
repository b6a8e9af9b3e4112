package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/gateway"
	"wattmark/gateway/console"
	"wattmark/gateway/doctor"
)

// exitWarnings is how doctor ends when nothing is worse than a warning.
const exitWarnings = 3

func newDoctor() *cobra.Command {
	var asJSON, fix bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what can be wrong, and say what to do about it",
		Long: `Doctor looks the machine, its buses and parts, clock, disk, key, enrolment and
connection over, and says of each whether it is well, with one line of remedy
where it is not. It asks the gateway if it runs, and reads the parts itself if
not. With sudo it sees more. It changes nothing.

With --fix it does what can be undone again, and says what it did: modes of
files, services that are not switched on, a configuration that is not in force
yet.

Exit status: 0 all is well, 1 there is a fault, 2 wrong usage, 3 warnings only.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			r, err := examine(cmd.Context(), name)
			if err != nil {
				return err
			}
			var failure error
			if fix {
				failure = r.Fix(cmd.Context())
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			} else {
				_, err = cmd.OutOrStdout().Write(diagnosis(r))
			}
			if err != nil {
				return failed(err)
			}
			switch {
			case failure != nil:
				return failed(failure)
			case r.Faults > 0:
				return &exitError{exitFailed, nil}
			case r.Warnings > 0:
				return &exitError{exitWarnings, nil}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&fix, "fix", false, "do what can be undone again, and say what was done")
	return c
}

// examine examines the gateway of a configuration. The error has its exit status.
func examine(ctx context.Context, name string) (*doctor.Report, error) {
	file, err := gateway.ReadFile(name)
	if file == nil {
		return nil, &exitError{exitFailed, err}
	}
	p := file.Patient(err, gateway.Readers{OracleKeys: readOracleKeys})
	defer p.Console.Close()
	if err == nil {
		p.Read = func(ctx context.Context) (console.Live, error) {
			buses, err := openBuses(file, "")
			if err != nil {
				return console.Live{}, err
			}
			defer buses.Close()
			return buses.Live(ctx)
		}
	}
	return doctor.Examine(ctx, doctor.Machine{}, p), nil
}

// diagnosis is a report for people. What is worst stands last, where a terminal shows it.
func diagnosis(r *doctor.Report) []byte {
	var b bytes.Buffer
	well := 0
	for _, level := range []doctor.Level{doctor.OK, doctor.Warn, doctor.Fault} {
		for i := range r.Findings {
			f := &r.Findings[i]
			if f.Level != level {
				continue
			}
			well += map[bool]int{true: 1}[level == doctor.OK]
			thing := f.Check
			if f.Of != "" {
				thing += " " + f.Of
			}
			// What is well has one line, what is not as many as it needs.
			if level == doctor.OK {
				fmt.Fprintln(&b, cut(fmt.Sprintf("%-6s%-24s %s", level, thing, f.Text), screenWidth))
			} else {
				paragraph(&b, fmt.Sprintf("%-6s", level), thing+": "+f.Text)
			}
			if f.Done != "" {
				paragraph(&b, "      done: ", f.Done)
			} else if level != doctor.OK {
				paragraph(&b, "      do:   ", f.Remedy)
			}
		}
		if level == doctor.OK {
			skipped(&b, r.Skipped)
		}
	}
	var sum []string
	for _, n := range []struct {
		n    int
		what string
	}{{r.Faults, "fault"}, {r.Warnings, "warning"}} {
		if n.n > 0 {
			sum = append(sum, counted(n.n, n.what))
		}
	}
	sum = append(sum, fmt.Sprintf("%d ok", well))
	fmt.Fprintf(&b, "\n%s at %s: %s.\n", or(r.Gateway, "Gateway"), r.Time.Format(time.DateTime+"Z"), strings.Join(sum, ", "))
	return b.Bytes()
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// paragraph writes a text in lines that begin at the same column, the first with a mark.
func paragraph(b *bytes.Buffer, mark, text string) {
	for _, line := range wrapped(mark, text) {
		fmt.Fprintln(b, line)
	}
}

// skipped tells which checks could not be made, by their reasons.
func skipped(b *bytes.Buffer, all []doctor.Skipped) {
	var reasons []string
	names := make(map[string][]string)
	for _, s := range all {
		if len(names[s.Why]) == 0 {
			reasons = append(reasons, s.Why)
		}
		names[s.Why] = append(names[s.Why], s.Check)
	}
	for _, why := range reasons {
		paragraph(b, "-     ", fmt.Sprintf("not looked at (%s): %s", why, strings.Join(names[why], ", ")))
	}
}
