package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/gateway"
	"wattmark/gateway/console"
)

// exitNotRunning is how status ends where no gateway answers.
const exitNotRunning = 3

func newStatus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen how it fares, and whether one may leave",
		Long: `Status asks the running gateway how it fares: ledger, key, clock, outbox,
uplink, each device with its last value, and what to do about what is wrong.
The last line says whether one may leave.

Exit status: 0 ready: readings are signed, sent and receipted; 1 not ready, or
it cannot be asked; 2 wrong usage; 3 not running.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			s, err := askStatus(cmd.Context(), name)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), screen(&s))
			}
			if err == nil && !s.Ready {
				return &exitError{exitFailed, nil}
			}
			return failed(err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// patientEnough is how long the socket may take to answer.
const patientEnough = 10 * time.Second

// askStatus asks the gateway of a configuration. The error has its exit status.
func askStatus(ctx context.Context, name string) (console.Status, error) {
	file, err := gateway.ReadFile(name)
	if file == nil { // with mistakes in it the socket is known all the same
		return console.Status{}, &exitError{exitFailed, err}
	}
	c := console.NewClient(file.Path(file.Gateway.Console))
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, patientEnough)
	defer cancel()
	s, err := c.Status(ctx)
	switch {
	case errors.Is(err, console.ErrNotRunning):
		return s, &exitError{exitNotRunning, fmt.Errorf("wattmark-gateway: %w\nhint: systemctl start wattmark-gateway; doctor says what keeps it from running", err)}
	case errors.Is(err, fs.ErrPermission):
		return s, failed(fmt.Errorf("%w\nhint: run it with sudo, or as a member of the group that owns the socket", err))
	}
	return s, failed(err)
}

// The screen of a terminal: a line is left for the prompt below.
const (
	screenWidth  = 80
	screenHeight = 23
)

// screen is a status for people, on one screen.
func screen(s *console.Status) string {
	head := []string{
		label("Gateway", gatewayLine(s)),
		label("Ledger", fmt.Sprintf("%s, %s, %s", s.Ledger.Origin, policyText(&s.Ledger.Policy), counted(len(s.Ledger.Points), "metering point"))),
		label("Key", keyLine(s)),
		label("Clock", clockLine(&s.Clock)),
		label("Outbox", outboxLine(&s.Outbox)),
		label("Uplink", uplinkLine(s)),
		"",
	}
	var warnings [][]string
	for _, w := range s.Warnings {
		warnings = append(warnings, append(wrapped("! ", w.Text), wrapped("  ", w.Remedy)...))
	}
	last := wrapped("", s.Line)
	room := screenHeight - len(head) - len(last) - 3 // titles of the devices, and two empty lines
	// Devices and warnings share the room: of each there is some.
	devices := min(len(s.Devices), max(room-lines(warnings), min(len(s.Devices), room/2)))
	shown := fitting(warnings, room-devices)
	out := append(head, deviceLines(s.Devices, devices)...)
	out = append(out, "")
	if len(shown) > 0 {
		out = append(append(out, shown...), "")
	}
	return strings.Join(append(out, last...), "\n") + "\n"
}

func label(name, text string) string { return cut(fmt.Sprintf("%-9s%s", name, text), screenWidth) }

func gatewayLine(s *console.Status) string {
	text := fmt.Sprintf("%s, boot %d, running for %s", s.Gateway.Name, s.Gateway.Boot, age(s.Time.Sub(s.Gateway.Started).Seconds()))
	if n := s.Gateway.ResidentBytes; n > 0 {
		text += ", " + bytesText(n)
	}
	return text + ", version " + s.Gateway.Version
}

// policyText is whose receipts count, and since which block.
func policyText(p *console.Policy) string {
	text := counted(len(p.Oracles), "oracle")
	if p.Height > 0 {
		return text + fmt.Sprintf(" since block %d", p.Height)
	}
	return text + " as configured"
}

func keyLine(s *console.Status) string {
	k := &s.Key
	text := fmt.Sprintf("%s %s, %d signed", k.Backend, k.Algorithm, k.Signed)
	if k.Failures > 0 {
		text += fmt.Sprintf(", %d failures", k.Failures)
	}
	return text + ", " + k.ID
}

func clockLine(c *console.Clock) string {
	text := c.Quality
	if c.UncertaintyMS > 0 {
		text += fmt.Sprintf(", within %s", span(float64(c.UncertaintyMS)/1000))
	}
	if c.Steps > 0 {
		text += fmt.Sprintf(", moved %s since the start", counted(int(c.Steps), "time"))
	}
	return text
}

func outboxLine(o *console.Outbox) string {
	text := fmt.Sprintf("on %s: %d waiting (%s)", o.State, o.Pending, bytesText(o.Bytes))
	if o.State == "memory" {
		text = "in " + strings.TrimPrefix(text, "on ")
	}
	if o.OldestAt != nil {
		text += ", oldest " + age(o.OldestAgeS)
	}
	if o.Refused > 0 {
		text += fmt.Sprintf(", %d refused", o.Refused)
	}
	if o.State == "memory" {
		return text + "; all at risk"
	}
	if o.LossWindowS > 0 {
		return text + fmt.Sprintf("; a power cut loses at most %s", span(o.LossWindowS))
	}
	return text + "; a power cut loses none"
}

func uplinkLine(s *console.Status) string {
	u := &s.Uplink
	text := "no connection"
	if u.Connected {
		text = "connected"
	}
	text += " for " + age(s.Time.Sub(u.Since).Seconds())
	if u.LastReceipt == nil {
		text += ", no receipt yet"
	} else {
		text += fmt.Sprintf(", last receipt %s ago", age(s.Time.Sub(*u.LastReceipt).Seconds()))
	}
	return text + ", " + u.Broker
}

// deviceLines are the table of devices, of which n lines are shown.
func deviceLines(all []console.Device, n int) []string {
	out := []string{cut(fmt.Sprintf("%-20s %-9s %-38s %10s", "Device", "State", "Last value", "Age"), screenWidth)}
	if n < len(all) {
		n-- // for what is left out
	}
	for i := range all[:max(n, 0)] {
		d := &all[i]
		value, since := "-", "-"
		if v := d.Last; v != nil {
			unit := v.Unit
			if unit == "/" { // SenML's unit of a ratio
				unit = ""
			}
			value = strings.TrimSpace(fmt.Sprintf("%s %s %s", v.Channel, v.Value, unit))
			if v.Quality != "ok" {
				value += ", " + v.Quality
			}
		}
		if d.LastAt != nil {
			since = age(d.AgeS)
		}
		out = append(out, cut(fmt.Sprintf("%-20s %-9s %-38s %10s", cut(d.Name, 20), d.State, cut(value, 38), since), screenWidth))
	}
	if left := all[max(n, 0):]; len(left) > 0 {
		out = append(out, fmt.Sprintf("and %d more, %s", len(left), states(left)))
	}
	return out
}

// states counts devices by their states, in the order they come: worst first.
func states(all []console.Device) string {
	var names []string
	count := make(map[string]int)
	for i := range all {
		if count[all[i].State] == 0 {
			names = append(names, all[i].State)
		}
		count[all[i].State]++
	}
	if len(names) == 1 {
		return "all " + names[0]
	}
	for i, n := range names {
		names[i] = fmt.Sprintf("%d %s", count[n], n)
	}
	return strings.Join(names, ", ")
}

func lines(blocks [][]string) int {
	n := 0
	for _, b := range blocks {
		n += len(b)
	}
	return n
}

// fitting are the lines of the blocks that there is room for, and how many more there are.
func fitting(blocks [][]string, room int) []string {
	var out []string
	for i, b := range blocks {
		more := 1
		if i == len(blocks)-1 {
			more = 0
		}
		if len(out)+len(b)+more > room {
			return append(out, fmt.Sprintf("and %s: wattmark-gateway doctor", counted(len(blocks)-i, "more warning")))
		}
		out = append(out, b...)
	}
	return out
}

// What the page says in the same words.
var (
	counted   = console.Counted
	span      = console.Span
	age       = console.Age
	bytesText = console.Bytes
)

// cut shortens a line to n columns, and shows that.
func cut(text string, n int) string {
	runes := []rune(strings.TrimRight(oneLine(text), " "))
	if len(runes) <= n {
		return string(runes)
	}
	return string(runes[:n-2]) + ".."
}

// oneLine makes a text from elsewhere fit for a terminal: one line, nothing that moves
// the cursor.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// wrapped breaks a text into lines of a screen's width; the first begins with a mark,
// the others with as much space.
func wrapped(mark, text string) []string {
	var out []string
	indent := strings.Repeat(" ", len(mark))
	line := mark
	empty := true
	for word := range strings.FieldsSeq(oneLine(text)) {
		for !empty && len([]rune(line))+1+len([]rune(word)) > screenWidth || len([]rune(line))+len([]rune(word)) > screenWidth {
			if empty { // a word longer than a line
				r := []rune(word)
				n := screenWidth - len([]rune(line))
				out = append(out, line+string(r[:n]))
				word, line = string(r[n:]), indent
				continue
			}
			out = append(out, line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	if !empty {
		out = append(out, line)
	}
	return out
}
