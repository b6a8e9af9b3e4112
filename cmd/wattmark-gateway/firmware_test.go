package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"wattmark/firmware/update/slot"
	"wattmark/gateway"
)

func TestMachinesWithoutAnImage(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image.json")
	image, err := openImage(name)
	if image != nil || err != nil {
		t.Fatalf("%+v, %v", image, err)
	}
	var c gateway.Config
	image.name(&c)
	if c.Root != nil || c.Firmware != nil {
		t.Errorf("a machine without an image names %x", c.Root)
	}
	// A file that says so does not make one of this machine.
	if err := os.WriteFile(name, []byte(`{"board":"rpi","version":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if image, err := openImage(name); !errors.Is(err, slot.ErrNoImage) {
		t.Errorf("%+v, %v", image, err)
	}
	if err := os.WriteFile(name, []byte("board"), 0o644); err != nil {
		t.Fatal(err)
	}
	if image, err := openImage(name); err == nil {
		t.Errorf("%+v", image)
	}
}
