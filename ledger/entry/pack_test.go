package entry_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
)

const noon = 1_750_000_000_000 // Unix milliseconds

// sample is a pack of n records of several sorts.
func sample(n int) *entry.Pack {
	p := &entry.Pack{Base: "mp-7d3f5a90c1e24b68/"}
	for i := range n {
		r := entry.Record{Time: noon + int64(i/4)*60_000}
		switch i % 4 {
		case 0:
			r.Name, r.Unit, r.Value = "import", "Wh", entry.Int(4_711_000+int64(i))
		case 1:
			r.Name, r.Unit, r.Value = "voltage", "V", entry.Decimal{Mantissa: 2301 + int64(i), Exponent: -1}
		case 2:
			r.Name, r.Unit, r.Value = "power", "W", entry.Int(-250-int64(i))
		case 3:
			r.Name, r.Text = "export", "gap"
		}
		r.Name = p.Base + r.Name
		p.Records = append(p.Records, r)
	}
	return p
}

func encodePack(tb testing.TB, p *entry.Pack) []byte {
	tb.Helper()
	b, err := p.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestPacksRoundTrip(t *testing.T) {
	for _, n := range []int{1, 2, 16, 60, entry.MaxRecords} {
		want := sample(n)
		got, err := entry.ParsePack(encodePack(t, want))
		if err != nil {
			t.Errorf("%d records: %v", n, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d records (-want +got):\n%s", n, diff)
		}
	}
}

// packs draws packs that Encode takes, of values that have one form.
var packs = rapid.Custom(func(t *rapid.T) *entry.Pack {
	p := &entry.Pack{Base: rapid.SampledFrom([]string{"", "a", "mp-1/", "urn:dev:ow:10e2073a0108006:"}).Draw(t, "base")}
	for range rapid.IntRange(1, 12).Draw(t, "n") {
		r := entry.Record{
			Name: p.Base + rapid.SampledFrom([]string{"x", "import", "L1.voltage", "a_b-c:d/e"}).Draw(t, "name"),
			Unit: rapid.SampledFrom([]string{"", "Wh", "W", "ppm", "%RH", "Cel"}).Draw(t, "unit"),
			Time: rapid.Int64Range(0, 1<<50).Draw(t, "time"),
		}
		if p.Base != "" && rapid.Bool().Draw(t, "no name") {
			r.Name = p.Base
		}
		if rapid.Bool().Draw(t, "is text") {
			r.Text = rapid.SampledFrom([]string{"gap", "late ✓", strings.Repeat("x", 255)}).Draw(t, "text")
		} else {
			r.Value = entry.Decimal{Mantissa: rapid.Int64().Draw(t, "mantissa"), Exponent: int8(rapid.IntRange(-18, 0).Draw(t, "exponent"))}
		}
		p.Records = append(p.Records, r)
	}
	return p
})

func TestAnyPackRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := packs.Draw(t, "pack")
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := entry.ParsePack(b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%x (-want +got):\n%s", b, diff)
		}
	})
}

func TestShortestRecordsAreRead(t *testing.T) {
	// Many records of base name and base time alone take three bytes each.
	p := &entry.Pack{Base: "x"}
	for range 50 {
		p.Records = append(p.Records, entry.Record{Name: "x", Time: 0, Value: entry.Int(1)})
	}
	if got, err := entry.ParsePack(encodePack(t, p)); err != nil || len(got.Records) != 50 {
		t.Errorf("got %v", err)
	}
}

func TestPacksThatAreNotWritten(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*entry.Pack)
		want   string
	}{
		"empty":             {func(p *entry.Pack) { p.Records = nil }, "0 records"},
		"too many":          {func(p *entry.Pack) { *p = *sample(1001) }, "1001 records"},
		"another base":      {func(p *entry.Pack) { p.Base = "other/" }, "does not start with the base name"},
		"no name":           {func(p *entry.Pack) { p.Base, p.Records[1].Name = "", "" }, "0 bytes"},
		"long name":         {func(p *entry.Pack) { p.Records[1].Name += strings.Repeat("x", 250) }, "instead of 1 to 255"},
		"name with a space": {func(p *entry.Pack) { p.Records[1].Name += " " }, "SenML does not allow"},
		"name of a mark":    {func(p *entry.Pack) { p.Base, p.Records = "", []entry.Record{{Name: "-x"}} }, "SenML does not allow"},
		"long unit":         {func(p *entry.Pack) { p.Records[1].Unit = strings.Repeat("u", 17) }, "unit has 17 bytes"},
		"half a letter":     {func(p *entry.Pack) { p.Records[1].Unit = "\xc2" }, "not UTF-8"},
		"long text":         {func(p *entry.Pack) { p.Records[1].Text = strings.Repeat("t", 256) }, "text has 256 bytes"},
		"text with a bell":  {func(p *entry.Pack) { p.Records[1].Text = "\a" }, "control character"},
		"before 1970":       {func(p *entry.Pack) { p.Records[1].Time = -1 }, "time -1 ms"},
		"base before 1970":  {func(p *entry.Pack) { p.Records[0].Time = -1 }, "time -1 ms"},
		"far future":        {func(p *entry.Pack) { p.Records[1].Time = 1<<50 + 1 }, "time 1125899906842625 ms"},
		"tiny exponent":     {func(p *entry.Pack) { p.Records[1].Value.Exponent = -19 }, "exponent -19"},
		"huge value": {func(p *entry.Pack) {
			p.Records[1].Value = entry.Decimal{Mantissa: 1_000_000_000_000_000_000, Exponent: 3}
		}, "out of range"},
	} {
		p := sample(4)
		test.change(p)
		if b, err := p.Encode(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: encoded to %d bytes, %v; want an error with %q", name, len(b), err, test.want)
		}
	}
}

