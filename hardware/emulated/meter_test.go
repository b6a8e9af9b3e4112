package emulated_test

import (
	"encoding/binary"
	"math"
	"testing"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/modbus"
)

// energy reads the import register, in kWh.
func energy(t *testing.T, client *modbus.RTU) float32 {
	t.Helper()
	var tr hardware.Transcript
	data, err := client.Exchange(t.Context(), modbus.Request{Unit: 1, Function: modbus.ReadInput, Address: 0x48, Count: 2}, &tr)
	if err != nil {
		t.Fatal(err)
	}
	return math.Float32frombits(binary.BigEndian.Uint32(data))
}

func TestMeterFreezesAndResets(t *testing.T) {
	meter, line := emulated.NewMeter("sdm120", 1), emulated.NewLine()
	line.Attach(1, meter)
	client := modbus.NewRTU(line.Conn(), modbus.RTUOpts{Baud: 115200})
	meter.SetPower(460)
	meter.SetEnergy(1500, 0)
	if got := energy(t, client); got != 1.5 {
		t.Errorf("got %v kWh", got)
	}
	meter.Freeze(true)
	meter.SetEnergy(2000, 0)
	if got := energy(t, client); got != 1.5 {
		t.Errorf("frozen: got %v kWh", got)
	}
	meter.Freeze(false)
	if got := energy(t, client); got != 2 {
		t.Errorf("thawed: got %v kWh", got)
	}
	meter.ResetCounters()
	if got := energy(t, client); got != 0 {
		t.Errorf("reset: got %v kWh", got)
	}
	meter.SetEnergy(2750, 0)
	if got := energy(t, client); got != 0.75 {
		t.Errorf("after the reset: got %v kWh", got)
	}
}

func TestSeededFaultsRepeat(t *testing.T) {
	draw := func(seed uint64) (all []emulated.Fault, faults int) {
		plan := emulated.Seeded(seed, 4, emulated.BadCRC, emulated.Silence)
		for range 400 {
			f := plan()
			all = append(all, f)
			if f != emulated.NoFault {
				faults++
			}
		}
		return all, faults
	}
	a, n := draw(1)
	b, _ := draw(1)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("the same seed gave %s and %s at %d", a[i], b[i], i)
		}
	}
	if n < 50 || n > 150 {
		t.Errorf("%d faults in 400, one in four was asked for", n)
	}
}
