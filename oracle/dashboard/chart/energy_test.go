package chart_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wattmark/oracle/dashboard/chart"
	"wattmark/oracle/dashboard/locale"
)

// TestEnergy draws three quarter hours, the second of which nothing is told of.
func TestEnergy(t *testing.T) {
	got := chart.Energy([]chart.Bar{
		{At: from, Shared: 500, FromGrid: 250},
		{At: from.Add(15 * time.Minute), Shared: 900, Unknown: true},
		{At: from.Add(45 * time.Minute), Shared: 100, Sent: 50, ToGrid: 400},
	}, 15*time.Minute, locale.English, "it's <fine>")
	// 800 Wh up and 500 Wh down; the line is at 8 of 13 parts.
	for _, want := range []string{
		`<title>it&#39;s &lt;fine&gt;</title>`, ">800 Wh</text>", ">500 Wh</text>", `y="61.53%"`, "M0 61.53L100 61.53",
		`class="shared" d="M2.50 61.53h20.00V23.07h-20.00ZM77.50 61.53h20.00V53.84h-20.00Z"`,
		`class="takes" d="M2.50 23.07h20.00V3.84h-20.00Z"`, `class="sent" d="M77.50 65.38h20.00V61.53h-20.00Z"`, `class="gives" d="M77.50 96.15h20.00V65.38h-20.00Z"`,
		">11:30</text>", ">12:30</text>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
	if got := chart.Energy(nil, time.Hour, locale.English, "x"); got != "" {
		t.Errorf("nothing is drawn as %s", got)
	}
}

// TestSteps draws two bids, an offer and the price at which they meet.
func TestSteps(t *testing.T) {
	price := int64(150)
	got := chart.Steps([]chart.Step{{Price: 300, Wh: 100}, {Price: 100, Wh: 300}}, []chart.Step{{Price: 50, Wh: 200}}, &price, func(p int64) string { return "p" + strconv.FormatInt(p, 10) }, "a & b")
	// Up to 400 at the price of 400.
	for _, want := range []string{
		"<title>a &amp; b</title>", ">p400</text>", ">400 Wh</text>", `class="line using" vector-effect="non-scaling-stroke" d="M0 25.00H25.00V75.00H100.00"`,
		`class="line made" vector-effect="non-scaling-stroke" d="M0 87.50H50.00"`, `d="M0 62.50L100 62.50"`, `d="M0 100.00L100 100.00"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
	if got := chart.Steps(nil, nil, nil, nil, "x"); got != "" {
		t.Errorf("nothing is drawn as %s", got)
	}
	number := regexp.MustCompile(`-?[0-9]+\.[0-9]{2}`)
	drawn := regexp.MustCompile(` d="[^"]*"`)
	rapid.Check(t, func(rt *rapid.T) {
		var sides [2][]chart.Step
		any := rapid.OneOf(rapid.Int64Range(-1000, 1_000_000), rapid.Int64())
		for i := range sides {
			for range rapid.IntRange(0, 20).Draw(rt, "steps") {
				sides[i] = append(sides[i], chart.Step{Price: any.Draw(rt, "price"), Wh: any.Draw(rt, "wh")})
			}
		}
		m := chart.Steps(sides[0], sides[1], nil, func(int64) string { return "" }, "x")
		for _, n := range number.FindAllString(strings.Join(drawn.FindAllString(m, -1), " "), -1) {
			if f, err := strconv.ParseFloat(n, 64); err != nil || f < 0 || f > 100 {
				rt.Fatalf("%s is outside in %s", n, m)
			}
		}
	})
}

// TestEnergyStaysInside: whatever the figures are, the markup is well formed and every bar
// inside the plot.
func TestEnergyStaysInside(t *testing.T) {
	number := regexp.MustCompile(`-?[0-9]+\.[0-9]+`)
	rapid.Check(t, func(rt *rapid.T) {
		var bars []chart.Bar
		n := rapid.IntRange(1, 100).Draw(rt, "n")
		wh := rapid.OneOf(rapid.Int64Range(0, 10_000), rapid.Int64(), rapid.Just(int64(math.MaxInt64)), rapid.Just(int64(math.MinInt64)))
		at := from
		for range n {
			bars = append(bars, chart.Bar{At: at, Shared: wh.Draw(rt, "shared"), FromGrid: wh.Draw(rt, "from"), Sent: wh.Draw(rt, "sent"), ToGrid: wh.Draw(rt, "to"), Unknown: rapid.Bool().Draw(rt, "unknown")})
			at = at.Add(time.Duration(rapid.IntRange(1, 3).Draw(rt, "gap")) * 15 * time.Minute)
		}
		m := chart.Energy(bars, 15*time.Minute, locale.English, "x")
		for d := xml.NewDecoder(strings.NewReader("<x>" + m + "</x>")); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				rt.Fatalf("%v in %s", err, m)
			}
		}
		for _, s := range number.FindAllString(m, -1) {
			if v, _ := strconv.ParseFloat(strings.TrimPrefix(s, "-"), 64); v < 0 || v > 100 {
				rt.Fatalf("%s is outside of the plot: %s", s, m)
			}
		}
	})
}
