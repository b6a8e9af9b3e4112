package scd4x

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/sensirion"
)

const (
	cmdSetOffset = 0x241D // 3.6.1
	cmdPersist   = 0x3615 // 3.9.1

	recalibrating = 400 * time.Millisecond // 3.7.1
	persisting    = 800 * time.Millisecond // 3.9.1

	// resting is how long the part must have measured the reference (3.7.1).
	resting = 3 * time.Minute
	// largestOffset is what the data sheet recommends at most, as a word: 20 K (3.6.1).
	largestOffset = 20 * 65535 / 175
)

var _ hardware.Calibrator = (*Dev)(nil)

// Calibrate adjusts the channel "co2" by a forced recalibration, for which the part must
// have measured air of that concentration for three minutes, or "temperature" by the
// part's offset, which is then stored in the part together with its other settings. The
// part starts anew with the next Sense. Whatever is refused before anything was written
// has no class.
func (d *Dev) Calibrate(ctx context.Context, step hardware.CalibrationStep) (hardware.CalibrationRecord, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	record := hardware.CalibrationRecord{Identity: d.identity, Step: step}
	adjust := d.recalibrate
	switch step.Channel {
	case "co2":
	case "temperature":
		adjust = d.setOffset
	default:
		return record, fmt.Errorf("%s: it has no channel %q to calibrate, only co2 and temperature", d, step.Channel)
	}
	if !d.measuring || d.last == d.started {
		return record, fmt.Errorf("%s: it has not measured yet: calibrate after a sample", d)
	}
	if err := adjust(ctx, step.Reference, &record); err != nil {
		return hardware.CalibrationRecord{}, hardware.Locate(err, d.String(), d.port.Bus())
	}
	return record, nil
}

// idle stops the part: it takes no settings while it measures.
func (d *Dev) idle(ctx context.Context, t *hardware.Transcript) error {
	d.measuring = false // the next Sense starts it, whatever becomes of this
	return d.port.Send(ctx, t, cmdStop, stopping)
}

// recalibrate is the forced recalibration.
func (d *Dev) recalibrate(ctx context.Context, reference hardware.Value, record *hardware.CalibrationRecord) error {
	ppm, ok := scaled(reference, 0)
	if !ok || ppm < 400 || ppm > 2000 {
		return fmt.Errorf("%s: a reference of %s ppm is not whole and from 400 to 2000", d, reference)
	}
	if ran := d.now() - d.started; ran < resting {
		return fmt.Errorf("%s: it runs for %s, and must have measured the reference for %s", d, ran.Round(time.Second), resting)
	}
	t := &record.Evidence
	if err := d.idle(ctx, t); err != nil {
		return err
	}
	if err := d.port.Send(ctx, t, cmdRecalibrate, recalibrating, uint16(ppm)); err != nil {
		return err
	}
	answer, err := d.port.Receive(t, cmdRecalibrate, 1)
	if err != nil {
		return err
	}
	var f found
	if err := f.answer(cmdRecalibrate, answer); err != nil {
		return err
	}
	record.Setting, record.After = "frc_correction", f.values[correction]
	record.After.Channel = 0
	return nil
}

// setOffset sets the temperature offset: what the part measured, less the reference,
// plus the offset that it had (3.6.1), and stores it.
func (d *Dev) setOffset(ctx context.Context, reference hardware.Value, record *hardware.CalibrationRecord) error {
	centi, ok := scaled(reference, -2)
	if !ok || centi < -1000 || centi > 6000 {
		return fmt.Errorf("%s: a reference of %s degrees is not within -10 to 60 with at most two decimals", d, reference)
	}
	t := &record.Evidence
	if err := d.idle(ctx, t); err != nil {
		return err
	}
	answer, err := d.port.Read(ctx, t, cmdOffset, pause, 1)
	if err != nil {
		return err
	}
	before := int64(sensirion.Word(answer, 0))
	// In words, of which 65535 are 175 K: T = -45 + 175 w / 65535 (3.5.2).
	after := int64(d.temperature) - hardware.RoundDiv((centi+4500)*65535, 17500) + before
	if after < 0 || after > largestOffset {
		return fmt.Errorf("%s: an offset of %s K is not within 0 to 20", d, kelvin(after))
	}
	if err := d.port.Send(ctx, t, cmdSetOffset, pause, uint16(after)); err != nil {
		return err
	}
	answer, err = d.port.Read(ctx, t, cmdOffset, pause, 1)
	if err != nil {
		return err
	}
	if got := sensirion.Word(answer, 0); got != uint16(after) {
		return &hardware.Error{Class: hardware.ErrDevice, Op: "setting the temperature offset", Err: errors.New("the part has another one")}
	}
	if err := d.port.Send(ctx, t, cmdPersist, persisting); err != nil {
		return err
	}
	record.Setting, record.Before, record.After = "temperature_offset", kelvin(before), kelvin(after)
	return nil
}

// kelvin is the value of a word of offset: 175 w / 65535 K.
func kelvin(word int64) hardware.Value {
	return hardware.Value{Mantissa: hardware.RoundDiv(17500*word, 65535), Exponent: -2}
}

// scaled returns the number of v in steps of 10^exponent. It is false if v is finer than
// that, or far from all that a part here measures.
func scaled(v hardware.Value, exponent int8) (int64, bool) {
	n := v.Mantissa
	for e := v.Exponent; e > exponent; e-- {
		if n > 1e9 || n < -1e9 {
			return 0, false
		}
		n *= 10
	}
	for e := v.Exponent; e < exponent; e++ {
		if n%10 != 0 {
			return 0, false
		}
		n /= 10
	}
	return n, true
}
