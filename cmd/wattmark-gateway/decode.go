package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/gateway"
	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

func newDecode() *cobra.Command {
	var o decodeOptions
	c := &cobra.Command{
		Use:   "decode --device MODEL [flags] FILE",
		Short: "Decode what a device sent, without device or configuration",
		Long: `Decode decodes what a device sent, without device or configuration, and prints
the values exactly as the gateway would sign them. FILE is a recording, "-" for
standard input, in one of three forms:

  hex        pairs of hex digits; "#" begins a comment; lines that start with
             ">" were sent to the device, lines with "<" were received
  text       the bytes that a meter sent, untouched
  registers  lines "ADDRESS: VALUE VALUE ...", values at consecutive addresses
             in hex; Modbus lines may start with "input" or "holding"

Exit status: 0 decoded, 1 the recording is refused (standard error says
"refused: CODE: detail"), 2 wrong usage or a file that cannot be read.`,
		Example: `  wattmark-gateway decode --device sdm630 meter.transcript
  wattmark-gateway decode --device ina219 --format registers \
    --set shunt_ohm=0.1 -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args)
		},
	}
	c.Flags().StringVar(&o.device, "device", "", "the `MODEL` of the device")
	c.Flags().StringVar(&o.format, "format", "", "the `FORM` of FILE: hex, text or registers (default: the model's usual one)")
	c.Flags().StringArrayVar(&o.set, "set", nil, "a `KEY=VALUE` as in the [[device]] table; may be repeated")
	return c
}

type decodeOptions struct {
	device, format string
	set            []string
}

func (o *decodeOptions) run(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) != 1:
		return fmt.Errorf("decode takes one file, or - for standard input, not %d", len(args))
	case o.device == "":
		return fmt.Errorf("--device is missing: the models are %s", strings.Join(gateway.Models(), ", "))
	}
	m, err := gateway.LookupModel(o.device)
	if err != nil {
		return err
	}
	settings, err := o.settings(m)
	if err != nil {
		return err
	}
	device, err := m.Decoder(settings)
	switch {
	case err != nil && strings.HasPrefix(err.Error(), m.Name): // the driver said so
		return err
	case err != nil:
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	text, err := readInput(cmd.InOrStdin(), args[0])
	if err != nil {
		return err
	}
	decode, err := o.input(m, device, text)
	if err != nil {
		return err
	}
	var batch hardware.Batch
	err = decode(&batch)
	switch {
	case errors.Is(err, modbus.ErrNoRequest):
		return fmt.Errorf("%s: replies of %s mean nothing without their requests: give each before its reply, on a line that starts with \">\"", args[0], m.Name)
	case err != nil:
		return &exitError{exitFailed, fmt.Errorf("refused: %s: %s", refusalCode(err), refusalDetail(err))}
	}
	about := device.Describe()
	return failed(printDecoded(cmd.OutOrStdout(), m, &about, &batch))
}

// settings reads the --set flags.
func (o *decodeOptions) settings(m gateway.Model) ([]gateway.Setting, error) {
	var all []gateway.Setting
	keys := m.Keys()
	for _, s := range o.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--set %q is not of the form KEY=VALUE", s)
		}
		if near := gateway.Nearest(key, keys); near != "" && !slices.Contains(keys, key) {
			return nil, fmt.Errorf("--set: %s has no key %q; did you mean %q?", m.Name, key, near)
		}
		all = append(all, gateway.Setting{Key: key, Value: value})
	}
	return all, nil
}

// maxInput bounds what is read of a recording, in bytes: a dump of all registers of a
// Modbus unit has less.
const maxInput = 4 << 20

func readInput(stdin io.Reader, name string) ([]byte, error) {
	from := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(text) > maxInput {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxInput)
	}
	return text, nil
}

// input reads a recording, and returns what decodes it. Its errors are usage.
func (o *decodeOptions) input(m gateway.Model, device hardware.Device, text []byte) (func(*hardware.Batch) error, error) {
	form := gateway.Capture(o.format)
	if form == "" {
		form = m.Capture
	}
	var t *hardware.Transcript
	switch form {
	case gateway.CaptureRegisters:
		d, ok := device.(hardware.RegisterDecoder)
		if !ok {
			return nil, fmt.Errorf("%s has no registers: --format registers is not for it", m.Name)
		}
		r, err := hardware.ParseRegisters(text)
		if err != nil {
			return nil, err
		}
		return func(b *hardware.Batch) error { return d.DecodeRegisters(r, b) }, nil
	case gateway.CaptureText:
		t = new(hardware.Transcript)
		// What follows the first good frame does not matter, and no frame is that long.
		t.Receive(text[:min(len(text), hardware.MaxTranscript)])
	case gateway.CaptureHex:
		var err error
		if t, err = hardware.ParseTranscript(text); err != nil {
			return nil, err
		}
	default:
		forms := []string{"hex", "text", "registers"}
		if near := gateway.Nearest(o.format, forms); near != "" {
			return nil, fmt.Errorf("unknown format %q; did you mean %q?", o.format, near)
		}
		return nil, fmt.Errorf("unknown format %q: the formats are %s", o.format, strings.Join(forms, ", "))
	}
	d := device.(hardware.Decoder)
	return func(b *hardware.Batch) error { return d.Decode(t, b) }, nil
}

// refusalCode is the word for why a recording is refused.
func refusalCode(err error) string {
	for _, c := range []struct {
		is   error
		code string
	}{
		{hardware.ErrTruncated, "truncated"},
		{hardware.ErrWrongReply, "wrong_reply"},
		{hardware.ErrOverflow, "overflow"},
		{hardware.ErrChecksum, "bad_checksum"},
		{hardware.ErrWrongDevice, "wrong_device"},
		{hardware.ErrStale, "stale_reply"},
		{hardware.ErrDevice, "device_error"},
		{hardware.ErrNoData, "no_data"},
	} {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	return "malformed"
}

// refusalDetail says what the code of a refusal does not.
func refusalDetail(err error) string {
	if e, ok := err.(*hardware.Error); ok && e.Detail() != "" {
		return e.Detail()
	}
	return err.Error()
}

// decoded is what decode prints.
type decoded struct {
	Device    string           `json:"device"`
	Model     string           `json:"model"`
	Channels  []decodedChannel `json:"channels"`
	Warnings  []string         `json:"warnings"`
	Identity  *decodedIdentity `json:"identity,omitempty"`
	MeterTime string           `json:"meter_time,omitempty"`
	MeterDST  *bool            `json:"meter_dst,omitempty"`
}

type decodedChannel struct {
	Name    string           `json:"name"`
	Unit    hardware.Unit    `json:"unit"`
	Value   string           `json:"value"`
	Kind    string           `json:"kind"`
	Quality hardware.Quality `json:"quality"`
}

type decodedIdentity struct {
	Manufacturer string   `json:"manufacturer,omitempty"`
	Model        string   `json:"model,omitempty"`
	Serial       string   `json:"serial,omitempty"`
	Version      string   `json:"version,omitempty"`
	Models       []uint16 `json:"sunspec_models,omitempty"`
}

func printDecoded(w io.Writer, m gateway.Model, about *hardware.Descriptor, b *hardware.Batch) error {
	out := decoded{Device: m.Name, Model: about.Part, Channels: []decodedChannel{}, Warnings: append([]string{}, b.Warnings...)}
	if out.Model == "" {
		out.Model = m.Part
	}
	for _, v := range b.Values {
		c := &about.Channels[v.Channel]
		out.Channels = append(out.Channels, decodedChannel{c.Name, c.Unit, v.String(), c.Kind.String(), v.Quality})
	}
	id := decodedIdentity{trim(b.Identity.Manufacturer), trim(b.Identity.Model), trim(b.Identity.Serial), trim(b.Identity.Version), b.Models}
	if id.Model != "" {
		out.Model = id.Model
	}
	if b.Identity != (hardware.Identity{}) || len(b.Models) > 0 {
		out.Identity = &id
	}
	out.MeterTime = b.MeterTime.Local
	if b.MeterTime.Season != hardware.SeasonUnsaid {
		summer := b.MeterTime.Season == hardware.Summer
		out.MeterDST = &summer
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := w.Write(text.Bytes())
	return err
}

// trim takes the padding off a text in a register.
func trim(s string) string { return strings.Trim(s, " \x00") }
