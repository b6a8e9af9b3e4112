package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func stateDirectory(_ context.Context, x *exam) ([]Finding, error) {
	info, err := os.Stat(x.State)
	switch {
	case err != nil:
		return fault("wattmark-gateway enrol makes it, as does systemd with StateDirectory=", "the state directory: %v", err), nil
	case !info.IsDir():
		return fault("set gateway.state to a directory", "%s is no directory", x.State), nil
	case info.Mode().Perm()&0o007 != 0:
		mode := info.Mode().Perm()
		return fixed(fault("run chmod o= "+x.State, "everybody on the machine may look into %s (mode %04o)", x.State, mode), chmod(x.State, mode&^0o007)), nil
	}
	if u := x.runsAs(); !u.may(mayRead|mayWrite, info) {
		return fault(fmt.Sprintf("run chown -R %s: %s", u.name, x.State), "%s may not write to %s", u.name, x.State), nil
	}
	return ok("%s is the gateway's own", x.State), nil
}

// chmod is a fix that sets a file's mode.
func chmod(path string, mode fs.FileMode) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("set mode %04o; undo it with chmod %04o %s", mode, info.Mode().Perm(), path), os.Chmod(path, mode)
	}
}

// volatile are file systems that a restart empties.
var volatile = []string{"tmpfs", "ramfs"}

func stateDisk(_ context.Context, x *exam) ([]Finding, error) {
	m, err := x.mountOf(absolute(x.State))
	switch {
	case err != nil:
		return nil, skip("this machine does not tell")
	case slices.Contains(m.flags, "ro"):
		return fault("a disk that turns read-only is failing: copy it to a new one; else mount it with rw", "the disk of %s is read-only", x.State), nil
	case slices.Contains(volatile, m.kind):
		return fault("set gateway.state to a directory on a disk", "%s is in memory (%s): what waits for a receipt is lost with the power", x.State, m.kind), nil
	case m.kind == "overlay":
		return warn("if this is raspi-config's overlay file system, mount a disk of its own on the state directory", "%s is on an overlay, which may be in memory", x.State), nil
	}
	return ok("%s on %s", m.kind, m.source), nil
}

// absolute makes a path absolute, and follows its links.
func absolute(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
}

// Room on the state's disk: a segment of the outbox, its spare ones and the log of the
// system need some megabytes.
const (
	leastSpace = 16 << 20
	leastFiles = 200
)

func space(_ context.Context, x *exam) ([]Finding, error) {
	free, _, err := x.kernel().Space(x.State)
	const remedy = "give the disk room: journalctl --vacuum-size=50M, apt-get clean"
	switch {
	case err != nil:
		return nil, skip("there is no state directory")
	case free < leastSpace:
		return fault(remedy, "%d MB are free", free>>20), nil
	case free < 2*x.MaxBytes:
		return warn(remedy+", or lower outbox.max_bytes", "%d MB are free: the outbox takes half of that, less than outbox.max_bytes allows", free>>20), nil
	}
	return ok("%d MB are free", free>>20), nil
}

func files(_ context.Context, x *exam) ([]Finding, error) {
	_, left, err := x.kernel().Space(x.State)
	switch {
	case err != nil:
		return nil, skip("there is no state directory")
	case left >= 0 && left < leastFiles:
		return fault("something makes many small files: remove them; df -i shows where", "no more than %d files can be made on the disk", left), nil
	}
	return ok("there is room for more files"), nil
}

// blockDevice returns where the system tells of the disk that the state is on: of the
// partition, and of the whole.
func (x *exam) blockDevice() (partition, whole string, err error) {
	m, err := x.mountOf(absolute(x.State))
	if err != nil {
		return "", "", skip("this machine does not tell")
	}
	partition, _, err = x.resolve("/sys/dev/block/" + m.device)
	if err != nil {
		return "", "", skip("it is on no disk of this machine")
	}
	whole = partition
	if x.exists(partition + "/partition") {
		whole = filepath.Dir(partition)
	}
	return partition, whole, nil
}

// Steps of an eMMC's estimates (JESD84-B51, 7.4.7 DEVICE_LIFE_TIME_EST and 7.4.8
// PRE_EOL_INFO): tenths of the life that are used up, and what is left of spare blocks.
const (
	lifeWorn = 9  // 80 to 90 %
	lifeOver = 11 // more than was promised

	spareWarning = 2 // 80 % of the reserve are used up
	spareUrgent  = 3
)

func diskLife(_ context.Context, x *exam) ([]Finding, error) {
	_, whole, err := x.blockDevice()
	if err != nil {
		return nil, err
	}
	name := filepath.Base(whole)
	text, err := x.read(whole + "/device/life_time")
	if err != nil {
		return nil, skip(name + " does not tell its wear, as SD cards do not")
	}
	worst := int64(0)
	for f := range strings.FieldsSeq(text) {
		if n, err := strconv.ParseInt(f, 0, 64); err == nil {
			worst = max(worst, n)
		}
	}
	spare, err := x.readInt(whole+"/device/pre_eol_info", 0)
	if err != nil {
		spare = 0 // not told
	}
	const remedy = "copy it to a new disk before it fails"
	switch {
	case worst >= lifeOver || spare >= spareUrgent:
		return fault(remedy, "%s is worn out", name), nil
	case worst >= lifeWorn || spare >= spareWarning:
		return warn(remedy, "%s has used up more than 80 %% of its life", name), nil
	case worst == 0:
		return nil, skip(name + " does not tell its wear")
	}
	return ok("%s has used up at most %d %% of its life", name, 10*worst), nil
}

func diskErrors(_ context.Context, x *exam) ([]Finding, error) {
	partition, _, err := x.blockDevice()
	if err != nil {
		return nil, err
	}
	name := filepath.Base(partition)
	n, err := x.readInt("/sys/fs/ext4/"+name+"/errors_count", 10)
	switch {
	case err != nil:
		return nil, skip("its file system does not count errors")
	case n > 0:
		return fault("copy the disk to a new one; fsck clears the count if the disk is sound", "the file system of %s has met %d errors", name, n), nil
	}
	return ok("the file system of %s has met no errors", name), nil
}
