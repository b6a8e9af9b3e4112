// Package slottest is a gateway's disk that loses its power: what is written to it is
// durable once it was synced, and sector by sector perhaps before. It boots as gokrazy's
// init does.
package slottest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"wattmark/firmware/update/slot"
)

// ErrPower is what everything returns once the power is gone.
var ErrPower = errors.New("the power is gone")

// Fate is what becomes of sectors that were written and not synced when power goes.
type Fate int

// Fates. Torn keeps every second sector.
const (
	Lost Fate = iota
	Kept
	Torn
)

// Disk is the simulated disk. It has one user at a time.
type Disk struct {
	parts map[slot.Partition]*partition
	// CutAt is the write or sync, counted from 1, at which the power goes; 0 is never.
	CutAt int
	// Fate is what becomes of what is not durable then. A cut at a write counts that
	// write as given to the disk.
	Fate Fate
	// Ops counts writes and syncs.
	Ops int
	// Damaged reads make a partition return other bytes than were written.
	Damaged map[slot.Partition]bool
	off     bool
}

// partition is durable content, and sectors over it that are not durable yet.
type partition struct {
	base    []byte // shared by clones, never written
	durable map[int64][]byte
	cache   map[int64][]byte
}

// New returns a disk with a boot partition and empty slots of a size, of which RootA
// has a root.
func New(boot []byte, size int) *Disk {
	d := &Disk{parts: make(map[slot.Partition]*partition), Damaged: make(map[slot.Partition]bool)}
	for p, b := range map[slot.Partition][]byte{slot.Boot: boot, slot.RootA: Root("factory", size/2), slot.RootB: nil} {
		content := boot
		if p != slot.Boot {
			content = make([]byte, size)
			copy(content, b)
		}
		d.parts[p] = &partition{base: content, durable: map[int64][]byte{}, cache: map[int64][]byte{}}
	}
	return d
}

// Slots is the disk as the running system sees it.
func (d *Disk) Slots(running slot.Partition) *slot.Disk {
	return &slot.Disk{Running: running, Open: func(p slot.Partition, _ bool) (slot.Device, error) {
		if d.off {
			return nil, ErrPower
		}
		part := d.parts[p]
		if part == nil {
			return nil, fmt.Errorf("there is no partition %d", p)
		}
		return &device{d, part, p}, nil
	}}
}

// PowerOff cuts the power now.
func (d *Disk) PowerOff() {
	if d.off {
		return
	}
	d.off = true
	for _, p := range d.parts {
		for n, sector := range p.cache {
			if d.Fate == Kept || d.Fate == Torn && n%2 == 0 {
				p.durable[n] = sector
			}
		}
		clear(p.cache)
	}
}

// Off tells whether the power is gone.
func (d *Disk) Off() bool { return d.off }

// PowerOn gives power again; nothing is cut from then on unless CutAt is set anew.
func (d *Disk) PowerOn() { d.off, d.CutAt = false, 0 }

// Boot does what the machine's firmware and gokrazy's init do, and returns the slot
// that runs. A trial of a slot without a SquashFS stays in the default.
func (d *Disk) Boot() (slot.Partition, error) {
	d.PowerOff()
	d.PowerOn()
	s, err := d.Slots(slot.RootA).State()
	if err != nil {
		return 0, err
	}
	run := s.Default
	if s.Trial == slot.Armed {
		b := d.Content(slot.Boot)
		const try, taken = "gokrazy.try_boot_inactive=1", "gokrazy.switch_on_boot=1"
		at := bytes.Index(b, []byte(try))
		// Init writes the whole shorter line over the old one: what stood behind the
		// word moves up, and the last bytes stay.
		end := at + bytes.IndexByte(b[at:], 0)
		line := append([]byte(taken), b[at+len(try):end]...)
		dev := &device{d, d.parts[slot.Boot], slot.Boot}
		if _, err := dev.WriteAt(line, int64(at)); err != nil {
			return 0, err
		}
		if err := dev.Sync(); err != nil {
			return 0, err
		}
		other := &device{d, d.parts[run.Other()], run.Other()}
		if _, err := slot.SquashSize(other); err == nil {
			run = run.Other()
		}
	}
	if _, err := slot.SquashSize(&device{d, d.parts[run], run}); err != nil {
		return 0, fmt.Errorf("slot %d does not boot: %w", run, err)
	}
	return run, nil
}

