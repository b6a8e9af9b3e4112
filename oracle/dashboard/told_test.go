package dashboard_test

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/oracle/dashboard"
	"wattmark/oracle/dashboard/chart"
	"wattmark/oracle/dashboard/locale"
)

// TestTold tells whatever in whatever order. What is shown is the newest of all
// that was told, and a page that takes in the news shows the same.
func TestTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var told dashboard.Told
		var page dashboard.Shown // as a browser keeps it, newest first
		blocks := make(map[uint64]bool)
		var receipts, notices uint64
		var final uint64
		anyFinal := false
		finalise := func(h uint64) {
			if !anyFinal || h > final {
				anyFinal, final = true, h
			}
		}
		check := func(take bool) {
			shown, news := told.Look(take)
			var want []uint64
			for h := range blocks {
				want = append(want, h)
			}
			slices.SortFunc(want, func(a, b uint64) int { return cmp.Compare(b, a) })
			want = want[:min(len(want), dashboard.ShownRows)]
			var got []uint64
			for _, b := range shown.Blocks {
				got = append(got, b.Height)
				if b.Final != (anyFinal && b.Height <= final) || b.Final && b.Cosigners == 0 {
					t.Fatalf("block %d is final: %v, by %d; final is %d (%v)", b.Height, b.Final, b.Cosigners, final, anyFinal)
				}
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("blocks that are shown (-want +got)\n%s", diff)
			}
			if diff := gocmp.Diff(newest(receipts), shown.Receipts); diff != "" {
				t.Fatalf("receipts that are shown (-want +got)\n%s", diff)
			}
			if diff := gocmp.Diff(newest(notices), shown.Notices); diff != "" {
				t.Fatalf("notices that are shown (-want +got)\n%s", diff)
			}
			if !take {
				return
			}
			for _, b := range news.Blocks {
				page.Blocks = slices.DeleteFunc(page.Blocks, func(o dashboard.Block) bool { return o.Height == b.Height })
				page.Blocks = append(page.Blocks, b)
			}
			slices.SortFunc(page.Blocks, func(a, b dashboard.Block) int { return cmp.Compare(b.Height, a.Height) })
			page.Blocks = page.Blocks[:min(len(page.Blocks), dashboard.ShownRows)]
			page.Receipts = onTop(page.Receipts, news.Receipts)
			page.Notices = onTop(page.Notices, news.Notices)
			page.Final, page.AnyFinal = shown.Final, shown.AnyFinal
			if diff := gocmp.Diff(shown, page); diff != "" {
				t.Fatalf("a page that took in the news (-shown +page)\n%s", diff)
			}
		}
		height := rapid.Custom(func(t *rapid.T) uint64 { return rapid.Uint64Range(0, 40).Draw(t, "height") })
		t.Repeat(map[string]func(*rapid.T){
			"block": func(t *rapid.T) {
				b := dashboard.Block{Height: height.Draw(t, "of the block"), Final: rapid.IntRange(0, 9).Draw(t, "final") == 0}
				if b.Final {
					b.Cosigners = 4
					finalise(b.Height)
				}
				told.Block(b)
				blocks[b.Height] = true
			},
			"final": func(t *rapid.T) {
				h := height.Draw(t, "of the final block")
				told.Final(h, 3)
				finalise(h)
			},
			"receipt": func(t *rapid.T) { told.Receipt(dashboard.Receipt{}); receipts++ },
			"notice":  func(t *rapid.T) { told.Notice(dashboard.Notice{}); notices++ },
			"look":    func(t *rapid.T) { check(false) },
			"take":    func(t *rapid.T) { check(true) },
		})
		check(true)
		if _, news := told.Look(true); len(news.Blocks)+len(news.Receipts)+len(news.Notices) > 0 {
			t.Fatalf("taken news are news again: %+v", news)
		}
	})
}

