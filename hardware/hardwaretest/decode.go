package hardwaretest

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/hardware"
)

// decodeMemory bounds what Decode allocates, whatever it is given.
const decodeMemory = 64 << 10

// CheckDecode decodes t with the device, which must be a hardware.Decoder, and checks
// what holds for all bytes: an error has a class and comes without values, values are
// in order and marked as their limits say, what dst held before makes no difference,
// and neither does a way through a file. It returns what Decode gave.
func CheckDecode(t testing.TB, device hardware.Device, recorded *hardware.Transcript) (*hardware.Batch, error) {
	t.Helper()
	d := device.(hardware.Decoder)
	text := recorded.String()
	var clean hardware.Batch
	err := d.Decode(recorded, &clean)
	if err != nil {
		checkError(t, "", err, &clean)
	}
	about := device.Describe()
	checkValues(t, &about, &clean)
	if recorded.String() != text {
		t.Errorf("Decode changed the transcript to\n%sfrom\n%s", recorded, text)
	}
	// What is told beside the values is told again.
	type said struct {
		Identity hardware.Identity
		Models   []uint16
		Time     hardware.MeterTime
	}
	told := func(b *hardware.Batch) said { return said{b.Identity, list(b.Models), b.MeterTime} }
	same := func(how string, of *hardware.Transcript, dst *hardware.Batch) {
		t.Helper()
		again := d.Decode(of, dst)
		if (err == nil) != (again == nil) || hardware.Class(err) != hardware.Class(again) {
			t.Errorf("%s: %v, at first %v", how, again, err)
		}
		if diff := cmp.Diff(list(clean.Values), list(dst.Values)) + cmp.Diff(list(clean.Warnings), list(dst.Warnings)) + cmp.Diff(told(&clean), told(dst)); diff != "" {
			t.Errorf("%s (-at first +again):\n%s", how, diff)
		}
	}
	same("into a batch that was used", recorded, &hardware.Batch{
		Values:   []hardware.Value{{Channel: 200, Mantissa: 1}},
		Warnings: []string{"skipped: all"},
		Identity: hardware.Identity{Serial: "another"}, Models: []uint16{1},
		MeterTime: hardware.MeterTime{Local: "1970-01-01T00:00:00", Season: hardware.Summer},
	})
	// Exchanges without bytes have no form as text; all others come back as they were.
	if read, bad := hardware.ParseTranscript([]byte(text)); bad == nil && equal(read, recorded) {
		same("from text", read, new(hardware.Batch))
	}
	return &clean, err
}

// list makes nothing and an empty slice the same.
func list[T any](s []T) []T { return append([]T{}, s...) }

func equal(a, b *hardware.Transcript) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		as, ar := a.Exchange(i)
		bs, br := b.Exchange(i)
		if string(as) != string(bs) || string(ar) != string(br) {
			return false
		}
	}
	return true
}

// CheckDecodeMemory checks that Decode of t stays within its memory.
func CheckDecodeMemory(t testing.TB, device hardware.Device, recorded *hardware.Transcript) {
	t.Helper()
	var dst hardware.Batch
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = device.(hardware.Decoder).Decode(recorded, &dst) // refused or not
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > decodeMemory {
		t.Errorf("%d exchanges made Decode allocate %d bytes, more than %d", recorded.Len(), n, decodeMemory)
	}
}

// garbage decodes what a damaged line, a mixed-up recording or a mischievous part
// makes of a good recording.
func garbage(t *testing.T, device hardware.Device, good *hardware.Transcript) {
	const seed = 20260401
	random := rand.New(rand.NewPCG(seed, 1))
	spoil := func(b []byte) []byte {
		b = append([]byte(nil), b...)
		switch random.IntN(6) {
		case 0:
			return b[:random.IntN(len(b)+1)]
		case 1:
			return append(b, byte(random.Uint32()))
		case 2, 3:
			if len(b) > 0 {
				b[random.IntN(len(b))] ^= 1 << random.IntN(8)
			}
		case 4:
			for i := range b {
				b[i] = byte(random.Uint32())
			}
		}
		return b
	}
	for range 300 {
		var bad hardware.Transcript
		for range 1 + random.IntN(4) {
			sent, _ := good.Exchange(random.IntN(good.Len()))
			_, received := good.Exchange(random.IntN(good.Len()))
			bad.Send(spoil(sent))
			bad.Receive(spoil(received))
		}
		if _, err := CheckDecode(t, device, &bad); t.Failed() {
			t.Fatalf("seed %d: with %v, from\n%s", seed, err, &bad)
		}
	}
	var full, noise hardware.Transcript
	for i := 0; !full.Truncated(); i++ {
		sent, received := good.Exchange(i % good.Len())
		full.Send(sent)
		full.Receive(received)
	}
	for !noise.Truncated() {
		noise.Send([]byte{byte(random.Uint32()), byte(random.Uint32())})
		noise.Receive([]byte{byte(random.Uint32())})
	}
	for _, much := range []*hardware.Transcript{&full, &noise} {
		if _, err := CheckDecode(t, device, much); t.Failed() {
			t.Fatalf("seed %d: with %v, from %d exchanges", seed, err, much.Len())
		}
		CheckDecodeMemory(t, device, much)
	}
}

// FuzzDecode fuzzes Decode of device with recordings of two exchanges, from those of
// the seeds on.
func FuzzDecode(f *testing.F, device hardware.Device, seeds ...*hardware.Transcript) {
	for _, s := range seeds {
		for i := range s.Len() {
			sent, received := s.Exchange(i)
			next, answer := s.Exchange((i + 1) % s.Len())
			f.Add(sent, received, next, answer)
		}
	}
	f.Fuzz(func(t *testing.T, sent, received, next, answer []byte) {
		var recorded hardware.Transcript
		recorded.Send(sent)
		recorded.Receive(received)
		if len(next) > 0 || len(answer) > 0 {
			recorded.Send(next)
			recorded.Receive(answer)
		}
		_, _ = CheckDecode(t, device, &recorded) // it reports what is wrong
	})
}
