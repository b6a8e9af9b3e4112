package outbox_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/outbox"
)

// thin signs a statement that replaces the oldest n that may be.
func thin(t *testing.T, o *outbox.Outbox, n int) (by outbox.Number, replaced []outbox.Number) {
	t.Helper()
	recs, err := o.Thinnable(outbox.Number{}, n)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		replaced = append(replaced, r.Number())
	}
	boot, seq, _, err := o.NextSeq()
	if err != nil {
		t.Fatal(err)
	}
	rec := outbox.Record{Boot: boot, Seq: seq, Statement: []byte("registers alone"), Replaces: replaced}
	if err := o.Append(rec); err != nil {
		t.Fatal(err)
	}
	return rec.Number(), replaced
}

// TestThinning keeps what is needed most in an outbox that fills: at 80 % of its
// limit old statements are replaced, and none has to be dropped.
func TestThinning(t *testing.T) {
	fsys := newSim()
	opts := outbox.Options{MaxBytes: 2 << 20}
	o := open(t, fsys, opts, "boot")
	for range 60 {
		add(t, o, 200)
		if err := o.Flush(); err != nil {
			t.Fatal(err)
		}
		for o.Crowded() {
			thin(t, o, 50)
			if err := o.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	st := o.Stats()
	if st.Dropped != 0 || st.Thinned == 0 || st.DiskBytes > st.MaxBytes || st.State != outbox.OnDisk {
		t.Errorf("stats %+v: want statements thinned and none dropped", st)
	}
	if err := outbox.Check(o); err != nil {
		t.Error(err)
	}
	if want := int(12000 - st.Thinned + st.Thinned/50); st.Pending != want {
		t.Errorf("%d statements wait, want %d", st.Pending, want)
	}
	kill(fsys)
	// One more gap is of numbers that were reserved when the process was killed.
	if got := open(t, fsys, opts, "boot").Stats(); got.Pending != st.Pending || got.OpenGaps != st.OpenGaps+1 {
		t.Errorf("after a restart %d statements wait and %d gaps are open, want %d and %d", got.Pending, got.OpenGaps, st.Pending, st.OpenGaps+1)
	}
}

// TestThinnedGap follows the gap that thinning leaves: said by the statement that
// replaces, open again where that one is lost, over with its receipt.
func TestThinnedGap(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{}, "boot")
	add(t, o, 6)
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := o.Refused(1, 2, "key not enrolled"); err != nil {
		t.Fatal(err)
	}
	by, replaced := thin(t, o, 4)
	if want := []outbox.Number{{Boot: 1, Seq: 1}, {Boot: 1, Seq: 3}, {Boot: 1, Seq: 4}, {Boot: 1, Seq: 5}}; !cmp.Equal(replaced, want) {
		t.Fatalf("thinned %v, want %v: what is refused waits for the operator", replaced, want)
	}
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	if list, err := o.Pending(outbox.Number{}, 10); err != nil || len(list) != 2 || list[0].Seq != 6 || list[1].Number() != by {
		t.Errorf("pending %v, %v, want 1-6 and %v", list, err, by)
	}
	if gaps := o.Gaps(); len(gaps) != 0 {
		t.Errorf("gaps %v, want none: the statement says it", gaps)
	}
	if list, err := o.Thinnable(outbox.Number{}, 10); err != nil || len(list) != 1 || list[0].Seq != 6 {
		t.Errorf("thinnable %v, %v: a statement that replaced others is not replaced", list, err)
	}
	if err := o.Receipted(1, 3, []byte("late")); !errors.Is(err, outbox.ErrUnknown) {
		t.Errorf("a receipt for what was replaced: %v", err)
	}

	// It becomes unreadable: the gap is open again.
	for _, f := range fsys.now {
		for i := range len(f.now) - 20 {
			if string(f.now[i:i+15]) == "registers alone" {
				f.now[i] ^= 1
			}
		}
	}
	if list, err := o.Pending(outbox.Number{}, 10); err != nil || len(list) != 1 {
		t.Errorf("pending %v, %v, want 1-6 alone", list, err)
	}
	want := []outbox.Gap{
		{Range: outbox.Range{Boot: 1, First: 1, Last: 5}, Count: 4, Reason: outbox.Thinned},
		{Range: outbox.Range{Boot: 1, First: by.Seq, Last: by.Seq}, Count: 1, Reason: outbox.Corrupt},
	}
	if diff := cmp.Diff(want, o.Gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	say(t, o, want)
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := o.Stats().OpenGaps; n != 0 {
		t.Errorf("%d gaps are open after the receipt", n)
	}
}

func TestWhatCannotBeReplaced(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{}, "boot")
	add(t, o, 3)
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	boot, seq, _, err := o.NextSeq()
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		list []outbox.Number
		want error
	}{
		"two boots":  {[]outbox.Number{{Boot: 1, Seq: 1}, {Boot: 2, Seq: 2}}, outbox.ErrOrder},
		"descending": {[]outbox.Number{{Boot: 1, Seq: 2}, {Boot: 1, Seq: 1}}, outbox.ErrOrder},
		"one twice":  {[]outbox.Number{{Boot: 1, Seq: 2}, {Boot: 1, Seq: 2}}, outbox.ErrOrder},
		"too many":   {make([]outbox.Number, 257), outbox.ErrTooLarge},
	} {
		if err := o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: []byte("s"), Replaces: c.list}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	fsys.fail = syscall.EIO
	if err := o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: []byte("s")}); err != nil {
		t.Fatal(err)
	}
	if boot, seq, _, err = o.NextSeq(); err != nil {
		t.Fatal(err)
	}
	if err := o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: []byte("s"), Replaces: []outbox.Number{{Boot: 1, Seq: 1}}}); !errors.Is(err, outbox.ErrMemory) {
		t.Errorf("replacing from memory: %v", err)
	}
	if list, err := o.Thinnable(outbox.Number{}, 10); err != nil || len(list) != 0 || o.Crowded() {
		t.Errorf("in memory %v may be replaced, %v", list, err)
	}
}

