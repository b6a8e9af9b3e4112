package entry_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wattmark/ledger/entry"
)

// full has every claim.
func full() entry.Claims {
	return entry.Claims{
		Issuer:   "urn:wattmark:gateway:home-01",
		Subject:  "mp-7d3f5a90c1e24b68",
		Audience: "example.org/street",
		IssuedAt: 1_750_000_000,
		Uptime:   86_400,
		Sequence: entry.Sequence{Boot: 3, Count: 1041},
		Previous: bytes.Repeat([]byte{0xab}, 32),
		Time:     &entry.TimeQuality{Quality: entry.ClockNTP, Uncertainty: 5_000_000, Monotonic: 86_400_123_456_789},
		Skipped:  &entry.Range{First: 1039, Last: 1040},
	}
}

// least has no more than it must.
func least() entry.Claims {
	return entry.Claims{Issuer: "i", Audience: "o"}
}

func encodeClaims(tb testing.TB, c entry.Claims) []byte {
	tb.Helper()
	b, err := c.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestClaimsRoundTrip(t *testing.T) {
	for name, change := range map[string]func(*entry.Claims){
		"all":                func(*entry.Claims) {},
		"least":              func(c *entry.Claims) { *c = least() },
		"no subject":         func(c *entry.Claims) { c.Subject = "" },
		"first of a boot":    func(c *entry.Claims) { c.Sequence.Count, c.Previous, c.Skipped = 1, nil, nil },
		"no time quality":    func(c *entry.Claims) { c.Time = nil },
		"no uncertainty":     func(c *entry.Claims) { c.Time.Uncertainty = 0 },
		"whole seconds":      func(c *entry.Claims) { c.Time.Uncertainty = 3_000_000_000 },
		"a nanosecond":       func(c *entry.Claims) { c.Time.Uncertainty = 1 },
		"very uncertain":     func(c *entry.Claims) { c.Time.Uncertainty = 1 << 62 },
		"just booted":        func(c *entry.Claims) { c.Time.Monotonic, c.Uptime = 0, 0 },
		"one number skipped": func(c *entry.Claims) { c.Skipped = &entry.Range{First: 1, Last: 1} },
		"large numbers": func(c *entry.Claims) {
			c.Sequence = entry.Sequence{Boot: 1 << 53, Count: 1 << 53}
			c.Uptime = 1<<64 - 1
		},
		"clock before the RTC": func(c *entry.Claims) { c.IssuedAt = 0; c.Time.Quality = entry.ClockUnsynced },
		"text of all sorts":    func(c *entry.Claims) { c.Issuer = "urn:ex:Zähler-№1" },
	} {
		want := full()
		change(&want)
		b := encodeClaims(t, want)
		got, err := entry.ParseClaims(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(entry.Range{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestClaimsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*entry.Claims)
		want   string
	}{
		"no issuer":              {func(c *entry.Claims) { c.Issuer = "" }, "issuer has 0 bytes"},
		"long issuer":            {func(c *entry.Claims) { c.Issuer = strings.Repeat("i", 256) }, "issuer has 256 bytes"},
		"issuer with escape":     {func(c *entry.Claims) { c.Issuer = "\x1b[2J" }, "control character"},
		"issuer of half letters": {func(c *entry.Claims) { c.Issuer = "\xc3" }, "not UTF-8"},
		"no origin":              {func(c *entry.Claims) { c.Audience = "" }, "origin has 0 bytes"},
		"long subject":           {func(c *entry.Claims) { c.Subject = strings.Repeat("s", 256) }, "subject has 256"},
		"before 1970":            {func(c *entry.Claims) { c.IssuedAt = -1 }, "time of signing -1"},
		"far future":             {func(c *entry.Claims) { c.IssuedAt = 1<<40 + 1 }, "out of range"},
		"short hash":             {func(c *entry.Claims) { c.Previous = c.Previous[:31] }, "31 bytes instead of 32"},
		"boot alone":             {func(c *entry.Claims) { c.Sequence.Count = 0; c.Skipped = nil }, "go together"},
		"count alone":            {func(c *entry.Claims) { c.Sequence.Boot = 0 }, "go together"},
		"large boot":             {func(c *entry.Claims) { c.Sequence.Boot = 1<<53 + 1 }, "out of range"},
		"skipped from 0":         {func(c *entry.Claims) { c.Skipped = &entry.Range{First: 0, Last: 3} }, "skipped numbers"},
		"skipped backwards":      {func(c *entry.Claims) { c.Skipped = &entry.Range{First: 4, Last: 3} }, "skipped numbers"},
		"skipped itself":         {func(c *entry.Claims) { c.Skipped = &entry.Range{First: 4, Last: 1041} }, "skipped numbers"},
		"unknown clock":          {func(c *entry.Claims) { c.Time.Quality = "atomic" }, `clock quality "atomic"`},
		"endless uncertainty":    {func(c *entry.Claims) { c.Time.Uncertainty = 1<<62 + 1 }, "uncertain"},
	} {
		c := full()
		test.change(&c)
		if b, err := c.Encode(); !errors.Is(err, entry.ErrForm) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: encoded to %x, %v; want ErrForm with %q", name, b, err, test.want)
		}
	}
}

func TestClaimsHaveOneEncoding(t *testing.T) {
	const good = "\xa3\x01\x61i\x03\x61o\x06\x00"
	if _, err := entry.ParseClaims([]byte(good)); err != nil {
		t.Fatalf("the claims that all others are derived from: %v", err)
	}
	clock := func(m string) string { return "\xa4\x01\x61i\x03\x61o\x06\x00\x3a\x00\x01\x00\x02" + m }
	if _, err := entry.ParseClaims([]byte(clock("\xa2\x67quality\x63rtc\x69monotonic\x00"))); err != nil {
		t.Fatalf("the time quality that others are derived from: %v", err)
	}
	for name, b := range map[string]string{
		"nothing":                   "",
		"no map":                    "\x80",
		"empty":                     "\xa0",
		"no issuer":                 "\xa2\x03\x61o\x06\x00",
		"no origin":                 "\xa2\x01\x61i\x06\x00",
		"no time":                   "\xa2\x01\x61i\x03\x61o",
		"empty subject":             "\xa4\x01\x61i\x02\x60\x03\x61o\x06\x00",
		"zero uptime":               "\xa4\x01\x61i\x03\x61o\x06\x00\x19\x01\x05\x00",
		"zero boot":                 "\xa4\x01\x61i\x03\x61o\x06\x00\x19\x01\x0b\x00",
		"boot alone":                "\xa4\x01\x61i\x03\x61o\x06\x00\x19\x01\x0b\x01",
		"zero boot and count":       "\xa5\x01\x61i\x03\x61o\x06\x00\x19\x01\x0b\x00\x3a\x00\x01\x00\x00\x00",
		"empty previous":            "\xa4\x01\x61i\x03\x61o\x06\x00\x3a\x00\x01\x00\x01\x40",
		"previous as text":          "\xa4\x01\x61i\x03\x61o\x06\x00\x3a\x00\x01\x00\x01\x78\x20" + strings.Repeat("x", 32),
		"unknown claim":             "\xa4\x01\x61i\x03\x61o\x06\x00\x07\x00",
		"text claim":                "\xa4\x01\x61i\x03\x61o\x06\x00\x61x\x00",
		"out of order":              "\xa3\x03\x61o\x01\x61i\x06\x00",
		"repeated":                  "\xa4\x01\x61i\x01\x61i\x03\x61o\x06\x00",
		"long integer":              "\xa3\x01\x61i\x03\x61o\x06\x18\x00",
		"time as float":             "\xa3\x01\x61i\x03\x61o\x06\xf9\x00\x00",
		"tagged time":               "\xa3\x01\x61i\x03\x61o\x06\xc1\x00",
		"time as text":              "\xa3\x01\x61i\x03\x61o\x06\x610",
		"null issuer":               "\xa3\x01\xf6\x03\x61o\x06\x00",
		"issuer in pieces":          "\xa3\x01\x7f\x61i\xff\x03\x61o\x06\x00",
		"indefinite map":            "\xbf\x01\x61i\x03\x61o\x06\x00\xff",
		"trailing byte":             good + "\x00",
		"too many pairs":            "\xb1",
		"skipped of three":          "\xa4\x01\x61i\x03\x61o\x06\x00\x3a\x00\x01\x00\x03\x83\x01\x02\x03",
		"empty clock":               clock("\xa0"),
		"clock without monotonic":   clock("\xa1\x67quality\x63rtc"),
		"clock out of order":        clock("\xa2\x69monotonic\x00\x67quality\x63rtc"),
		"unknown quality":           clock("\xa2\x67quality\x63abc\x69monotonic\x00"),
		"clock with more":           clock("\xa3\x67quality\x63rtc\x69monotonic\x00\x6aadditional\x00"),
		"zero uncertainty":          clock("\xa3\x26\xa1\x01\x00\x67quality\x63rtc\x69monotonic\x00"),
		"uncertainty without key 1": clock("\xa3\x26\xa1\x28\x05\x67quality\x63rtc\x69monotonic\x00"),
		"zero nanoseconds":          clock("\xa3\x26\xa2\x01\x01\x28\x00\x67quality\x63rtc\x69monotonic\x00"),
		"a second of nanoseconds":   clock("\xa3\x26\xa2\x01\x01\x28\x1a\x3b\x9a\xca\x00\x67quality\x63rtc\x69monotonic\x00"),
		"milliseconds":              clock("\xa3\x26\xa2\x01\x01\x22\x05\x67quality\x63rtc\x69monotonic\x00"),
		"overflow":                  clock("\xa3\x26\xa1\x01\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x67quality\x63rtc\x69monotonic\x00"),
	} {
		if c, err := entry.ParseClaims([]byte(b)); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: read as %+v, %v, want ErrForm", name, c, err)
		}
	}
}

func TestEveryTruncationOfClaimsIsRefused(t *testing.T) {
	b := encodeClaims(t, full())
	for n := range b {
		if _, err := entry.ParseClaims(b[:n]); !errors.Is(err, entry.ErrForm) {
			t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
}

func TestSequencesAreOrdered(t *testing.T) {
	list := []entry.Sequence{{}, {1, 1}, {1, 2}, {1, 1 << 53}, {2, 1}, {10, 1}}
	for i, a := range list {
		for j, b := range list {
			if got, want := a.Less(b), i < j; got != want {
				t.Errorf("%v before %v: %v, want %v", a, b, got, want)
			}
		}
	}
	if got := (entry.Sequence{Boot: 3, Count: 1041}).String(); got != "3-1041" {
		t.Errorf("got %q, want 3-1041", got)
	}
}
