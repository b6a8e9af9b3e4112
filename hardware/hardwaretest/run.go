package hardwaretest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
)

// pushAllocations is how many allocations a frame of a part that speaks unasked may cost.
const pushAllocations = 32

// contextGrace is how long Sense may go on after its context has ended.
const contextGrace = 50 * time.Millisecond

// Run checks a driver. Each subtest has a device and a part of its own.
func Run(t *testing.T, factory Factory) {
	inBubble(t, "describes itself", factory, describes)
	inBubble(t, "tells when it sampled", factory, spans)
	inBubble(t, "decodes what it sensed", factory, decodes)
	inBubble(t, "allocates nothing after its first sample", factory, allocates)
	inBubble(t, "finds a part that appears late", factory, appears)
	inBubble(t, "obeys an ended context", factory, obeys)
	inBubble(t, "probes without writing", factory, probes)
	inBubble(t, "halts", factory, halts)
	inBubble(t, "goes on by itself", factory, goesOn)
	t.Run("halts after a running Sense", func(t *testing.T) { haltsAfter(t, factory) })
	t.Run("ends with its context", func(t *testing.T) { endsWithContext(t, factory) })
	t.Run("survives faults", func(t *testing.T) { survives(t, factory) })
}

func describes(t *testing.T, b *Bench) {
	about := b.Device.Describe()
	if about.Model == "" || about.Part == "" || b.Device.String() == "" || about.Settle < 0 {
		t.Errorf("incomplete: %q, %q, %q, settles in %s", b.Device, about.Model, about.Part, about.Settle)
	}
	if n := len(about.Channels); n == 0 || n > 256 {
		t.Errorf("%d channels", n)
	}
	for i, c := range about.Channels {
		if unit, kind, ok := hardware.Lookup(c.Name); !ok || unit != c.Unit || kind != c.Kind {
			t.Errorf("%q in %s, a %s, is no channel", c.Name, c.Unit, c.Kind)
		}
		if about.Index(c.Name) != i {
			t.Errorf("%q is there twice", c.Name)
		}
		if c.Limits.Low > c.Limits.High {
			t.Errorf("%q has nothing between %d and %d", c.Name, c.Limits.Low, c.Limits.High)
		}
	}
	if n := b.Exchanges(); n != 0 {
		t.Errorf("the part was asked %d times before the first Sense", n)
	}
	name := b.Device.String()
	b.sample(t, "at first")
	if diff := cmp.Diff(about, b.Device.Describe()); diff != "" || b.Device.String() != name {
		t.Errorf("%s, now %s, changed (-before +after):\n%s", name, b.Device, diff)
	}
}