// TestFacts keeps small values over restarts, limits and moves, the newest of each name.
func TestFacts(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, simOptions, "boot")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(o.Put("enrolment", []byte("as of May")))
	must(o.Put("gone", []byte("soon")))
	must(o.Put("gone", nil))
	for i := range 400 { // many times through all segments
		must(o.Put("total", fmt.Appendf(nil, "%d Wh", i)))
		add(t, o, 3)
		must(o.Flush())
	}
	check := func() {
		t.Helper()
		for name, want := range map[string]string{"enrolment": "as of May", "total": "399 Wh", "gone": ""} {
			if got := string(o.Get(name)); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if got := o.Facts(); !cmp.Equal(got, []string{"enrolment", "total"}) {
			t.Errorf("facts %q", got)
		}
		if err := outbox.Check(o); err != nil {
			t.Error(err)
		}
	}
	check()
	if o.Stats().Dropped == 0 {
		t.Error("the outbox was not filled")
	}
	kill(fsys)
	o = open(t, fsys, simOptions, "boot")
	check()
	fsys.fail = syscall.ENOSPC
	for i := range 100 {
		must(o.Put("total", fmt.Appendf(nil, "%d Wh", 300+i)))
	}
	if s := o.Stats(); s.State != outbox.InMemory || s.MemoryBytes > 100 {
		t.Errorf("in memory: %+v: values that nobody reads are kept", s)
	}
	for what, err := range map[string]error{
		"no name":       o.Put("", []byte("x")),
		"a long name":   o.Put(string(make([]byte, 65)), []byte("x")),
		"a large value": o.Put("x", make([]byte, outbox.MaxFact+1)),
	} {
		if !errors.Is(err, outbox.ErrTooLarge) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
