package street_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/cmd/internal/street"
	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/generic"
	"wattmark/hardware/modbus"
	"wattmark/hardware/scd30"
	"wattmark/hardware/scd4x"
	"wattmark/hardware/sdm"
	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// devices opens what a gateway reads, with the drivers that ship.
func devices(t *testing.T, g *street.Gateway, c *street.Clock) []hardware.Device {
	t.Helper()
	var line *modbus.RTU
	if g.Serial != "" {
		port, err := os.OpenFile(g.Serial, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = port.Close() })
		line = modbus.NewRTU(port, modbus.RTUOpts{Baud: 115200})
	}
	var out []hardware.Device
	for _, d := range g.Devices {
		var dev hardware.Device
		var err error
		switch d.Model {
		case "modbus":
			opts := &generic.Opts{Now: c.Monotonic}
			for _, text := range d.Channels {
				channel, err := generic.ParseChannel(text)
				if err != nil {
					t.Fatal(err)
				}
				opts.Channels = append(opts.Channels, channel)
			}
			dev, err = generic.NewModbus(line, byte(d.Address), opts)
		case "scd41":
			dev, err = scd4x.NewI2C(g.Bus, d.Address, &scd4x.Opts{Model: d.Model, Now: c.Monotonic})
		case "scd30":
			dev, err = scd30.NewI2C(g.Bus, d.Address, &scd30.Opts{Now: c.Monotonic})
		default:
			dev, err = sdm.NewModbus(line, byte(d.Address), &sdm.Opts{Model: d.Model, Now: c.Monotonic})
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, dev)
	}
	return out
}

