//go:build unix

package outbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"wattmark/gateway/outbox"
)

// BenchmarkWrite keeps statements of 300 bytes through the whole of their lives:
// appended, made durable in batches, read by the uplink and receipted with 16
// bytes. It reports what the disk was made to write, as a multiple of the bytes of
// statements and receipts:
//
//	calls/B    bytes passed to write, and 4 kB for each fsync
//	device/B   the device's own count of sectors, where the file system has a
//	           device; it is ours alone if TMPDIR is a file system of its own
//
// At most 2.5 is allowed at batches of 10; TestWriteAmplification holds it to that.
func BenchmarkWrite(b *testing.B) {
	for _, batch := range []int{1, 10, 64} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			dir := benchDir(b)
			o, _, err := outbox.Open(outbox.Disk, dir, outbox.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer o.Close()
			if _, err := o.RaiseBoot("bench"); err != nil {
				b.Fatal(err)
			}
			rounds := func(n int) {
				for i := 0; i < n; i += batch {
					round(b, o, min(batch, n-i))
				}
			}
			rounds(4000) // until segments are written again
			before, sectors := o.Stats(), sectorsWritten(dir)
			cpu := cpuTime()
			b.ResetTimer()
			rounds(b.N)
			b.StopTimer()
			cpu = cpuTime() - cpu
			after := o.Stats()
			b.ReportMetric(calls(before, after)/payload(before, after), "calls/B")
			if sectors >= 0 {
				b.ReportMetric(float64(sectorsWritten(dir)-sectors)*sector/payload(before, after), "device/B")
			}
			b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// benchDir is a directory for a benchmark: with WATTMARK_BENCH_LOOP=1, and where this
// process may mount, one on an ext4 of its own in a file, so that the device's sectors
// are ours alone.
func benchDir(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	if os.Getenv("WATTMARK_BENCH_LOOP") != "1" {
		return dir
	}
	image, at := filepath.Join(dir, "ext4"), filepath.Join(dir, "mounted")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 256<<20), os.Mkdir(at, 0o700)); err != nil {
		b.Fatal(err)
	}
	for _, c := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, at}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			b.Logf("no ext4 of its own, so no device's sectors: %s: %v: %s", c[0], err, out)
			return dir
		}
	}
	b.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			b.Errorf("umount: %v: %s", err, out)
		}
	})
	return at
}

// calls is what was passed to write, and a page for each fsync.
func calls(before, after outbox.Stats) float64 {
	return float64(after.BytesWritten-before.BytesWritten) + 4096*float64(after.Fsyncs-before.Fsyncs)
}

// payload is what callers gave to keep.
func payload(before, after outbox.Stats) float64 {
	return float64(after.PayloadBytes-before.PayloadBytes) + float64(len(shortReceipt)*int(after.Receipted-before.Receipted))
}

const shortReceipt = "a short receipt."

// round is a batch's life: n statements, one flush, and receipts that become
// durable with the next one.
func round(t testing.TB, o *outbox.Outbox, n int) {
	statement := bytes.Repeat([]byte{'s'}, 300)
	for range n {
		boot, seq, _, err := o.NextSeq()
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: statement}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	list, err := o.Pending(outbox.Number{}, n)
	if err != nil || len(list) != n {
		t.Fatalf("%d of %d statements are pending, %v", len(list), n, err)
	}
	for i := range list {
		if err := o.Receipted(list[i].Boot, list[i].Seq, []byte(shortReceipt)); err != nil {
			t.Fatal(err)
		}
	}
}

// sectorsWritten is what the device under a directory has written since the
// machine started, in sectors of 512 bytes; -1 where that is not told.
func sectorsWritten(dir string) int64 {
	info, err := os.Stat(dir)
	if err != nil {
		return -1
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	dev := uint64(st.Dev) // as Linux packs it: 12 bits of major above 8 of minor
	line, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", dev>>8&0xfff, dev&0xff|dev>>12&0xfff00))
	if err != nil {
		return -1
	}
	// The seventh field; Documentation/block/stat.rst of the kernel.
	fields := strings.Fields(string(line))
	if len(fields) < 7 {
		return -1
	}
	n, err := strconv.ParseInt(fields[6], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// cpuTime is what this process has used, in nanoseconds.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// TestWriteAmplification holds the outbox to the figures of DESIGN.md: bytes
// passed to write, and 4 kB for each fsync, as a multiple of the payload.
func TestWriteAmplification(t *testing.T) {
	for _, c := range []struct {
		batch int
		most  float64
	}{{10, 2.5}, {64, 1.6}} {
		o, _, err := outbox.Open(outbox.Disk, t.TempDir(), outbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.RaiseBoot("boot"); err != nil {
			t.Fatal(err)
		}
		for range 4000 / c.batch {
			round(t, o, c.batch)
		}
		before := o.Stats()
		for range 10000 / c.batch {
			round(t, o, c.batch)
		}
		after := o.Stats()
		got := calls(before, after) / payload(before, after)
		t.Logf("batches of %d: %.2f times the payload", c.batch, got)
		if got > c.most {
			t.Errorf("batches of %d: wrote %.2f times the payload, want at most %.1f", c.batch, got, c.most)
		}
		if after.SegmentsCreated != before.SegmentsCreated {
			t.Errorf("batches of %d: segments were created where dead ones could be written again", c.batch)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}
