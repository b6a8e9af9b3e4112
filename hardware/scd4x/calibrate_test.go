package scd4x_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"periph.io/x/conn/v3/i2c"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/scd4x"
)

func reference(channel string, mantissa int64, exponent int8) hardware.CalibrationStep {
	return hardware.CalibrationStep{Channel: channel, Reference: hardware.Value{Mantissa: mantissa, Exponent: exponent}}
}

func TestCalibrateCO2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd4x.Opts{})
		s.sample(t)
		time.Sleep(3 * time.Minute)
		record, err := s.Calibrate(t.Context(), reference("co2", 4500, -1))
		if err != nil || record.Setting != "frc_correction" || record.After.String() != "-162" || record.Identity.Serial == "" || record.Evidence.Len() == 0 {
			t.Fatalf("%+v, %v", record, err)
		}
		if b := s.sample(t); b.Values[0].String() != "450" {
			t.Errorf("afterwards it measures %s ppm", b.Values[0])
		}
		// The part says no by 0xFFFF, which is no correction of 32767 ppm.
		time.Sleep(3 * time.Minute)
		s.part.FailNext()
		if record, err := s.Calibrate(t.Context(), reference("co2", 450, 0)); !errors.Is(err, hardware.ErrDevice) || record.Setting != "" {
			t.Errorf("a failed one: %+v, %v", record, err)
		}
		s.sample(t)
	})
}

// periph's scd4x tells 6.2 K as 6 nK, and writes another word than the one it means.
// What is set is stored, and read again after a loss of power.
func TestCalibrateTemperature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd4x.Opts{})
		s.sample(t)
		record, err := s.Calibrate(t.Context(), reference("temperature", 193, -1)) // it says 21.5
		if err != nil || record.Setting != "temperature_offset" || record.Before.String() != "4.00" || record.After.String() != "6.20" {
			t.Fatalf("%+v, %v", record, err)
		}
		for _, when := range []string{"set", "after a loss of power"} {
			if got := s.word(t, 0x2318); got != 0x0912 { // the data sheet's word for 6.2 K (3.6.2)
				t.Errorf("%s: the part's offset is %#04x", when, got)
			}
			s.part.PowerCycle()
		}
		s.sample(t)
	})
}

func TestCalibrateRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd4x.Opts{})
		refused := func(name string, step hardware.CalibrationStep, want string) {
			t.Helper()
			writes := s.part.Settings()
			if _, err := s.Calibrate(t.Context(), step); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
			if name != "far off" && s.part.Settings() != writes {
				t.Errorf("%s: %d commands", name, s.part.Settings()-writes)
			}
		}
		refused("before a sample", reference("co2", 450, 0), "has not measured")
		s.sample(t)
		refused("too soon", reference("co2", 450, 0), "3m0s")
		refused("another channel", reference("relative_humidity", 50, 0), "only co2 and temperature")
		refused("half a ppm", reference("co2", 4505, -1), "not whole")
		refused("too little", reference("co2", 399, 0), "400 to 2000")
		refused("too much", reference("co2", 1, 120), "400 to 2000")
		refused("too cold", reference("temperature", -11, 0), "-10 to 60")
		refused("too exact", reference("temperature", 20001, -3), "two decimals")
		refused("far off", reference("temperature", -10, 0), "0 to 20")
		if got := s.word(t, 0x2318); got != 0x05DA {
			t.Errorf("the part's offset is %#04x", got)
		}
	})
}

// watched is a bus that looks at what a driver does on it.
type watched struct {
	i2c.Bus
	t     *testing.T
	last  time.Time
	codes map[uint16]bool
}

func (w *watched) Tx(address uint16, out, in []byte) error {
	switch {
	case len(out) > 0 && len(in) > 0:
		w.t.Errorf("command % x and the read of its answer are one transfer", out)
	case len(in) > 0 && time.Since(w.last) < time.Millisecond:
		w.t.Errorf("an answer is read %s after its command", time.Since(w.last))
	case len(out) > 0:
		w.codes[binary.BigEndian.Uint16(out)] = true
	}
	err := w.Bus.Tx(address, out, in)
	w.last = time.Now()
	return err
}

// periph's scd4x joins a command and the read of its answer in one transfer, for which
// the part is not ready, and checks the periods of self-calibration, which are hours, in
// nanoseconds. The periods are the part's own business: no driver's word changes them.
func TestTransfers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		now := func() time.Duration { return time.Since(start) }
		bus, part := emulated.NewBus("i2c-1"), emulated.NewSCD4x(serial, now)
		bus.Attach(scd4x.Address, part)
		w := &watched{Bus: bus, t: t, codes: map[uint16]bool{}}
		dev, err := scd4x.NewI2C(w, scd4x.Address, &scd4x.Opts{Now: now, SelfCalibration: true})
		if err != nil {
			t.Fatal(err)
		}
		s := &sensor{Dev: dev, bus: bus, part: part}
		s.sample(t)
		time.Sleep(3 * time.Minute)
		if _, err := s.Calibrate(t.Context(), reference("co2", 450, 0)); err != nil {
			t.Error(err)
		}
		s.sample(t)
		if _, err := s.Calibrate(t.Context(), reference("temperature", 18, 0)); err != nil {
			t.Error(err)
		}
		if _, _, err := s.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		s.sample(t)
		if err := s.Halt(); err != nil {
			t.Error(err)
		}
		want := map[uint16]bool{}
		for _, code := range []uint16{0x21B1, 0xEC05, 0x3F86, 0x2318, 0x241D, 0x3615, 0x362F, 0x2416, 0xE4B8, 0x3682} {
			want[code] = true
		}
		if diff := cmp.Diff(want, w.codes); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
	})
}

// The offset that is set is the one of 3.6.1 to the nearest word, for all that the part
// may measure and a reference may say.
func TestOffsetIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		measured := rapid.IntRange(0, 5000).Draw(r, "0.01 degrees measured")
		below := rapid.IntRange(-390, 1590).Draw(r, "reference below that")
		synctest.Test(t, func(t *testing.T) {
			s := newSensor(t, scd4x.Opts{})
			s.part.Set(emulated.Air{CO2: 420, Temperature: float64(measured) / 100})
			s.sample(t)
			reading := int64(measured - below)
			if reading < -1000 || reading > 6000 {
				return
			}
			record, err := s.Calibrate(t.Context(), reference("temperature", reading, -2))
			if err != nil {
				r.Fatalf("%d less %d: %v", measured, below, err)
			}
			if got, want := record.After.Mantissa, int64(400+below); got < want-1 || got > want+1 {
				r.Errorf("measured %d, reference %d: the offset is %d, want %d", measured, reading, got, want)
			}
		})
	})
}