func TestPacksThatAreRead(t *testing.T) {
	// Other writers' packs say the same in other ways; a value keeps its form.
	for name, b := range map[string]string{
		"a fraction for an integer": "\x81\xa3\x00\x61x\x02\xc4\x82\x20\x0a\x22\x00",
		"time 0 stated":             "\x81\xa4\x00\x61x\x02\x01\x06\x00\x22\x00",
		"time against base time":    "\x82\xa4\x00\x61x\x02\x01\x06\x0a\x22\x0a\xa3\x00\x61x\x02\x01\x06\x29",
		"fraction of a base time":   "\x81\xa3\x00\x61x\x02\x01\x22\xc4\x82\x21\x05",
	} {
		p, err := entry.ParsePack([]byte(b))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := entry.ParsePack(encodePack(t, p))
		if err != nil || !cmp.Equal(p, again) {
			t.Errorf("%s: read again it is %+v, %v, want %+v", name, again, err, p)
		}
	}
}

func TestPacksThatAreRefused(t *testing.T) {
	record := func(m string) string { return "\x81" + m }
	if _, err := entry.ParsePack([]byte(record("\xa3\x00\x61x\x02\x01\x22\x00"))); err != nil {
		t.Fatalf("the pack that all others are derived from: %v", err)
	}
	for name, b := range map[string]string{
		"nothing":                  "",
		"no array":                 "\xa0",
		"empty":                    "\x80",
		"too many records":         "\x99\x03\xe9" + strings.Repeat("\xa0", 1001),
		"more records than bytes":  "\x99\x03\xe8\xa0",
		"no base time":             record("\xa2\x00\x61x\x02\x01"),
		"base time as float":       record("\xa3\x00\x61x\x02\x01\x22\xf9\x00\x00"),
		"base time in nanoseconds": record("\xa3\x00\x61x\x02\x01\x22\xc4\x82\x28\x01"),
		"negative base time":       record("\xa3\x00\x61x\x02\x01\x22\x20"),
		"value as float":           record("\xa3\x00\x61x\x02\xfa\x3f\x80\x00\x00\x22\x00"),
		"value as text":            record("\xa3\x00\x61x\x02\x611\x22\x00"),
		"no value":                 record("\xa2\x00\x61x\x22\x00"),
		"value and text":           record("\xa4\x00\x61x\x02\x01\x03\x61t\x22\x00"),
		"empty text":               record("\xa3\x00\x61x\x03\x60\x22\x00"),
		"empty unit":               record("\xa4\x00\x61x\x01\x60\x02\x01\x22\x00"),
		"long unit":                record("\xa4\x00\x61x\x01\x71" + strings.Repeat("u", 17) + "\x02\x01\x22\x00"),
		"text with a bell":         record("\xa3\x00\x61x\x03\x61\x07\x22\x00"),
		"no name":                  record("\xa2\x02\x01\x22\x00"),
		"empty name":               record("\xa3\x00\x60\x02\x01\x22\x00"),
		"name with a space":        record("\xa3\x00\x61 \x02\x01\x22\x00"),
		"half a letter":            record("\xa3\x00\x61\xc3\x02\x01\x22\x00"),
		"boolean value":            record("\xa3\x00\x61x\x04\xf5\x22\x00"),
		"sum":                      record("\xa3\x00\x61x\x05\x01\x22\x00"),
		"base value":               record("\xa4\x00\x61x\x02\x01\x22\x00\x24\x01"),
		"base version":             record("\xa4\x00\x61x\x02\x01\x20\x0a\x22\x00"),
		"text label":               record("\xa4\x00\x61x\x02\x01\x22\x00\x62bt\x00"),
		"out of order":             record("\xa3\x02\x01\x00\x61x\x22\x00"),
		"repeated":                 record("\xa4\x00\x61x\x00\x61x\x02\x01\x22\x00"),
		"long integer":             record("\xa3\x00\x61x\x02\x18\x01\x22\x00"),
		"indefinite":               "\x9f\xa3\x00\x61x\x02\x01\x22\x00\xff",
		"trailing byte":            record("\xa3\x00\x61x\x02\x01\x22\x00\x00"),
		"second base time":         "\x82\xa3\x00\x61x\x02\x01\x22\x00\xa3\x00\x61x\x02\x01\x22\x00",
		"second base name":         "\x82\xa3\x00\x61x\x02\x01\x22\x00\xa3\x00\x61x\x02\x01\x21\x61b",
		"time before 1970":         "\x82\xa3\x00\x61x\x02\x01\x22\x00\xa3\x00\x61x\x02\x01\x06\x20",
		"time far ahead":           "\x82\xa3\x00\x61x\x02\x01\x22\x0a\xa3\x00\x61x\x02\x01\x06\x1b\x00\x00\x01\x06\x24\xdd\x2f\x1a",
		"long base name":           record("\xa3\x02\x01\x21\x79\x01\x00" + strings.Repeat("b", 256) + "\x22\x00"),
	} {
		if p, err := entry.ParsePack([]byte(b)); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: read as %+v, %v, want ErrForm", name, p, err)
		}
	}
}

