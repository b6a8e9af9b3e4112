package broker_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"wattmark/oracle/broker"
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

// What the server warns of and does not concern anybody stays out of the log.
func TestLogSaysNothingOfAGoodStart(t *testing.T) {
	for name, change := range map[string]func(*broker.Config){
		"listening":         func(*broker.Config) {},
		"NATS alone":        func(c *broker.Config) { c.MQTTListen = "" },
		"MQTT alone":        func(c *broker.Config) { c.ClientListen = "" },
		"without listeners": func(c *broker.Config) { c.ClientListen, c.MQTTListen = "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			s := open(t, func(c *broker.Config) {
				change(c)
				c.Log = slog.New(slog.NewTextHandler(&testLog{t: t, also: &out}, nil))
			})
			s.Close()
			if out.Len() > 0 {
				t.Errorf("starting and stopping logged\n%s", out.String())
			}
		})
	}
}
