package locale_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"wattmark/oracle/dashboard/locale"
)

// TestAccepted: the reader's weights decide, and who asks for nothing that there is gets English.
func TestAccepted(t *testing.T) {
	tests := []struct{ header, want string }{
		{"", "en"}, {"en", "en"}, {"de", "de"}, {"de-AT", "de"}, {"de-CH-1996", "de"}, {"DE", "de"},
		{"de,en;q=0.9", "de"}, {"en,de;q=0.9", "en"}, {"en;q=0.3, de;q=0.7", "de"}, {"de;q=0.2,en-GB;q=0.8", "en"},
		{"fr", "en"}, {"fr,de;q=0.5,en;q=0.3", "de"}, {"fr-CA, ja;q=0.9, en;q=0.1", "en"},
		{"de;q=0", "en"}, {"de;q=0,en", "en"}, {"*", "en"}, {"*;q=0.5,de", "de"}, {"gsw", "de"},
		{"de;q=x", "en"}, {";", "en"}, {"\x00", "en"}, {"de" + strings.Repeat(",fr", 1000), "en"},
	}
	for _, tt := range tests {
		if got := locale.Accepted(tt.header).Tag(); got != tt.want {
			t.Errorf("%.40q is %s, want %s", tt.header, got, tt.want)
		}
	}
}

// FuzzAccepted: whatever a browser sends, there is a language for it, and the same each time.
func FuzzAccepted(f *testing.F) {
	for _, s := range []string{"", "de,en;q=0.9", "de;q=1.000, *;q=0", "zh-Hant-TW-x-private", strings.Repeat("-a", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		l := locale.Accepted(header)
		if same, ok := locale.Named(l.Tag()); !ok || same != l || locale.All()[l.Index()] != l || locale.Accepted(header) != l {
			t.Errorf("%q is %v", header, l)
		}
	})
}

func TestNumbers(t *testing.T) {
	tests := []struct {
		n               int64
		places          int
		english, german string
	}{
		{0, 0, "0", "0"}, {999, 0, "999", "999"}, {1_000, 0, "1,000", "1.000"}, {-1_234_567, 0, "−1,234,567", "−1.234.567"},
		{5, 2, "0.05", "0,05"}, {123_456, 2, "1,234.56", "1.234,56"}, {-30, 2, "−0.30", "−0,30"},
		{math.MinInt64, 3, "−9,223,372,036,854,775.808", "−9.223.372.036.854.775,808"},
	}
	for _, tt := range tests {
		if e, g := locale.English.Fixed(tt.n, tt.places), locale.German.Fixed(tt.n, tt.places); e != tt.english || g != tt.german {
			t.Errorf("%d with %d places is %q and %q, want %q and %q", tt.n, tt.places, e, g, tt.english, tt.german)
		}
	}
	for in, want := range map[string]string{"0.30": "0,30", "12": "12", "-1.005": "-1,005", "": ""} {
		if e, g := locale.English.Decimal(in), locale.German.Decimal(in); e != in || g != want {
			t.Errorf("%q is %q and %q, want %q in German", in, e, g, want)
		}
	}
}

func TestDates(t *testing.T) {
	all := func(l *locale.Locale, at time.Time) string {
		return strings.Join([]string{l.Date(at), l.Day(at), l.Month(at), l.Clock(at), l.Minute(at)}, " | ")
	}
	for _, tt := range []struct {
		at              time.Time
		english, german string
	}{
		{time.Date(2026, 11, 27, 8, 5, 9, 0, time.UTC), "27 November 2026 | 27 Nov | November 2026 | 08:05:09 | 08:05", "27. November 2026 | 27. Nov. | November 2026 | 08:05:09 | 08:05"},
		{time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("CET", 3600)), "28 February 2026 | 28 Feb | February 2026 | 23:30:00 | 23:30", "28. Februar 2026 | 28. Feb. | Februar 2026 | 23:30:00 | 23:30"},
		{time.Date(2027, 5, 3, 12, 0, 0, 0, time.UTC), "3 May 2027 | 3 May | May 2027 | 12:00:00 | 12:00", "3. Mai 2027 | 3. Mai | Mai 2027 | 12:00:00 | 12:00"},
	} {
		if e, g := all(locale.English, tt.at), all(locale.German, tt.at); e != tt.english || g != tt.german {
			t.Errorf("%v is\n%s\n%s, want\n%s\n%s", tt.at, e, g, tt.english, tt.german)
		}
	}
	// English is as time writes it.
	for m := range 12 {
		at := time.Date(2026, time.Month(m+1), 9, 0, 0, 0, 0, time.UTC)
		if got, want := locale.English.Date(at)+locale.English.Day(at), at.Format("2 January 20062 Jan"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestSay: what a language does not have is said in English, and a count has the form of its
// number.
func TestSay(t *testing.T) {
	if got := locale.German.Say("no language has %s, at 100 %%", "this"); got != "no language has this, at 100 %" {
		t.Error(got)
	}
	if got := locale.German.Say("nor 100 % of it"); got != "nor 100 % of it" {
		t.Error(got)
	}
	for n, want := range map[uint64]string{0: "0 Häuser gemessen", 1: "1 Haus gemessen", 2: "2 Häuser gemessen", 1_000: "1.000 Häuser gemessen"} {
		if got := locale.German.Count(n, "%s home measured", "%s homes measured"); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	if got := locale.English.Count(1_000, "%s home of %s", "%s homes of %s", "many"); got != "1,000 homes of many" {
		t.Error(got)
	}
}

func Example() {
	german, _ := locale.Named("de")
	fmt.Println(german.Count(3, "%s home measured", "%s homes measured"), german.Fixed(123456, 2), german.Date(time.Unix(0, 0)))
	// Output: 3 Häuser gemessen 1.234,56 1. Januar 1970
}
