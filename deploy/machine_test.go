package deploy_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// boot lays this machine's files under a tmpfs, so that what is written is not written
// to it, and starts systemd as the first process of a machine of its own. /proc/sys and
// /sys are read-only, and /dev has no device: what systemd does at its start stays there.
const boot = `
set -e
root=$1
mount -t tmpfs -o mode=755 root "$root"
mkdir "$root/upper" "$root/work" "$root/machine"
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" machine "$root/machine"
cd "$root/machine"
mount -t tmpfs -o mode=755 run run
mount -t proc proc proc
mount -o bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 dev dev
for d in null zero full random urandom tty; do
    cp -a "/dev/$d" "dev/$d"
done
mkdir dev/pts dev/shm
mount -o bind /dev/pts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t sysfs -o ro sys sys
mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
mount -t cgroup2 cgroup sys/fs/cgroup
rm -f usr/sbin/policy-rc.d
mkdir -p old
pivot_root . old
umount -l /old
# As on every machine with systemd: credentials are mounted for a service by a helper.
mount --make-rshared /
exec env -i container=wattmark PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=no
`

// machine is a Debian machine with systemd, for a package to be installed on.
type machine struct {
	t    *testing.T
	init string // its first process, as this machine numbers it
}

// refuses skips a test that this machine does not allow: rights to mount and to make
// namespaces are no tool that could be installed, so no environment can ask for them.
func refuses(t *testing.T, what string) {
	t.Helper()
	t.Skipf("%s: the package is not installed on a machine of its own", what)
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	const systemd = "/lib/systemd/systemd"
	if _, err := os.Stat(systemd); err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatalf("%s is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test", systemd)
		}
		t.Skipf("%s is not installed: the package is not installed on a machine of its own", systemd)
	}
	if os.Getuid() != 0 {
		refuses(t, "this is not root")
	}
	group := newGroup(t)
	root := t.TempDir()
	c := exec.Command("sh", "-c", `echo $$ > "$1/cgroup.procs" && exec unshare --mount --pid --cgroup --uts --ipc --fork --kill-child --propagation private sh -c "$2" sh "$3"`, "sh", group, boot, root)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait() // it is killed, or says why on stderr
		close(ended)
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill() // unless it has ended
		<-ended
	})
	m := &machine{t: t}
	m.until("systemd runs", func() bool {
		select {
		case <-ended:
			refuses(t, "no machine can be made here: "+strings.TrimSpace(stderr.String()))
		default:
		}
		pid := strconv.Itoa(c.Process.Pid)
		children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
		if err != nil || len(bytes.Fields(children)) != 1 {
			return false
		}
		m.init = string(bytes.Fields(children)[0])
		state, _ := m.try("systemctl is-active basic.target")
		return strings.TrimSpace(state) == "active"
	})
	return m
}

// newGroup makes a control group for the machine, which is its root there.
func newGroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	var top string
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[2] == "cgroup2" {
			top = f[1]
		}
	}
	if top == "" {
		refuses(t, "there are no control groups, version 2")
	}
	group, err := os.MkdirTemp(top, "wattmark-test-")
	if err != nil {
		refuses(t, fmt.Sprintf("no control group can be made (%v)", err))
	}
	t.Cleanup(func() {
		m := &machine{t: t}
		m.until("its processes ended", func() bool {
			var groups []string
			err := filepath.WalkDir(group, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					groups = append(groups, path)
				}
				return err
			})
			for i := len(groups) - 1; i >= 0; i-- {
				_ = os.Remove(groups[i]) // busy until the last process is gone
			}
			return os.IsNotExist(err)
		})
	})
	return group
}

// until asks again until the answer is yes.
func (m *machine) until(what string, yes func() bool) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			m.t.Fatalf("not within three minutes: %s", what)
		}
	}
}

// try runs a shell command as root on the machine.
func (m *machine) try(command string) (string, error) {
	out, err := m.command(command).CombinedOutput()
	return string(out), err
}

func (m *machine) command(command string) *exec.Cmd {
	c := exec.Command("nsenter", "--target", m.init, "--all", "--root", "--wd", "sh", "-ec", command)
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	return c
}

// run runs a shell command that must succeed, and returns what it prints.
func (m *machine) run(command string) string {
	m.t.Helper()
	out, err := m.try(command)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// write writes a file of the machine.
func (m *machine) write(path string, text []byte) {
	m.t.Helper()
	c := m.command(fmt.Sprintf("umask 027; cat > '%s'", path))
	c.Stdin = bytes.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		m.t.Fatalf("writing %s: %v\n%s", path, err, out)
	}
}

// property returns a property of the service.
func (m *machine) property(name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.run("systemctl show --value -p " + name + " " + unit))
}
