package mhz19

import (
	"errors"
	"fmt"

	"wattmark/hardware"
)

// Decode implements hardware.Decoder. What was received without a command answers a read
// of the concentration. Several exchanges merge, a later one replaces an earlier. Whether
// the part warms up is not in the bytes: it is as of the last Sense.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	ppm, measured := int64(0), false
	for i := range t.Len() {
		sent, received := t.Exchange(i)
		command, err := exchange(sent, received)
		if err != nil {
			dst.ResetValues()
			return err
		}
		switch {
		case command == cmdCO2:
			ppm, measured = int64(received[2])<<8|int64(received[3]), true
		case len(received) > 0 && command != cmdSelfCal && len(dst.Warnings) < hardware.MaxWarnings:
			dst.Warn(hardware.WarnSkipped, fmt.Sprintf("answer to command %#02x", command))
		}
	}
	if t.Len() == 0 {
		return refuse(hardware.ErrTruncated, "nothing was received")
	}
	if measured {
		q := d.doubt
		if ppm >= d.full {
			q |= hardware.Saturated
		}
		dst.Add(hardware.Value{Mantissa: ppm, Quality: q}, d.about.Channels[0].Limits)
	}
	return nil
}

// exchange checks what was sent and received, and returns the command.
func exchange(sent, received []byte) (command byte, err error) {
	command = cmdCO2
	if len(sent) > 0 {
		if len(sent) != frameSize || sent[0] != 0xFF || sent[1] != 0x01 || checksum(sent) != sent[frameSize-1] {
			return 0, refuse(hardware.ErrMalformed, "%d bytes sent are no command", len(sent))
		}
		command = sent[2]
	}
	silent := command == cmdZero || command == cmdSpan || command == cmdSetSelf || command == cmdRange
	switch {
	case len(received) == 0 && silent:
		return command, nil
	case len(received) == 0:
		return 0, &hardware.Error{Class: hardware.ErrStale, Err: errors.New("the command was not answered")}
	case received[0] != 0xFF:
		return 0, refuse(hardware.ErrMalformed, "the reply begins with %#02x, not 0xff", received[0])
	case len(received) < frameSize:
		return 0, refuse(hardware.ErrTruncated, "%d bytes, a reply has %d", len(received), frameSize)
	case len(received) > frameSize:
		return 0, &hardware.Error{Class: hardware.ErrStale, Err: fmt.Errorf("%d bytes follow the reply", len(received)-frameSize)}
	}
	return command, check(received, command)
}

func refuse(class error, format string, args ...any) error {
	return &hardware.Error{Class: class, Err: fmt.Errorf(format, args...)}
}
