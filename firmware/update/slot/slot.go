package slot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
)

// SectorSize is what a disk writes in one piece.
const SectorSize = 512

// Partition is one of the disk's, by its number.
type Partition int

// The partitions of a gokrazy disk.
const (
	Boot  Partition = 1
	RootA Partition = 2
	RootB Partition = 3
)

// Other returns the other root slot.
func (p Partition) Other() Partition { return RootA + RootB - p }

// Trial says whether the next start tries the other slot.
type Trial int

// States of a trial.
const (
	NoTrial Trial = iota // the machine boots its default
	Armed                // the next start hands over to the other slot
	Taken                // init handed over, or tried to: the start after that is in the default again
)

// Device is a partition's block device. A write becomes durable with Sync; what was
// written since the last one may be lost in a power cut, sector by sector.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Size() (int64, error)
	Close() error
}

// Disk is the disk that the machine runs from. It has one user at a time.
type Disk struct {
	// Open opens a partition, for writing where asked.
	Open func(p Partition, write bool) (Device, error)
	// Running is the slot whose root is mounted.
	Running Partition
	// EFI is whether the machine boots by gokrazy.conf, and not by cmdline.txt.
	EFI bool
}

// State is what the boot files say.
type State struct {
	// Default is the slot that is booted without a trial.
	Default Partition
	Trial   Trial
	// Agree is false where the two files name different defaults: a power cut between
	// the writes of SetDefault. The machine goes by one of them alone.
	Agree bool
}

// State reads the boot files.
func (d *Disk) State() (State, error) {
	dev, err := d.Open(Boot, false)
	if err != nil {
		return State{}, err
	}
	defer dev.Close()
	v, err := openVolume(dev)
	if err != nil {
		return State{}, err
	}
	var s State
	var roots [2]Partition
	for i, file := range []string{cmdlineFile, loaderFile} {
		_, content, err := v.content(file)
		if err != nil {
			return State{}, err
		}
		_, line, _, err := splitOptions(file, content)
		if err != nil {
			return State{}, err
		}
		if roots[i], err = rootOf(words(line)); err != nil {
			return State{}, fmt.Errorf("%s: %w", file, err)
		}
		if i > 0 {
			continue
		}
		switch w := words(line); {
		case slices.Contains(w, wordTry):
			s.Trial = Armed
		case slices.Contains(w, wordTaken):
			s.Trial = Taken
		}
	}
	s.Default, s.Agree = roots[0], roots[0] == roots[1]
	if d.EFI {
		s.Default = roots[1]
	}
	return s, nil
}

// content reads a file of the boot partition.
func (v *volume) content(file string) (extent, []byte, error) {
	e, err := v.find(file)
	if err != nil {
		return extent{}, nil, err
	}
	// It must be written in one piece.
	if e.at%SectorSize+e.length > SectorSize {
		return extent{}, nil, fmt.Errorf("%w: %s has %d bytes, which one sector does not hold", errFAT, file, e.length)
	}
	b := make([]byte, e.length)
	if _, err := v.r.ReadAt(b, e.at); err != nil {
		return extent{}, nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return e, b, nil
}

// Arm makes the next start, and that one alone, hand over to the other slot. It is
// durable on return.
func (d *Disk) Arm() error {
	return d.rewrite([]string{cmdlineFile}, func(w []string) []string { return append(without(w), wordTry) })
}

// Disarm takes a trial's word away again.
func (d *Disk) Disarm() error {
	return d.rewrite([]string{cmdlineFile}, without)
}

// SetDefault makes a slot the one that is booted from now on. It is durable on return;
// a power cut on the way leaves the old default or the new one.
func (d *Disk) SetDefault(p Partition) error {
	if p != RootA && p != RootB {
		return fmt.Errorf("partition %d is no root slot", p)
	}
	// The file that the machine goes by comes last: once it is written all is done.
	files := []string{loaderFile, cmdlineFile}
	if d.EFI {
		slices.Reverse(files)
	}
	return d.rewrite(files, func(w []string) []string { return withRoot(without(w), p) })
}

// rewrite edits boot files, each with one write of one sector.
func (d *Disk) rewrite(files []string, change func([]string) []string) (err error) {
	dev, err := d.Open(Boot, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	v, err := openVolume(dev)
	if err != nil {
		return err
	}
	for _, file := range files {
		e, content, err := v.content(file)
		if err != nil {
			return err
		}
		changed, err := edit(file, content, change)
		if err != nil {
			return err
		}
		if string(changed) == string(content) {
			continue
		}
		sector := make([]byte, SectorSize)
		at := e.at / SectorSize * SectorSize
		if _, err := dev.ReadAt(sector, at); err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		copy(sector[e.at-at:], changed)
		if _, err := dev.WriteAt(sector, at); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
		if err := dev.Sync(); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
	}
	return nil
}

// ErrSize is wrapped where a root does not have the length that it should have.
var ErrSize = errors.New("the root has another length than its release says")

// Write puts a root of size bytes into a slot that does not run, and makes it durable.
func (d *Disk) Write(p Partition, root io.Reader, size int64) (err error) {
	if p != d.Running.Other() {
		return fmt.Errorf("partition %d is not the slot that is free", p)
	}
	dev, err := d.Open(p, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	room, err := dev.Size()
	if err != nil {
		return err
	}
	if size > room {
		return fmt.Errorf("a root of %d bytes does not fit into a slot of %d", size, room)
	}
	buf := make([]byte, 1<<20)
	for at := int64(0); at < size; {
		n, err := io.ReadFull(root, buf[:min(int64(len(buf)), size-at)])
		if n > 0 {
			if _, werr := dev.WriteAt(buf[:n], at); werr != nil {
				return fmt.Errorf("writing slot %d: %w", p, werr)
			}
			at += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%w: %d bytes instead of %d", ErrSize, at, size)
		case err != nil:
			return fmt.Errorf("fetching the root: %w", err)
		}
	}
	if n, err := root.Read(buf[:1]); n > 0 || err == nil {
		return fmt.Errorf("%w: more than %d bytes", ErrSize, size)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("fetching the root: %w", err)
	}
	if err := dev.Sync(); err != nil {
		return fmt.Errorf("writing slot %d: %w", p, err)
	}
	return nil
}

// Digest is the SHA-256 of the first size bytes of a slot, read from the disk.
func (d *Disk) Digest(p Partition, size int64) (sum [32]byte, err error) {
	dev, err := d.Open(p, false)
	if err != nil {
		return sum, err
	}
	defer dev.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, io.NewSectionReader(dev, 0, size), make([]byte, 1<<20)); err != nil {
		return sum, fmt.Errorf("reading slot %d: %w", p, err)
	}
	return [32]byte(h.Sum(nil)), nil
}
