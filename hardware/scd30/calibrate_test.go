package scd30_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/scd30"
)

func reference(channel string, mantissa int64, exponent int8) hardware.CalibrationStep {
	return hardware.CalibrationStep{Channel: channel, Reference: hardware.Value{Mantissa: mantissa, Exponent: exponent}}
}

func TestCalibrate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd30.Opts{})
		s.sample(t)
		time.Sleep(2 * time.Minute)
		record, err := s.Calibrate(t.Context(), reference("co2", 4500, -1))
		if err != nil || record.Setting != "co2" || record.Before.String() != "400" || record.After.String() != "450" || record.Evidence.Len() != 3 {
			t.Fatalf("%+v, %v", record, err)
		}
		if b := s.sample(t); b.Values[0].String() != "450" {
			t.Errorf("afterwards it measures %s ppm", b.Values[0])
		}
		record, err = s.Calibrate(t.Context(), reference("temperature", 19, 0)) // it says 21.5
		if err != nil || record.Setting != "temperature_offset" || record.Before.String() != "0.00" || record.After.String() != "2.50" || s.ask(t, 0x5403) != 250 {
			t.Fatalf("%+v, %v", record, err)
		}
		if b := s.sample(t); b.Values[1].String() != "19" {
			t.Errorf("afterwards it measures %s degrees", b.Values[1])
		}
		if record, err = s.Calibrate(t.Context(), reference("temperature", 2001, -2)); err != nil || record.Before.String() != "2.50" || record.After.String() != "1.49" {
			t.Errorf("again: %+v, %v", record, err)
		}
	})
}

func TestCalibrateRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd30.Opts{})
		refused := func(name string, step hardware.CalibrationStep, want string) {
			t.Helper()
			writes := s.part.Settings()
			if _, err := s.Calibrate(t.Context(), step); err == nil || !strings.Contains(err.Error(), want) || s.part.Settings() != writes {
				t.Errorf("%s: %v, %d settings written", name, err, s.part.Settings()-writes)
			}
		}
		refused("before a sample", reference("co2", 450, 0), "has not measured")
		s.sample(t)
		refused("too soon", reference("co2", 450, 0), "2m0s")
		refused("another channel", reference("relative_humidity", 50, 0), "only co2 and temperature")
		refused("half a ppm", reference("co2", 4505, -1), "not whole")
		refused("too little", reference("co2", 399, 0), "400 to 2000")
		refused("too much", reference("co2", 1, 120), "400 to 2000")
		refused("too cold", reference("temperature", -41, 0), "-40 to 70")
		refused("too exact", reference("temperature", 20001, -3), "two decimals")
		refused("warmer", reference("temperature", 22, 0), "0 to 20")
		refused("far off", reference("temperature", 1, 0), "0 to 20")
	})
}
