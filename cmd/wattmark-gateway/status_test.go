package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/gateway/console"
)

// told is a gateway that says what it was told to say, on a real socket.
type told struct {
	status    console.Status
	live      console.Live
	exchanges console.Exchanges
}

func (t told) Status() console.Status { return t.status }

func (t told) Live() console.Live { return t.live }

func (t told) Exchanges() console.Exchanges { return t.exchanges }

// tell answers on the socket of a configuration, which it returns.
func tell(t *testing.T, source console.Source) (config string) {
	t.Helper()
	dir := t.TempDir()
	config = filepath.Join(dir, "gateway.toml")
	if err := os.WriteFile(config, []byte("[gateway]\nconsole = \"console.sock\"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	l, err := console.Listen("unix:" + filepath.Join(dir, "console.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := console.Serve(ctx, l, console.Handler(source, http.NotFoundHandler())); err != nil && err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); serving.Wait() })
	return config
}

// at is a time of the tests' day.
func at(clock string) time.Time {
	v, err := time.Parse("2006-01-02 15:04:05", "2026-11-26 "+clock)
	if err != nil {
		panic(err)
	}
	return v
}

// quiet is a gateway that fares well.
func quiet() console.Status {
	receipt := at("11:59:52")
	last := at("11:59:58")
	s := console.Status{
		Version: console.Version, Time: at("12:00:00"),
		Gateway: console.Gateway{Name: "home-01", Version: "v1.4.0", Boot: 12, Started: at("08:30:00"), ResidentBytes: 23_400_000},
		Ledger:  console.Ledger{Origin: "example.org/street", Points: []string{"mp-0123456789abcdef"}, Policy: console.Policy{Height: 1234, Followed: 2, Oracles: []string{"a", "b", "c", "d"}}},
		Key:     console.Key{Backend: "tpm", Algorithm: "ES256", ID: "9f86d081884c7d659a2feaa0c55ad015", Signed: 214},
		Clock:   console.Clock{Quality: "ntp", UncertaintyMS: 12},
		Outbox:  console.Outbox{State: "disk", Pending: 1, Bytes: 1480, OldestAt: &receipt, OldestAgeS: 8, LossWindowS: 5},
		Uplink:  console.Uplink{Broker: "MQTT broker.example.org:8883", Connected: true, Since: at("08:30:02"), LastReceipt: &receipt},
		Ready:   true, Line: "Ready: readings signed, sent and receipted.",
	}
	for _, d := range []struct{ name, channel, value, unit string }{
		{"grid", "active_power", "1204.5", "W"}, {"sun", "active_power_generated", "0", "W"}, {"stack", "co2", "412.3", "ppm"},
	} {
		s.Devices = append(s.Devices, console.Device{
			Name: d.name, State: console.StateGood, LastAt: &last, AgeS: 2,
			Last: &console.Value{Channel: d.channel, Unit: d.unit, Value: d.value, Quality: "ok"},
		})
	}
	return s
}

// busy is one with more to tell than a screen takes.
func busy() console.Status {
	s := quiet()
	s.Ready, s.Line = false, "Not ready: 2 devices are silent; there is no connection; statements are refused."
	silent := []console.Device{
		{Name: "heat-pump-with-a-long-name", State: console.StateSilent, Error: "no answer within 300ms"},
		{Name: "car", State: console.StateSilent},
	}
	s.Devices[0].Last.Quality = "coarse"
	s.Devices = append(silent, s.Devices...)
	for i := range 12 {
		s.Devices = append(s.Devices, console.Device{Name: fmt.Sprintf("room-%02d", i+1), State: console.StateDisabled})
	}
	s.Outbox = console.Outbox{State: "memory", Pending: 412, Bytes: 1_900_000, OldestAt: new(at("09:14:00")), OldestAgeS: 9960, Refused: 3}
	s.Uplink.Connected, s.Uplink.Since = false, at("09:14:00")
	s.Clock = console.Clock{Quality: "unsynced", Steps: 1}
	s.Warnings = []console.Warning{
		{Code: "device_silent", Text: "heat-pump-with-a-long-name gives no values: reading registers 0x0048-0x004b of unit 7 on meters: no answer within 300ms", Remedy: "check supply, wires and address"},
		{Code: "clock_unsynced", Text: "the clock was never set", Remedy: "give the machine a time server; readings are dated later by a signed clock map"},
		{Code: "outbox_memory", Text: "the outbox is in memory: no space left on device", Remedy: "check the disk: space, mounting and health; it is tried again each minute"},
		{Code: "refused", Text: "3 statements were refused by the oracles", Remedy: "see the reasons and their remedies in the log"},
		{Code: "no_connection", Text: "no connection to the broker: connection refused", Remedy: "check network, name, certificate and broker"},
	}
	return s
}

// TestStatusScreens shows what a terminal of 80 columns shows.
func TestStatusScreens(t *testing.T) {
	for name, s := range map[string]console.Status{"quiet": quiet(), "busy": busy()} {
		t.Run(name, func(t *testing.T) {
			config := tell(t, told{status: s})
			var out, err bytes.Buffer
			code := run(t.Context(), []string{"status", "--config", config}, nil, &out, &err)
			if want := map[bool]int{true: 0, false: 1}[s.Ready]; code != want || err.Len() > 0 {
				t.Errorf("exit status %d, want %d; %s", code, want, err.String())
			}
			golden(t, filepath.Join("testdata", "screens", "status-"+name+".txt"), out.String())
		})
	}
}

// golden compares with a file, which -update rewrites.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

// TestStatusFits draws gateways that have much to say: a screen takes it all, and its
// last line is the gateway's own.
func TestStatusFits(t *testing.T) {
	text := rapid.StringMatching(`[a-z0-9äß:\x1b ]{0,200}`)
	rapid.Check(t, func(r *rapid.T) {
		s := quiet()
		s.Gateway.Name, s.Uplink.Broker, s.Key.ID = text.Draw(r, "name"), text.Draw(r, "broker"), text.Draw(r, "key")
		for i := range rapid.IntRange(0, 40).Draw(r, "devices") {
			d := s.Devices[i%3]
			d.Name = text.Draw(r, "device")
			d.Last = &console.Value{Channel: "active_power", Value: rapid.StringMatching(`-?[0-9]{1,40}`).Draw(r, "value"), Unit: "W", Quality: "ok"}
			s.Devices = append(s.Devices, d)
		}
		for range rapid.IntRange(0, 12).Draw(r, "warnings") {
			s.Warnings = append(s.Warnings, console.Warning{Text: text.Draw(r, "text"), Remedy: text.Draw(r, "remedy")})
		}
		got := strings.Split(strings.TrimSuffix(screen(&s), "\n"), "\n")
		if len(got) > screenHeight || got[len(got)-1] != s.Line {
			r.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
		}
		for _, line := range got {
			if utf8.RuneCountInString(line) > screenWidth || strings.ContainsRune(line, '\x1b') {
				r.Errorf("a line of %d columns: %q", utf8.RuneCountInString(line), line)
			}
		}
	})
}
