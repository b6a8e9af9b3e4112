package broker_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A gateway that misbehaves must not fill the disk with the log of it.
func TestLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	s := open(t, nil)
	s.Close()
	s.cfg.Log = slog.New(slog.NewTextHandler(&testLog{t: t, also: &out}, nil))
	s.start(t)
	c := s.mqtt(t, "a", "a")
	const tries = 200
	for range tries {
		if err := wait(c.Publish("wattmark/v1/street/up/b", 1, false, "forbidden")); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if n := strings.Count(out.String(), "Publish Violation"); n == 0 || n > tries/2 {
		t.Errorf("%d of %d forbidden publishes were logged, want some and not most", n, tries)
	}
}