// Content is all that a partition would be read as.
func (d *Disk) Content(p slot.Partition) []byte {
	part := d.parts[p]
	out := bytes.Clone(part.base)
	for _, m := range []map[int64][]byte{part.durable, part.cache} {
		for n, sector := range m {
			copy(out[n*slot.SectorSize:], sector)
		}
	}
	return out
}

// op counts an operation, and cuts the power at the one that is to be cut.
func (d *Disk) op(do func()) error {
	if d.off {
		return ErrPower
	}
	d.Ops++
	if d.Ops == d.CutAt {
		do()
		d.PowerOff()
		return ErrPower
	}
	do()
	return nil
}

// Op is an operation of something else on the same machine, as of a file on /perm.
func (d *Disk) Op(do func()) error { return d.op(do) }

// device is one partition, opened.
type device struct {
	d    *Disk
	part *partition
	p    slot.Partition
}

// ReadAt implements slot.Device.
func (v *device) ReadAt(b []byte, at int64) (int, error) {
	if v.d.off {
		return 0, ErrPower
	}
	size := int64(len(v.part.base))
	if at >= size {
		return 0, io.EOF
	}
	n := 0
	for n < len(b) && at+int64(n) < size {
		pos := at + int64(n)
		sector := v.part.sector(pos / slot.SectorSize)
		n += copy(b[n:], sector[pos%slot.SectorSize:])
	}
	if v.d.Damaged[v.p] && n > 0 {
		b[n-1] ^= 1
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (p *partition) sector(n int64) []byte {
	if s, ok := p.cache[n]; ok {
		return s
	}
	if s, ok := p.durable[n]; ok {
		return s
	}
	return p.base[n*slot.SectorSize : min((n+1)*slot.SectorSize, int64(len(p.base)))]
}

// WriteAt implements slot.Device.
func (v *device) WriteAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > int64(len(v.part.base)) {
		return 0, errors.New("past the end of the partition")
	}
	err := v.d.op(func() {
		for n := 0; n < len(b); {
			pos := at + int64(n)
			sector := bytes.Clone(v.part.sector(pos / slot.SectorSize))
			n += copy(sector[pos%slot.SectorSize:], b[n:])
			v.part.cache[pos/slot.SectorSize] = sector
		}
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// Sync implements slot.Device. When the power goes at it, it has not been done.
func (v *device) Sync() error {
	if err := v.d.op(func() {}); err != nil {
		return err
	}
	for n, s := range v.part.cache {
		v.part.durable[n] = s
	}
	clear(v.part.cache)
	return nil
}

// Size implements slot.Device.
func (v *device) Size() (int64, error) { return int64(len(v.part.base)), nil }

// Close implements slot.Device.
func (v *device) Close() error { return nil }

// Root is what passes for a SquashFS: a superblock with a size, and bytes drawn from a
// name. Its length is size, rounded up as image writers do.
func Root(name string, size int) []byte {
	size = (size + 4095) / 4096 * 4096
	b := make([]byte, size)
	sum := sha256.Sum256([]byte(name))
	for i := 96; i < size; i++ {
		b[i] = sum[i%32] ^ byte(i>>8)
	}
	binary.LittleEndian.PutUint32(b, 0x73717368)
	binary.LittleEndian.PutUint64(b[40:], uint64(size))
	return b
}

// Digest is the SHA-256 of a root.
func Digest(root []byte) [32]byte { return sha256.Sum256(root) }
