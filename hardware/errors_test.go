package hardware_test

import (
	"errors"
	"fmt"
	"testing"

	"wattmark/hardware"
)

// An error says each thing once: what the class is, or what is known of it beyond that.
func TestErrorSaysEachThingOnce(t *testing.T) {
	for _, c := range []struct {
		err          *hardware.Error
		want, detail string
		class        error
	}{
		{&hardware.Error{Class: hardware.ErrChecksum}, "bad checksum", "", hardware.ErrChecksum},
		{
			&hardware.Error{Class: hardware.ErrChecksum, Bus: "rs485-1", Device: "sdm630 unit 1", Op: "reading", Err: errors.New("CRC 0x0001"), Remedy: "check the cable"},
			"rs485-1: sdm630 unit 1: reading: bad checksum: CRC 0x0001 (check the cable)",
			"rs485-1: sdm630 unit 1: reading: CRC 0x0001 (check the cable)", hardware.ErrChecksum,
		},
		{
			&hardware.Error{Class: hardware.ErrTruncated, Err: errors.New("23 bytes of a frame of 32")},
			"truncated: 23 bytes of a frame of 32", "23 bytes of a frame of 32", hardware.ErrMalformed,
		},
		{
			&hardware.Error{Class: hardware.ErrMalformed, Op: "reading", Err: fmt.Errorf("the frame sent: %w", hardware.ErrTruncated)},
			"reading: the frame sent: truncated", "reading: the frame sent: truncated", hardware.ErrMalformed,
		},
		{&hardware.Error{Class: hardware.ErrOverflow, Op: "current_dc"}, "current_dc: number too large", "current_dc", hardware.ErrMalformed},
		{&hardware.Error{Err: errors.New("no class")}, "no class", "no class", nil},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if got := c.err.Detail(); got != c.detail {
			t.Errorf("the detail of %q is %q, want %q", c.want, got, c.detail)
		}
		if got := hardware.Class(c.err); got != c.class {
			t.Errorf("the class of %q is %v, want %v", c.want, got, c.class)
		}
	}
}
