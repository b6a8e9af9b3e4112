package display_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/gateway/console"
	"wattmark/gateway/display"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// well is a gateway that one may leave.
func well() console.Status {
	at := noon.Add(-4 * time.Second)
	return console.Status{
		Time: noon, Gateway: console.Gateway{Name: "home-01"}, Ready: true,
		Devices: []console.Device{{Name: "grid", State: console.StateGood}, {Name: "sun", State: console.StateGood}, {Name: "old", State: console.StateDisabled}},
		Outbox:  console.Outbox{State: "disk", Pending: 1, OldestAgeS: 3},
		Uplink:  console.Uplink{Connected: true, LastReceipt: &at},
	}
}

func TestWords(t *testing.T) {
	for name, test := range map[string]struct {
		change func(s *console.Status)
		want   [display.Rows]string
		mood   display.Mood
	}{
		"well":     {func(*console.Status) {}, [4]string{"home-01", "2/2 sensors good", "sent 4 s ago", "READY"}, display.Ready},
		"starting": {func(s *console.Status) { s.Ready, s.Uplink.LastReceipt = false, nil }, [4]string{"home-01", "2/2 sensors good", "no receipt yet", "NOT READY"}, display.NotReady},
		"offline":  {func(s *console.Status) { s.Ready, s.Outbox.OldestAgeS = false, 12_600 }, [4]string{"home-01", "2/2 sensors good", "unsent 3.5 h", "NOT READY"}, display.NotReady},
		"silent": {func(s *console.Status) {
			s.Ready = false
			s.Devices = append([]console.Device{{Name: "boiler-room-heat-pump", State: console.StateSilent}}, s.Devices...)
		}, [4]string{"home-01", "2/3 sensors good", "sent 4 s ago", "FAULT boiler-roo.."}, display.Fault},
		"no key":   {func(s *console.Status) { s.Key.Failure = "TPM busy" }, [4]string{"home-01", "2/2 sensors good", "sent 4 s ago", "FAULT key"}, display.Fault},
		"no disk":  {func(s *console.Status) { s.Outbox.State = "memory" }, [4]string{"home-01", "2/2 sensors good", "sent 4 s ago", "FAULT disk"}, display.Fault},
		"refused":  {func(s *console.Status) { s.Outbox.Refused = 2 }, [4]string{"home-01", "2/2 sensors good", "sent 4 s ago", "FAULT refused"}, display.Fault},
		"odd name": {func(s *console.Status) { s.Gateway.Name = "a\tgateway-of-a-very-long-näme" }, [4]string{"a?gateway-of-a-v..", "2/2 sensors good", "sent 4 s ago", "READY"}, display.Ready},
	} {
		s := well()
		test.change(&s)
		if diff := cmp.Diff(test.want, display.Words(&s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if mood, _ := display.MoodOf(&s); mood != test.mood {
			t.Errorf("%s: mood %v, want %v", name, mood, test.mood)
		}
	}
}

// TestWordsFit: whatever a gateway is like, its words are letters of the font and fit.
func TestWordsFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := well()
		s.Gateway.Name = rapid.String().Draw(t, "name")
		s.Outbox.OldestAgeS = float64(rapid.Uint32().Draw(t, "age"))
		at := noon.Add(-time.Duration(rapid.Int64Range(-1<<40, 1<<60).Draw(t, "since")))
		s.Uplink.LastReceipt = &at
		for range rapid.IntRange(0, 3000).Draw(t, "devices") {
			s.Devices = append(s.Devices, console.Device{State: console.StateGood})
		}
		if rapid.Bool().Draw(t, "silent") {
			s.Devices = append([]console.Device{{Name: rapid.String().Draw(t, "device"), State: console.StateSilent}}, s.Devices...)
		}
		for _, line := range display.Words(&s) {
			if len(line) > display.Columns || line == "" && s.Gateway.Name != "" || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("the line %q", line)
			}
		}
	})
}

