package doctor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"wattmark/hardware/board"
)

func configuration(_ context.Context, x *exam) ([]Finding, error) {
	var all []Finding
	for _, m := range x.Mistakes {
		where := ""
		if m.Line > 0 {
			where = fmt.Sprintf("line %d", m.Line)
		}
		remedy := m.Remedy
		if remedy == "" {
			remedy = "mend it, and try with wattmark-gateway run --check"
		}
		all = append(all, of(where, fault(remedy, "%s", m.Cause))...)
	}
	if len(all) == 0 {
		return ok("%s on %s", counted(len(x.Devices), "device", "devices"), counted(len(x.Buses), "bus", "buses")), nil
	}
	return all, nil
}

// configurationMode wants that nobody else decides what is signed.
func configurationMode(_ context.Context, x *exam) ([]Finding, error) {
	info, err := os.Stat(x.File)
	if err != nil {
		return nil, skip("there is no configuration file")
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fixed(fault("run chmod go-w "+x.File, "others may write the configuration (mode %04o)", mode), chmod(x.File, mode&^0o022)), nil
	}
	return ok("nobody else may write it"), nil
}

const compatible = "/proc/device-tree/compatible"

// detected is the board that the machine says it is.
func (x *exam) detected() (*board.Board, error) {
	text, err := x.read(compatible)
	if err != nil {
		return nil, err
	}
	return board.Detect(text)
}

func knownBoard(_ context.Context, x *exam) ([]Finding, error) {
	is, err := x.detected()
	switch {
	case err == nil && is.Name != x.Board.Name:
		return fault(fmt.Sprintf("set board = %q in [gateway], or take it out", is.Name), "the configuration says %s, and the machine is a %s", x.Board.Title, is.Title), nil
	case x.Board != nil:
		return ok("%s", x.Board.Title), nil
	case x.exists(compatible):
		text, _ := x.read(compatible) // it is there
		name, _, _ := strings.Cut(text, "\x00")
		return warn("set gateway.board if the machine is like one that is known", "the machine is a %q, which is not known: pins and ports are not checked", name), nil
	}
	return ok("no board with a header"), nil
}

// The flags of the firmware (Raspberry Pi documentation, "vcgencmd get_throttled").
const (
	underVoltage    = 1 << 0
	slowedDown      = 1<<1 | 1<<2 | 1<<3
	hadUnderVoltage = 1 << 16
	hadSlowedDown   = 1<<17 | 1<<18 | 1<<19
)

func power(ctx context.Context, x *exam) ([]Finding, error) {
	flags, err := x.readInt("/sys/devices/platform/soc/soc:firmware/get_throttled", 16)
	if err != nil {
		out, err := x.run(ctx, "/usr/bin/vcgencmd", "get_throttled")
		if err != nil {
			return nil, skip("this machine does not tell")
		}
		_, hex, _ := strings.Cut(strings.TrimSpace(out), "=")
		if flags, err = strconv.ParseInt(hex, 0, 64); err != nil {
			return nil, skip("this machine does not tell")
		}
	}
	const supply = "use the supply made for the board and a short cable; feed sensors and USB devices apart"
	const heat = "give the board air, or a cooler"
	switch {
	case flags&underVoltage != 0:
		return fault(supply, "the supply's voltage is too low"), nil
	case flags&hadUnderVoltage != 0:
		return warn(supply, "the supply's voltage was too low at some time since the start"), nil
	case flags&slowedDown != 0:
		return warn(heat, "the processor is slowed down by heat"), nil
	case flags&hadSlowedDown != 0:
		return warn(heat, "the processor was slowed down by heat at some time since the start"), nil
	}
	return ok("the supply holds its voltage"), nil
}

// Temperatures of the processor, in thousandths of a degree: it slows down at 80 degrees,
// and more from 85 on (Raspberry Pi documentation, "Frequency management and thermal
// control").
const (
	warm = 75_000
	hot  = 84_000
)

func temperature(_ context.Context, x *exam) ([]Finding, error) {
	t, err := x.readInt("/sys/class/thermal/thermal_zone0/temp", 10)
	if err != nil {
		return nil, skip("this machine does not tell")
	}
	const remedy = "give the board air, shade or a cooler"
	switch {
	case t >= hot:
		return fault(remedy, "the processor has %d degrees", t/1000), nil
	case t >= warm:
		return warn(remedy, "the processor has %d degrees", t/1000), nil
	}
	return ok("the processor has %d degrees", t/1000), nil
}

