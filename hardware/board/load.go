package board

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed *.toml
var files embed.FS

// boards returns all models, by name. The files are part of the program and a test
// loads them, so a fault in them is the program's.
var boards = sync.OnceValue(func() []*Board {
	all, err := load(files)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return all
})

// headerPrefix begins the names of files that hold the pins of a header.
const headerPrefix = "header"

// load reads all files of a file system: headers, and one model a file.
func load(from fs.FS) ([]*Board, error) {
	names, err := fs.Glob(from, "*.toml")
	if err != nil {
		return nil, err
	}
	headers := map[string][]Pin{}
	var all []*Board
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".toml")
		if strings.HasPrefix(name, headerPrefix) {
			headers[name], err = loadHeader(from, file)
		} else {
			var b *Board
			b, err = loadBoard(from, file, name)
			all = append(all, b)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	slices.SortFunc(all, func(a, b *Board) int { return strings.Compare(a.Name, b.Name) })
	seen := map[string]string{}
	for _, b := range all {
		if b.pins = headers[b.Header]; b.pins == nil {
			return nil, fmt.Errorf("%s.toml: there is no header %q", b.Name, b.Header)
		}
		if other, twice := seen[b.Compatible]; twice {
			return nil, fmt.Errorf("%s.toml: %s is compatible with %q too", b.Name, other, b.Compatible)
		}
		seen[b.Compatible] = b.Name
		if err := b.check(); err != nil {
			return nil, fmt.Errorf("%s.toml: %w", b.Name, err)
		}
	}
	return all, nil
}

func loadBoard(from fs.FS, file, name string) (*Board, error) {
	b := &Board{Name: name}
	return b, decode(from, file, b)
}

func loadHeader(from fs.FS, file string) ([]Pin, error) {
	var header struct{ Pins []string }
	if err := decode(from, file, &header); err != nil {
		return nil, err
	}
	pins := make([]Pin, len(header.Pins))
	seen := map[int]bool{}
	for i, name := range header.Pins {
		pins[i] = Pin{Number: i + 1, Line: NoLine, Name: name}
		switch digits, gpio := strings.CutPrefix(name, "GPIO"); {
		case gpio:
			line, err := strconv.Atoi(digits)
			if err != nil || line < 0 || seen[line] {
				return nil, fmt.Errorf("pin %d: %q is no GPIO line, or there twice", i+1, name)
			}
			pins[i].Line, seen[line] = line, true
		case name != "3V3" && name != "5V" && name != "GND":
			return nil, fmt.Errorf("pin %d: %q is neither a GPIO line nor power", i+1, name)
		}
	}
	return pins, nil
}

// decode reads a file into v, strictly.
func decode(from fs.FS, file string, v any) error {
	text, err := fs.ReadFile(from, file)
	if err != nil {
		return err
	}
	meta, err := toml.Decode(string(text), v)
	if err != nil {
		return err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("unknown key %s", unknown[0])
	}
	return nil
}

// check checks what b says against its header and against itself.
func (b *Board) check() error {
	switch {
	case b.Title == "" || b.Compatible == "" || b.SoC == "" || len(b.Architectures) == 0:
		return errors.New("title, compatible, soc and architectures must be given")
	case len(b.MemoryMiB) == 0 || !slices.IsSorted(b.MemoryMiB) || b.MemoryMiB[0] <= 0:
		return fmt.Errorf("memory sizes %v are not ascending", b.MemoryMiB)
	case !strings.HasPrefix(b.GPIOChip, "pinctrl-"):
		return fmt.Errorf("%q is no label of a GPIO chip", b.GPIOChip)
	case b.WatchdogLimit < time.Second:
		return fmt.Errorf("watchdog limit %s", b.WatchdogLimit)
	}
	for _, a := range b.Architectures {
		if a != "arm64" && a != "armv7" && a != "armv6" {
			return fmt.Errorf("unknown architecture %q", a)
		}
	}
	seen := map[string]bool{}
	for i := range b.Buses {
		bus := &b.Buses[i]
		if err := bus.check(); err != nil {
			return fmt.Errorf("bus %q: %w", bus.Name, err)
		}
		if seen[bus.Name] {
			return fmt.Errorf("bus %q is there twice", bus.Name)
		}
		seen[bus.Name] = true
		if err := b.Check(Use{"bus " + bus.Name, bus.Lines()}); err != nil {
			return err
		}
	}
	return nil
}

// roles are the lines that a bus of each kind must have.
var roles = map[Kind][]string{I2C: {"sda", "scl"}, SPI: {"mosi", "miso", "sclk", "ce0"}, UART: {"txd", "rxd"}}

func (b *Bus) check() error {
	must, known := roles[b.Kind]
	switch {
	case !known:
		return fmt.Errorf("unknown kind %q", b.Kind)
	case b.Name == "" || b.Enable == "":
		return errors.New("name and enable must be given")
	case (b.Kind == UART) != (b.UART == PL011 || b.UART == MiniUART):
		return fmt.Errorf("UART kind %q of a bus of kind %q", b.UART, b.Kind)
	case b.StretchFault && b.Kind != I2C:
		return errors.New("only I2C stretches its clock")
	}
	for _, role := range must {
		if _, ok := b.Pins[role]; !ok {
			return fmt.Errorf("no line for %s", role)
		}
	}
	if lines := b.Lines(); len(slices.Compact(lines)) != len(b.Pins) {
		return errors.New("one line has two roles")
	}
	return nil
}
