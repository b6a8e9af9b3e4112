package slot_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"wattmark/firmware/update/slot"
	"wattmark/firmware/update/slot/slottest"
)

// bootPartition is one as gok writes it, with the directories of an image and all files
// empty but the two boot files, moved to the front.
var bootPartition = sync.OnceValues(func() ([]byte, error) {
	f, err := os.Open("testdata/boot.fat.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
})

func newDisk(t testing.TB) *slottest.Disk {
	t.Helper()
	b, err := bootPartition()
	if err != nil {
		t.Fatal(err)
	}
	sim := slottest.New(b, 1<<20)
	root := slottest.Root("the other", 1<<18)
	if err := sim.Slots(slot.RootA).Write(slot.RootB, bytes.NewReader(root), int64(len(root))); err != nil {
		t.Fatal(err)
	}
	return sim
}

func state(t *testing.T, d *slot.Disk) slot.State {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBootFilesOfAnImage(t *testing.T) {
	for _, efi := range []bool{false, true} {
		sim := newDisk(t)
		d := sim.Slots(slot.RootA)
		d.EFI = efi
		if got, want := state(t, d), (slot.State{Default: slot.RootA, Agree: true}); got != want {
			t.Fatalf("as built: %+v, want %+v", got, want)
		}
		steps := []struct {
			do   func() error
			want slot.State
		}{
			{d.Arm, slot.State{Default: slot.RootA, Trial: slot.Armed, Agree: true}},
			{d.Arm, slot.State{Default: slot.RootA, Trial: slot.Armed, Agree: true}},
			{func() error { _, err := sim.Boot(); return err }, slot.State{Default: slot.RootA, Trial: slot.Taken, Agree: true}},
			{func() error { return d.SetDefault(slot.RootB) }, slot.State{Default: slot.RootB, Agree: true}},
			{func() error { _, err := sim.Boot(); return err }, slot.State{Default: slot.RootB, Agree: true}},
			{d.Arm, slot.State{Default: slot.RootB, Trial: slot.Armed, Agree: true}},
			{d.Disarm, slot.State{Default: slot.RootB, Agree: true}},
			{func() error { return d.SetDefault(slot.RootA) }, slot.State{Default: slot.RootA, Agree: true}},
		}
		for i, s := range steps {
			if err := s.do(); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			if got := state(t, d); got != s.want {
				t.Fatalf("step %d: %+v, want %+v", i, got, s.want)
			}
		}
		b, err := bootPartition()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sim.Content(slot.Boot), b) {
			t.Error("going all the way round did not bring the boot partition back, byte for byte")
		}
	}
}

// What init leaves when it takes a trial is not as long as what it found.
func TestWhatInitLeavesIsMended(t *testing.T) {
	sim := newDisk(t)
	d := sim.Slots(slot.RootA)
	if err := d.Arm(); err != nil {
		t.Fatal(err)
	}
	if run, err := sim.Boot(); err != nil || run != slot.RootB {
		t.Fatalf("booted %d, %v", run, err)
	}
	if err := d.Disarm(); err != nil {
		t.Fatal(err)
	}
	b, err := bootPartition()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sim.Content(slot.Boot), b) {
		t.Error("the boot partition is not what it was before the trial")
	}
}

func TestRootsAreWrittenWhole(t *testing.T) {
	root := slottest.Root("a root", 300_000)
	for _, c := range []struct {
		name string
		give string
		size int64
		want string
	}{
		{"whole", string(root), int64(len(root)), ""},
		{"short", string(root[:len(root)-1]), int64(len(root)), slot.ErrSize.Error()},
		{"long", string(root) + "x", int64(len(root)), slot.ErrSize.Error()},
		{"larger than the slot", strings.Repeat("x", 1<<20+1), 1<<20 + 1, "does not fit"},
	} {
		sim := newDisk(t)
		d := sim.Slots(slot.RootA)
		err := d.Write(slot.RootB, strings.NewReader(c.give), c.size)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err != nil {
			continue
		}
		sum, err := d.Digest(slot.RootB, c.size)
		if err != nil || sum != slottest.Digest(root) {
			t.Errorf("%s: read back as %x, %v", c.name, sum, err)
		}
		if size, err := d.RootSize(slot.RootB); err != nil || size != int64(len(root)) {
			t.Errorf("%s: %d bytes, %v; want %d", c.name, size, err, len(root))
		}
	}
}

func TestTheRunningSlotIsNeverWritten(t *testing.T) {
	d := newDisk(t).Slots(slot.RootB)
	for _, p := range []slot.Partition{slot.RootB, slot.Boot, 4} {
		if err := d.Write(p, strings.NewReader("x"), 1); err == nil {
			t.Errorf("wrote partition %d while %d runs", p, d.Running)
		}
	}
	if err := d.SetDefault(4); err == nil {
		t.Error("/perm is to be booted")
	}
}

func TestBootPartitionsThatAreNotEdited(t *testing.T) {
	good, err := bootPartition()
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(good, []byte("console=tty1"))
	for name, change := range map[string]func([]byte){
		"no FAT":             func(b []byte) { clear(b[:512]) },
		"sectors of 4 kB":    func(b []byte) { b[11], b[12] = 0, 16 },
		"no root":            func(b []byte) { copy(b[at:], bytes.Repeat([]byte{'x'}, 100)) },
		"a root of a number": func(b []byte) { copy(b[at+bytes.Index(b[at:], []byte("PARTNROFF=1")):], "PARTNROFF=9") },
		"a full line": func(b []byte) {
			for i := at; b[i] != 0; i++ {
				if b[i] == ' ' && b[i+1] == ' ' {
					b[i+1] = 'x'
				}
			}
		},
	} {
		b := bytes.Clone(good)
		change(b)
		sim := slottest.New(b, 1<<20)
		if err := sim.Slots(slot.RootA).Arm(); err == nil {
			if _, err := sim.Slots(slot.RootA).State(); err == nil {
				t.Errorf("%s: armed", name)
			}
		}
	}
}

func FuzzBootPartition(f *testing.F) {
	b, err := bootPartition()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:512], b[72192:73000])
	f.Fuzz(func(t *testing.T, sector, dir []byte) {
		c := bytes.Clone(b)
		copy(c[:512], sector)
		copy(c[72192:], dir)
		sim := slottest.New(c, 1<<12)
		d := sim.Slots(slot.RootA)
		if _, err := d.State(); err != nil {
			return
		}
		was := state(t, d)
		if err := d.Arm(); err != nil {
			return
		}
		if got := state(t, d); got.Trial != slot.Armed || got.Default != was.Default {
			t.Fatalf("armed: %+v, before %+v", got, was)
		}
		if err := d.Disarm(); err != nil {
			t.Fatalf("armed, and not disarmed: %v", err)
		}
		if got := state(t, d); got.Trial != slot.NoTrial || got.Default != was.Default || got.Agree != was.Agree {
			t.Fatalf("disarmed: %+v, before %+v", got, was)
		}
		once := sim.Content(slot.Boot)
		if err := errors.Join(d.Arm(), d.Disarm()); err != nil || !bytes.Equal(sim.Content(slot.Boot), once) {
			t.Fatalf("armed and disarmed again it is not the same, byte for byte: %v", err)
		}
	})
}
