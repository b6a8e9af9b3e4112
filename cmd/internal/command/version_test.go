package command_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"wattmark/cmd/internal/command"
)

// TestVersion: the version is a line or an object, and what cannot be written is told.
func TestVersion(t *testing.T) {
	says := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		c := command.NewVersion("wattmark-test", func() string { return "1.2.3" }, func(err error) error { return err })
		c.SetArgs(args)
		c.SetOut(&out)
		c.SetErr(&out)
		if err := c.Execute(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := says(); !strings.HasPrefix(got, "wattmark-test 1.2.3 (go1.") {
		t.Errorf("the line is %q", got)
	}
	if got := says("--json"); !strings.HasPrefix(got, `{"version":"1.2.3","go":"go1.`) {
		t.Errorf("the object is %s", got)
	}
	full := errors.New("the disk is full")
	c := command.NewVersion("x", func() string { return "1" }, func(err error) error { return errors.Join(err) })
	c.SetArgs([]string{"--json"})
	c.SetOut(broken{full})
	c.SilenceErrors, c.SilenceUsage = true, true
	if err := c.Execute(); !errors.Is(err, full) {
		t.Errorf("on a full disk: %v", err)
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }
