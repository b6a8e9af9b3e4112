package entry_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
)

func decimal(mantissa int64, exponent int8) entry.Decimal {
	return entry.Decimal{Mantissa: mantissa, Exponent: exponent}
}

// calibration corrects a meter behind current transformers by one per cent, and turns
// one clamp round.
func calibration() *entry.Calibration {
	data := sha256.Sum256([]byte("samples"))
	return &entry.Calibration{
		Device: "main", Model: "sdm630", Serial: "23451234",
		Corrections: []entry.Correction{
			{Channel: "active_energy_import", Before: entry.Uncorrected, After: entry.Factors{Ratio: decimal(1010, -3), Sign: 1}, Uncertainty: decimal(5, -3)},
			{Channel: "active_power_l2", Before: entry.Uncorrected, After: entry.Factors{Ratio: entry.Int(1), Sign: -1, Offset: decimal(-15, -1)}},
		},
		Method:    "comparison",
		Reference: &entry.Reference{Maker: "Fluke", Model: "1738", Serial: "F-99", Certificate: "DKD-2025-0815"},
		Person:    "licence 4711", Time: noon, Data: data[:],
	}
}

// undo takes calibration back.
func undo() *entry.Calibration {
	u := calibration()
	for i := range u.Corrections {
		k := &u.Corrections[i]
		k.Before, k.After, k.Uncertainty = k.After, k.Before, entry.Decimal{}
	}
	u.Method, u.Reference, u.Serial, u.Data = "undo", nil, "", nil
	u.Undoes = bytes.Repeat([]byte{0x5a}, 32)
	return u
}

func clockMap() *entry.ClockMap {
	return &entry.ClockMap{Boot: 7, Monotonic: 754_000_000_000, Time: noon, Uncertainty: 10_000_000, Quality: entry.ClockNTP}
}

