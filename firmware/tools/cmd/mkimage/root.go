package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// squashSize is the length of a SquashFS 4.0 (Linux, Documentation/filesystems/squashfs.rst),
// padded as gok pads it, and as gateways measure it.
func squashSize(r io.ReaderAt) (int64, error) {
	var b [96]byte
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return 0, err
	}
	if binary.LittleEndian.Uint32(b[:]) != 0x73717368 {
		return 0, errors.New("it is no SquashFS")
	}
	const page = 4096
	return (int64(binary.LittleEndian.Uint64(b[40:])) + page - 1) / page * page, nil
}

// extractRoot copies the root out of an image, and measures it.
func extractRoot(image, to string, d *description) (err error) {
	f, err := os.Open(image)
	if err != nil {
		return err
	}
	defer f.Close()
	section := io.NewSectionReader(f, rootOffset, 500<<20)
	if d.Size, err = squashSize(section); err != nil {
		return fmt.Errorf("the image's first root: %w", err)
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, h), io.NewSectionReader(f, rootOffset, d.Size)); err != nil {
		return err
	}
	d.Root = hex.EncodeToString(h.Sum(nil))
	return nil
}
