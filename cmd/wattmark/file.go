package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".wattmark-"

// writeSecret writes a new file that its owner alone can read, and waits until it is on
// the disk. One that is there already stays.
func writeSecret(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// writeFile replaces a file as a whole.
func writeFile(name string, content []byte) error { return replaceFile(name, content, false) }

// writeDurable is writeFile that returns when the content is on the disk.
func writeDurable(name string, content []byte) error { return replaceFile(name, content, true) }

func replaceFile(name string, content []byte, durable bool) error {
	f, err := os.CreateTemp(filepath.Dir(name), tempPrefix+"*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if durable {
		err = errors.Join(err, f.Sync())
	}
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
