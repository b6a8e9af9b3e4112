package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/gateway"
	"wattmark/gateway/console"
	"wattmark/gateway/survey"
	"wattmark/hardware"
	"wattmark/hardware/bus"
)

func newScan() *cobra.Command {
	s := new(scan)
	c := &cobra.Command{
		Use:   "scan",
		Short: "Find the parts on the buses, reading only",
		Long: `Scan looks for parts on every bus of the configuration, or on the buses that
are given, and prints a [[device]] table for each that it finds, ready to
paste.

It only reads. A serial port is listened to first (SML, DSMR, IEC 62056-21 and
particle sensors speak unasked), then parts are asked that stand alone on a
line, then Modbus units 1 to 10 and 247 at each speed and parity: at most 4
minutes. Ctrl-C ends it with what was found. --mode and --units look for Modbus
units only, there and nowhere else. A pulse input has nothing to find.

Exit status: 0 found, 1 nothing found or nothing to look at, 2 wrong usage.`,
		Example: `  wattmark-gateway scan
  wattmark-gateway scan --serial /dev/ttyUSB0 --mode "9600 8N1" --units 1-20
  wattmark-gateway scan --tcp 192.168.1.20:502 --write --point mp-0123456789`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			if err := s.parse(); err != nil {
				return err
			}
			s.name, s.given = name, cmd.Flags().Changed("config")
			s.out, s.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return failed(s.run(cmd.Context()))
		},
	}
	f := c.Flags()
	f.StringArrayVar(&s.i2c, "i2c", nil, "look on an I2C bus, as /dev/i2c-1; may be repeated, as all of these")
	f.StringArrayVar(&s.serial, "serial", nil, "look on a serial port, as /dev/ttyUSB0")
	f.StringArrayVar(&s.spi, "spi", nil, "look on an SPI port, as /dev/spidev0.0")
	f.StringArrayVar(&s.tcp, "tcp", nil, "look at an address of the network, as 192.168.1.20:502")
	f.StringArrayVar(&s.modes, "mode", nil, "look with this setting of the line only, as \"9600 8N1\"; may be repeated")
	f.StringVar(&s.units, "units", "", "look for these Modbus units only, as 1-20,247")
	f.BoolVar(&s.write, "write", false, "add what was found to the configuration")
	f.StringVar(&s.point, "point", "", "the metering point of what was found, in its tables")
	f.BoolVar(&s.asJSON, "json", false, "print one JSON object")
	return c
}

// scan is one run of the verb.
type scan struct {
	i2c, serial, spi, tcp []string
	modes                 []string
	units, point          string
	write, asJSON         bool
	name                  string // of the configuration
	given                 bool   // its name was
	out, err              io.Writer

	line   survey.Line
	only   []byte        // units; nil for the usual ones
	file   *gateway.File // nil where there is none
	result scanned
}

// target is a bus to look at.
type target struct {
	name       string
	kind       gateway.BusKind
	port       string // of the machine, or an address of the network
	configured *gateway.BusTable
}

// scanned is what --json prints.
type scanned struct {
	Version int        `json:"version"`
	Finds   []scanFind `json:"finds"`
	Notes   []scanNote `json:"notes"`
	Errors  []scanNote `json:"errors"`
	// Stopped: somebody ended it before all was looked at.
	Stopped bool     `json:"stopped"`
	Added   []string `json:"added"` // devices that --write added
}

// scanNote is a sentence about one bus.
type scanNote struct {
	Bus  string `json:"bus"`
	Text string `json:"text"`
}

// scanFind is a part that was found.
type scanFind struct {
	Bus          string          `json:"bus"`
	Kind         gateway.BusKind `json:"kind"`
	Port         string          `json:"port"`
	Mode         string          `json:"mode,omitempty"`
	Address      uint16          `json:"address,omitempty"` // Modbus unit or I2C address
	Models       []string        `json:"models"`            // the likeliest first
	Manufacturer string          `json:"manufacturer,omitempty"`
	Model        string          `json:"model,omitempty"` // as the part says it
	Serial       string          `json:"serial,omitempty"`
	Version      string          `json:"version,omitempty"`
	Confidence   string          `json:"confidence"`
	// Device is the one of the configuration that is there already.
	Device string `json:"device,omitempty"`
	Table  string `json:"table,omitempty"` // in TOML; empty where it is configured
	// BusTable is that of the bus, where it is not configured.
	BusTable string `json:"bus_table,omitempty"`

	proposal *proposal
}