func TestCalibrationsRoundTrip(t *testing.T) {
	for _, want := range []*entry.Calibration{calibration(), undo()} {
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := entry.ParseCalibration(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(entry.Factors{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestCalibrationsThatAreRefused(t *testing.T) {
	long := strings.Repeat("x", 65)
	many := make([]entry.Correction, 65)
	for i := range many {
		many[i] = entry.Correction{Channel: fmt.Sprintf("c%02d", i), Before: entry.Uncorrected, After: entry.Uncorrected}
	}
	first := func(change func(*entry.Correction)) func(*entry.Calibration) {
		return func(c *entry.Calibration) { change(&c.Corrections[0]) }
	}
	for name, test := range map[string]struct {
		change func(*entry.Calibration)
		want   string
	}{
		"no device":             {func(c *entry.Calibration) { c.Device = "" }, "device has 0"},
		"long model":            {func(c *entry.Calibration) { c.Model = long }, "model has 65"},
		"long serial":           {func(c *entry.Calibration) { c.Serial = long }, "serial number has 65"},
		"no method":             {func(c *entry.Calibration) { c.Method = "" }, "method has 0"},
		"nobody":                {func(c *entry.Calibration) { c.Person = "" }, "person has 0"},
		"long person":           {func(c *entry.Calibration) { c.Person = strings.Repeat("x", 129) }, "person has 129"},
		"nothing":               {func(c *entry.Calibration) { c.Corrections = nil }, "0 channels"},
		"too much":              {func(c *entry.Calibration) { c.Corrections = many }, "65 channels"},
		"channel twice":         {first(func(k *entry.Correction) { k.Channel = "active_power_l2" }), "not in order"},
		"nameless channel":      {first(func(k *entry.Correction) { k.Channel = "" }), "not in order"},
		"a name with a space":   {first(func(k *entry.Correction) { k.Channel = "a b" }), "does not allow"},
		"long channel":          {first(func(k *entry.Correction) { k.Channel = "a" + strings.Repeat("x", 255) }), "256 bytes"},
		"a ratio of nothing":    {first(func(k *entry.Correction) { k.After.Ratio = entry.Int(0) }), "ratio 0"},
		"a ratio below nothing": {first(func(k *entry.Correction) { k.Before.Ratio = entry.Int(-1) }), "ratio -1"},
		"no sign":               {first(func(k *entry.Correction) { k.After.Sign = 0 }), "sign 0"},
		"too much of a sign":    {first(func(k *entry.Correction) { k.Before.Sign = 2 }), "sign 2"},
		"doubt below nothing":   {first(func(k *entry.Correction) { k.Uncertainty = entry.Int(-1) }), "less than nothing"},
		"reference of no model": {func(c *entry.Calibration) { c.Reference.Model = "" }, "model has 0"},
		"long maker":            {func(c *entry.Calibration) { c.Reference.Maker = long }, "maker has 65"},
		"long reference":        {func(c *entry.Calibration) { c.Reference.Serial = long }, "serial number has 65"},
		"long certificate":      {func(c *entry.Calibration) { c.Reference.Certificate = long }, "number has 65"},
		"before 1970":           {func(c *entry.Calibration) { c.Time = -1 }, "time -1"},
		"after everything":      {func(c *entry.Calibration) { c.Time = 1<<50 + 1 }, "the year 37000"},
		"half a digest":         {func(c *entry.Calibration) { c.Data = make([]byte, 16) }, "16 bytes"},
		"half a hash":           {func(c *entry.Calibration) { c.Undoes = make([]byte, 16) }, "16 bytes"},
	} {
		c := calibration()
		test.change(c)
		if _, err := c.Encode(); !errors.Is(err, entry.ErrForm) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, test.want)
		}
		b, err := deterministic.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.ParseCalibration(b); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: read with error %v", name, err)
		}
	}
}

func TestFactorsAreEqualByWhatTheyMake(t *testing.T) {
	same := entry.Factors{Ratio: decimal(1000, -3), Sign: 1, Offset: decimal(0, -2)}
	if !same.Equal(entry.Uncorrected) {
		t.Errorf("%v is not %v", same, entry.Uncorrected)
	}
	for _, other := range []entry.Factors{{Ratio: decimal(1001, -3), Sign: 1}, {Ratio: entry.Int(1), Sign: -1}, {Ratio: entry.Int(1), Sign: 1, Offset: decimal(1, -9)}} {
		if other.Equal(entry.Uncorrected) {
			t.Errorf("%v is %v", other, entry.Uncorrected)
		}
	}
}

// TestReadingsNameTheirCalibration writes the record that names one and reads it back;
// what only looks like it names none.
func TestReadingsNameTheirCalibration(t *testing.T) {
	identity := sha256.Sum256([]byte("a statement"))
	p := entry.Pack{Base: "mp-1/", Records: []entry.Record{
		{Name: "mp-1/main.active_energy_import", Unit: "Wh", Time: noon, Value: entry.Int(1)},
		{Name: "mp-1/" + entry.CalibrationName("main.active_energy_import"), Time: noon, Text: entry.CalibrationText(identity)},
	}}
	back, err := entry.ParsePack(encodePack(t, &p))
	if err != nil {
		t.Fatal(err)
	}
	if channel, got, ok := back.Records[1].Calibrated(); !ok || channel != "mp-1/main.active_energy_import" || got != identity {
		t.Errorf("read back as %q %x %v", channel, got, ok)
	}
	text := entry.CalibrationText(identity)
	for _, r := range []entry.Record{
		back.Records[0],
		{Name: "mp-1/a.quality", Text: text},
		{Name: "mp-1/a.calibration", Text: text[:62]},
		{Name: "mp-1/a.calibration", Text: strings.ToUpper(text)},
		{Name: "mp-1/a.calibration", Text: "x" + text[1:]},
		{Name: "mp-1/a.calibration", Value: entry.Int(1)},
	} {
		if _, _, ok := r.Calibrated(); ok {
			t.Errorf("%+v names a calibration", r)
		}
	}
}

func TestClockMapsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*entry.ClockMap){
		"before the first boot": func(m *entry.ClockMap) { m.Boot = 0 },
		"too many boots":        func(m *entry.ClockMap) { m.Boot = 1<<53 + 1 },
		"too long since":        func(m *entry.ClockMap) { m.Monotonic = 1<<62 + 1 },
		"before 1970":           func(m *entry.ClockMap) { m.Time = -1 },
		"after everything":      func(m *entry.ClockMap) { m.Time = 1<<50 + 1 },
		"no idea":               func(m *entry.ClockMap) { m.Uncertainty = 1<<62 + 1 },
		"no quality":            func(m *entry.ClockMap) { m.Quality = "" },
		"unsynced":              func(m *entry.ClockMap) { m.Quality = entry.ClockUnsynced },
		"a step out of time":    func(m *entry.ClockMap) { m.Step = 1<<50 + 1 },
	} {
		m := clockMap()
		change(m)
		if _, err := m.Encode(); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: written with error %v", name, err)
		}
		b, err := deterministic.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.ParseClockMap(b); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: read with error %v", name, err)
		}
	}
}

