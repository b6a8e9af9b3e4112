package chart_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/oracle/dashboard/chart"
	"wattmark/oracle/dashboard/locale"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

var (
	from = time.Date(2026, time.June, 21, 11, 30, 0, 0, time.UTC)
	to   = from.Add(10 * time.Minute)
)

// at returns a sample some seconds after from.
func at(seconds int, using, made int64, gap ...bool) chart.Sample {
	return chart.Sample{At: from.Add(time.Duration(seconds) * time.Second), Using: using, Made: made, Gap: len(gap) > 0}
}

// TestGolden draws a morning with a silence in it.
func TestGolden(t *testing.T) {
	var samples []chart.Sample
	for s := 0; s <= 600; s += 60 {
		if s == 240 || s == 300 {
			continue
		}
		p := at(s, 1_500+int64(s), 9_000-20*int64(s))
		p.Gap = s == 360
		samples = append(samples, p)
	}
	f := chart.Power(samples, from, to, locale.English)
	got := strings.ReplaceAll(f.Markup("Power of the last 10 minutes: it's <fine>"), "><", ">\n<") + "\n"
	file := filepath.Join("testdata", "power.svg")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("markup (-want +got)\n%s", diff)
	}
}

func TestPower(t *testing.T) {
	long := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name        string
		samples     []chart.Sample
		from, to    time.Time
		using, area string
		top         string
	}{
		{"nothing known", nil, from, to, "", "", "100 W"},
		{"one sample", []chart.Sample{at(300, 50, 0)}, from, to, "M50.00 50.00", "M50.00 100.00L50.00 100.00L50.00 100.00Z", "100 W"},
		{"a gap", []chart.Sample{at(0, 0, 0), at(60, 50, 100), at(300, 50, 100, true), at(600, 95, 0)}, from, to,
			"M0.00 100.00L10.00 66.66M50.00 66.66L100.00 36.66",
			"M0.00 100.00L0.00 100.00L10.00 33.33L10.00 100.00ZM50.00 100.00L50.00 33.33L100.00 100.00L100.00 100.00Z", "150 W"},
		{"a gap before the first that is shown", []chart.Sample{at(-60, 9_000, 0), at(60, 50, 0, true)}, from, to, "M10.00 50.00", "M10.00 100.00L10.00 100.00L10.00 100.00Z", "100 W"},
		{"below nothing", []chart.Sample{at(0, -70, -1), at(600, 95, 0)}, from, to, "M0.00 100.00L100.00 5.00", "M0.00 100.00L0.00 100.00L100.00 100.00L100.00 100.00Z", "100 W"},
		{"after the end", []chart.Sample{at(601, 50, 0)}, from, to, "", "", "100 W"},
		{"no stretch of time", []chart.Sample{at(0, 50, 0)}, from, from, "M0.00 50.00", "M0.00 100.00L0.00 100.00L0.00 100.00Z", "100 W"},
		{"the end before the start", []chart.Sample{at(0, 50, 0)}, to, from, "", "", "100 W"},
		{"more than there is", []chart.Sample{at(0, math.MaxInt64, math.MinInt64)}, from, to, "M0.00 0.00", "M0.00 100.00L0.00 100.00L0.00 100.00Z", "300000000000000 kW"},
		{"decades", []chart.Sample{{At: long.Add(to.Sub(long) / 2), Using: 50}}, long, to, "M50.00 50.00", "M50.00 100.00L50.00 100.00L50.00 100.00Z", "100 W"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := chart.Power(tt.samples, tt.from, tt.to, locale.English)
			if f.Using != tt.using || f.MadeArea != tt.area || f.Top != tt.top {
				t.Errorf("got using %q, area %q, top %q\nwant     %q,      %q,     %q", f.Using, f.MadeArea, f.Top, tt.using, tt.area, tt.top)
			}
			checkMarkup(t, f)
		})
	}
}

// TestLabels: the x axis has seconds where minutes would say the same thrice.
func TestLabels(t *testing.T) {
	f := chart.Power(nil, from, to, locale.English)
	if got := f.From + " " + f.Middle + " " + f.To; got != "11:30 11:35 11:40" {
		t.Errorf("ten minutes are labelled %s", got)
	}
	f = chart.Power(nil, from, from.Add(time.Minute), locale.English)
	if got := f.From + " " + f.Middle + " " + f.To; got != "11:30:00 11:30:30 11:31:00" {
		t.Errorf("a minute is labelled %s", got)
	}
	f = chart.Power([]chart.Sample{at(0, 1_200, 0)}, from, to, locale.English)
	if f.Top != "1.5 kW" || f.Half != "750 W" {
		t.Errorf("1,200 W are under %s and %s", f.Top, f.Half)
	}
}

var (
	path  = regexp.MustCompile(`^([ML]\d+(\.\d\d)? \d+(\.\d\d)?|Z)*$`)
	point = regexp.MustCompile(`([ML])(\d+(?:\.\d+)?) (\d+(?:\.\d+)?)`)
)

