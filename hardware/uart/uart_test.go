package uart_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/uart"
)

// echo answers each line, 20 ms later, with itself.
type echo struct{ heard []string }

func (e *echo) Answer(sent, b []byte) (int, []byte, time.Duration) {
	end := bytes.IndexByte(sent, '\n') + 1
	if end > 0 {
		e.heard = append(e.heard, string(sent[:end]))
	}
	return end, append(b, sent[:end]...), 20 * time.Millisecond
}

// lines is the Cutter of lines, which begin with a colon.
func lines(b []byte) (skip, length int) {
	skip = bytes.IndexByte(b, ':')
	if skip < 0 {
		return len(b), 0
	}
	return skip, bytes.IndexByte(b[skip:], '\n') + 1
}

func TestAsk(t *testing.T) {
	const timeout = 200 * time.Millisecond
	for name, c := range map[string]struct {
		ask    string
		fault  emulated.Fault
		class  error
		detail error
		took   time.Duration
	}{
		"answered":       {":one\n", emulated.NoFault, nil, nil, 25 * time.Millisecond},
		"slow":           {":one\n", emulated.Slow, nil, nil, 100 * time.Millisecond},
		"silence":        {":one\n", emulated.Silence, hardware.ErrAbsent, nil, timeout},
		"half an answer": {":one\n", emulated.Truncated, hardware.ErrMalformed, hardware.ErrTruncated, timeout},
		"two answers":    {":one\n", emulated.Doubled, hardware.ErrStale, nil, 25 * time.Millisecond},
		"noise before":   {"one:two\n", emulated.NoFault, hardware.ErrMalformed, nil, 25 * time.Millisecond},
		"only noise":     {"one\n", emulated.NoFault, hardware.ErrMalformed, hardware.ErrTruncated, timeout},
		"too much noise": {strings.Repeat("x", 64) + "\n", emulated.NoFault, hardware.ErrMalformed, nil, 20 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			cable := emulated.NewCable(&echo{})
			cable.Slowness = 100 * time.Millisecond
			cable.SetFaults(emulated.Sequence(c.fault))
			port := uart.NewPort(cable.Conn(), 64)
			var recorded hardware.Transcript
			begin := time.Now()
			reply, err := port.Ask(t.Context(), &recorded, []byte(c.ask), timeout, lines)
			if hardware.Class(err) != c.class || c.detail != nil && !errors.Is(err, c.detail) || err == nil && string(reply) != c.ask {
				t.Errorf("%s: %q, %v, want %v", name, reply, err, c.class)
			}
			if took := time.Since(begin); took < c.took || took > c.took+15*time.Millisecond {
				t.Errorf("%s: it took %s, want %s", name, took, c.took)
			}
			if sent, _ := recorded.Exchange(0); string(sent) != c.ask {
				t.Errorf("%s: %q was recorded as sent", name, sent)
			}
			if _, received := recorded.Exchange(0); err == nil && string(received) != c.ask {
				t.Errorf("%s: %q was recorded as received", name, received)
			}
		})
	}
}

// What comes late belongs to nobody: neither before the next request nor behind it.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cable := emulated.NewCable(&echo{})
		port := uart.NewPort(cable.Conn(), 64)
		var recorded hardware.Transcript
		ask := func(text string, timeout time.Duration) error {
			_, err := port.Ask(t.Context(), &recorded, []byte(text), timeout, lines)
			return err
		}
		if err := ask(":one\n", 10*time.Millisecond); !errors.Is(err, hardware.ErrAbsent) {
			t.Errorf("one that took too long: %v", err)
		}
		time.Sleep(time.Second)
		if err := ask(":two\n", 100*time.Millisecond); err != nil {
			t.Errorf("what came in the meantime was not dropped: %v", err)
		}
		cable.SetFaults(emulated.Sequence(emulated.Late))
		if err := ask(":three\n", 100*time.Millisecond); !errors.Is(err, hardware.ErrAbsent) {
			t.Errorf("one that is late: %v", err)
		}
		if err := ask(":four\n", 100*time.Millisecond); !errors.Is(err, hardware.ErrStale) {
			t.Errorf("two answers to one request: %v", err)
		}
		if err := ask(":five\n", 100*time.Millisecond); err != nil {
			t.Errorf("the line is quiet again: %v", err)
		}
	})
}

func TestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cable := emulated.NewCable(&echo{})
		cable.SetFaults(emulated.Always(emulated.Silence))
		port := uart.NewPort(cable.Conn(), 64)
		for _, limit := range []time.Duration{0, time.Millisecond, 55 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			begin := time.Now()
			_, err := port.Ask(ctx, new(hardware.Transcript), []byte(":one\n"), time.Minute, lines)
			cancel()
			if took := time.Since(begin); hardware.Class(err) != hardware.ErrTimeout || !errors.Is(err, context.DeadlineExceeded) || took > limit+50*time.Millisecond {
				t.Errorf("a context of %s: %v after %s", limit, err, took)
			}
		}
	})
}

func TestPortIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cable := emulated.NewCable(&echo{})
		port := uart.NewPort(cable.Conn(), 64)
		cable.Plug(false)
		if _, err := port.Ask(t.Context(), new(hardware.Transcript), []byte(":one\n"), time.Second, lines); !errors.Is(err, hardware.ErrAbsent) || !strings.Contains(err.Error(), "plug") {
			t.Errorf("got %v", err)
		}
		cable.Plug(true)
		if err := port.Tell(t.Context(), new(hardware.Transcript), []byte(":one\n")); err != nil {
			t.Errorf("telling: %v", err)
		}
	})
}
