package scd4x

import (
	"fmt"

	"wattmark/hardware"
	"wattmark/hardware/sensirion"
)

// found holds the values of a transcript by channel: several exchanges merge, a
// later one replaces an earlier.
type found struct {
	values   [channels]hardware.Value
	has      [channels]bool
	notReady bool
	measured bool
}

func (f *found) set(channel int, mantissa int64, exponent int8, q hardware.Quality) {
	f.values[channel] = hardware.Value{Channel: uint8(channel), Mantissa: mantissa, Exponent: exponent, Quality: q}
	f.has[channel] = true
}

// Decode implements hardware.Decoder. Words received without a command are taken for
// a measurement.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	var f found
	for i := range t.Len() {
		sent, received := t.Exchange(i)
		if err := f.exchange(sent, received, dst); err != nil {
			dst.ResetValues()
			return err
		}
	}
	if f.notReady && !f.measured {
		return noData()
	}
	for i := range d.about.Channels {
		if f.has[i] {
			dst.Add(f.values[i], d.about.Channels[i].Limits)
		}
	}
	return nil
}

// answers says how many words answer a command that Decode reads.
var answers = map[uint16]int{cmdMeasurement: 3, cmdReady: 1, cmdSerial: 3, cmdOffset: 1, cmdPressure: 1, cmdRecalibrate: 1}

func (f *found) exchange(sent, received []byte, dst *hardware.Batch) error {
	code, ok := uint16(cmdMeasurement), true
	if len(sent) > 0 {
		if code, ok = sensirion.Command(sent); !ok {
			return &hardware.Error{Class: hardware.ErrMalformed, Err: fmt.Errorf("%d bytes sent are no command", len(sent))}
		}
	}
	if len(received) == 0 && (len(sent) > 2 || answers[code] == 0) {
		return nil // a command that nothing answers
	}
	n, ok := answers[code]
	if !ok {
		if len(dst.Warnings) < hardware.MaxWarnings {
			dst.Warn(hardware.WarnSkipped, fmt.Sprintf("answer to command %#04x", code))
		}
		return sensirion.Check(received, len(received)/sensirion.WordSize)
	}
	if err := sensirion.Check(received, n); err != nil {
		return err
	}
	if code == cmdSerial {
		dst.Identity = hardware.Identity{Serial: serialNumber(received)}
		return nil
	}
	return f.answer(code, received)
}

// answer converts the words of one answer.
func (f *found) answer(code uint16, received []byte) error {
	w := int64(sensirion.Word(received, 0))
	switch code {
	case cmdReady:
		f.notReady = w&readyBits == 0
	case cmdMeasurement:
		q := hardware.Quality(0)
		if w >= fullScale {
			q = hardware.Saturated
		}
		f.measured = true
		f.set(co2, w, 0, q)
		// T = -45 + 175 w / 65535, RH = 100 w / 65535 (3.5.2), to hundredths.
		f.set(temperature, hardware.RoundDiv(17500*int64(sensirion.Word(received, 1))-4500*65535, 65535), -2, 0)
		f.set(humidity, hardware.RoundDiv(10000*int64(sensirion.Word(received, 2)), 65535), -2, 0)
	case cmdOffset: // 175 w / 65535 K (3.6.1)
		f.set(offset, hardware.RoundDiv(17500*w, 65535), -2, 0)
	case cmdRecalibrate: // w - 0x8000 ppm (3.7.1)
		if w == recalFailed {
			return &hardware.Error{Class: hardware.ErrDevice, Op: "forced recalibration", Err: fmt.Errorf("the part answered %#04x", w),
				Remedy: "let it measure for three minutes in steady air first"}
		}
		f.set(correction, w-0x8000, 0, 0)
	case cmdPressure: // 100 w Pa (3.6.5)
		f.set(pressure, 100*w, 0, 0)
	}
	return nil
}