func TestALongBaseNameTakesNoMemory(t *testing.T) {
	// A base name is written before every name: 60 kB of it and a thousand records
	// would be 60 MB.
	b := []byte("\x99\x03\xe8\xa3\x02\x01\x21\x79\xea\x60" + strings.Repeat("b", 60000) + "\x22\x00" + strings.Repeat("\xa1\x02\x01", 999))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := entry.ParsePack(b)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, entry.ErrForm) {
		t.Errorf("got %v, want ErrForm", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes to refuse a pack of %d", n, len(b))
	}
}

func TestEveryTruncationOfAPackIsRefused(t *testing.T) {
	b := encodePack(t, sample(8))
	for n := range b {
		if _, err := entry.ParsePack(b[:n]); !errors.Is(err, entry.ErrForm) {
			t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
}

func TestCommittedPacks(t *testing.T) {
	c := &entry.Committed{Salt: bytes.Repeat([]byte{7}, 16), Pack: encodePack(t, sample(4))}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(b)
	got, err := entry.ParseCommitted(b, digest[:])
	if err != nil || !bytes.Equal(got.Salt, c.Salt) || !bytes.Equal(got.Pack, c.Pack) {
		t.Errorf("got %+v, %v", got, err)
	}
	other := sha256.Sum256([]byte("another pack"))
	if _, err := entry.ParseCommitted(b, other[:]); !errors.Is(err, entry.ErrForm) {
		t.Errorf("under another digest: %v", err)
	}
	for name, c := range map[string]*entry.Committed{
		"short salt": {Salt: make([]byte, 15), Pack: c.Pack},
		"long salt":  {Salt: make([]byte, 65), Pack: c.Pack},
		"no pack":    {Salt: c.Salt},
	} {
		if b, err := c.Encode(); err == nil {
			t.Errorf("%s: encoded to %x", name, b)
		}
	}
	for name, b := range map[string][]byte{
		"short salt":      append([]byte("\x82\x4f"), make([]byte, 16)...),
		"long salt":       append(append([]byte("\x82\x58\x41"), make([]byte, 65)...), 0),
		"null salt":       []byte("\x82\xf6\x00"),
		"one element":     append([]byte("\x81\x50"), make([]byte, 16)...),
		"three elements":  append(append([]byte("\x83\x50"), make([]byte, 16)...), 0, 0),
		"trailing byte":   append(bytes.Clone(b), 0),
		"truncated":       b[:len(b)-1],
		"nothing":         nil,
		"long salt's len": append(append([]byte("\x82\x58\x10"), make([]byte, 16)...), 0),
	} {
		sum := sha256.Sum256(b)
		if c, err := entry.ParseCommitted(b, sum[:]); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: read as %+v, %v, want ErrForm", name, c, err)
		}
	}
}

func ExamplePack() {
	pack := entry.Pack{Base: "mp-7d3f5a90c1e24b68/", Records: []entry.Record{
		{Name: "mp-7d3f5a90c1e24b68/import", Unit: "Wh", Time: 1_750_000_000_000, Value: entry.Int(4_711_000)},
		{Name: "mp-7d3f5a90c1e24b68/voltage", Unit: "V", Time: 1_750_000_000_000, Value: entry.Decimal{Mantissa: 2301, Exponent: -1}},
	}}
	b, err := pack.Encode()
	if err != nil {
		panic(err)
	}
	back, err := entry.ParsePack(b)
	if err != nil {
		panic(err)
	}
	for _, r := range back.Records {
		fmt.Println(r.Name, r.Value, r.Unit)
	}
	// Output:
	// mp-7d3f5a90c1e24b68/import 4711000 Wh
	// mp-7d3f5a90c1e24b68/voltage 230.1 V
}
