package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wattmark/gateway/console"
	"wattmark/hardware"
	"wattmark/hardware/board"
	"wattmark/hardware/bus"
	"wattmark/hardware/modbus"
)

// ports calls look for each bus that is a file of the machine.
func (x *exam) ports(look func(b *Bus, file string) []Finding) ([]Finding, error) {
	var all []Finding
	for i := range x.Buses {
		b := &x.Buses[i]
		if b.overTCP() || b.Kind == gpioPins || b.Port == "" {
			continue
		}
		file := b.Port
		if !strings.HasPrefix(file, "/") { // "1" and "I2C1" are /dev/i2c-1
			number := strings.TrimLeft(file, "I2CSP")
			file = map[string]string{i2c: "/dev/i2c-", spi: "/dev/spidev"}[b.Kind] + number
		}
		all = append(all, of(b.Name, look(b, file))...)
	}
	return all, nil
}

// headerBus returns the bus of the board's header with that device file, nil for none.
func (x *exam) headerBus(file string) *board.Bus {
	if x.Board == nil {
		return nil
	}
	b, ok := x.Board.BusAt(file)
	if !ok {
		return nil
	}
	return b
}

func busPresent(_ context.Context, x *exam) ([]Finding, error) {
	return x.ports(func(b *Bus, file string) []Finding {
		if x.exists(file) {
			return ok("%s is there", file)
		}
		remedy := "plug it in; dmesg shows what the kernel makes of it"
		if on := x.headerBus(file); on != nil {
			remedy = fmt.Sprintf("add %s to %s and restart the machine", on.Enable, bootConfigs[0])
		} else if others := x.glob("/dev/serial/by-id/*"); b.Kind == serial && len(others) > 0 {
			remedy = "take the name of what is plugged in: " + strings.Join(others, ", ")
		}
		var names []string
		for _, d := range x.on(b.Name) {
			names = append(names, d.Name)
		}
		return fault(remedy, "%s is not there: no values of %s", file, or(strings.Join(names, ", "), "what will be on it"))
	})
}

// portless reports whether a device is on a bus whose file is not there, which is said
// of the bus.
func (x *exam) portless(device string) bool {
	i := slices.IndexFunc(x.Devices, func(d Device) bool { return d.Name == device })
	if i < 0 {
		return false
	}
	gone := false
	_, _ = x.ports(func(b *Bus, file string) []Finding { // it looks at nothing else
		gone = gone || b.Name == x.Devices[i].Bus && !x.exists(file)
		return nil
	})
	return gone
}

func busPermitted(_ context.Context, x *exam) ([]Finding, error) {
	u := x.runsAs()
	return x.ports(func(_ *Bus, file string) []Finding {
		_, at, err := x.resolve(file)
		if err != nil {
			return nil // that it is not there was said
		}
		info, err := os.Stat(at)
		if err != nil {
			return nil
		}
		if u.may(mayRead|mayWrite, info) {
			return ok("%s may use %s", u.name, file)
		}
		remedy := "run udevadm trigger, or restart the machine: the rules of the package set its group"
		if info.Mode().Perm()&0o060 == 0o060 {
			remedy = fmt.Sprintf("run usermod -aG %s %s, and restart the gateway", x.groupOf(info), u.name)
		}
		return fault(remedy, "%s may not use %s (mode %04o)", u.name, file, info.Mode().Perm())
	})
}

func busHeld(_ context.Context, x *exam) ([]Finding, error) {
	return x.ports(func(b *Bus, file string) []Finding {
		name, _, err := x.resolve(file)
		if err != nil || b.Kind != serial {
			return nil
		}
		for _, p := range x.holders(name) {
			// The kernel cuts names at 15 bytes.
			if !strings.HasPrefix(serviceName, p.name) {
				return fault(fmt.Sprintf("end it: kill %s, or switch off the service that starts it", p.id), "%s is held by process %s (%s)", file, p.id, p.name)
			}
		}
		return ok("nobody else has %s", file)
	})
}

// busName warns of names that change places when adapters are plugged in another order.
func busName(_ context.Context, x *exam) ([]Finding, error) {
	return x.ports(func(_ *Bus, file string) []Finding {
		stem := strings.TrimRight(file, "0123456789")
		if stem != "/dev/ttyUSB" && stem != "/dev/ttyACM" {
			return nil
		}
		if len(x.glob(stem+"[0-9]*")) < 2 {
			return ok("%s is the only one of its kind", file)
		}
		for _, id := range x.glob("/dev/serial/by-id/*") {
			if name, _, err := x.resolve(id); err == nil && name == file {
				return warn(fmt.Sprintf("set port = %q", id), "%s may be another adapter after a restart: there are several", file)
			}
		}
		return warn("take its name from /dev/serial/by-path", "%s may be another adapter after a restart: there are several", file)
	})
}

