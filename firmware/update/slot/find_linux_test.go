package slot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/firmware/update/slot"
)

// machine lays out what the kernel tells of a card with four partitions.
func machine(t *testing.T, mounts ...string) string {
	t.Helper()
	root := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	put("proc/self/mountinfo", strings.Join(mounts, "\n")+"\n")
	put("sys/devices/card/mmcblk0/size", "1")
	for i := range 4 {
		part := fmt.Sprintf("sys/devices/card/mmcblk0/mmcblk0p%d", i+1)
		put(part+"/partition", fmt.Sprint(i+1, "\n"))
		put(fmt.Sprintf("dev/mmcblk0p%d", i+1), fmt.Sprint("partition ", i+1))
		if err := os.MkdirAll(filepath.Join(root, "sys/dev/block"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, part), filepath.Join(root, "sys/dev/block", fmt.Sprintf("179:%d", i+1))); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	rootA = "20 1 179:2 / / ro,relatime - squashfs /dev/root ro"
	rootB = "31 20 179:3 / / ro,relatime - squashfs /dev/mmcblk0p3 ro"
	perm  = "25 20 179:4 / /perm rw,relatime - ext4 /dev/mmcblk0p4 rw"
	first = "1 1 0:2 / / rw - rootfs none rw"
)

func TestWhichSlotRuns(t *testing.T) {
	for _, c := range []struct {
		name   string
		mounts []string
		want   slot.Partition // 0 for no image
	}{
		{"as it starts", []string{first, rootA, perm}, slot.RootA},
		{"on trial: the new root is mounted over the old one", []string{first, rootA, perm, rootB}, slot.RootB},
		{"of the other slot", []string{first, rootB, perm}, slot.RootB},
		{"another system", []string{"20 1 179:2 / / rw,relatime - ext4 /dev/root rw"}, 0},
		{"another partition", []string{"20 1 179:4 / / ro - squashfs /dev/root ro"}, 0},
		{"another disk", []string{"20 1 8:2 / / ro - squashfs /dev/root ro"}, 0},
		{"nothing", nil, 0},
	} {
		root := machine(t, c.mounts...)
		d, err := slot.FindBelow(root)
		if c.want == 0 {
			if !errors.Is(err, slot.ErrNoImage) {
				t.Errorf("%s: %+v, %v", c.name, d, err)
			}
			continue
		}
		if err != nil || d.Running != c.want || d.EFI {
			t.Errorf("%s: %+v, %v", c.name, d, err)
			continue
		}
		dev, err := d.Open(slot.Boot, false)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 11)
		if _, err := dev.ReadAt(b, 0); err != nil || string(b) != "partition 1" {
			t.Errorf("%s: the boot partition reads %q, %v", c.name, b, err)
		}
		if size, err := dev.Size(); err != nil || size != 11 {
			t.Errorf("%s: %d bytes, %v", c.name, size, err)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
		if err := os.MkdirAll(filepath.Join(root, "sys/firmware/efi"), 0o755); err != nil {
			t.Fatal(err)
		}
		if d, err := slot.FindBelow(root); err != nil || !d.EFI {
			t.Errorf("%s: with EFI %+v, %v", c.name, d, err)
		}
	}
}
