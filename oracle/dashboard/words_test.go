package dashboard_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"wattmark/oracle/dashboard"
	"wattmark/oracle/dashboard/locale"
)

// plain undoes what makes numbers pretty.
var plain = strings.NewReplacer("\u202f", " ", "\u2212", "-")

func TestPower(t *testing.T) {
	tests := []struct {
		watts int64
		want  string
	}{
		{0, "0 W"}, {1, "1 W"}, {-1, "-1 W"}, {999, "999 W"}, {-999, "-999 W"},
		{1_000, "1.00 kW"}, {-1_234, "-1.23 kW"}, {9_994, "9.99 kW"}, {9_995, "10.0 kW"}, {99_949, "99.9 kW"},
		{99_950, "100 kW"}, {999_499, "999 kW"}, {999_500, "1.00 MW"}, {12_345_678, "12.3 MW"}, {123_456_789, "123 MW"},
		{dashboard.MostW, "1,000,000 MW"}, {dashboard.MostW + 1, "1,000,000 MW"},
		{math.MaxInt64, "1,000,000 MW"}, {math.MinInt64, "-1,000,000 MW"},
	}
	for _, tt := range tests {
		if got := plain.Replace(dashboard.Power(tt.watts)); got != tt.want {
			t.Errorf("%d W is %q, want %q", tt.watts, got, tt.want)
		}
	}
}

// TestPowerSays: what is written is true to half of its last figure, of which
// there are three.
func TestPowerSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.Int64Range(-999_499_999, 999_499_999).Draw(t, "watts")
		text := plain.Replace(dashboard.Power(w))
		number, unit, _ := strings.Cut(text, " ")
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatal(err)
		}
		scale := map[string]float64{"W": 1, "kW": 1e3, "MW": 1e6}[unit]
		if digits := strings.Trim(number, "-."); scale > 1 && len(strings.ReplaceAll(digits, ".", "")) != 3 {
			t.Errorf("%d W is %q: not three figures", w, text)
		}
		if off := math.Abs(value*scale - float64(w)); off > math.Abs(float64(w))*0.00501 {
			t.Errorf("%d W is %q, which is %g W off", w, text, off)
		}
	})
}

func TestNumbers(t *testing.T) {
	tests := []struct{ got, want string }{
		{dashboard.Count(0), "0"}, {dashboard.Count(999), "999"}, {dashboard.Count(1_000), "1,000"}, {dashboard.Count(1_234_567), "1,234,567"},
		{dashboard.Count(math.MaxUint64), "18,446,744,073,709,551,615"},
		{locale.English.Count(0, "%s leaf", "%s leaves"), "0 leaves"}, {locale.English.Count(1, "%s leaf", "%s leaves"), "1 leaf"}, {locale.English.Count(1_500, "%s leaf", "%s leaves"), "1,500 leaves"},
		{dashboard.Fixed(0, 1), "0.0"}, {dashboard.Fixed(-5, 1), "-0.5"}, {dashboard.Fixed(123_456, 2), "1,234.56"}, {dashboard.Fixed(-7, 0), "-7"}, {dashboard.Fixed(5, 3), "0.005"},
		{dashboard.Fixed(math.MinInt64, 0), "-9,223,372,036,854,775,808"},
		{dashboard.Direction(0), "takes nothing"}, {dashboard.Direction(12), "takes 12 W"}, {dashboard.Direction(-1_500), "gives 1.50 kW"}, {dashboard.Direction(math.MinInt64), "gives 1,000,000 MW"},
		{dashboard.Took(-1), "not known"}, {dashboard.Took(0), "not known"}, {dashboard.Took(1), "1 ms"}, {dashboard.Took(238 * time.Millisecond), "238 ms"},
		{dashboard.Took(time.Second), "1.0 s"}, {dashboard.Took(99*time.Second + 999*time.Millisecond), "99.9 s"}, {dashboard.Took(100 * time.Second), "1 min"}, {dashboard.Took(25 * time.Hour), "1,500 min"},
	}
	for _, tt := range tests {
		if got := plain.Replace(tt.got); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	rounded := []struct{ n, by, want int64 }{{0, 10, 0}, {4, 10, 0}, {5, 10, 1}, {-4, 10, 0}, {-5, 10, -1}, {149, 100, 1}, {150, 100, 2}, {-150, 100, -2}}
	for _, tt := range rounded {
		if got := dashboard.Rounded(tt.n, tt.by); got != tt.want {
			t.Errorf("%d by %d is %d, want %d", tt.n, tt.by, got, tt.want)
		}
	}
}

func TestShorten(t *testing.T) {
	tests := []struct {
		s     string
		limit int
		want  string
	}{
		{"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöüß", 3, "äö…"}, {"a\xffb", 9, "a\ufffdb"},
		{strings.Repeat("\U0001F600", 9), 4, "\U0001F600\U0001F600\U0001F600…"},
	}
	for _, tt := range tests {
		if got := dashboard.Shorten(tt.s, tt.limit); got != tt.want {
			t.Errorf("%q cut to %d is %q, want %q", tt.s, tt.limit, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s, limit := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))+rapid.String().Draw(t, "text"), rapid.IntRange(1, 50).Draw(t, "limit")
		got := dashboard.Shorten(s, limit)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > limit {
			t.Errorf("%q cut to %d is %q", s, limit, got)
		}
		if utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit && got != s {
			t.Errorf("%q fits in %d and is made %q", s, limit, got)
		}
	})
}