func miniUART(_ context.Context, x *exam) ([]Finding, error) {
	if x.Board == nil {
		return nil, skip("the board is not known")
	}
	return x.ports(func(b *Bus, file string) []Finding {
		name, _, err := x.resolve(file)
		if b.Kind != serial || err != nil {
			return nil
		}
		on := x.headerBus(name)
		switch {
		case on == nil:
			return nil
		case on.UART == board.MiniUART:
			remedy := "use a USB adapter"
			for i := range x.Board.Buses {
				if other := &x.Board.Buses[i]; other.UART == board.PL011 && other.Device != "" && slices.Equal(other.Lines(), on.Lines()) {
					remedy = fmt.Sprintf("add %s to %s, set port = %q and restart the machine", other.Enable, bootConfigs[0], other.Device)
				}
			}
			return fault(remedy, "%s is the mini-UART, whose speed follows the processor's and which knows no parity", file)
		}
		return ok("%s is a full UART", file)
	})
}

func serialConsole(_ context.Context, x *exam) ([]Finding, error) {
	line, err := x.read("/proc/cmdline")
	if err != nil {
		return nil, skip("this machine does not tell")
	}
	consoles := make(map[string]bool)
	for word := range strings.FieldsSeq(line) {
		if name, ok := strings.CutPrefix(word, "console="); ok {
			name, _, _ = strings.Cut(name, ",")
			name, _, _ = x.resolve("/dev/" + name)
			consoles[name] = true
		}
	}
	return x.ports(func(b *Bus, file string) []Finding {
		name, _, _ := x.resolve(file)
		if b.Kind != serial {
			return nil
		}
		if consoles[name] {
			return fault("take console="+filepath.Base(file)+",... out of /boot/firmware/cmdline.txt and restart the machine", "the kernel writes its messages to %s", file)
		}
		return ok("the kernel does not write to %s", file)
	})
}

// stretchHz is the speed at which parts that stretch the clock work on controllers with
// the fault.
const stretchHz = 50_000

// i2cSpeed looks for parts that stretch the clock on controllers that cannot.
func i2cSpeed(_ context.Context, x *exam) ([]Finding, error) {
	return x.ports(func(b *Bus, file string) []Finding {
		on := x.headerBus(file)
		if on == nil || !on.StretchFault || !x.exists(file) {
			return nil
		}
		i := slices.IndexFunc(x.on(b.Name), func(d *Device) bool { return d.Stretches })
		if i < 0 {
			return nil
		}
		hz := uint32(100_000) // where the device tree does not say it
		raw, err := os.ReadFile(x.Root + "/sys/class/i2c-adapter/" + filepath.Base(file) + "/of_node/clock-frequency")
		if err == nil && len(raw) == 4 {
			hz = binary.BigEndian.Uint32(raw)
		}
		if hz > stretchHz {
			return warn(fmt.Sprintf("add dtparam=i2c_arm_baudrate=%d to %s and restart the machine", stretchHz, bootConfigs[0]),
				"%s stretches the clock, which this board's controller follows only up to %d kHz; the bus runs at %d kHz", x.on(b.Name)[i].Name, stretchHz/1000, hz/1000)
		}
		return ok("%s runs at %d kHz", file, hz/1000)
	})
}

// dialTime is what a server may take to be reached.
const dialTime = 4 * time.Second

// fares reports whether a running gateway gets values from a device on the bus: then
// nothing needs to be tried.
func (x *exam) fares(bus string) bool {
	s, err := x.running()
	return err == nil && slices.ContainsFunc(s.Devices, func(d console.Device) bool { return d.Bus == bus && d.State == console.StateGood })
}

func busReached(ctx context.Context, x *exam) ([]Finding, error) {
	var all []Finding
	for i := range x.Buses {
		b := &x.Buses[i]
		if !b.overTCP() {
			continue
		}
		if x.fares(b.Name) {
			all = append(all, of(b.Name, ok("%s answers", b.Port))...)
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, dialTime)
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", b.Port)
		cancel()
		if err != nil {
			all = append(all, of(b.Name, fault("check address, cable and supply of the device, and that no other master uses up its connections", "%s is not reached: %v", b.Port, below(err)))...)
			continue
		}
		_ = conn.Close() // nothing was sent
		all = append(all, of(b.Name, ok("%s takes connections", b.Port))...)
	}
	return all, nil
}