// TestClockMapsTellTheTime shifts moments: equal spans since boot are equal spans of UTC.
func TestClockMapsTellTheTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := clockMap()
		ms := rapid.Int64Range(-700_000, 1<<40).Draw(rt, "ms")
		at := uint64(int64(m.Monotonic) + 1_000_000*ms)
		if got, ok := m.UTC(at); !ok || got != m.Time+ms {
			rt.Fatalf("%d ms on: %d %v, want %d", ms, got, ok, m.Time+ms)
		}
	})
	early := clockMap()
	early.Time = 1000
	if got, ok := early.UTC(0); ok {
		t.Errorf("before 1970 it was %d", got)
	}
	if got, ok := early.UTC(1 << 63); ok {
		t.Errorf("300 years on it was %d", got)
	}
}

func TestClaimableChannels(t *testing.T) {
	for _, c := range []struct {
		name, unit, kind string
		ok               bool
	}{
		{"co2", "ppm", entry.KindGauge, true},
		{"eco2", "ppm", entry.KindGauge, true},
		{"active_energy_import", "Wh", entry.KindCounter, true},
		{"co2_mass", "kg", entry.KindCounter, true},
		{"stack.co2_mass", "kg", entry.KindCounter, true},
		{"co2", "ppm", entry.KindCounter, false},
		{"room.co2", "kg", entry.KindCounter, false},
		{"eco2", "", entry.KindCounter, false},
		{"air.eco2", "ppm", entry.KindCounter, false},
		{"methane", "ppm", entry.KindCounter, false},
	} {
		if err := entry.CheckClaimable(&entry.Channel{Name: c.name, Unit: c.unit, Kind: c.kind}); (err == nil) != c.ok {
			t.Errorf("%s in %q as a %s: %v", c.name, c.unit, c.kind, err)
		}
	}
}

func TestFieldVectors(t *testing.T) {
	c, u, m := calibration(), undo(), clockMap()
	stepped := &entry.ClockMap{Boot: 7, Monotonic: 900_000_000_000, Time: noon, Quality: entry.ClockRTC, Step: -86_400_000}
	checkVectors(t, "field.json", []example{
		of("calibration", c, c.Encode, entry.ParseCalibration),
		of("calibration that undoes another", u, u.Encode, entry.ParseCalibration),
		of("clock map", m, m.Encode, entry.ParseClockMap),
		of("clock map after a step", stepped, stepped.Encode, entry.ParseClockMap),
	})
}

func FuzzParseField(f *testing.F) {
	for _, encode := range []func() ([]byte, error){calibration().Encode, undo().Encode, clockMap().Encode} {
		b, err := encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := entry.ParseCalibration(b); err == nil {
			reencodes(t, b, c.Encode)
		}
		if m, err := entry.ParseClockMap(b); err == nil {
			reencodes(t, b, m.Encode)
			m.UTC(m.Monotonic)
		}
	})
}