// wired is a bus with a screen on it, and its owner.
type wired struct {
	*bus.Bus
	wires *emulated.Bus
	part  *emulated.SSD1306
}

// wire puts a screen at an address. The bus ends with the test.
func wire(t *testing.T, address uint16) *wired {
	t.Helper()
	w := &wired{wires: emulated.NewBus("i2c"), part: emulated.NewSSD1306()}
	w.wires.Attach(address, w.part)
	var err error
	if w.Bus, err = bus.New(bus.Config{Name: "air", Open: bus.Given(w.wires)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

// picture is what somebody in front of the panel sees, by rows.
func picture(p *emulated.SSD1306) []string {
	var out []string
	for y := range 64 {
		row := make([]byte, 128)
		for x := range row {
			row[x] = ' '
			if p.Lit(x, y) {
				row[x] = '#'
			}
		}
		out = append(out, strings.TrimRight(string(row), " "))
	}
	return out
}

// TestScreen shows words on the register model of the controller, through the real driver
// and the bus's owner: right after power-up at either address, and either way up.
func TestScreen(t *testing.T) {
	// "H" in the font, from its first row.
	letter := []string{"#    #", "#    #", "#    #", "#    #", "######", "#    #", "#    #", "#    #", "#    #"}
	for _, address := range []uint16{0x3c, 0x3d} {
		w := wire(t, address)
		if slices.ContainsFunc(picture(w.part), func(row string) bool { return row != "" }) {
			t.Error("a screen that nobody set up is lit")
		}
		s := display.NewScreen(w, address, false)
		if err := s.Show(t.Context(), [4]string{"H", "", "", "H"}); err != nil {
			t.Fatal(err)
		}
		got := picture(w.part)
		if first := slices.IndexFunc(got, func(row string) bool { return row != "" }); first < 0 || !slices.Equal(got[first:first+len(letter)], letter) || !slices.Equal(got[first+48:first+48+len(letter)], letter) {
			t.Fatalf("the screen shows\n%s", strings.Join(got, "\n"))
		}
		// The same again costs nothing; another line costs what it takes.
		before, data := w.wires.Transfers(), w.part.Data()
		if err := s.Show(t.Context(), [4]string{"H", "", "", "H"}); err != nil || w.wires.Transfers() != before {
			t.Errorf("the same words: %v, %d transfers", err, w.wires.Transfers()-before)
		}
		if err := s.Show(t.Context(), [4]string{"H", "sensors", "", "H"}); err != nil || w.part.Data()-data > 256 {
			t.Errorf("one line more: %v, %d bytes", err, w.part.Data()-data)
		}
		if err := s.Show(t.Context(), [4]string{"H", "", "", "H"}); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(got, picture(w.part)); diff != "" {
			t.Errorf("when the line has gone again (-want +got):\n%s", diff)
		}
		if n := w.part.Unknown(); n > 0 {
			t.Errorf("%d commands that there are not", n)
		}
		if err := s.Off(t.Context()); err != nil || w.part.On() {
			t.Errorf("off: %v, on %v", err, w.part.On())
		}
	}
	// Upside down, the panel seen from above shows the same.
	w := wire(t, 0x3c)
	if err := display.NewScreen(w, 0, true).Show(t.Context(), [4]string{"H", "", "", ""}); err != nil {
		t.Fatal(err)
	}
	got := picture(w.part)
	if !strings.HasSuffix(got[len(got)-1-slices.IndexFunc(reversed(got), func(row string) bool { return row != "" })], "#    #") {
		t.Errorf("upside down it shows\n%s", strings.Join(got, "\n"))
	}
}

func reversed(rows []string) []string {
	out := slices.Clone(rows)
	slices.Reverse(out)
	return out
}

// shown is a display that runs, by time that the test does not wait for.
type shown struct {
	*display.Display
	mu     sync.Mutex // guards status
	status console.Status
	lamp   *emulated.Lamp
}

func (s *shown) set(change func(s *console.Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = well()
	change(&s.status)
}

func show(screen *display.Screen) *shown {
	s := &shown{status: well(), lamp: new(emulated.Lamp)}
	s.Display = display.New(display.Config{Screen: screen, Lamp: s.lamp, Log: slog.New(slog.DiscardHandler), Tell: func() console.Status {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.status
	}})
	return s
}

// TestLamp: lit while one may leave, slow where something is not ready, fast for a fault,
// dark where nothing runs; while it is lit nothing happens.
func TestLamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := show(nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		changes := func(d time.Duration) int {
			before := s.lamp.Changes()
			time.Sleep(d)
			synctest.Wait()
			return s.lamp.Changes() - before
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !s.lamp.On() || changes(time.Hour) != 0 {
			t.Error("ready, it is not simply lit")
		}
		s.set(func(s *console.Status) { s.Ready = false })
		changes(6 * time.Second)
		if n := changes(20 * time.Second); n != 20 {
			t.Errorf("not ready, it changes %d times in 20 s", n)
		}
		s.set(func(s *console.Status) { s.Key.Failure = "TPM busy" })
		changes(6 * time.Second)
		if n := changes(20 * time.Second); n != 80 {
			t.Errorf("with a fault, it changes %d times in 20 s", n)
		}
		s.set(func(*console.Status) {})
		changes(6 * time.Second)
		if !s.lamp.On() || changes(time.Minute) != 0 {
			t.Error("ready again, it is not simply lit")
		}
		// The chip goes, and comes back.
		s.lamp.Attach(false)
		s.set(func(s *console.Status) { s.Ready = false })
		changes(10 * time.Second)
		if f := s.Status(); !f.Lamp || f.LampFailure == "" || f.Screen {
			t.Errorf("without its chip: %+v", f)
		}
		s.lamp.Attach(true)
		if changes(time.Minute) < 20 || s.Status().LampFailure != "" {
			t.Errorf("with its chip again it does not blink: %+v", s.Status())
		}
		s.set(func(*console.Status) {})
		changes(time.Minute)
		if f := s.Status(); f.LampFailure != "" || !s.lamp.On() {
			t.Errorf("with its chip again: %+v, lit %v", f, s.lamp.On())
		}
		cancel()
		if err := <-ended; err != nil || s.lamp.On() {
			t.Errorf("at the end: %v, lit %v", err, s.lamp.On())
		}
	})
}

// TestScreenFails: a screen that is unplugged or loses its power is set up again.
func TestScreenFails(t *testing.T) {
	w := wire(t, 0x3c)
	s := display.NewScreen(w, 0, false)
	words := [4]string{"home-01", "2/2 sensors good", "sent 4 s ago", "READY"}
	if err := s.Show(t.Context(), words); err != nil {
		t.Fatal(err)
	}
	want := picture(w.part)
	w.wires.Detach(0x3c)
	words[2] = "sent 9 s ago"
	if err := s.Show(t.Context(), words); err == nil || !strings.Contains(err.Error(), "the screen at 0x3c") {
		t.Errorf("unplugged: %v", err)
	}
	w.part.BrownOut()
	w.wires.Attach(0x3c, w.part)
	words[2] = "sent 4 s ago"
	if err := s.Show(t.Context(), words); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, picture(w.part)); diff != "" {
		t.Errorf("plugged in again (-want +got):\n%s", diff)
	}
}

// TestRunShows: what the gateway says is on the screen, and at the end it is dark.
func TestRunShows(t *testing.T) {
	w := wire(t, 0x3c)
	s := show(display.NewScreen(w, 0, false))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(time.Minute)
	for !w.part.On() || s.lamp.Changes() == 0 {
		select {
		case <-deadline:
			t.Fatal("nothing is shown")
		case <-look.C:
		}
	}
	cancel()
	if err := <-ended; err != nil || w.part.On() || s.lamp.On() {
		t.Errorf("at the end: %v, screen on %v, lamp lit %v", err, w.part.On(), s.lamp.On())
	}
}
