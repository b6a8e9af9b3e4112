package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/cmd/internal/command"
	"wattmark/gateway"
	"wattmark/gateway/calibration"
	"wattmark/gateway/console"
	"wattmark/ledger/entry"
)

// exitAbandoned is how calibrate ends where somebody thought better of it.
const exitAbandoned = 4

func newCalibrate() *cobra.Command {
	k := new(calibrator)
	c := &cobra.Command{
		Use:   "calibrate DEVICE",
		Short: "Compare a device with a reference, and correct it",
		Long: `Calibrate compares a channel of a device with a reference: with what another
instrument shows, typed in, or with another device of this gateway (--against).
It shows the error and its uncertainty, proposes a ratio, a sign or an offset,
and asks. Then the gateway that runs signs a record, which goes the way of
readings; later readings name it. What the command line leaves out is asked
for.

A register is compared for 10 minutes or 100 of its steps, another device as
long. --fresh-air has a CO2 sensor set itself by the air around it, outdoors.
--undo writes the values before as a new record.

Exit status: 0 signed, 1 failed, 2 wrong usage, 4 abandoned: nothing changed.`,
		Example: `  wattmark-gateway calibrate grid --channel active_power
  wattmark-gateway calibrate grid --channel active_energy_import --against house
  wattmark-gateway calibrate air --fresh-air
  wattmark-gateway calibrate grid --undo`,
		Args: command.One("the DEVICE to calibrate"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			if err := k.parse(); err != nil {
				return err
			}
			k.config, k.device = name, args[0]
			k.out, k.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			k.ask = newQuestions(cmd.InOrStdin(), cmd.ErrOrStderr())
			err = k.run(cmd.Context())
			if errors.Is(err, errAbandoned) {
				fmt.Fprintln(k.err, "Abandoned: nothing was changed.")
				return &exitError{code: exitAbandoned}
			}
			return failed(err)
		},
	}
	f := c.Flags()
	f.StringVar(&k.channel, "channel", "", "the `CHANNEL` to calibrate")
	f.StringVar(&k.typed, "reference", "", "what the reference shows, in the channel's unit")
	f.StringVar(&k.uncertainty, "uncertainty", "", "the reference's uncertainty (k = 2): \"0.5%\", or in the unit")
	f.StringVar(&k.against, "against", "", "compare with another `DEVICE`, or DEVICE.CHANNEL")
	f.StringVar(&k.instrument, "instrument", "", "the `MODEL` of the reference")
	f.StringVar(&k.instrumentSerial, "instrument-serial", "", "its serial number")
	f.StringVar(&k.certificate, "certificate", "", "the number of its calibration's certificate")
	f.StringVar(&k.person, "person", "", "who calibrates")
	f.StringVar(&k.serial, "serial", "", "the device's serial number, where it does not tell it")
	f.BoolVar(&k.freshAir, "fresh-air", false, "a CO2 sensor sets itself by the air, which is fresh")
	f.BoolVar(&k.undo, "undo", false, "take the calibration in force back")
	f.BoolVar(&k.yes, "yes", false, "do not ask before it is signed")
	f.BoolVar(&k.asJSON, "json", false, "print one JSON object")
	return c
}

var errAbandoned = errors.New("abandoned")

// calibrator is one run of the verb.
type calibrator struct {
	channel, typed, uncertainty, against      string
	instrument, instrumentSerial, certificate string
	person, serial                            string
	freshAir, undo, yes, asJSON               bool

	config, device string
	out, err       io.Writer
	ask            *questions

	file    *gateway.File
	client  *console.Client
	now     console.DeviceValue // the device
	samples *calibration.Comparison
}

// calibrated is what --json prints.
type calibrated struct {
	Version int    `json:"version"`
	Device  string `json:"device"`
	Channel string `json:"channel"`
	Method  string `json:"method"`
	// Error and Uncertainty are shares, or in the unit for what is corrected by an offset.
	Error       *float64        `json:"error,omitempty"`
	Uncertainty *float64        `json:"uncertainty,omitempty"`
	Before      console.Factors `json:"before"`
	After       console.Factors `json:"after"`
	Record      string          `json:"record"` // identity of the signed calibration
	// Setting is what a part changed in itself.
	Setting       string `json:"setting,omitempty"`
	SettingBefore string `json:"setting_before,omitempty"`
	SettingAfter  string `json:"setting_after,omitempty"`
}

// parse refuses flags that do not go together.
func (k *calibrator) parse() error {
	switch {
	case k.undo && (k.freshAir || k.typed != "" || k.against != "" || k.uncertainty != ""):
		return errors.New("--undo goes without a reference: it takes back what is in force")
	case k.freshAir && (k.against != "" || k.uncertainty != "" || k.certificate != ""):
		return errors.New("--fresh-air goes without an instrument: the air is the reference")
	case k.against != "" && k.typed != "":
		return errors.New("--against and --reference: take one of them")
	}
	if k.typed != "" {
		if _, err := calibration.ParseDecimal(k.typed); err != nil {
			return fmt.Errorf("--reference: %w", err)
		}
	}
	return nil
}

