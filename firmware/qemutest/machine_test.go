// Package qemutest_test boots the images of gateways in QEMU, as they are written to
// cards, and drives them: they sign and send to an oracle on this machine, lose their
// power, and update themselves. It needs qemu-system-aarch64 (Debian: qemu-system-arm)
// and mkfs.ext4 (e2fsprogs), and minutes: it runs with WATTMARK_QEMU=1, which make
// test-firmware sets.
package qemutest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// needQEMU skips unless the test is asked for, and fails where it is and a tool is missing.
func needQEMU(t *testing.T) {
	t.Helper()
	if os.Getenv("WATTMARK_QEMU") != "1" {
		t.Skip("boots images in QEMU for minutes: run make test-firmware")
	}
	for tool, debian := range map[string]string{"qemu-system-aarch64": "qemu-system-arm", "mkfs.ext4": "e2fsprogs"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
				t.Fatalf("%s is not installed (Debian: %s)", tool, debian)
			}
			t.Skipf("%s is not installed (Debian: %s)", tool, debian)
		}
	}
}

// built is an image and what mkimage says of it.
type built struct {
	image, root string
	Board       string `json:"board"`
	Version     uint64 `json:"version"`
	Commit      string `json:"commit"`
	Root        string `json:"root"`
	Size        uint64 `json:"size"`
	Kernel      string `json:"kernel"`
}

// build makes an image with mkimage.
func build(t *testing.T, instance string, version uint64, perm string) built {
	t.Helper()
	out := t.TempDir()
	args := []string{"run", "./cmd/mkimage", "-instance", instance, "-version", fmt.Sprint(version), "-source", "../..", "-out", out}
	if perm != "" {
		args = append(args, "-perm", perm)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = "../tools"
	begin := time.Now()
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mkimage: %v\n%s", err, b)
	}
	b := built{image: filepath.Join(out, instance+".img"), root: filepath.Join(out, fmt.Sprintf("%s-%d.squashfs", instance, version))}
	text, err := os.ReadFile(filepath.Join(out, fmt.Sprintf("%s-%d.json", instance, version)))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	t.Logf("built %s version %d in %.0f s: root of %d bytes, %s", instance, version, time.Since(begin).Seconds(), b.Size, b.Root)
	return b
}

// efi is the firmware of the virtual machine, which comes with the module that builds
// images.
func efi(t *testing.T) string {
	t.Helper()
	get := exec.Command("go", "mod", "download", "github.com/gokrazy/tools") // go list has no folder for what is not in the cache yet
	get.Dir = "../tools"
	if out, err := get.CombinedOutput(); err != nil {
		t.Fatalf("getting the firmware for QEMU: %v: %s", err, out)
	}
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gokrazy/tools")
	cmd.Dir = "../tools"
	dir, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "third_party", "edk2-*", "QEMU_EFI.fd"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the firmware for QEMU: %v, %v", found, err)
	}
	return found[0]
}

// machine is a gateway's machine with its card.
type machine struct {
	t        *testing.T
	card     string
	firmware string
	// line is the terminal that its serial port is wired to, "" for the log.
	line string
	log  serialLog
	cmd  *exec.Cmd
}

// serialLog is what the machine writes to its console.
type serialLog struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *serialLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *serialLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// on gives the machine power. What the system in it has not given to its disk when the
// plug is pulled is lost.
func (m *machine) on() {
	m.t.Helper()
	serial := "stdio"
	if m.line != "" {
		serial = m.line
	}
	m.cmd = exec.Command("qemu-system-aarch64", "-M", "virt,highmem=off", "-cpu", "cortex-a72", "-accel", "tcg,thread=multi", "-m", "1024", "-smp", "2",
		"-nographic", "-monitor", "none", "-serial", serial, "-bios", m.firmware,
		"-drive", "file="+m.card+",format=raw,if=none,id=d0", "-device", "virtio-blk-pci,drive=d0,bootindex=0",
		"-device", "i6300esb,id=watchdog0", "-watchdog-action", "reset",
		"-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile=")
	m.cmd.Stdout, m.cmd.Stderr = &m.log, &m.log
	// A test that is ended leaves no machine behind. The thread that starts it must live.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
}

// off pulls the plug.
func (m *machine) off() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	m.cmd = nil
}

// tail is the end of what the console said.
func (m *machine) tail(lines int) string {
	all := strings.Split(m.log.String(), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