// Memory that is left, in kB: the gateway takes up to 64 MB.
const (
	littleMemory = 64 << 10
	noMemory     = 24 << 10
)

func memory(_ context.Context, x *exam) ([]Finding, error) {
	text, err := x.read("/proc/meminfo")
	if err != nil {
		return nil, skip("this machine does not tell")
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "MemAvailable:" {
			continue
		}
		kB, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			break
		}
		const remedy = "end what else runs on the machine; ps aux --sort=-rss shows what takes most"
		switch {
		case kB < noMemory:
			return fault(remedy, "%d MB of memory are left", kB>>10), nil
		case kB < littleMemory:
			return warn(remedy, "%d MB of memory are left", kB>>10), nil
		}
		return ok("%d MB are left", kB>>10), nil
	}
	return nil, skip("this machine does not tell")
}

func memoryKilled(_ context.Context, x *exam) ([]Finding, error) {
	text, err := x.read("/proc/vmstat")
	if err != nil {
		return nil, skip("this machine does not tell")
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" {
			if f[1] != "0" {
				return warn("end what else runs on the machine; journalctl -k shows which ones it were", "the system ended %s processes for want of memory since the start", f[1]), nil
			}
			return ok("no process was ended for want of memory"), nil
		}
	}
	return nil, skip("this machine does not tell")
}

// bootConfigs are where the firmware's configuration may be.
var bootConfigs = []string{"/boot/firmware/config.txt", "/boot/config.txt"}

// overlayPins are overlays that take one line of the header besides those of the boards'
// data, with the parameter that says which and the line without it (overlays/README of
// the Raspberry Pi firmware).
var overlayPins = map[string]struct {
	parameter string
	line      int
}{
	"w1-gpio": {"gpiopin", 4}, "w1-gpio-pullup": {"gpiopin", 4}, "gpio-shutdown": {"gpio_pin", 3}, "gpio-poweroff": {"gpiopin", 26},
	"gpio-fan": {"gpiopin", 12}, "gpio-ir": {"gpio_pin", 18}, "gpio-ir-tx": {"gpio_pin", 18}, "pps-gpio": {"gpiopin", 18}, "dht11": {"gpiopin", 4},
}

// use is GPIO lines that the firmware's configuration gives to something.
type use struct {
	line  string // of the file
	lines []int
}

// bootUses returns what the firmware's configuration takes of the header, and the file.
func (x *exam) bootUses() (file string, all []use) {
	var text string
	for _, file = range bootConfigs {
		var err error
		if text, err = x.read(file); err == nil {
			break
		}
	}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		line = strings.TrimSpace(line)
		for i := range x.Board.Buses {
			if b := &x.Board.Buses[i]; b.Enable == line {
				all = append(all, use{line, b.Lines()})
			}
		}
		overlay, isOne := strings.CutPrefix(line, "dtoverlay=")
		if !isOne {
			continue
		}
		name, parameters, _ := strings.Cut(overlay, ",")
		o, known := overlayPins[name]
		if !known {
			continue
		}
		at := o.line
		for p := range strings.SplitSeq(parameters, ",") {
			if value, ok := strings.CutPrefix(p, o.parameter+"="); ok {
				if n, err := strconv.Atoi(value); err == nil {
					at = n
				}
			}
		}
		all = append(all, use{line, []int{at}})
	}
	return file, all
}

// pinClash looks for pins that the kernel has for something else. Two functions on one
// pin within the gateway's configuration are a mistake of that.
func pinClash(_ context.Context, x *exam) ([]Finding, error) {
	if x.Board == nil {
		return nil, skip("the board is not known")
	}
	var all []Finding
	file, uses := x.bootUses()
	devices := x.Devices
	if len(x.Lamp) > 0 {
		devices = append(slices.Clone(devices), Device{Name: "lamp", Lines: x.Lamp})
	}
	for i := range devices {
		d := &devices[i]
		found := ok("its pin is its own")
		for _, line := range d.Lines {
			for _, u := range uses {
				if slices.Contains(u.lines, line) {
					pin, err := x.Board.LinePin(line)
					if err != nil {
						continue // a mistake of the configuration
					}
					found = fault(fmt.Sprintf("move the wire to another pin, or take the line out of %s and restart", file), "%s is taken by %q", pin, u.line)
				}
			}
		}
		if len(d.Lines) > 0 {
			all = append(all, of(d.Name, found)...)
		}
	}
	return all, nil
}
