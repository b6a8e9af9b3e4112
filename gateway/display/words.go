package display

import (
	"fmt"

	"wattmark/gateway/console"
)

// Columns and Rows are how much text a screen takes.
const (
	Columns = 18
	Rows    = 4
)

// Mood is a gateway in one word.
type Mood int

// The moods.
const (
	Ready    Mood = iota // one may leave
	NotReady             // something is not there yet
	Fault                // something is wrong
)

// MoodOf returns how a gateway fares, and what the fault is.
func MoodOf(s *console.Status) (Mood, string) {
	switch {
	case s.Key.Failure != "":
		return Fault, "key"
	case s.Outbox.State != "disk":
		return Fault, "disk"
	case s.Outbox.Refused > 0:
		return Fault, "refused"
	}
	for i := range s.Devices { // worst first
		if d := &s.Devices[i]; d.State == console.StateSilent || d.State == console.StateFailing {
			return Fault, d.Name
		}
	}
	if s.Ready {
		return Ready, ""
	}
	return NotReady, ""
}

// Words are the lines of a screen.
func Words(s *console.Status) [Rows]string {
	good, all := 0, 0
	for i := range s.Devices {
		switch s.Devices[i].State {
		case console.StateDisabled:
			continue
		case console.StateGood:
			good++
		}
		all++
	}
	sensors := fmt.Sprintf("%d/%d sensors good", good, all)
	if len(sensors) > Columns {
		sensors = fmt.Sprintf("%d/%d good", good, all)
	}
	sent := "no receipt yet"
	if at := s.Uplink.LastReceipt; at != nil {
		sent = "sent " + console.Age(max(0, s.Time.Sub(*at).Seconds())) + " ago"
		if s.Outbox.Pending > 0 && s.Outbox.OldestAgeS >= unsent {
			sent = "unsent " + console.Age(s.Outbox.OldestAgeS)
		}
	}
	word := "READY"
	switch mood, what := MoodOf(s); mood {
	case NotReady:
		word = "NOT READY"
	case Fault:
		word = "FAULT " + what
	}
	return [Rows]string{fit(s.Gateway.Name), fit(sensors), fit(sent), fit(word)}
}

// unsent is from which age of the oldest statement on what waits is spoken of, in seconds.
const unsent = 120

// fit makes a line of a text: letters that the font has, and not too many.
func fit(s string) string {
	out := []byte{}
	for _, r := range s {
		if r < ' ' || r > '~' {
			r = '?'
		}
		out = append(out, byte(r))
	}
	if len(out) > Columns {
		out = append(out[:Columns-2], ".."...)
	}
	return string(out)
}
