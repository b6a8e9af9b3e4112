package sps30

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"wattmark/hardware"
	"wattmark/hardware/sensirion"
)

// Bits of the status register (4.4).
const (
	statusSpeed = 1 << 21 // the fan runs too fast or too slow
	statusLaser = 1 << 5
	statusFan   = 1 << 4 // the fan does not turn
)

// productType is what the part calls itself, less what it may end in (5.3.9).
const productType = "00080000"

// floats is how many values a measurement has.
const floats = 10

// found is what a transcript holds: several exchanges merge, a later one replaces an
// earlier.
type found struct {
	content content
	words   [4 * floats]byte // the words of an answer, without their checksums
	values  [floats]float32
	// measured and empty say whether there was a measurement, and a reply without one;
	// flagged that a reply pointed at the status register, which is known or not.
	measured, empty, flagged, hasStatus bool
	status                              uint32
	identity                            hardware.Identity
}

// Decode implements hardware.Decoder. Frames of the UART and words of I2C tell
// themselves apart; what was received without a command is taken for a measurement.
// Whether the part warms up is not in the bytes: it is as of the last Sense.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	var f found
	err := f.merge(t, dst)
	if err == nil {
		err = f.verdict()
	}
	if err != nil {
		dst.ResetValues()
		return err
	}
	dst.Identity = f.identity
	for i := range f.values {
		if f.measured {
			dst.AddFloat32(uint8(i), d.about.Channels[i].Name, f.values[i], 0, d.doubt, d.about.Channels[i].Limits)
		}
	}
	if f.status&statusSpeed != 0 {
		dst.Warn(hardware.WarnDisagrees, "the status register says that the fan runs too fast or too slow")
	}
	return nil
}

