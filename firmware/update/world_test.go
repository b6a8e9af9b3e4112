package update_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/firmware/manifest/manifesttest"
	"wattmark/firmware/update"
	"wattmark/firmware/update/slot"
	"wattmark/firmware/update/slot/slottest"
	"wattmark/ledger/entry"
)

const (
	board    = "rpi"
	kernel   = "6.12.47-v8"
	slotSize = 64 << 10
)

var bootPartition = sync.OnceValues(func() ([]byte, error) {
	f, err := os.Open("slot/testdata/boot.fat.gz")
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

// world is a gateway's machine, its releases, and a ledger that they stand on.
type world struct {
	tb     testing.TB
	disk   *slottest.Disk
	store  *store
	ledger *manifesttest.Ledger
	roots  map[uint64][]byte // by version, the last that was released
	known  map[[32]byte]uint64
	now    time.Time

	// Of the life that the machine is in.
	running slot.Partition
	agent   *update.Agent
	// versions that ran, in order.
	ran []uint64
}

// store is a journal on the same disk: it is replaced in two operations.
type store struct {
	disk    *slottest.Disk
	content []byte
}

func (s *store) Load() ([]byte, error) { return bytes.Clone(s.content), nil }

func (s *store) Save(b []byte) error {
	if err := s.disk.Op(func() {}); err != nil { // the temporary file
		return err
	}
	renamed := func() {
		if s.disk.Fate != slottest.Lost || s.disk.Ops != s.disk.CutAt {
			s.content = bytes.Clone(b)
		}
	}
	return s.disk.Op(renamed)
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	b, err := bootPartition()
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{
		tb: tb, disk: slottest.New(b, slotSize), ledger: manifesttest.New(tb), now: time.Unix(1_790_000_000, 0).UTC(),
		roots: map[uint64][]byte{1: slottest.Root("factory", slotSize/2)}, known: make(map[[32]byte]uint64),
	}
	w.known[slottest.Digest(w.roots[1])] = 1
	w.store = &store{disk: w.disk}
	return w
}

// release makes a release of a root, and its proof.
func (w *world) release(version uint64, root []byte) (*entry.Release, []byte) {
	w.tb.Helper()
	r := &entry.Release{
		Origin: manifesttest.ReleaseOrigin, Board: board, Version: version, Commit: strings.Repeat("0a", 20),
		Root: slottest.Digest(root), Size: uint64(len(root)), Kernel: kernel,
	}
	w.roots[version], w.known[r.Root] = root, version
	return r, w.ledger.Log(w.ledger.Manifest(r), manifesttest.Quorum).Encode()
}

// fetch gives roots as they were released.
func (w *world) fetch(_ context.Context, r *entry.Release) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(w.roots[r.Version])), nil
}

// boot starts the machine and opens the agent.
func (w *world) boot() error {
	w.tb.Helper()
	var err error
	if w.running, err = w.disk.Boot(); err != nil {
		return err
	}
	return w.open()
}

func (w *world) open() error {
	d := w.disk.Slots(w.running)
	size, err := d.RootSize(w.running)
	if err != nil {
		return err
	}
	image := update.Image{Board: board, Kernel: kernel, Size: size}
	if image.Root, err = d.Digest(w.running, size); err != nil {
		return err
	}
	image.Version = w.known[image.Root]
	if image.Version == 0 {
		w.tb.Fatalf("slot %d runs a root that nobody released", w.running)
	}
	w.ran = append(w.ran, image.Version)
	w.agent, err = update.Open(update.Config{
		Disk: d, Store: w.store, Image: image, Trust: w.ledger.Trust(), Gateway: "gw-1", Now: func() time.Time { return w.now },
	})
	return err
}

// well is a gateway that works.
var well = update.Health{Key: true, Outbox: true, Signed: 1, Read: []string{"meter"}, Receipts: 1}

// live does what a gateway does, start after start, until nothing is left to do: it
// takes the update that is offered, and judges with the health that is given.
func (w *world) live(proof []byte, health update.Health) {
	w.tb.Helper()
	for range 20 {
		again, err := w.once(proof, health)
		switch {
		case errors.Is(err, slottest.ErrPower):
		case err != nil:
			w.tb.Fatalf("ran %v: %v", w.ran, err)
		case !again:
			return
		}
	}
	w.tb.Fatalf("ran %v, and it never ends", w.ran)
}

// once is one start: what is to be done, up to the next.
func (w *world) once(proof []byte, health update.Health) (again bool, err error) {
	if err := w.boot(); err != nil {
		return false, err
	}
	next, err := w.agent.Resume()
	if err != nil {
		return false, err
	}
	switch next {
	case update.Reboot:
		return true, nil
	case update.Gate:
		verdict, err := w.agent.Judge(health, 0)
		if err != nil {
			return false, err
		}
		if verdict == update.Failed {
			return true, nil
		}
	}
	if proof == nil {
		return false, nil
	}
	err = w.agent.Take(context.Background(), proof, w.fetch, []string{"meter"})
	var refused *update.Refused
	if errors.As(err, &refused) && !w.disk.Off() {
		return false, nil
	}
	return err == nil, err
}

// check asks for what must hold at the end: the version that runs, a boot partition
// that says so and nothing else, and the last outcome.
func (w *world) check(version uint64, result update.Result, reason update.Reason) {
	w.tb.Helper()
	if got := w.ran[len(w.ran)-1]; got != version {
		w.tb.Errorf("ran %v, want %d at the end", w.ran, version)
	}
	s, err := w.disk.Slots(w.running).State()
	if err != nil {
		w.tb.Fatal(err)
	}
	if want := (slot.State{Default: w.running, Agree: true}); s != want {
		w.tb.Errorf("the machine boots %+v, want %+v", s, want)
	}
	if last := w.agent.Last(); last == nil || last.Result != result || last.Reason != reason {
		w.tb.Errorf("last outcome %+v, want %s %s", last, result, reason)
	}
}