// checkMarkup checks that the markup is well-formed, that all that is drawn is in
// the view box, and that what a script sets has exactly one place.
func checkMarkup(t interface {
	Helper()
	Errorf(string, ...any)
}, f chart.Figure) {
	t.Helper()
	markup := f.Markup(`a "title" & <more>`)
	d := xml.NewDecoder(strings.NewReader("<figure>" + markup + "</figure>"))
	var live []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("the markup is not well-formed: %v\n%s", err, markup)
			return
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range e.Attr {
			switch a.Name.Local {
			case "data-live":
				live = append(live, a.Value)
			case "style":
				t.Errorf("%s has a style, which the pages' policy forbids", e.Name.Local)
			case "d":
				if !path.MatchString(a.Value) {
					t.Errorf("no path: %q", a.Value)
				}
				for _, p := range point.FindAllStringSubmatch(a.Value, -1) {
					x, _ := strconv.ParseFloat(p[2], 64)
					y, _ := strconv.ParseFloat(p[3], 64)
					if x > 100 || y > 100 {
						t.Errorf("%s is outside of the plot in %q", p[0], a.Value)
					}
				}
			}
		}
	}
	var parts []string
	for _, p := range f.Parts() {
		parts = append(parts, p.Name)
		want := ">" + p.Text + "<"
		if p.Attr != "" {
			want = fmt.Sprintf(`%s="%s"`, p.Attr, p.Text)
		}
		if !strings.Contains(markup, want) {
			t.Errorf("%s is not in the markup: %s", p.Name, want)
		}
	}
	parts = append(parts, "chart.title") // which is the caller's
	slices.Sort(live)
	slices.Sort(parts)
	if diff := cmp.Diff(parts, live); diff != "" {
		t.Errorf("what a script sets (-parts +elements)\n%s", diff)
	}
}

// TestDrawn draws whatever samples: the figure is well-formed, time runs to the
// right, more power is never lower, and each gap is one.
func TestDrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		watts := rapid.OneOf(rapid.Int64Range(0, 20_000), rapid.Int64())
		var samples []chart.Sample
		stretches := 0
		for i, s := range rapid.SliceOfN(rapid.IntRange(0, 600), 0, 40).Draw(t, "seconds") {
			samples = append(samples, at(s, watts.Draw(t, "using"), watts.Draw(t, "made")))
			samples[i].Gap = rapid.Bool().Draw(t, "gap")
		}
		slices.SortStableFunc(samples, func(a, b chart.Sample) int { return a.At.Compare(b.At) })
		for i, s := range samples {
			if i == 0 || s.Gap {
				stretches++
			}
		}
		f := chart.Power(samples, from, to, locale.English)
		checkMarkup(t, f)
		points := point.FindAllStringSubmatch(f.Using, -1)
		if len(points) != len(samples) {
			t.Fatalf("%d samples are %d points: %q", len(samples), len(points), f.Using)
		}
		starts := 0
		for i, p := range points {
			if p[1] == "M" {
				starts++
			}
			if i == 0 {
				continue
			}
			if number(p[2]) < number(points[i-1][2]) {
				t.Errorf("time runs to the left in %q", f.Using)
			}
			a, b := samples[i-1].Using, samples[i].Using
			if a < b && number(points[i-1][3]) < number(p[3]) || a > b && number(points[i-1][3]) > number(p[3]) {
				t.Errorf("%d W and %d W are drawn at %s and %s, from the top", a, b, points[i-1][3], p[3])
			}
		}
		if starts != stretches || strings.Count(f.MadeArea, "Z") != stretches {
			t.Errorf("%d stretches are drawn as %q and %q", stretches, f.Using, f.MadeArea)
		}
	})
}

func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return f
}

// TestTop: the axis ends at the least step with a twentieth of room.
func TestTop(t *testing.T) {
	var steps []int64
	for ten := int64(10); ten <= 1_000_000_000_000_000; ten *= 10 {
		for _, n := range []int64{10, 15, 20, 30, 40, 50, 60, 80} {
			steps = append(steps, ten*n)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.OneOf(rapid.Int64Range(-5, 30_000), rapid.Int64Range(0, 1_000_000_000_000)).Draw(t, "most")
		want := steps[slices.IndexFunc(steps, func(s int64) bool { return s*20 >= most*21 })]
		if got := chart.Top(most); got != want {
			t.Errorf("the axis for %d W ends at %d, want %d", most, got, want)
		}
	})
	for _, most := range []int64{math.MinInt64, -1, 0, 95, 96, math.MaxInt64} {
		if top := chart.Top(most); top < 100 || top > 300_000_000_000_000_000 {
			t.Errorf("the axis for %d W ends at %d", most, top)
		}
	}
}

func ExamplePower() {
	start := time.Date(2026, time.June, 21, 11, 30, 0, 0, time.UTC)
	f := chart.Power([]chart.Sample{
		{At: start, Using: 400, Made: 100},
		{At: start.Add(5 * time.Minute), Using: 800, Made: 1_200},
	}, start, start.Add(10*time.Minute), locale.English)
	fmt.Println(f.Using)
	fmt.Println("0 to", f.Top, "from", f.From, "to", f.To)
	// Output:
	// M0.00 73.33L50.00 46.66
	// 0 to 1.5 kW from 11:30 to 11:40
}