func TestQuoted(t *testing.T) {
	tests := []struct{ path, want string }{
		{"demo-data/oracle-1", "demo-data/oracle-1"}, {"", "''"}, {"/a b", "'/a b'"}, {"it's; rm -rf /", `'it'\''s; rm -rf /'`}, {"$(x)", "'$(x)'"}, {"a\nb", "'a\nb'"},
	}
	for _, tt := range tests {
		if got := dashboard.Quoted(tt.path); got != tt.want {
			t.Errorf("%q is %s for a shell, want %s", tt.path, got, tt.want)
		}
	}
}

func TestStreetSentence(t *testing.T) {
	home := func(grid, solar int64) dashboard.Home {
		return dashboard.Home{GridW: grid, SolarW: solar, Solar: solar != 0}
	}
	tests := []struct {
		homes []dashboard.Home
		want  string
	}{
		{nil, "No home has been heard of yet."},
		{[]dashboard.Home{home(30, 0), home(-10, 0)}, "The homes use next to nothing."},
		{[]dashboard.Home{home(1_200, 0), home(300, 0)}, "The homes use 1.50 kW, all of it from the grid."},
		{[]dashboard.Home{home(-500, 2_000), home(1_500, 0)}, "The roofs make 2.00 kW, the homes use 3.00 kW, and 1.00 kW comes from the grid."},
		{[]dashboard.Home{home(-1_500, 2_000), home(500, 0)}, "The roofs make 2.00 kW, the homes use 1.00 kW, and 1.00 kW goes to the grid."},
		{[]dashboard.Home{home(-1_500, 2_000), home(1_549, 0)}, "The roofs make 2.00 kW and the homes use 2.05 kW: balanced."},
		{[]dashboard.Home{home(-1_500, 2_000), home(1_550, 0)}, "The roofs make 2.00 kW, the homes use 2.05 kW, and 50 W comes from the grid."},
		{[]dashboard.Home{home(math.MaxInt64, math.MaxInt64), home(math.MaxInt64, -4)}, "The roofs make 1,000,000 MW, the homes use 1,000,000 MW, and 1,000,000 MW comes from the grid."},
		{[]dashboard.Home{home(math.MinInt64, 0), home(math.MinInt64, 0)}, "The roofs make 0 W, the homes use -1,000,000 MW, and 1,000,000 MW goes to the grid."},
	}
	for _, tt := range tests {
		if got := plain.Replace(dashboard.StreetSentence(tt.homes)); got != tt.want {
			t.Errorf("%+v:\ngot  %q\nwant %q", tt.homes, got, tt.want)
		}
	}
}

func TestDoubt(t *testing.T) {
	homes := lively().Now().Homes
	if got := dashboard.Doubt(homes[:6]); got != "" {
		t.Errorf("doubt of good homes: %q", got)
	}
	if got, want := dashboard.Doubt(homes), "home-7 is not heard: the sums have its last figures."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	homes[0].State = dashboard.StateHalted
	if got, want := dashboard.Doubt(homes), "2 of 12 homes are not heard: the sums have their last figures."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStates: a state is a word with a sign and a colour, and no two are alike.
func TestStates(t *testing.T) {
	seen := make(map[string]bool)
	for s := dashboard.StateStarting; s <= dashboard.StateHalted; s++ {
		for _, v := range []string{"word " + s.Word(), "sign " + s.Sign(), "colour " + s.Tone()} {
			if seen[v] {
				t.Errorf("state %d has another's %s", s, v)
			}
			seen[v] = true
		}
	}
	if dashboard.State(99).Word() != "starting" || dashboard.Tone(-1).Sign() != "·" || dashboard.Tone(4).Tone() != "muted" {
		t.Error("what is no state and no tone is not taken as the first")
	}
	clear(seen)
	for n := dashboard.Plain; n <= dashboard.Bad; n++ {
		for _, v := range []string{"word " + n.Word(), "sign " + n.Sign(), "colour " + n.Tone()} {
			if seen[v] {
				t.Errorf("tone %d has another's %s", n, v)
			}
			seen[v] = true
		}
	}
}

func TestSigners(t *testing.T) {
	note := "origin\n3\nroot\n\n\u2014 oracle-1 aGVsbG8=\n\u2014 two words aGVsbG8=\n- no-dash aGVsbG8=\n\u2014 <b>oracle-2</b> aGVsbG8=\n"
	if got := strings.Join(dashboard.Signers([]byte(note)), ","); got != "oracle-1,<b>oracle-2</b>" {
		t.Errorf("signers are %q", got)
	}
	if got := dashboard.Signers([]byte("no note")); got != nil {
		t.Errorf("no note is signed by %q", got)
	}
}

func TestHexDump(t *testing.T) {
	lines := dashboard.HexDump([]byte("0123456789abcdef<\x00\x7f"))
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	if l := lines[0]; l.At != "00000" || strings.Join(l.Bytes, "|") != "30 31 32 33 34 35 36 37|38 39 61 62 63 64 65 66" || l.Text != "0123456789abcdef" {
		t.Errorf("%+v", l)
	}
	if l := lines[1]; l.At != "00010" || strings.Join(l.Bytes, "|") != "3c 00 7f" || l.Text != "<.." {
		t.Errorf("%+v", l)
	}
}