// below is what an error of the network comes down to: the address was said before.
func below(err error) error {
	if e := new(net.OpError); errors.As(err, &e) && e.Err != nil {
		err = e.Err
	}
	if e := new(os.SyscallError); errors.As(err, &e) {
		err = e.Err
	}
	return err
}

// framing asks servers of Modbus which of the two framings they speak.
func framing(ctx context.Context, x *exam) ([]Finding, error) {
	var all []Finding
	for i := range x.Buses {
		b := &x.Buses[i]
		devices := x.on(b.Name)
		if !b.overTCP() || len(devices) == 0 {
			continue
		}
		if x.fares(b.Name) {
			all = append(all, of(b.Name, ok("%s as configured", b.Kind))...)
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, dialTime)
		f, err := bus.TellFraming(ctx, b.Port, devices[0].Unit, 0)
		cancel()
		speaks := map[modbus.Framing]string{modbus.FramingTCP: modbusTCP, modbus.FramingRTU: rtuOverTCP}[f]
		switch {
		case err != nil: // that nobody answers is said of the device
		case speaks != b.Kind:
			all = append(all, of(b.Name, fault(fmt.Sprintf("set kind = %q", speaks), "%s speaks %s, and the configuration says %s", b.Port, speaks, b.Kind))...)
		default:
			all = append(all, of(b.Name, ok("%s as configured", b.Kind))...)
		}
	}
	return all, nil
}

// The share of transfers with damaged or doubled replies. A line that is laid well has
// none for days.
const (
	enoughJobs  = 50
	someDamaged = 0.002
	manyDamaged = 0.05
)

// counts calls look for each bus of which the running gateway keeps counts, with its kind
// in the configuration, empty if it is not there.
func (x *exam) counts(look func(b *console.Bus, kind string) []Finding) ([]Finding, error) {
	s, err := x.running()
	if err != nil {
		return nil, err
	}
	var all []Finding
	for i := range s.Buses {
		b, kind := &s.Buses[i], ""
		if at := slices.IndexFunc(x.Buses, func(c Bus) bool { return c.Name == b.Name }); at >= 0 {
			kind = x.Buses[at].Kind
		}
		all = append(all, of(b.Name, look(b, kind))...)
	}
	return all, nil
}

// busErrors suspects the wires of serial lines where replies come damaged.
func busErrors(_ context.Context, x *exam) ([]Finding, error) {
	return x.counts(func(b *console.Bus, kind string) []Finding {
		if kind != serial && kind != rtuOverTCP || b.Jobs < enoughJobs {
			return nil
		}
		damaged := b.Failures[hardware.ErrChecksum.Error()] + b.Failures[hardware.ErrMalformed.Error()] + b.Stale
		rate := float64(damaged) / float64(b.Jobs)
		const remedy = "RS-485: 120 ohm at both ends and nowhere else, one line without branches, A and B not swapped, a common ground; or a lower speed"
		switch {
		case rate >= manyDamaged:
			return fault(remedy, "%.0f %% of replies come damaged: the line's ends are suspected", 100*rate)
		case rate >= someDamaged:
			return warn(remedy, "%.1f %% of replies come damaged: the line's ends are suspected", 100*rate)
		}
		return ok("%d of %d replies came damaged", damaged, b.Jobs)
	})
}

func busHung(_ context.Context, x *exam) ([]Finding, error) {
	return x.counts(func(b *console.Bus, _ string) []Finding {
		if b.Hung > 0 {
			return warn("take another adapter or cable; parts that stretch the clock of I2C need a slower bus", "%d transfers hung in the kernel since the start", b.Hung)
		}
		return ok("no transfer hung")
	})
}

func busLow(_ context.Context, x *exam) ([]Finding, error) {
	return x.counts(func(b *console.Bus, kind string) []Finding {
		switch {
		case kind != i2c:
			return nil
		case b.Freed > 0:
			return warn("shorten the wires, check pull-ups and the parts' supply; take parts off one by one to find the one", "a part held the bus low %d times since the start; it was freed", b.Freed)
		}
		return ok("no part held it low")
	})
}

// mostBusy is the share of its time that a bus may be in use.
const mostBusy = 0.8

func busBusy(_ context.Context, x *exam) ([]Finding, error) {
	return x.counts(func(b *console.Bus, _ string) []Finding {
		if b.BusyRatio > mostBusy {
			return warn("take longer periods, fewer channels, a higher speed or another line", "in use %.0f %% of the time: samples come late", 100*b.BusyRatio)
		}
		return ok("in use %.0f %% of the time", 100*b.BusyRatio)
	})
}

// groupOf is the name of a file's group.
func (x *exam) groupOf(info fs.FileInfo) string {
	gid, ok := groupID(info)
	if !ok {
		return "its group"
	}
	return x.group(gid)
}