// goesOn checks a device that speaks unasked: batches come by themselves, one that nobody
// took makes the next one late, and the end of the context ends it.
func goesOn(t *testing.T, b *Bench) {
	c, ok := b.Device.(hardware.Continuous)
	if !ok {
		return
	}
	if _, err := c.SenseContinuous(t.Context(), -time.Second); err == nil {
		t.Error("a batch every -1 s was promised")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	batches, err := c.SenseContinuous(ctx, 0)
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	about := b.Device.Describe()
	take := func(late bool) hardware.Batch {
		got, ok := <-batches
		if !ok || len(got.Values) == 0 {
			t.Fatalf("%d values, and it goes on: %v", len(got.Values), ok)
		}
		checkValues(t, &about, &got)
		for _, v := range got.Values {
			if marked := v.Quality&hardware.Late != 0; marked != late {
				t.Errorf("%s is %s, want late: %v", about.Channels[v.Channel].Name, v.Quality, late)
			}
		}
		return got
	}
	first := take(false)
	if second := take(false); second.At <= first.At {
		t.Errorf("one of %s came after one of %s", second.At, first.At)
	}
	time.Sleep(4*about.Settle + 10*time.Second) // several come meanwhile, and the newest stays
	begin := b.now()
	if kept := take(true); begin-kept.At > about.Settle+2*time.Second {
		t.Errorf("the one that was kept is %s old", begin-kept.At)
	}
	cancel()
	for range batches { // one may have come
	}
}

func spans(t *testing.T, b *Bench) {
	b.sample(t, "at first")
	about := b.Device.Describe()
	time.Sleep(about.Settle)
	var dst hardware.Batch
	begin := b.now()
	if err := b.sense(t, &dst); err != nil {
		t.Fatal(err)
	}
	end := b.now()
	if dst.Took < 0 || dst.Took > end-begin || dst.At < begin || dst.At > end {
		t.Errorf("sampled at %s for %s, between %s and %s", dst.At, dst.Took, begin, end)
	}
}

func decodes(t *testing.T, b *Bench) {
	_, ok := b.Device.(hardware.Decoder)
	if _, counts := b.Device.(hardware.PulseSource); counts && !ok {
		t.Skip("edges have no bytes")
	}
	if !ok {
		t.Fatal("it has no Decode")
	}
	for range 2 { // with and without set-up
		sensed := b.sample(t, "")
		if sensed.Evidence.Len() == 0 || sensed.Evidence.Truncated() {
			t.Fatalf("evidence of %d exchanges, truncated %v", sensed.Evidence.Len(), sensed.Evidence.Truncated())
		}
		decoded, err := CheckDecode(t, b.Device, &sensed.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b.recorded(sensed.Values), timeless(decoded.Values)) + cmp.Diff(sensed.Warnings, decoded.Warnings); diff != "" {
			t.Errorf("sensed and decoded from the evidence (-sensed +decoded):\n%s", diff)
		}
		garbage(t, b.Device, &sensed.Evidence)
	}
}

func allocates(t *testing.T, b *Bench) {
	dst := b.sample(t, "at first")
	about := b.Device.Describe()
	if d, ok := b.Device.(hardware.Decoder); ok && b.Push {
		// Its part speaks meanwhile; and what a frame tells in words needs memory.
		evidence := dst.Evidence.Clone()
		if n := testing.AllocsPerRun(20, func() {
			if err := d.Decode(&evidence, dst); err != nil {
				t.Fatal(err)
			}
		}); n > pushAllocations {
			t.Errorf("%v allocations a frame, more than %d", n, pushAllocations)
		}
		return
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(20, func() {
		time.Sleep(about.Settle) // a measurement waits
		if err := b.Device.Sense(ctx, dst); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a sample", n)
	}
}

func appears(t *testing.T, b *Bench) {
	want := b.sample(t, "undisturbed").Values
	for range 2 {
		b.Attach(false)
		var dst hardware.Batch
		for range 2 {
			if err := b.sense(t, &dst); !errors.Is(err, hardware.ErrAbsent) {
				t.Errorf("without a part: %v, want ErrAbsent", err)
			}
		}
		b.Attach(true)
		// What it was asked while it was away is not to be held against it for long.
		for tries := 0; ; tries++ {
			if err := b.attempt(t, &dst); err == nil {
				break
			} else if tries == 3 {
				t.Fatalf("the part is back: %v", err)
			}
		}
		if diff := cmp.Diff(timeless(want), timeless(dst.Values)); diff != "" {
			t.Errorf("after it came back (-before +after):\n%s", diff)
		}
	}
}

func obeys(t *testing.T, b *Bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var dst hardware.Batch
	err := b.Device.Sense(ctx, &dst)
	if !errors.Is(err, context.Canceled) || hardware.Class(err) != hardware.ErrTimeout {
		t.Errorf("got %v", err)
	} else {
		checkError(t, b.Device.String(), err, &dst)
	}
	if n := b.Exchanges(); n != 0 {
		t.Errorf("the part was asked %d times", n)
	}
	b.sample(t, "after that")
}

func probes(t *testing.T, b *Bench) {
	p, ok := b.Device.(hardware.Prober)
	if !ok {
		t.Skip("it is no Prober")
	}
	probe := func(when string) {
		before := 0
		if b.Changes != nil {
			before = b.Changes()
		}
		id, sure, err := p.Probe(t.Context())
		if err != nil || sure == hardware.NotFound || id.Manufacturer == "" || id.Model == "" {
			t.Errorf("%s: %+v, %s, %v", when, id, sure, err)
		}
		if b.Changes != nil && b.Changes() != before {
			t.Errorf("%s: it changed %d settings", when, b.Changes()-before)
		}
	}
	probe("a part that is new")
	want := b.sample(t, "probed").Values
	probe("a part that measures")
	if diff := cmp.Diff(timeless(want), timeless(b.sample(t, "probed again").Values)); diff != "" {
		t.Errorf("probing changed what it measures (-before +after):\n%s", diff)
	}
	b.Attach(false)
	if id, sure, err := p.Probe(t.Context()); sure != hardware.NotFound || id != (hardware.Identity{}) || !errors.Is(err, hardware.ErrAbsent) {
		t.Errorf("no part: %+v, %s, %v", id, sure, err)
	}
}

// halts checks the order that a gateway ends in. Goroutines that are left fail the
// bubble.
func halts(t *testing.T, b *Bench) {
	if err := b.Device.Halt(); err != nil || b.Exchanges() != 0 {
		t.Errorf("before the first Sense: %v, the part was asked %d times", err, b.Exchanges())
	}
	b.sample(t, "after a Halt of nothing")
	for range 2 {
		if err := b.Device.Halt(); err != nil {
			t.Error(err)
		}
	}
	b.sample(t, "after Halt")
	if err := b.Device.Halt(); err != nil {
		t.Error(err)
	}
}

// haltsAfter holds a transfer of Sense up, and sees Halt wait for it. It needs real
// time: a lock that somebody waits for stands still in a bubble.
func haltsAfter(t *testing.T, factory Factory) {
	b := factory(t, clock())
	entered, release := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() {
		close(entered)
		<-release
	})
	b.Faults(func() emulated.Fault { first(); return emulated.NoFault })
	var calls sync.WaitGroup
	var dst hardware.Batch
	calls.Go(func() {
		// What becomes of it does not matter: it was held up for longer than a part may take.
		if err := b.Device.Sense(t.Context(), &dst); err != nil {
			checkError(t, b.Device.String(), err, &dst)
		}
	})
	<-entered
	halted := make(chan error, 1)
	calls.Go(func() { halted <- b.Device.Halt() })
	select {
	case err := <-halted:
		t.Errorf("Halt did not wait for Sense: %v", err)
		halted <- err
	case <-time.After(20 * time.Millisecond): // it had the time to be wrong
	}
	close(release)
	calls.Wait()
	if err := <-halted; err != nil {
		t.Errorf("halting: %v", err)
	}
}

func endsWithContext(t *testing.T, factory Factory) {
	for _, fault := range []emulated.Fault{emulated.NoFault, emulated.Silence} {
		for _, limit := range []time.Duration{1, 2, 5, 10, 50, 150, 400, 550, 1000} {
			limit *= time.Millisecond
			synctest.Test(t, func(t *testing.T) {
				b := factory(t, clock())
				b.Faults(emulated.Always(fault))
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				var dst hardware.Batch
				for begin := time.Now(); ctx.Err() == nil; {
					err := b.Device.Sense(ctx, &dst)
					if took := time.Since(begin); took > limit+contextGrace {
						t.Errorf("%s, a context of %s: it ended after %s", fault, limit, took)
					}
					if err != nil {
						checkError(t, b.Device.String(), err, &dst)
					}
					if err != nil && ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) && hardware.Class(err) != hardware.ErrTimeout {
						t.Errorf("%s, a context of %s: %v is no ErrTimeout", fault, limit, err)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
}

// survives lets each fault happen in each exchange of the first two samples.
func survives(t *testing.T, factory Factory) {
	var want []hardware.Value
	var classes map[emulated.Fault]error
	synctest.Test(t, func(t *testing.T) {
		b := factory(t, clock())
		want, classes = slices.Clone(b.sample(t, "undisturbed").Values), b.Classes
	})
	if len(classes) == 0 {
		t.Fatal("the bench names no faults")
	}
	for _, fault := range slices.Sorted(maps.Keys(classes)) {
		t.Run(fault.String(), func(t *testing.T) {
			const most = 250
			for before := range most {
				struck := false
				synctest.Test(t, func(t *testing.T) {
					struck = strike(t, factory(t, clock()), fault, before, want)
				})
				if !struck {
					if before < 2 {
						t.Errorf("two samples are %d exchanges", before)
					}
					return
				}
			}
			t.Errorf("two samples are more than %d exchanges", most)
		})
	}
}

// strike lets fault happen after so many good exchanges, and sees the sample fail as
// it should and the next ones be right. It is false when two samples are over before.
func strike(t *testing.T, b *Bench, fault emulated.Fault, before int, want []hardware.Value) bool {
	exchanges := 0
	b.Faults(func() emulated.Fault {
		if exchanges++; exchanges == before+1 {
			return fault
		}
		return emulated.NoFault
	})
	about := b.Device.Describe()
	var dst hardware.Batch
	good := func() bool {
		if diff := cmp.Diff(timeless(want), timeless(dst.Values)); diff != "" {
			t.Errorf("%s in exchange %d: another value (-want +got):\n%s", fault, before+1, diff)
		}
		return true
	}
	for samples := 0; samples < 2; {
		err := b.sense(t, &dst)
		if err == nil {
			samples++
			good()
		}
		if exchanges > before && !errors.Is(err, hardware.ErrNoData) {
			if class := b.Classes[fault]; hardware.Class(err) != class || class == nil && err != nil {
				t.Errorf("%s in exchange %d: got %v, want %v", fault, before+1, err, class)
			}
			for tries := 0; ; tries++ {
				if err := b.attempt(t, &dst); err == nil {
					return good()
				} else if tries == 3 {
					t.Errorf("%s in exchange %d: it does not recover: %v", fault, before+1, err)
					return true
				}
			}
		}
		time.Sleep(about.Settle / 20)
	}
	return false
}
