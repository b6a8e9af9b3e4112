package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".wattmark-"

// writeFile replaces a file as a whole.
func writeFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), tempPrefix+"*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
