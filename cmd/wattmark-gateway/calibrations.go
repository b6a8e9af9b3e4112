package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"wattmark/gateway"
	"wattmark/gateway/calibration"
	"wattmark/hardware"
)

// carryOut is how long a calibration may take: a part that adjusts itself takes seconds.
const carryOut = 30 * time.Second

// takeCalibrations signs what the verb calibrate asks for, until ctx ends.
func (d *daemon) takeCalibrations(ctx context.Context, f *gateway.File, g *gateway.Gateway) {
	tray := calibration.In(f.Path(f.Gateway.State))
	err := tray.Serve(ctx, func(ctx context.Context, r *calibration.Request) calibration.Answer {
		a := calibrateGateway(ctx, g, r)
		if a.Error != "" {
			d.log.Warn("refused a calibration", "error", a.Error)
		} else {
			d.log.Info("calibrated", "record", a.Record)
		}
		return a
	})
	if err != nil {
		d.log.Warn("nobody can calibrate this gateway", "error", err)
	}
}

// calibrateGateway carries out a request: the part adjusts itself if that is asked for,
// then the record is signed.
func calibrateGateway(ctx context.Context, g *gateway.Gateway, r *calibration.Request) calibration.Answer {
	ctx, cancel := context.WithTimeout(ctx, carryOut)
	defer cancel()
	c, err := r.Parse()
	if err != nil {
		return calibration.Answer{Error: err.Error()}
	}
	var a calibration.Answer
	if r.Adjust != nil {
		reference := hardware.Value{Mantissa: r.Adjust.Reference.Mantissa, Exponent: r.Adjust.Reference.Exponent}
		done, err := g.Adjust(ctx, r.Point, c.Device, hardware.CalibrationStep{Channel: r.Adjust.Channel, Reference: reference})
		if err != nil {
			return calibration.Answer{Error: hint(err)}
		}
		a.Setting, a.Before, a.After = done.Setting, done.Before.String(), done.After.String()
	}
	id, err := g.Calibrate(ctx, r.Point, c)
	if err != nil {
		a.Error = err.Error()
		if r.Adjust != nil {
			a.Error = fmt.Sprintf("the part has adjusted itself (%s: %s, was %s), and there is no record of it: %v: do it again", a.Setting, a.After, a.Before, err)
		}
		return a
	}
	a.Record = hex.EncodeToString(id[:])
	return a
}