// sense returns a device's values by channel.
func sense(t *testing.T, d hardware.Device) map[string]entry.Decimal {
	t.Helper()
	var b hardware.Batch
	if err := d.Sense(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	about := d.Describe()
	out := make(map[string]entry.Decimal)
	for _, v := range b.Values {
		name := about.Channels[v.Channel].Name
		out[name] = entry.Decimal{Mantissa: v.Mantissa, Exponent: v.Exponent}
		if v.Quality != 0 {
			t.Errorf("%s: %s has quality %s", d, name, v.Quality)
		}
	}
	return out
}

// registered returns what is registered of a device alone, as its driver names it.
func registered(g *street.Gateway, i int) entry.Point {
	p := g.Devices[i].Point
	p.Channels = slices.Clone(p.Channels)
	if g.Mass == nil || g.Mass.Subject != p.Subject {
		return p
	}
	prefix := g.Devices[i].Name + "." // several devices are at this point
	p.Channels = slices.DeleteFunc(p.Channels, func(c entry.Channel) bool { return !strings.HasPrefix(c.Name, prefix) })
	for k := range p.Channels {
		p.Channels[k].Name = strings.TrimPrefix(p.Channels[k].Name, prefix)
	}
	return p
}

func TestRegistrationsAreTheDrivers(t *testing.T) {
	s, clock := open(t, 2)
	for _, g := range s.Gateways() {
		for i, dev := range devices(t, &g, clock) {
			var want []entry.Channel
			for _, c := range dev.Describe().Channels {
				want = append(want, entry.Channel{Name: c.Name, Unit: string(c.Unit), Kind: c.Kind.String()})
			}
			slices.SortFunc(want, func(a, b entry.Channel) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
			got := registered(&g, i).Channels
			for k := range got {
				got[k].Least, got[k].Most, got[k].PerHour = entry.Decimal{}, entry.Decimal{}, entry.Decimal{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: the driver delivers -, registered is +\n%s", g.Name, dev, diff)
			}
		}
	}
}

func TestMetersShowTheStreet(t *testing.T) {
	s, clock := open(t, 12)
	gateways := s.Gateways()
	var opened [][]hardware.Device
	for _, g := range gateways {
		opened = append(opened, devices(t, &g, clock))
	}
	last := make(map[string]entry.Decimal)
	for range 3 {
		if err := clock.Step(t.Context(), clock.Now().Add(7*time.Minute+300*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		want := s.At(clock.Now())
		for i, g := range gateways {
			if g.Bus != nil {
				continue // TestStackIsMeasured
			}
			state := want.Feeder
			if i < len(want.Homes) {
				state = want.Homes[i]
			}
			for k, dev := range opened[i] {
				d := g.Devices[k]
				got := sense(t, dev)
				imported, exported, e := state.Imported, state.Exported, state.Grid
				if d.Name == "sun" {
					imported, exported, e = 0, state.Generated, state.Sun
				}
				show := func(name string, want entry.Decimal, places int8) {
					if !near(got[name], want, places) {
						t.Errorf("%s %s: %s is %s, want %s", g.Name, d.Name, name, got[name], want)
					}
				}
				for name, want := range map[string]unit.Energy{"active_energy_import": imported, "active_energy_export": exported} {
					least, most := entry.Int(int64(want-lost(want))), entry.Int(int64(want+lost(want)))
					if v := got[name]; v.Cmp(least) < 0 || v.Cmp(most) > 0 {
						t.Errorf("%s %s: %s is %s, want %d", g.Name, d.Name, name, v, want)
					}
				}
				show("active_power", entry.Decimal{Mantissa: e.TotalPower(), Exponent: -3}, -1)
				show("voltage_l1", entry.Decimal{Mantissa: e.Voltage[0], Exponent: -3}, -2)
				show("current_l1", entry.Decimal{Mantissa: e.Current[0], Exponent: -3}, -2)
				show("frequency", entry.Decimal{Mantissa: e.Frequency, Exponent: -3}, -2)
				plausible(t, d.Point, got, last)
			}
		}
	}
}

// lost is what a float32 of kWh may lose of a register: nothing while its steps are
// shorter than 1 Wh, then as many Wh as a step, 2^-23 of the value.
func lost(register unit.Energy) unit.Energy {
	if register < 16_384_000 {
		return 0
	}
	return register>>23 + 1
}

// near reports whether two numbers are within one unit of a decimal place: what a
// float32 may lose.
func near(got, want entry.Decimal, place int8) bool {
	diff, err := got.Sub(want)
	least, most := entry.Decimal{Mantissa: -1, Exponent: place}, entry.Decimal{Mantissa: 1, Exponent: place}
	return err == nil && diff.Cmp(least) > 0 && diff.Cmp(most) < 0
}

// plausible judges readings as the ledger does: by range, and counters by rate.
func plausible(t *testing.T, p entry.Point, got, last map[string]entry.Decimal) {
	t.Helper()
	for _, c := range p.Channels {
		v, ok := got[c.Name]
		if !ok {
			t.Errorf("%s: no %s", p.Subject, c.Name)
			continue
		}
		if v.Cmp(c.Least) < 0 || v.Cmp(c.Most) > 0 {
			t.Errorf("%s: %s is %s, outside %s to %s", p.Subject, c.Name, v, c.Least, c.Most)
		}
		if c.Kind != entry.KindCounter {
			continue
		}
		key := p.Subject + c.Name
		if before, ok := last[key]; ok {
			change, err := v.Sub(before)
			if err != nil || change.Cmp(entry.Int(0)) < 0 || change.Cmp(c.PerHour) > 0 {
				t.Errorf("%s: %s went from %s to %s, at most %s in an hour", p.Subject, c.Name, before, v, c.PerHour)
			}
		}
		last[key] = v
	}
}

func TestStackIsMeasured(t *testing.T) {
	s, clock := open(t, 1)
	g := s.Gateways()[1]
	if g.Name != "stack-01" {
		t.Fatalf("second gateway is %s", g.Name)
	}
	all := devices(t, &g, clock)
	var b hardware.Batch
	for _, d := range all {
		if err := d.Sense(t.Context(), &b); d.Describe().Model != "modbus" && !errors.Is(err, hardware.ErrNoData) {
			t.Fatalf("%s: the first call starts it: %v", d, err)
		}
	}
	var low, high int64 = 1 << 40, 0
	for range 40 { // two cycles of the burner
		if err := clock.Step(t.Context(), clock.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		want := s.Now().Stack
		for i, d := range all {
			got := sense(t, d)
			plausible(t, registered(&g, i), got, nil)
			for name, v := range map[string]entry.Decimal{
				"scd41 co2": entry.Int(want.CO2), "flow gas_velocity": {Mantissa: want.Velocity, Exponent: -3},
				"flow temperature": {Mantissa: want.Temperature, Exponent: -2}, "flow pressure": entry.Int(want.Pressure),
			} {
				if channel, ours := strings.CutPrefix(name, g.Devices[i].Name+" "); ours && got[channel].Cmp(v) != 0 {
					t.Errorf("%s: %s is %s, want %s", d, channel, got[channel], v)
				}
			}
		}
		low, high = min(low, want.CO2), max(high, want.CO2)
	}
	if low > 500 || high < 1500 {
		t.Errorf("the stack had %d to %d ppm, want it to rise and fall", low, high)
	}
}

func TestRegistersAreFreshAtATick(t *testing.T) {
	s, clock := open(t, 2)
	if err := clock.SetSpeed(60); err != nil {
		t.Fatal(err)
	}
	g := s.Gateways()[1]
	dev := devices(t, &g, clock)[0]
	ticks := clock.Every(t.Context(), 10*time.Second, 0)
	for range 8 {
		due := <-ticks
		got := sense(t, dev)["active_energy_import"]
		least, most := s.At(due).Homes[1].Imported, s.At(clock.Now()).Homes[1].Imported
		if got.Cmp(entry.Int(int64(least))) < 0 || got.Cmp(entry.Int(int64(most))) > 0 {
			t.Errorf("after the tick at %s the meter shows %s Wh, want %d to %d", due, got, least, most)
		}
	}
}

func TestFaultReachesTheDriver(t *testing.T) {
	s, clock := open(t, 1)
	g := s.Gateways()[0]
	all := devices(t, &g, clock)
	if len(all) != 2 {
		t.Fatalf("%d devices, want grid and sun", len(all))
	}
	if err := g.SetFaults("grid", emulated.Sequence(emulated.BadCRC)); err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	if err := all[0].Sense(t.Context(), &b); !errors.Is(err, hardware.ErrChecksum) {
		t.Errorf("a damaged reply gives %v", err)
	}
	sense(t, all[0])
	sense(t, all[1])
}
