package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"wattmark/cmd/internal/command"
	"wattmark/gateway"
	"wattmark/gateway/calibration"
	"wattmark/gateway/console"
	"wattmark/gateway/verdict"
	"wattmark/ledger/entry"
)

func newRead() *cobra.Command {
	r := new(reader)
	c := &cobra.Command{
		Use:   "read [DEVICE]",
		Short: "Show live values, and what they come to in words",
		Long: `Read shows the newest values of all devices, or of one, with their age and a
verdict in words: what flows, and what looks wrong with clamps and phases. It
asks the running gateway, or, where none runs, reads the buses itself. Values
are corrected as the gateway's records are, where it runs.

With --expect, while a known load or source runs, it is a check: power must
flow that way, on each phase, and nothing may look wrong.

Exit status: 0 read, and as expected; 1 a device gave no values, or it is not
as expected; 2 wrong usage.`,
		Example: `  wattmark-gateway read
  wattmark-gateway read grid --watch
  wattmark-gateway read grid --expect import`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			switch verdict.Flow(r.expect) {
			case "", verdict.Import, verdict.Export:
			default:
				return fmt.Errorf("--expect is import or export, not %q", r.expect)
			}
			if len(args) > 0 {
				r.device = args[0]
			}
			r.name, r.out, r.err = name, cmd.OutOrStdout(), cmd.ErrOrStderr()
			return r.run(cmd.Context())
		},
	}
	f := c.Flags()
	f.BoolVar(&r.watch, "watch", false, "go on, each second, until Ctrl-C")
	f.StringVar(&r.expect, "expect", "", "check that power flows in this `DIRECTION`: import or export")
	f.BoolVar(&r.asJSON, "json", false, "print one JSON object, with --watch one a line")
	return c
}

// reader is one run of the verb.
type reader struct {
	watch, asJSON bool
	expect        string
	device        string // empty for all
	name          string // of the configuration
	out, err      io.Writer

	file *gateway.File
}

// values is where live values come from.
type values interface {
	Live(ctx context.Context) (console.Live, error)
	Close()
}

// read is what --json prints.
type read struct {
	Version int          `json:"version"`
	Time    time.Time    `json:"time"`
	From    string       `json:"from"` // "gateway", or "bus" where none runs
	Devices []readDevice `json:"devices"`
	OK      bool         `json:"ok"` // all devices gave values, and they are as expected
}

// readDevice is a device with what its values come to. Values are corrected.
type readDevice struct {
	console.DeviceValue
	Verdicts []verdict.Sentence `json:"verdicts"`
}

func (r *reader) run(ctx context.Context) error {
	var err error
	if r.file, err = gateway.ReadFile(r.name); err != nil {
		return &exitError{exitFailed, err}
	}
	if err := knownDevice(r.file, r.device); err != nil {
		return err
	}
	from, source, err := openValues(ctx, r.file, r.device)
	if err != nil {
		return failed(err)
	}
	defer source.Close()
	if from == "bus" && !r.asJSON {
		fmt.Fprintln(r.err, "The gateway does not run: reading the buses. Values are without calibrations.")
	}
	page := newWatchPage(r.out, r.watch && !r.asJSON)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ok := false
	for {
		live, err := source.Live(ctx)
		if err != nil && ctx.Err() == nil {
			return failed(err)
		}
		if ctx.Err() != nil {
			break
		}
		now := r.judge(from, &live)
		if now.Devices == nil {
			return failed(fmt.Errorf("the gateway that runs does not know the device %q: reload it with systemctl reload wattmark-gateway", r.device))
		}
		ok = now.OK
		if r.asJSON {
			err = json.NewEncoder(r.out).Encode(now)
		} else {
			err = page.show(readLines(now))
		}
		if err != nil {
			return failed(err)
		}
		if !r.watch {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	if !ok {
		return &exitError{code: exitFailed}
	}
	return nil
}

// knownDevice returns a usage error for a device that the configuration has not. Empty
// is all devices.
func knownDevice(f *gateway.File, name string) error {
	var names []string
	for _, d := range f.Devices {
		names = append(names, d.Name)
	}
	if name == "" || slices.Contains(names, name) {
		return nil
	}
	return fmt.Errorf("there is no device %q%s", name, command.DidYouMean(gateway.Nearest(name, names)))
}

// openValues asks the gateway that runs, or else opens the buses.
func openValues(ctx context.Context, f *gateway.File, device string) (from string, v values, err error) {
	c := console.NewClient(f.Path(f.Gateway.Console))
	asking, cancel := context.WithTimeout(ctx, patientEnough)
	defer cancel()
	_, err = c.Live(asking)
	switch {
	case err == nil:
		return "gateway", c, nil
	case errors.Is(err, console.ErrNotRunning):
		c.Close()
		v, err = openBuses(f, device)
		return "bus", v, err
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w\nhint: run it with sudo, or as a member of the group that owns the socket", err)
	}
	c.Close()
	return "", nil, err
}

// judge corrects the values of the devices that were asked for, and says what they come
// to.
func (r *reader) judge(from string, live *console.Live) *read {
	out := &read{Version: 1, Time: live.Time, From: from, OK: true}
	for _, d := range live.Devices {
		if r.device != "" && d.Name != r.device {
			continue
		}
		d.Values = corrected(&d)
		j := readDevice{DeviceValue: d, Verdicts: []verdict.Sentence{}}
		if len(d.Values) > 0 {
			j.Verdicts = append(j.Verdicts, verdict.Of(d.Values)...)
		}
		if d.Error != "" || len(d.Values) == 0 {
			out.OK = false
		}
		if r.expect != "" && len(d.Values) > 0 {
			s := verdict.Expect(d.Values, verdict.Flow(r.expect))
			if r.device == "" && s.Code == "expected_unknown" {
				out.Devices = append(out.Devices, j) // not every device is a meter
				continue
			}
			j.Verdicts = append(j.Verdicts, s)
			for _, s := range j.Verdicts {
				out.OK = out.OK && !s.Fault
			}
		}
		out.Devices = append(out.Devices, j)
	}
	return out
}

// corrected are the values of a device as records have them.
func corrected(d *console.DeviceValue) []console.Value {
	all := slices.Clone(d.Values)
	for _, c := range d.Corrections {
		f, err := calibration.ParseFactors(c.Factors)
		if err != nil {
			f = entry.Uncorrected // of another version of the gateway
		}
		for i := range all {
			if all[i].Channel != c.Channel {
				continue
			}
			if v, err := calibration.Apply(f, all[i].Value); err == nil {
				all[i].Value = v
			}
		}
	}
	return all
}
