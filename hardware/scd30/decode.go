package scd30

import (
	"fmt"
	"math"

	"wattmark/hardware"
	"wattmark/hardware/sensirion"
)

// answers says how many words answer a command that Decode reads.
var answers = map[uint16]int{
	cmdMeasurement: 6, cmdReady: 1, cmdFirmware: 1, cmdInterval: 1, cmdSelfCalibration: 1,
	cmdRecalibrate: 1, cmdOffset: 1, cmdAltitude: 1,
}

// Decode implements hardware.Decoder. Words received without a command are taken for
// a measurement. Several exchanges merge, a later one replaces an earlier.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	var floats [3]float32
	var offsetWord int64
	var measured, notReady, hasOffset bool
	for i := range t.Len() {
		sent, received := t.Exchange(i)
		code, err := read(sent, received, dst)
		if err != nil {
			dst.ResetValues()
			return err
		}
		if len(received) == 0 {
			continue
		}
		switch code {
		case cmdMeasurement:
			measured = true
			for k := range floats {
				floats[k] = float(received, k)
			}
		case cmdReady:
			notReady = sensirion.Word(received, 0) != 1
		case cmdFirmware:
			dst.Identity = hardware.Identity{Version: version(received)}
		case cmdOffset:
			offsetWord, hasOffset = int64(sensirion.Word(received, 0)), true
		}
	}
	if notReady && !measured {
		return noData()
	}
	if measured {
		d.add(floats, dst)
	}
	if hasOffset && len(d.about.Channels) == channels { // 0.01 K (1.4.8)
		dst.Add(hardware.Value{Channel: offset, Mantissa: offsetWord, Exponent: -2}, d.about.Channels[offset].Limits)
	}
	return nil
}

// float returns float32 k of a measurement, high word first (1.4.5).
func float(received []byte, k int) float32 {
	return math.Float32frombits(uint32(sensirion.Word(received, 2*k))<<16 | uint32(sensirion.Word(received, 2*k+1)))
}

// read checks one exchange and returns the command that was answered.
func read(sent, received []byte, dst *hardware.Batch) (code uint16, err error) {
	code, ok := uint16(cmdMeasurement), true
	if len(sent) > 0 {
		if code, ok = sensirion.Command(sent); !ok {
			return 0, &hardware.Error{Class: hardware.ErrMalformed, Err: fmt.Errorf("%d bytes sent are no command", len(sent))}
		}
	}
	n, ok := answers[code]
	switch {
	case len(received) == 0 && (len(sent) > 2 || !ok):
		return code, nil // a command that nothing answers
	case !ok:
		if len(dst.Warnings) < hardware.MaxWarnings {
			dst.Warn(hardware.WarnSkipped, fmt.Sprintf("answer to command %#04x", code))
		}
		return code, sensirion.Check(received, len(received)/sensirion.WordSize)
	}
	return code, sensirion.Check(received, n)
}

// add adds CO2, temperature and humidity: float32 by the shortest-decimal rule.
func (d *Dev) add(floats [3]float32, dst *hardware.Batch) {
	for i, f := range floats {
		q := hardware.Quality(0)
		if i == co2 && f >= fullScale {
			q = hardware.Saturated
		}
		dst.AddFloat32(uint8(i), d.about.Channels[i].Name, f, 0, q, d.about.Channels[i].Limits)
	}
}
