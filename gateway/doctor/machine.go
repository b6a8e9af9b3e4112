package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Machine is what a gateway runs on.
type Machine struct {
	// Root stands before the paths of the system: /proc, /sys, /dev, /boot, /etc, /run
	// and those of commands. Empty is the machine at hand.
	Root string
	// Kernel tells what no file does; nil is the machine's own.
	Kernel Kernel
	// Now is the time; nil is the machine's own.
	Now func() time.Time
}

// Kernel tells what no file of the system does.
type Kernel interface {
	// Time says whether the clock follows a source, and how far it may be off.
	Time() (synced bool, most time.Duration, err error)
	// Space says how much room the file system of a path has for this user, in bytes and
	// in files; files are negative where it does not limit them.
	Space(path string) (free, files int64, err error)
}

func (m *Machine) now() time.Time {
	if m.Now == nil {
		return time.Now().UTC()
	}
	return m.Now().UTC()
}

func (m *Machine) kernel() Kernel {
	if m.Kernel == nil {
		return ownKernel{}
	}
	return m.Kernel
}

// maxFile bounds what is read of a file or a command, in bytes.
const maxFile = 1 << 20

// resolve follows the links of a path of the system, within the root, and returns the
// path in the system and where that is.
func (m *Machine) resolve(path string) (name, at string, err error) {
	const most = 16 // links one after the other
	name = path
	for range most {
		dir, base := filepath.Split(filepath.Clean(name))
		if dir != "/" {
			if dir, _, err = m.resolve(filepath.Clean(dir)); err != nil {
				return name, m.Root + name, err
			}
		}
		name = filepath.Join(dir, base)
		target, err := os.Readlink(m.Root + name)
		if err != nil { // no link: it is there, or it is not
			_, err := os.Lstat(m.Root + name)
			return name, m.Root + name, err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		name = filepath.Clean(target)
	}
	return name, m.Root + name, fmt.Errorf("%s: too many links", path)
}

// read returns a small file of the system, without white space at its end.
func (m *Machine) read(path string) (string, error) {
	_, at, err := m.resolve(path)
	if err != nil {
		return "", err
	}
	f, err := os.Open(at)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	return strings.TrimRight(string(b), " \n\x00"), err
}

// readInt returns the number in a file of the system, in a base as strconv has it.
func (m *Machine) readInt(path string, base int) (int64, error) {
	text, err := m.read(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, base, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// exists reports whether a path of the system is there.
func (m *Machine) exists(path string) bool {
	_, _, err := m.resolve(path)
	return err == nil
}

// glob returns the paths of the system that match.
func (m *Machine) glob(pattern string) []string {
	list, err := filepath.Glob(m.Root + pattern)
	if err != nil {
		return nil // only patterns that are wrong are errors
	}
	for i := range list {
		list[i] = strings.TrimPrefix(list[i], m.Root)
	}
	return list
}

// commandTime is what a command may take.
const commandTime = 10 * time.Second

// run returns what a command of the system prints. One that is not there is
// fs.ErrNotExist.
func (m *Machine) run(ctx context.Context, path string, args ...string) (string, error) {
	_, at, err := m.resolve(path)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	c := exec.CommandContext(ctx, at, args...)
	c.WaitDelay = time.Second
	c.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0")
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		if text, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n"); text != "" {
			err = errors.New(text)
		}
		return "", fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return string(out.Bytes()[:min(out.Len(), maxFile)]), nil
}

// user is who the gateway runs as, with the ids of its groups.
type user struct {
	name   string
	uid    uint32
	groups []uint32
}

// user returns a user of the system by its name, with further groups; the user at hand
// where there is none of that name.
func (m *Machine) user(name string, also []string) user {
	if name == "root" {
		return user{name: name}
	}
	u := user{name: "this user", uid: uint32(os.Getuid())}
	passwd, _ := m.read("/etc/passwd") // without it there is none of the name
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || f[0] != name {
			continue
		}
		uid, err := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err == nil && err2 == nil {
			u = user{name, uint32(uid), []uint32{uint32(gid)}}
		}
	}
	if u.name != name {
		gids, _ := os.Getgroups()
		for _, g := range append(gids, os.Getgid()) {
			u.groups = append(u.groups, uint32(g))
		}
	}
	groups, _ := m.read("/etc/group")
	for line := range strings.Lines(groups) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 {
			continue
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err == nil && (slices.Contains(strings.Split(f[3], ","), name) || slices.Contains(also, f[0])) {
			u.groups = append(u.groups, uint32(gid))
		}
	}
	return u
}

// group returns the name of a group of the system, its number if it has none.
func (m *Machine) group(gid uint32) string {
	number := strconv.FormatUint(uint64(gid), 10)
	groups, _ := m.read("/etc/group")
	for line := range strings.Lines(groups) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) > 2 && f[2] == number {
			return f[0]
		}
	}
	return number
}

// Bits of permissions.
const (
	mayRead  = 4
	mayWrite = 2
)

// may reports whether a user may do something with a file (path_resolution(7)).
func (u user) may(bits fs.FileMode, info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	perm := info.Mode().Perm()
	switch {
	case !ok || u.uid == 0:
		return true
	case owner.Uid == u.uid:
		perm >>= 6
	case slices.Contains(u.groups, owner.Gid):
		perm >>= 3
	}
	return perm&bits == bits
}

// process is one of the system's.
type process struct {
	id   string
	name string // at most 15 bytes (proc(5), comm)
}

// processes returns those whose names can be read.
func (m *Machine) processes() []process {
	var all []process
	for _, path := range m.glob("/proc/[0-9]*/comm") {
		if name, err := m.read(path); err == nil {
			all = append(all, process{filepath.Base(filepath.Dir(path)), name})
		}
	}
	return all
}

// holders returns the processes that have a file of the system open.
func (m *Machine) holders(path string) []process {
	var all []process
	for _, p := range m.processes() {
		for _, fd := range m.glob("/proc/" + p.id + "/fd/*") {
			if target, err := os.Readlink(m.Root + fd); err == nil && target == path {
				all = append(all, p)
				break
			}
		}
	}
	return all
}

// mount is one line of /proc/self/mountinfo (proc(5)).
type mount struct {
	device string // major:minor
	point  string
	kind   string
	source string
	flags  []string
}

// mountOf returns the mount that a path is on.
func (m *Machine) mountOf(path string) (mount, error) {
	text, err := m.read("/proc/self/mountinfo")
	if err != nil {
		return mount{}, err
	}
	var best mount
	for line := range strings.Lines(text) {
		left, right, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if len(f) < 6 || len(g) < 2 {
			continue
		}
		point := unescape(f[4])
		if point != "/" && path != point && !strings.HasPrefix(path, point+"/") {
			continue
		}
		if len(point) >= len(best.point) { // a later mount hides an earlier one
			best = mount{f[2], point, g[0], unescape(g[1]), strings.Split(f[5], ",")}
		}
	}
	if best.point == "" {
		return best, fmt.Errorf("no mount of %s in /proc/self/mountinfo", path)
	}
	return best, nil
}

// unescape returns a path in which mountinfo wrote spaces as octal numbers.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// groupID is the group of a file.
func groupID(info fs.FileInfo) (uint32, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.Gid, true
}