func (k *calibrator) run(ctx context.Context) error {
	var err error
	if k.file, err = gateway.ReadFile(k.config); err != nil {
		return &exitError{exitFailed, err}
	}
	other, _, _ := strings.Cut(k.against, ".")
	for _, name := range []string{k.device, other} {
		if err := knownDevice(k.file, name); err != nil {
			return &exitError{exitUsage, fmt.Errorf("wattmark-gateway: %w", err)}
		}
	}
	k.client = console.NewClient(k.file.Path(k.file.Gateway.Console))
	defer k.client.Close()
	live, err := k.live(ctx)
	if err != nil {
		return err
	}
	k.now = *live[k.device]
	if k.serial == "" {
		k.serial = k.now.Serial
	}
	c := &entry.Calibration{Device: k.device, Model: k.now.Model}
	r := calibration.Request{Point: k.now.Point}
	var show calibrated
	switch {
	case k.undo:
		show, err = k.takeBack(c)
	case k.freshAir:
		show, err = k.inFreshAir(ctx, c, &r)
	default:
		show, err = k.compare(ctx, c)
	}
	if err != nil {
		return err
	}
	c.Serial = k.serial
	if c.Person, err = k.ask.text(ctx, k.person, "Who calibrates (name, or licence number)"); err != nil {
		return err
	}
	c.Time = time.Now().UnixMilli()
	if !k.yes {
		yes, err := k.ask.yes(ctx, "Sign this, and put it in force?")
		if err != nil || !yes {
			return cmp.Or(err, errAbandoned)
		}
	}
	return k.sign(ctx, c, r, show)
}

// live asks the gateway for the newest values, by device.
func (k *calibrator) live(ctx context.Context) (map[string]*console.DeviceValue, error) {
	asking, cancel := context.WithTimeout(ctx, patientEnough)
	defer cancel()
	live, err := k.client.Live(asking)
	switch {
	case ctx.Err() != nil:
		return nil, errAbandoned
	case errors.Is(err, console.ErrNotRunning):
		return nil, fmt.Errorf("%w\nhint: the gateway signs the record, so it has to run: systemctl start wattmark-gateway", err)
	case err != nil:
		return nil, err
	}
	all := make(map[string]*console.DeviceValue)
	for i := range live.Devices {
		all[live.Devices[i].Name] = &live.Devices[i]
	}
	for _, name := range []string{k.device, strings.SplitN(k.against, ".", 2)[0]} {
		if d := all[name]; name == "" {
		} else if d == nil {
			return nil, fmt.Errorf("the gateway that runs does not know the device %q: reload it with systemctl reload wattmark-gateway", name)
		} else if d.Error != "" {
			return nil, fmt.Errorf("device %q gives no values: %s", name, d.Error)
		}
	}
	return all, nil
}

// pick finds the channel, or asks which.
func (k *calibrator) pick(ctx context.Context) (console.Value, error) {
	var names []string
	for _, v := range k.now.Values {
		names = append(names, v.Channel)
	}
	if len(names) == 0 {
		return console.Value{}, fmt.Errorf("device %q has given no values yet: try again in a moment", k.device)
	}
	if k.channel == "" {
		for _, l := range wrapped("", "Channels: "+strings.Join(names, ", ")+".") {
			fmt.Fprintln(k.err, l)
		}
		var err error
		if k.channel, err = k.ask.text(ctx, "", "Which channel"); err != nil {
			return console.Value{}, err
		}
	}
	i := slices.Index(names, k.channel)
	if i < 0 {
		return console.Value{}, fmt.Errorf("device %q has no channel %q%s", k.device, k.channel, command.DidYouMean(gateway.Nearest(k.channel, names)))
	}
	return k.now.Values[i], nil
}

// inForce are the factors of the channel.
func (k *calibrator) inForce(channel string) (entry.Factors, *console.Correction, error) {
	for i := range k.now.Corrections {
		if c := &k.now.Corrections[i]; c.Channel == channel {
			f, err := calibration.ParseFactors(c.Factors)
			return f, c, err
		}
	}
	return entry.Uncorrected, nil, nil
}

// takeBack prepares the record of an undo.
func (k *calibrator) takeBack(c *entry.Calibration) (calibrated, error) {
	if k.channel == "" && len(k.now.Corrections) > 0 {
		if len(k.now.Corrections) > 1 {
			var names []string
			for _, c := range k.now.Corrections {
				names = append(names, c.Channel)
			}
			return calibrated{}, fmt.Errorf("several channels are calibrated: say with --channel which of %s", strings.Join(names, ", "))
		}
		k.channel = k.now.Corrections[0].Channel
	}
	before, now, err := k.inForce(k.channel)
	switch {
	case err != nil:
		return calibrated{}, err
	case now == nil:
		return calibrated{}, fmt.Errorf("no calibration of device %q is in force that could be taken back", k.device)
	case now.Before == nil:
		return calibrated{}, errors.New("what was in force before is not known here: calibrate again")
	}
	after, err := calibration.ParseFactors(*now.Before)
	if err != nil {
		return calibrated{}, err
	}
	if c.Undoes, err = hex.DecodeString(now.Record); err != nil {
		return calibrated{}, err
	}
	c.Method = "undo"
	c.Corrections = []entry.Correction{{Channel: k.now.Prefix + k.channel, Before: before, After: after}}
	fmt.Fprintf(k.err, "%s %s: takes back record %.12s.\n", k.device, k.channel, now.Record)
	fmt.Fprintf(k.err, "  in force    %s\n  before it   %s\n", factorsText(now.Factors), factorsText(*now.Before))
	return k.shows(c), nil
}

