package scd30

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/sensirion"
)

const (
	// resting is how long the part must have measured the reference (1.4.7).
	resting = 2 * time.Minute
	// largestOffset bounds the temperature offset: a part that is warmer than that by
	// itself is broken.
	largestOffset = 2000 // 0.01 K
)

var _ hardware.Calibrator = (*Dev)(nil)

// Calibrate adjusts the channel "co2" by a forced recalibration, for which the part must
// have measured air of that concentration for two minutes, or "temperature" by the part's
// offset. The part keeps both (1.4.7, 1.4.8). Before and After of "co2" are the reference
// that the part was calibrated to. Whatever is refused before anything was written has no
// class.
func (d *Dev) Calibrate(ctx context.Context, step hardware.CalibrationStep) (hardware.CalibrationRecord, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.measuring || d.last == d.started {
		return hardware.CalibrationRecord{}, fmt.Errorf("%s: it has not measured yet: calibrate after a sample", d)
	}
	record := hardware.CalibrationRecord{Step: step, Identity: hardware.Identity{Manufacturer: "Sensirion", Model: d.about.Part}}
	var err error
	switch step.Channel {
	case "co2":
		err = d.recalibrate(ctx, &record)
	case "temperature":
		err = d.setOffset(ctx, &record)
	default:
		err = fmt.Errorf("%s: it has no channel %q to calibrate, only co2 and temperature", d, step.Channel)
	}
	if err != nil {
		return hardware.CalibrationRecord{}, hardware.Locate(err, d.String(), d.port.Bus())
	}
	return record, nil
}

func (d *Dev) recalibrate(ctx context.Context, record *hardware.CalibrationRecord) error {
	reference := record.Step.Reference
	ppm, ok := scaled(reference, 0)
	if !ok || ppm < 400 || ppm > 2000 {
		return fmt.Errorf("%s: a reference of %s ppm is not whole and from 400 to 2000", d, reference)
	}
	if ran := d.opts.Now() - d.started; ran < resting {
		return fmt.Errorf("%s: it runs for %s, and must have measured the reference for %s", d, ran.Round(time.Second), resting)
	}
	before, err := d.replace(ctx, &record.Evidence, cmdRecalibrate, func(uint16) (uint16, error) { return uint16(ppm), nil })
	if err != nil {
		return err
	}
	record.Setting = "co2"
	record.Before, record.After = hardware.Value{Mantissa: int64(before)}, hardware.Value{Mantissa: ppm}
	return nil
}

// setOffset sets the temperature offset: what the part measured, less the reference,
// plus the offset that it had.
func (d *Dev) setOffset(ctx context.Context, record *hardware.CalibrationRecord) error {
	reference := record.Step.Reference
	centi, ok := scaled(reference, -2)
	if !ok || centi < -4000 || centi > 7000 {
		return fmt.Errorf("%s: a reference of %s degrees is not within -40 to 70 with at most two decimals", d, reference)
	}
	measured := math.Round(100 * float64(d.temperature))
	if !(math.Abs(measured) < 10000) {
		return fmt.Errorf("%s: it measured no temperature", d)
	}
	after := int64(0)
	before, err := d.replace(ctx, &record.Evidence, cmdOffset, func(before uint16) (uint16, error) {
		after = int64(measured) - centi + int64(before)
		if after < 0 || after > largestOffset {
			return 0, fmt.Errorf("%s: an offset of %s K is not within 0 to 20", d, hardware.Value{Mantissa: after, Exponent: -2})
		}
		return uint16(after), nil
	})
	if err != nil {
		return err
	}
	record.Setting = "temperature_offset"
	record.Before, record.After = hardware.Value{Mantissa: int64(before), Exponent: -2}, hardware.Value{Mantissa: after, Exponent: -2}
	return nil
}

// replace writes a setting that is made of the one before, and reads it back.
func (d *Dev) replace(ctx context.Context, t *hardware.Transcript, code uint16, by func(before uint16) (uint16, error)) (before uint16, err error) {
	word, err := d.port.Read(ctx, t, code, pause, 1)
	if err != nil {
		return 0, err
	}
	before = sensirion.Word(word, 0)
	after, err := by(before)
	if err != nil {
		return 0, err
	}
	if err := d.port.Send(ctx, t, code, pause, after); err != nil {
		return 0, err
	}
	if word, err = d.port.Read(ctx, t, code, pause, 1); err != nil {
		return 0, fmt.Errorf("%w: the setting was written, whether it was taken is not known", err)
	}
	if got := sensirion.Word(word, 0); got != after {
		return 0, &hardware.Error{Class: hardware.ErrDevice, Op: fmt.Sprintf("writing setting %#04x", code), Err: errors.New("the part has another one")}
	}
	return before, nil
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
