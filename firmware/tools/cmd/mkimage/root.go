package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"wattmark/firmware/update/slot"
)

// extractRoot copies the root out of an image, and measures it.
func extractRoot(image, to string, d *description) (err error) {
	f, err := os.Open(image)
	if err != nil {
		return err
	}
	defer f.Close()
	section := io.NewSectionReader(f, rootOffset, 500<<20)
	if d.Size, err = slot.SquashSize(section); err != nil {
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
