package board

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Board is one model. It is shared by all callers, who must not change it.
type Board struct {
	// Name is how configurations and commands call the model: "zero-2-w", "4b".
	Name string `toml:"-"`
	// Title is the maker's name: "Raspberry Pi 4 Model B".
	Title string
	// Compatible is the first string of the device tree's root property of that name.
	Compatible string
	// SoC is the chip with the processor: "bcm2711".
	SoC string
	// Architectures are what the processor runs, the best first: "arm64", "armv7",
	// "armv6".
	Architectures []string
	// MemoryMiB lists the sizes that were sold, in MiB, ascending.
	MemoryMiB []int `toml:"memory_mib"`
	// GPIOChip is the label of the chip that the header's lines are on:
	// "pinctrl-bcm2711".
	GPIOChip string `toml:"gpio_chip"`
	// Header names the file of the header's pins, HeaderOn the board that carries it
	// when the model itself does not.
	Header   string
	HeaderOn string `toml:"header_on"`
	// WatchdogLimit is the longest time that the hardware watchdog can be set to.
	WatchdogLimit time.Duration `toml:"watchdog_limit"`
	// BatteryClock says which clock keeps time without power, and where its battery
	// goes; empty when there is none.
	BatteryClock string `toml:"battery_clock"`
	// Buses are what can be enabled on the header. Several may want the same lines.
	Buses []Bus `toml:"bus"`

	pins []Pin // of the header, pin 1 first
}

// Kind is what a bus speaks.
type Kind string

// The kinds of buses.
const (
	I2C  Kind = "i2c"
	SPI  Kind = "spi"
	UART Kind = "uart"
)

// UARTKind is the circuit behind a serial port.
type UARTKind string

// The kinds of UARTs. The speed of a MiniUART follows the core clock and it knows no
// parity: meters and sensors get a PL011.
const (
	PL011    UARTKind = "pl011"
	MiniUART UARTKind = "mini"
)

// Bus is one bus that the header can carry.
type Bus struct {
	Name string // "i2c-1", "spi0", "uart0"
	Kind Kind
	// Device is the device file, for SPI without the number of the chip select. It is
	// empty where the number depends on what else is enabled.
	Device string
	// UART is what kind of UART it is, empty for other buses.
	UART UARTKind
	// StretchFault: the controller cuts clock pulses short after a part stretched the
	// clock, so parts that do need a slow bus, or i2c-gpio. All of Broadcom's have it,
	// BCM2711 too (raspberrypi/linux issue 254); the RP1 has another controller.
	StretchFault bool `toml:"stretch_fault"`
	// Enable is the line of config.txt that switches the bus on.
	Enable string
	// Pins are its GPIO lines by role: "sda", "txd", "ce0".
	Pins map[string]int
}

// Lines returns the bus's GPIO lines, ascending.
func (b *Bus) Lines() []int { return slices.Sorted(maps.Values(b.Pins)) }

// NoLine is the Line of a pin that carries power.
const NoLine = -1

// Pin is one pin of the header.
type Pin struct {
	Number int    // on the header, from 1
	Line   int    // GPIO line, or NoLine
	Name   string // "GPIO17", "3V3", "5V", "GND"
}

// String returns name and number: "GPIO17 (header pin 11)".
func (p Pin) String() string { return fmt.Sprintf("%s (header pin %d)", p.Name, p.Number) }

// Names returns the names of all models, sorted.
func Names() []string {
	all := boards()
	names := make([]string, len(all))
	for i, b := range all {
		names[i] = b.Name
	}
	return names
}

// Lookup returns the model of that name.
func Lookup(name string) (*Board, bool) {
	for _, b := range boards() {
		if b.Name == name {
			return b, true
		}
	}
	return nil, false
}

// Detect returns the model that a device tree names. compatible is the content of
// /proc/device-tree/compatible: strings that end in NUL, the most specific first.
func Detect(compatible string) (*Board, error) {
	entries := strings.Split(strings.TrimRight(compatible, "\x00\n"), "\x00")
	for _, entry := range entries {
		for _, b := range boards() {
			if b.Compatible == entry {
				return b, nil
			}
		}
	}
	return nil, fmt.Errorf("no known board is %q: the known ones are %s", entries[0], strings.Join(Names(), ", "))
}

// HeaderPin returns the pin with that number on the header.
func (b *Board) HeaderPin(number int) (Pin, error) {
	if number < 1 || number > len(b.pins) {
		return Pin{}, fmt.Errorf("%s has no header pin %d: they are numbered 1 to %d", b.Title, number, len(b.pins))
	}
	return b.pins[number-1], nil
}

// LinePin returns the pin of the header that carries a GPIO line.
func (b *Board) LinePin(line int) (Pin, error) {
	for _, p := range b.pins {
		if p.Line == line && line != NoLine {
			return p, nil
		}
	}
	return Pin{}, fmt.Errorf("%s has no GPIO%d on its header", b.Title, line)
}

// Bus returns the bus of that name.
func (b *Board) Bus(name string) (*Bus, bool) {
	for i := range b.Buses {
		if b.Buses[i].Name == name {
			return &b.Buses[i], true
		}
	}
	return nil, false
}

// BusAt returns the bus with that device file. An SPI device file may carry the
// number of its chip select: "/dev/spidev0.1" is on "spi0".
func (b *Board) BusAt(device string) (*Bus, bool) {
	for i := range b.Buses {
		bus := &b.Buses[i]
		at := device
		if bus.Kind == SPI {
			at, _, _ = strings.Cut(device, ".")
		}
		if bus.Device != "" && bus.Device == at {
			return bus, true
		}
	}
	return nil, false
}