// parse reads the flags that narrow the search.
func (s *scan) parse() error {
	for _, text := range s.modes {
		m, err := bus.ParseMode(text)
		if err != nil {
			return fmt.Errorf("--mode: %w", err)
		}
		s.line.Modes = append(s.line.Modes, m)
	}
	units, err := parseUnits(s.units)
	if err != nil {
		return fmt.Errorf("--units: %w", err)
	}
	s.only, s.line.Units = units, units
	s.line.Deaf = len(s.modes) > 0 || s.units != ""
	return nil
}

// parseUnits reads "1-20,247".
func parseUnits(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	var all []byte
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		a, err := strconv.ParseUint(low, 10, 8)
		b, err2 := strconv.ParseUint(high, 10, 8)
		if err != nil || err2 != nil || a < 1 || b > 247 || a > b {
			return nil, fmt.Errorf("%q is no unit from 1 to 247, and no range of them as 1-20", part)
		}
		for u := a; u <= b; u++ {
			if !slices.Contains(all, byte(u)) {
				all = append(all, byte(u))
			}
		}
	}
	return all, nil
}

func (s *scan) run(ctx context.Context) error {
	s.result = scanned{Version: 1, Finds: []scanFind{}, Notes: []scanNote{}, Errors: []scanNote{}, Added: []string{}}
	targets, err := s.targets()
	if err != nil {
		return err
	}
	busy := s.busy(ctx)
	for _, t := range targets {
		if ctx.Err() != nil {
			s.result.Stopped = true
			break
		}
		if slices.Contains(busy, t.port) {
			s.problem(t, "the gateway that runs uses it; stop it first: systemctl stop wattmark-gateway")
			continue
		}
		s.look(ctx, t)
	}
	if s.write {
		if err := s.add(); err != nil {
			return errors.Join(err, s.print())
		}
	}
	if err := s.print(); err != nil {
		return err
	}
	s.summary(len(targets))
	if len(s.result.Finds) == 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

// targets are the buses to look at.
func (s *scan) targets() ([]target, error) {
	file, err := gateway.ReadFile(s.name)
	given := len(s.i2c) + len(s.serial) + len(s.spi) + len(s.tcp)
	if file == nil && (given == 0 || s.given || s.write) {
		return nil, &exitError{exitFailed, fmt.Errorf("%w\nOr say which bus to look on: --serial, --i2c, --spi or --tcp", err)}
	}
	s.file = file
	s.tellMistakes(err)
	var all []target
	for _, g := range []struct {
		kind  gateway.BusKind
		ports []string
	}{{gateway.BusSerial, s.serial}, {gateway.BusI2C, s.i2c}, {gateway.BusSPI, s.spi}, {gateway.BusModbusTCP, s.tcp}} {
		for _, port := range g.ports {
			all = append(all, s.target(g.kind, port))
		}
	}
	if given > 0 {
		return all, nil
	}
	for i := range file.Buses {
		b := &file.Buses[i]
		if port := b.Port + b.Address; port != "" && slices.Contains(gateway.BusKinds, b.Kind) {
			all = append(all, target{b.Name, b.Kind, port, b})
		}
	}
	if len(all) == 0 {
		return nil, &exitError{exitFailed, fmt.Errorf("%s has no bus to look on: say which with --serial, --i2c, --spi or --tcp", s.name)}
	}
	return all, nil
}

// tellMistakes notes that the configuration has some. That it has no buses and devices
// yet is why somebody scans.
func (s *scan) tellMistakes(err error) {
	var m *gateway.Mistakes
	if s.file == nil || !errors.As(err, &m) {
		return
	}
	n := 0
	for _, one := range m.List {
		if one.Cause != "there is no device" && one.Cause != "there is no bus" {
			n++
		}
	}
	if n > 0 {
		s.result.Notes = append(s.result.Notes, scanNote{s.name, fmt.Sprintf("It has %s; wattmark-gateway run --check lists them.", plural(n, "mistake", "mistakes"))})
	}
}

// target is a port that was given; if a bus of the configuration is on it, that bus.
func (s *scan) target(kind gateway.BusKind, port string) target {
	if s.file != nil {
		for i := range s.file.Buses {
			if b := &s.file.Buses[i]; b.Port+b.Address == port {
				return target{b.Name, b.Kind, port, b}
			}
		}
	}
	name := strings.ReplaceAll(strings.TrimPrefix(port, "/dev/"), "/", "")
	if kind == gateway.BusModbusTCP {
		name = port
	}
	return target{name: name, kind: kind, port: port}
}

// busy are the ports that a running gateway uses.
func (s *scan) busy(ctx context.Context) []string {
	if s.file == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client := console.NewClient(s.file.Path(s.file.Gateway.Console))
	defer client.Close()
	if _, err := client.Status(ctx); err != nil {
		return nil // whoever holds a serial port is noticed when it is opened
	}
	var all []string
	for i := range s.file.Buses {
		all = append(all, s.file.Buses[i].Port+s.file.Buses[i].Address)
	}
	return all
}

// look looks at one bus.
func (s *scan) look(ctx context.Context, t target) {
	meter := newProgress(s.err, t.name)
	var r survey.Report
	var err error
	switch t.kind {
	case gateway.BusSerial:
		line := s.line
		line.Open = func(m bus.Mode) bus.Opener { return bus.Serial(t.port, m) }
		r, err = survey.Serial(ctx, line, meter.show)
	case gateway.BusI2C:
		r, err = survey.I2C(ctx, bus.I2C(t.port), meter.show)
	case gateway.BusSPI:
		r, err = survey.SPI(ctx, bus.SPI(t.port), meter.show)
	default:
		r, err = survey.TCP(ctx, t.port, s.only, meter.show)
	}
	meter.end()
	for i := range r.Finds {
		s.result.Finds = append(s.result.Finds, s.find(&t, &r, &r.Finds[i]))
	}
	for _, n := range r.Notes {
		s.result.Notes = append(s.result.Notes, scanNote{t.name, n})
	}
	if t.configured != nil && r.Framing != "" && r.Framing != string(t.kind) {
		s.result.Notes = append(s.result.Notes, scanNote{t.name, fmt.Sprintf("The configuration says %s, and %s is spoken: set kind = %q.", t.kind, r.Framing, r.Framing)})
	}
	switch {
	case ctx.Err() != nil:
		s.result.Stopped = true
		s.result.Notes = append(s.result.Notes, scanNote{t.name, fmt.Sprintf("Stopped after %d of %d questions.", r.Asked, r.Of)})
	case err != nil:
		s.problem(t, hint(err))
	}
}

// hint is an error, without the name of the bus, which stands before it.
func hint(err error) string {
	e := new(hardware.Error)
	if errors.As(err, &e) {
		c := *e
		c.Bus, c.Device = "", ""
		return c.Error()
	}
	return err.Error()
}

func (s *scan) problem(t target, text string) {
	s.result.Errors = append(s.result.Errors, scanNote{t.name, text})
}

// find is a find with what the configuration makes of it.
func (s *scan) find(t *target, r *survey.Report, f *survey.Find) scanFind {
	out := scanFind{
		Bus: t.name, Kind: t.kind, Port: t.port, Mode: f.Mode, Address: f.Address, Models: f.Models, Manufacturer: f.Identity.Manufacturer,
		Model: f.Identity.Model, Serial: f.Identity.Serial, Version: f.Identity.Version, Confidence: f.Confidence.String(),
	}
	if r.Framing != "" {
		out.Kind = gateway.BusKind(r.Framing)
	}
	if d := s.device(t, f.Address); d != nil {
		out.Device = d.Name
		if !slices.Contains(f.Models, d.Model) && f.Models[0] != "modbus" {
			s.result.Notes = append(s.result.Notes, scanNote{t.name, fmt.Sprintf("Device %q is configured as a %s, and there is a %s.", d.Name, d.Model, strings.Join(f.Models, " or "))})
		}
		return out
	}
	out.proposal = s.propose(t, &out, f)
	out.Table, out.BusTable = out.proposal.String(), out.proposal.busTable()
	return out
}

// device returns the device of the configuration at an address of a bus, nil for none.
func (s *scan) device(t *target, address uint16) *gateway.DeviceTable {
	if t.configured == nil {
		return nil
	}
	for i := range s.file.Devices {
		d := &s.file.Devices[i]
		if d.Bus != t.name {
			continue
		}
		m, err := gateway.LookupModel(d.Model)
		if err != nil {
			continue
		}
		at := cmp.Or(max(d.Unit, d.Address), m.Address)
		if at == address || address == 0 {
			return d
		}
	}
	return nil
}

// print writes what was found.
func (s *scan) print() error {
	if s.asJSON {
		return json.NewEncoder(s.out).Encode(s.result)
	}
	var b strings.Builder
	buses := make(map[string]bool)
	for i := range s.result.Finds {
		f := &s.result.Finds[i]
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# %s\n", f.says())
		if f.Device != "" {
			fmt.Fprintf(&b, "# It is configured: device %q.\n", f.Device)
			continue
		}
		if f.BusTable != "" && !buses[f.Bus] {
			buses[f.Bus] = true
			b.WriteString(f.BusTable + "\n")
		}
		b.WriteString(f.Table)
	}
	_, err := io.WriteString(s.out, b.String())
	return err
}

// says is a find in a line: what it is and where.
func (f *scanFind) says() string {
	what := f.Model
	if !strings.HasPrefix(what, f.Manufacturer) {
		what = strings.TrimSpace(f.Manufacturer + " " + what)
	}
	if f.Model == "" {
		var parts []string
		for _, name := range f.Models {
			if m, err := gateway.LookupModel(name); err == nil {
				parts = append(parts, m.Part)
			}
		}
		what = strings.Join(parts, " or ")
	}
	if f.Models[0] == "modbus" {
		what = "Unknown Modbus unit"
	}
	if f.Serial != "" {
		what += ", serial number " + f.Serial
	}
	where := " on " + f.Bus
	switch {
	case f.Kind == gateway.BusI2C:
		where += fmt.Sprintf(" at %#02x", f.Address)
	case f.Address != 0:
		where += fmt.Sprintf(" at unit %d", f.Address)
	}
	if f.Mode != "" {
		where += ", " + f.Mode
	}
	return oneLine(what+where) + " (" + f.Confidence + ")"
}

// summary tells the rest, for people.
func (s *scan) summary(buses int) {
	if s.asJSON {
		return
	}
	line := func(format string, args ...any) {
		for _, l := range wrapped("", fmt.Sprintf(format, args...)) {
			fmt.Fprintln(s.err, l)
		}
	}
	if len(s.result.Finds) > 0 {
		fmt.Fprintln(s.err)
	}
	for _, n := range s.result.Notes {
		line("%s: %s", n.Bus, n.Text)
	}
	for _, n := range s.result.Errors {
		line("%s: not looked at: %s", n.Bus, n.Text)
	}
	known := 0
	for _, f := range s.result.Finds {
		if f.Device != "" {
			known++
		}
	}
	text := fmt.Sprintf("Found %s on %s", plural(len(s.result.Finds), "part", "parts"), plural(buses, "bus", "buses"))
	if known > 0 {
		text += fmt.Sprintf(", %d configured already", known)
	}
	line("%s.", text)
	switch {
	case len(s.result.Added) > 0:
		line("Added to %s: %s. Reload it: systemctl reload wattmark-gateway", s.name, strings.Join(s.result.Added, ", "))
	case len(s.result.Finds) == 0 && len(s.result.Errors) < buses:
		line("Check supply and wires (A and B may be swapped), and whether the part has another address.")
	case len(s.result.Finds) > known && !s.write && s.point == "" && (s.file == nil || s.file.Gateway.Point == ""):
		line("Put the tables into %s, each with its metering point; --point says which, and --write puts them there.", s.name)
	case len(s.result.Finds) > known && !s.write:
		line("Put the tables into %s, or have --write do it.", s.name)
	}
}