// newest returns the numbers of the newest rows of n, newest first.
func newest(n uint64) []uint64 {
	var out []uint64
	for i := n; i > 0 && len(out) < dashboard.ShownRows; i-- {
		out = append(out, i)
	}
	return out
}

// onTop puts new rows on top of a list that has its length.
func onTop(list, news []uint64) []uint64 {
	for _, n := range news {
		list = slices.Insert(list, 0, n)
	}
	if len(list) == 0 {
		return nil
	}
	return list[:min(len(list), dashboard.ShownRows)]
}

// TestHistory: whatever the street's clock and ours do, samples are in order, in
// the window, bounded, and the newest is there.
func TestHistory(t *testing.T) {
	const window = 10 * time.Minute
	rapid.Check(t, func(t *rapid.T) {
		h := dashboard.NewHistory(window)
		if h.Samples() != nil {
			t.Fatal("there are samples before the first")
		}
		at, wall := noon, noon
		for i := range int64(rapid.IntRange(1, 400).Draw(t, "samples")) {
			step := time.Duration(rapid.OneOf(rapid.Int64Range(0, 10_000), rapid.Int64Range(-1_000, 700_000)).Draw(t, "street ms")) * time.Millisecond
			ours := time.Duration(rapid.OneOf(rapid.Just(int64(500)), rapid.Int64Range(1, 20_000)).Draw(t, "our ms")) * time.Millisecond
			at, wall = at.Add(step), wall.Add(ours)
			before := h.Samples()
			h.Add(at, 700+i, 300+i, wall)
			samples := h.Samples()
			if n := len(samples); n > 134 {
				t.Fatalf("%d samples are kept", n)
			}
			last := samples[len(samples)-1]
			if !last.At.Equal(at) || last.Using != 700+i || last.Made != 300+i {
				t.Fatalf("the newest sample is %+v", last)
			}
			for i, s := range samples {
				if i > 0 && !s.At.After(samples[i-1].At) {
					t.Fatalf("sample %d is not after the one before", i)
				}
				if s.At.Before(at.Add(-window)) {
					t.Fatalf("sample %d of %v is older than the window of %v", i, s.At, at)
				}
			}
			if step < 0 && len(samples) != 1 {
				t.Fatalf("the clock was set back by %v, and %d samples are left", -step, len(samples))
			}
			want := len(before) > 0 && step > 0 && (ours > 10*time.Second || step > window/4)
			if step == 0 && len(before) > 0 { // no time has passed in which anything was not known
				want = before[len(before)-1].Gap
			}
			if last.Gap != want {
				t.Fatalf("after %v of the street's time and %v of ours there is a gap: %v", step, ours, last.Gap)
			}
		}
	})
}

// TestHistoryFills: a steady street is drawn over the whole window, without gaps
// and evenly.
func TestHistoryFills(t *testing.T) {
	h := dashboard.NewHistory(10 * time.Minute)
	for i := range 3_000 {
		at := noon.Add(time.Duration(i) * 500 * time.Millisecond)
		h.Add(at, int64(i), 0, at)
	}
	samples := h.Samples()
	first, last := samples[0], samples[len(samples)-1]
	if covered := last.At.Sub(first.At); covered < 9*time.Minute+50*time.Second {
		t.Errorf("the chart covers %v of 10 minutes", covered)
	}
	for i, s := range samples[1:] {
		if step := s.At.Sub(samples[i].At); s.Gap || step > 6*time.Second {
			t.Errorf("sample %d comes %v after the one before, a gap: %v", i+1, step, s.Gap)
		}
	}
	f := chart.Power(samples, last.At.Add(-10*time.Minute), last.At, locale.English)
	if f.Using == "" || f.To != "12:07" {
		t.Errorf("drawn up to %s: %q", f.To, f.Using)
	}
	h.Add(time.Time{}, math.MaxInt64, 0, noon)
	if n := len(h.Samples()); n != len(samples) {
		t.Errorf("a clock that shows nothing changes %d samples to %d", len(samples), n)
	}
}