// merge takes all exchanges of a transcript.
func (f *found) merge(t *hardware.Transcript, dst *hardware.Batch) error {
	if t.Len() == 0 {
		return refuse(hardware.ErrTruncated, "nothing was received")
	}
	for i := range t.Len() {
		sent, received := t.Exchange(i)
		first := sent
		if len(sent) == 0 {
			first = received
		}
		var err error
		if len(first) > 0 && first[0] == flag {
			err = f.shdlc(sent, received, dst)
		} else {
			err = f.i2c(sent, received, dst)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verdict is why there are no values to be had from what was found, nil if there are, or
// none were asked for.
func (f *found) verdict() error {
	switch bad := f.status & (statusFan | statusLaser); {
	case bad != 0:
		return statusError(bad)
	case f.flagged && !f.hasStatus:
		return &hardware.Error{Class: hardware.ErrDevice, Err: fmt.Errorf("a reply says that the status register has an error"), Remedy: "run its self-test: fan or laser may have failed"}
	case f.empty && !f.measured:
		return noData()
	}
	return nil
}

// statusError says which of fan and laser failed.
func statusError(bits uint32) error {
	var failed []string
	if bits&statusFan != 0 {
		failed = append(failed, "the fan does not turn")
	}
	if bits&statusLaser != 0 {
		failed = append(failed, "the laser's current is out of range")
	}
	return &hardware.Error{Class: hardware.ErrDevice, Op: "reading the status register", Err: fmt.Errorf("%s", strings.Join(failed, ", ")), Remedy: "clean or replace the part"}
}

// shdlc takes an exchange of the UART (5.3).
func (f *found) shdlc(sent, received []byte, dst *hardware.Batch) error {
	command, argument := byte(shdlcMeasurement), byte(0)
	if len(sent) > 0 {
		c, data, err := f.content.request(sent)
		if err != nil {
			return err
		}
		if command = c; len(data) > 0 {
			argument = data[0]
		}
	}
	r, err := f.content.read(received)
	if err != nil {
		return err
	}
	if r.command != command {
		return refuse(hardware.ErrWrongReply, "command %#02x was answered, %#02x was sent", r.command, command)
	}
	if err := r.refused(); err != nil {
		return err
	}
	f.flagged = f.flagged || r.state&failing != 0
	switch command {
	case shdlcMeasurement:
		return f.measurement(r.data)
	case shdlcInformation:
		return f.told(argument, r.data)
	case shdlcVersion:
		if len(r.data) != 7 {
			return wrongLength(command, len(r.data))
		}
		f.identity.Version = version(r.data[0], r.data[1])
	case shdlcStatus:
		if len(r.data) != 5 {
			return wrongLength(command, len(r.data))
		}
		f.status, f.hasStatus = binary.BigEndian.Uint32(r.data), true
	case shdlcStart, shdlcStop:
	default:
		skipped(dst, "answer to command %#02x", int(command))
	}
	return nil
}

// answers says how many words answer a command of I2C that Decode reads (6.3).
var answers = map[uint16]int{
	i2cMeasurement: 2 * floats, i2cReady: 1, i2cType: 4, i2cSerial: 16, i2cVersion: 1, i2cStatus: 2,
}

// i2c takes an exchange of I2C (6.3).
func (f *found) i2c(sent, received []byte, dst *hardware.Batch) error {
	command, ok := uint16(i2cMeasurement), true
	if len(sent) > 0 {
		if command, ok = sensirion.Command(sent); !ok {
			return refuse(hardware.ErrMalformed, "%d bytes sent are no command", len(sent))
		}
	}
	n, known := answers[command]
	switch {
	case len(received) == 0 && len(sent) > 0 && (len(sent) > 2 || !known):
		return nil // a command that nothing answers
	case !known:
		skipped(dst, "answer to command %#04x", int(command))
		return sensirion.Check(received, len(received)/sensirion.WordSize)
	}
	if err := sensirion.Check(received, n); err != nil {
		return err
	}
	data := f.words[:0]
	for i := range n {
		data = binary.BigEndian.AppendUint16(data, sensirion.Word(received, i))
	}
	switch command {
	case i2cMeasurement:
		return f.measurement(data)
	case i2cReady:
		f.empty = f.empty || data[1] != 1
	case i2cType:
		return f.told(informationType, data)
	case i2cSerial:
		return f.told(informationSerial, data)
	case i2cVersion:
		f.identity.Version = version(data[0], data[1])
	case i2cStatus:
		f.status, f.hasStatus = binary.BigEndian.Uint32(data), true
	}
	return nil
}

// measurement takes ten float32, high byte first, or nothing.
func (f *found) measurement(data []byte) error {
	switch len(data) {
	case 0:
		f.empty = true
		return nil
	case 4 * floats:
	default:
		return wrongLength(shdlcMeasurement, len(data))
	}
	f.measured = true
	for i := range f.values {
		f.values[i] = math.Float32frombits(binary.BigEndian.Uint32(data[4*i:]))
	}
	return nil
}

// told takes what the part says of itself.
func (f *found) told(what byte, data []byte) error {
	text := string(data)
	if i := strings.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	switch what {
	case informationType:
		if !strings.HasPrefix(text, productType) {
			return &hardware.Error{Class: hardware.ErrWrongDevice, Err: fmt.Errorf("the part calls itself %q, an SPS30 is %q", text, productType)}
		}
		f.identity.Manufacturer, f.identity.Model = maker, part
	case informationSerial:
		f.identity.Serial = text
	}
	return nil
}

func version(major, minor byte) string { return fmt.Sprintf("%d.%d", major, minor) }

func wrongLength(command byte, n int) error {
	return refuse(hardware.ErrWrongReply, "%d bytes answer command %#02x", n, command)
}

// skipped warns of an answer that means nothing here.
func skipped(dst *hardware.Batch, format string, command int) {
	if len(dst.Warnings) < hardware.MaxWarnings {
		dst.Warn(hardware.WarnSkipped, fmt.Sprintf(format, command))
	}
}
