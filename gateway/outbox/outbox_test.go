package outbox_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/outbox"
)

// segments lists the segment files of a directory, oldest first.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// kill closes an outbox as the end of its process does: without its knowledge.
func kill(fsys *simFS) { clear(fsys.locks) }

// say appends a statement of the gaps, and its receipt.
func say(t *testing.T, o *outbox.Outbox, gaps []outbox.Gap) {
	t.Helper()
	boot, seq, _, err := o.NextSeq()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: []byte("says it"), Covers: gaps}); err != nil {
		t.Fatal(err)
	}
	if err := o.Receipted(boot, seq, []byte("r")); err != nil {
		t.Fatal(err)
	}
}

func TestSegmentsAreForgottenWithTheirReceipts(t *testing.T) {
	dir := t.TempDir()
	o, _, err := outbox.Open(outbox.Disk, dir, outbox.Options{GatewayID: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.RaiseBoot("boot"); err != nil {
		t.Fatal(err)
	}
	add(t, o, 5000)
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	files := segments(t, dir)
	if len(files) < 4 || !strings.HasSuffix(files[0], "0000000001-b0-s1.seg") {
		t.Fatalf("segments %q", files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() != 256<<10 {
			t.Errorf("%s: %v, %v: want a file of 256 kB", f, info, err)
		}
	}
	for n := uint64(1); n <= 4990; n++ {
		if err := o.Receipted(1, n, []byte("receipt")); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	// The head, what holds the last receipts, and two dead ones to be written again.
	if got := segments(t, dir); len(got) > 4 {
		t.Errorf("%d segments are left of %d: %q", len(got), len(files), got)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o, report, err := outbox.Open(outbox.Disk, dir, outbox.Options{GatewayID: "gw"})
	if err != nil || !report.Clean() || report.Pending != 10 {
		t.Fatalf("report %v, %v", report, err)
	}
	defer o.Close()
	if got := pending(t, o); len(got) != 10 || got[0] != (outbox.Number{Boot: 1, Seq: 4991}) {
		t.Errorf("pending %v", got)
	}
	kept, err := o.Receipts()
	if err != nil || len(kept) != 64 || kept[63].Seq != 4990 || string(kept[0].Receipt) != "receipt" || !bytes.Equal(kept[0].Statement, statementOf(kept[0].Number())) {
		t.Errorf("%d receipts are kept, %v", len(kept), err)
	}
	if boot, err := o.RaiseBoot("boot"); err != nil || boot != 1 {
		t.Errorf("boot %d in the same boot, %v", boot, err)
	}
	if _, seq, skipped, err := o.NextSeq(); err != nil || seq != 5001 || skipped != nil {
		t.Errorf("after an orderly end: number %d, skipped %v, %v", seq, skipped, err)
	}
}

func TestGivenOutOnlyWhenDurable(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{}, "boot")
	add(t, o, 63)
	if got := pending(t, o); len(got) != 0 {
		t.Errorf("%d statements are given out before a sync", len(got))
	}
	if got := o.Stats().LossWindow; got != 63 {
		t.Errorf("a power cut would lose %d statements, want 63", got)
	}
	add(t, o, 1)
	if got := pending(t, o); len(got) != 64 {
		t.Errorf("%d statements are given out when the group is full, want 64", len(got))
	}
	select {
	case <-o.Ready():
	default:
		t.Error("the uplink is not told")
	}
	fsys = newSim()
	o = open(t, fsys, outbox.Options{FsyncEach: true}, "boot")
	add(t, o, 1)
	if got := pending(t, o); len(got) != 1 {
		t.Errorf("with a sync each %d statements are given out, want 1", len(got))
	}
	n, hash, ok := o.Last()
	if want := sha256.Sum256(statementOf(n)); !ok || hash != want {
		t.Errorf("last statement %s, %x, %v", n, hash, ok)
	}
}

func TestTornTailIsCut(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{}, "boot")
	add(t, o, 10)
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	add(t, o, 3)
	kill(fsys)
	var file *simFile
	for name, f := range fsys.now {
		if strings.HasSuffix(name, ".seg") {
			file = f
		}
	}
	last := statementOf(outbox.Number{Boot: 1, Seq: 12})
	file.now[bytes.Index(file.now, last)] ^= 1
	o, report, err := outbox.Open(fsys, "box", outbox.Options{})
	if err != nil || len(report.Cuts) != 1 || report.Cuts[0].Records != 1 {
		t.Fatalf("report %v, %v", report, err)
	}
	if _, err := o.RaiseBoot("boot"); err != nil {
		t.Fatal(err)
	}
	if got := pending(t, o); len(got) != 11 {
		t.Errorf("%d statements are left, want the 11 before the damage", len(got))
	}
	// A reservation may have been in what is gone: the numbers go on in a new boot.
	want := []outbox.Gap{{Range: outbox.Range{Boot: 1, First: 12, Last: 256}, Count: 245, Reason: outbox.PowerOff}}
	if diff := cmp.Diff(want, o.Gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if boot, _, _, err := o.NextSeq(); err != nil || boot != 2 {
		t.Errorf("boot %d, %v", boot, err)
	}
}

func TestDamagedSegmentIsSetAside(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{}, "boot")
	for range 10 { // each durable before the next one
		add(t, o, 1)
		if err := o.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Refused(1, 9, "clock too far"); err != nil {
		t.Fatal(err)
	}
	if err := o.Receipted(1, 2, []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range fsys.now {
		if i := bytes.Index(f.now, statementOf(outbox.Number{Boot: 1, Seq: 5})); i >= 0 {
			f.now[i] ^= 1
		}
	}
	o, report, err := outbox.Open(fsys, "box", outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := outbox.Gap{Range: outbox.Range{Boot: 1, First: 5, Last: 5}, Count: 1, Reason: outbox.Corrupt}
	if !slices.Contains(report.Gaps, want) || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], ".corrupt") {
		t.Errorf("report %v", report)
	}
	if _, err := o.RaiseBoot("boot"); err != nil {
		t.Fatal(err)
	}
	if got := pending(t, o); len(got) != 7 { // 10 without 2, 5 and 9
		t.Errorf("pending %v", got)
	}
	if !slices.Contains(o.Gaps(), want) {
		t.Errorf("gaps %v", o.Gaps())
	}
	if r := o.Refusals(); len(r) != 1 || r[0].Seq != 9 || r[0].Reason != "clock too far" {
		t.Errorf("refusals %v", r)
	}
}

func TestStatementThatBecomesUnreadable(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{}, "boot")
	add(t, o, 5)
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, f := range fsys.now {
		if i := bytes.Index(f.now, statementOf(outbox.Number{Boot: 1, Seq: 3})); i >= 0 {
			f.now[i] ^= 1
		}
	}
	if got := pending(t, o); len(got) != 4 {
		t.Errorf("pending %v, want all but 1-3", got)
	}
	want := []outbox.Gap{{Range: outbox.Range{Boot: 1, First: 3, Last: 3}, Count: 1, Reason: outbox.Corrupt}}
	if diff := cmp.Diff(want, o.Gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

// TestLimit fills an outbox whose uplink is away for good: the oldest statements
// go, one growing gap says so, and sampling is never stopped.
func TestLimit(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{MaxBytes: 1 << 20}, "boot")
	for range 300 {
		add(t, o, 20)
		if err := o.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	st := o.Stats()
	if st.DiskBytes > st.MaxBytes || st.Dropped == 0 || st.Pending+int(st.Dropped) != 6000 || st.State != outbox.OnDisk {
		t.Errorf("stats %+v", st)
	}
	want := []outbox.Gap{{Range: outbox.Range{Boot: 1, First: 1, Last: st.Dropped}, Count: st.Dropped, Reason: outbox.Full}}
	if diff := cmp.Diff(want, o.Gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if err := o.Receipted(1, 1, []byte("r")); !errors.Is(err, outbox.ErrUnknown) {
		t.Errorf("receipt for what was dropped: %v", err)
	}
	for _, n := range pending(t, o) {
		if err := o.Receipted(n.Boot, n.Seq, []byte("r")); err != nil {
			t.Fatalf("receipt in a full outbox: %v", err)
		}
	}
	if err := outbox.Check(o); err != nil {
		t.Error(err)
	}
	kill(fsys)
	o = open(t, fsys, outbox.Options{MaxBytes: 1 << 20}, "boot")
	if diff := cmp.Diff(want, o.Gaps()); diff != "" {
		t.Errorf("gaps after a restart (-want +got):\n%s", diff)
	}
	// A statement says it, and is receipted: then it is over.
	say(t, o, want)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o = open(t, fsys, outbox.Options{MaxBytes: 1 << 20}, "boot")
	if n := o.Stats().OpenGaps; n != 0 {
		t.Errorf("%d gaps are left after the receipt", n)
	}
}

func TestRefusedWaitsForTheOperator(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{}, "boot")
	add(t, o, 3)
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := o.Refused(1, 2, "key not enrolled"); err != nil {
		t.Fatal(err)
	}
	if got := pending(t, o); len(got) != 2 {
		t.Errorf("pending %v", got)
	}
	if err := o.Resend(1, 2); err != nil {
		t.Fatal(err)
	}
	if got := pending(t, o); len(got) != 3 || len(o.Refusals()) != 0 {
		t.Errorf("pending %v, refused %v", got, o.Refusals())
	}
}

func TestWhatIsRefused(t *testing.T) {
	fsys := newSim()
	o := open(t, fsys, outbox.Options{GatewayID: "gw"}, "boot")
	if _, _, err := outbox.Open(fsys, "box", outbox.Options{GatewayID: "gw"}); err == nil {
		t.Error("opened twice")
	}
	boot, seq, _, err := o.NextSeq()
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		rec  outbox.Record
		want error
	}{
		"a number of its own": {outbox.Record{Boot: boot, Seq: seq + 1, Statement: []byte("s")}, outbox.ErrOrder},
		"a large statement":   {outbox.Record{Boot: boot, Seq: seq, Statement: make([]byte, outbox.MaxStatement+1)}, outbox.ErrTooLarge},
		"a large pack":        {outbox.Record{Boot: boot, Seq: seq, Statement: []byte("s"), Pack: make([]byte, outbox.MaxPack+1)}, outbox.ErrTooLarge},
	} {
		if err := o.Append(c.rec); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	rec := outbox.Record{Boot: boot, Seq: seq, Statement: []byte("s")}
	if err := o.Append(rec); err != nil {
		t.Error(err)
	}
	if err := o.Append(rec); !errors.Is(err, outbox.ErrOrder) {
		t.Errorf("the same number again: %v", err)
	}
	if err := o.Receipted(boot, seq, make([]byte, outbox.MaxReceipt+1)); !errors.Is(err, outbox.ErrTooLarge) {
		t.Errorf("large receipt: %v", err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if err := o.Append(rec); !errors.Is(err, outbox.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, _, err := outbox.Open(fsys, "box", outbox.Options{GatewayID: "another"}); err == nil || !strings.Contains(err.Error(), `"gw"`) {
		t.Errorf("the outbox of another gateway: %v", err)
	}
}

// TestBootCount raises the count when the machine was restarted, and whenever
// nothing proves that it was not.
func TestBootCount(t *testing.T) {
	fsys := newSim()
	raise := func(id string) uint64 {
		t.Helper()
		o, _, err := outbox.Open(fsys, "box", outbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		boot, err := o.RaiseBoot(id)
		if err != nil {
			t.Fatal(err)
		}
		add(t, o, 1)
		kill(fsys)
		return boot
	}
	state := func() *simFile { return fsys.now["box/state"] }
	for _, c := range []struct {
		what   string
		id     string
		before func()
		want   uint64
	}{
		{"first start", "a", func() {}, 1},
		{"process restarted", "a", func() {}, 1},
		{"machine restarted", "b", func() {}, 2},
		{"no boot id", "", func() {}, 3},
		{"no boot id again", "", func() {}, 4},
		{"state file damaged", "b", func() { state().now[30] ^= 1 }, 5},
		{"state file gone", "b", func() { delete(fsys.now, "box/state") }, 6},
		{"state file whole again", "b", func() {}, 6},
		{"segments gone", "b", func() {
			for name := range fsys.now {
				if strings.HasSuffix(name, ".seg") {
					delete(fsys.now, name)
				}
			}
		}, 7},
	} {
		c.before()
		if got := raise(c.id); got != c.want {
			t.Errorf("%s: boot %d, want %d", c.what, got, c.want)
		}
	}
}