// shows is what --json prints of a record.
func (k *calibrator) shows(c *entry.Calibration) calibrated {
	one := c.Corrections[0]
	return calibrated{Version: 1, Device: k.device, Channel: k.channel, Method: c.Method, Before: consoleFactors(one.Before), After: consoleFactors(one.After)}
}

func consoleFactors(f entry.Factors) console.Factors {
	return console.Factors{Ratio: f.Ratio.String(), Sign: f.Sign, Offset: f.Offset.String()}
}

// What air outdoors has, in ppm: about 425 in 2025 by NOAA's global mean; an MH-Z19B takes
// 400 and nothing else for fresh air.
const (
	outdoors  = 425
	zeroPoint = 400
	// freshest and stalest are what a sensor that drifted may show in fresh air.
	freshest, stalest = 250, 800
)

// inFreshAir prepares the record of a CO2 sensor that sets itself.
func (k *calibrator) inFreshAir(ctx context.Context, c *entry.Calibration, r *calibration.Request) (calibrated, error) {
	if k.channel == "" {
		k.channel = "co2"
	}
	v, err := k.pick(ctx)
	if err != nil {
		return calibrated{}, err
	}
	if v.Unit != "ppm" || !k.now.Adjusts {
		return calibrated{}, fmt.Errorf("%s of device %q does not set itself by the air: compare it with a reference", k.channel, k.device)
	}
	if x, err := strconv.ParseFloat(v.Value, 64); err != nil || x < freshest || x > stalest {
		return calibrated{}, fmt.Errorf("device %q shows %s ppm, and fresh air has about %d: carry it outdoors, and wait until it shows between %d and %d", k.device, v.Value, outdoors, freshest, stalest)
	}
	reference := entry.Int(outdoors)
	if k.now.Model == "mhz19b" {
		reference = entry.Int(zeroPoint)
	}
	if k.typed != "" {
		if reference, err = calibration.ParseDecimal(k.typed); err != nil {
			return calibrated{}, err
		}
	}
	before, _, err := k.inForce(k.channel)
	if err != nil {
		return calibrated{}, err
	}
	c.Method = "fresh-air"
	c.Corrections = []entry.Correction{{Channel: k.now.Prefix + k.channel, Before: before, After: entry.Uncorrected}}
	r.Adjust = &calibration.Adjust{Channel: k.channel, Reference: reference}
	fmt.Fprintf(k.err, "%s shows %s ppm and sets itself to %s ppm. It keeps that for good: --undo does not\nreach into the part.\n", k.device, v.Value, reference)
	if !k.yes {
		yes, err := k.ask.yes(ctx, "Is it outdoors, in the shade, away from people, and was for 20 minutes?")
		if err != nil || !yes {
			return calibrated{}, cmp.Or(err, errAbandoned)
		}
	}
	return k.shows(c), nil
}

// wait is how long calibrate waits for the gateway to take the request.
const wait = 30 * time.Second

// sign hands the record to the gateway, and says what became of it.
func (k *calibrator) sign(ctx context.Context, c *entry.Calibration, r calibration.Request, show calibrated) error {
	payload, err := c.Encode()
	if err != nil {
		return err
	}
	r.Calibration, r.Until = payload, time.Now().Add(wait)
	a, err := calibration.In(k.file.Path(k.file.Gateway.State)).Ask(ctx, r)
	switch {
	case errors.Is(err, calibration.ErrWithdrawn):
		return errAbandoned
	case errors.Is(err, calibration.ErrUnknown):
		return fmt.Errorf("%w: wattmark-gateway read %s tells what is in force", err, k.device)
	case err != nil:
		return fmt.Errorf("%w\nhint: run it with sudo, or as the gateway's user, while the gateway runs", err)
	case a.Error != "":
		return fmt.Errorf("the gateway refuses: %s", a.Error)
	}
	show.Record, show.Setting, show.SettingBefore, show.SettingAfter = a.Record, a.Setting, a.Before, a.After
	if k.asJSON {
		return json.NewEncoder(k.out).Encode(show)
	}
	if a.Setting != "" {
		fmt.Fprintf(k.out, "The part has set itself: %s is %s, was %s.\n", a.Setting, a.After, a.Before)
	}
	fmt.Fprintf(k.out, "Signed: record %s.\nReadings of %s name it from now on.\n", a.Record, k.device)
	return nil
}
