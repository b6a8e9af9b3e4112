package board_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware/board"
)

// facts is what the tests know of a model on their own, from the maker's documentation.
type facts struct {
	compatible string
	chip       string
	arch       string
	fault      bool // I2C clock stretching
	clock      bool
	largest    int    // MiB
	mini       bool   // there is a mini-UART on GPIO14
	uarts      string // names of those that are a PL011
}

var models = map[string]facts{
	"zero-w":   {"raspberrypi,model-zero-w", "pinctrl-bcm2835", "armv6", true, false, 512, true, "uart0"},
	"zero-2-w": {"raspberrypi,model-zero-2-w", "pinctrl-bcm2835", "arm64", true, false, 512, true, "uart0"},
	"3b":       {"raspberrypi,3-model-b", "pinctrl-bcm2835", "arm64", true, false, 1024, true, "uart0"},
	"3b-plus":  {"raspberrypi,3-model-b-plus", "pinctrl-bcm2835", "arm64", true, false, 1024, true, "uart0"},
	"4b":       {"raspberrypi,4-model-b", "pinctrl-bcm2711", "arm64", true, false, 8192, true, "uart0 uart2 uart3 uart4 uart5"},
	"cm4":      {"raspberrypi,4-compute-module", "pinctrl-bcm2711", "arm64", true, true, 8192, true, "uart0 uart2 uart3 uart4 uart5"},
	"5":        {"raspberrypi,5-model-b", "pinctrl-rp1", "arm64", false, true, 16384, false, "uart0 uart1 uart2 uart3 uart4"},
	"cm5":      {"raspberrypi,5-compute-module", "pinctrl-rp1", "arm64", false, true, 16384, false, "uart0 uart1 uart2 uart3 uart4"},
}

func TestModels(t *testing.T) {
	if got := board.Names(); len(got) != len(models) {
		t.Errorf("models %q, want %d", got, len(models))
	}
	for name, want := range models {
		b, ok := board.Lookup(name)
		if !ok {
			t.Errorf("no model %q", name)
			continue
		}
		got := facts{compatible: b.Compatible, chip: b.GPIOChip, arch: b.Architectures[0], clock: b.BatteryClock != "", largest: b.MemoryMiB[len(b.MemoryMiB)-1]}
		var pl011 []string
		for _, bus := range b.Buses {
			switch {
			case bus.UART == board.MiniUART && bus.Pins["txd"] == 14:
				got.mini = true
			case bus.UART == board.PL011:
				pl011 = append(pl011, bus.Name)
			case bus.Kind == board.I2C:
				if bus.StretchFault {
					got.fault = true
				}
			}
		}
		got.uarts = strings.Join(pl011, " ")
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(facts{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if b.WatchdogLimit != 15*time.Second {
			t.Errorf("%s: the watchdog may be set to %s", name, b.WatchdogLimit)
		}
	}
	if _, ok := board.Lookup("2b"); ok {
		t.Error("a model that is not supported")
	}
}

// The lines are documented alike for all models.
func TestHeader(t *testing.T) {
	for _, name := range board.Names() {
		b, _ := board.Lookup(name)
		for number, line := range map[int]int{3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23, 18: 24,
			19: 10, 21: 9, 22: 25, 23: 11, 24: 8, 26: 7, 27: 0, 28: 1, 29: 5, 31: 6, 32: 12, 33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21} {
			byNumber, err := b.HeaderPin(number)
			if err != nil || byNumber.Line != line {
				t.Errorf("%s: header pin %d is %v, %v, want GPIO%d", name, number, byNumber, err, line)
			}
			byLine, err := b.LinePin(line)
			if err != nil || byLine != byNumber {
				t.Errorf("%s: GPIO%d is %v, %v, want %v", name, line, byLine, err, byNumber)
			}
		}
		for number, power := range map[int]string{1: "3V3", 2: "5V", 4: "5V", 6: "GND", 9: "GND", 14: "GND", 17: "3V3", 20: "GND", 25: "GND", 30: "GND", 34: "GND", 39: "GND"} {
			if p, err := b.HeaderPin(number); err != nil || p.Name != power || p.Line != board.NoLine {
				t.Errorf("%s: header pin %d is %v, %v, want %s", name, number, p, err, power)
			}
		}
		for _, number := range []int{-1, 0, 41} {
			if p, err := b.HeaderPin(number); err == nil {
				t.Errorf("%s: header pin %d is %v", name, number, p)
			}
		}
		for _, line := range []int{board.NoLine, 28, 53} {
			if p, err := b.LinePin(line); err == nil {
				t.Errorf("%s: GPIO%d is %v", name, line, p)
			}
		}
	}
}

func TestDetect(t *testing.T) {
	for name, m := range models {
		for _, tree := range []string{m.compatible + "\x00brcm,bcm2835\x00", m.compatible, "kunbus,revpi\x00" + m.compatible + "\x00"} {
			if b, err := board.Detect(tree); err != nil || b.Name != name {
				t.Errorf("%q: %v, %v, want %s", tree, b, err, name)
			}
		}
	}
	for _, tree := range []string{"", "\x00", "raspberrypi,2-model-b\x00brcm,bcm2836\x00", "raspberrypi,model-zero\x00", "brcm,bcm2837\x00"} {
		if b, err := board.Detect(tree); err == nil || !strings.Contains(err.Error(), "4b") {
			t.Errorf("%q: %v, %v", tree, b, err)
		}
	}
}

func TestParsePin(t *testing.T) {
	b, _ := board.Lookup("4b")
	for text, want := range map[string]string{"GPIO17": "GPIO17 (header pin 11)", "pin 11": "GPIO17 (header pin 11)", "GPIO0": "GPIO0 (header pin 27)"} {
		if p, err := b.ParsePin(text); err != nil || p.String() != want {
			t.Errorf("%q: %v, %v, want %s", text, p, err, want)
		}
	}
	for text, want := range map[string]string{
		"17": "no pin", "": "no pin", "gpio17": "no pin", "GPIO017": "no pin", "GPIO": "no pin", "GPIO-1": "no pin", "pin +3": "no pin", "GPIO1000": "no pin",
		"pin 0": "no header pin 0", "pin 41": "no header pin 41", "GPIO28": "no GPIO28", "pin 6": "GND, not a GPIO line",
	} {
		if p, err := b.ParsePin(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", text, p, err, want)
		}
	}
}

func TestBuses(t *testing.T) {
	b, _ := board.Lookup("5")
	for device, want := range map[string]string{"/dev/i2c-1": "i2c-1", "/dev/spidev0.1": "spi0", "/dev/ttyAMA0": "uart0"} {
		if bus, ok := b.BusAt(device); !ok || bus.Name != want {
			t.Errorf("%s: %v, %v, want %s", device, bus, ok, want)
		}
	}
	for _, device := range []string{"", "/dev/ttyUSB0", "/dev/spidev", "/dev/i2c-1.0"} {
		if bus, ok := b.BusAt(device); ok {
			t.Errorf("%s is %s", device, bus.Name)
		}
	}
	if spi, ok := b.Bus("spi0"); !ok || !cmp.Equal(spi.Lines(), []int{7, 8, 9, 10, 11}) {
		t.Errorf("spi0: %+v", spi)
	}
	if _, ok := b.Bus("spi9"); ok {
		t.Error("there is a spi9")
	}
}

func TestConflictNamesBoth(t *testing.T) {
	b, _ := board.Lookup("4b")
	spi, _ := b.Bus("spi0")
	err := b.Check(
		board.Use{Function: `bus "meters"`, Lines: spi.Lines()},
		board.Use{Function: `device "gas"`, Lines: []int{17}},
		board.Use{Function: `device "water"`, Lines: []int{8}},
		board.Use{Function: `device "sun"`, Lines: []int{40}},
	)
	want := "GPIO8 (header pin 24) is wanted by bus \"meters\" and by device \"water\": move one of them\n" +
		"device \"sun\": Raspberry Pi 4 Model B has no GPIO40 on its header"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	var conflict *board.ConflictError
	if !errors.As(err, &conflict) || conflict.Pin.Line != 8 {
		t.Errorf("the conflict is %+v", conflict)
	}
	if err := b.Check(board.Use{Function: "a", Lines: []int{5, 5}}, board.Use{Function: "b"}); err != nil {
		t.Errorf("one function on its own line: %v", err)
	}
}

// Each line that two uses share is reported, and nothing else.
func TestCheckFindsEachConflict(t *testing.T) {
	b, _ := board.Lookup("zero-w")
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SliceOfDistinct(rapid.IntRange(0, 27), rapid.ID), 2, 2).Draw(t, "lines")
		shared := 0
		for _, l := range lines[0] {
			for _, m := range lines[1] {
				if l == m {
					shared++
				}
			}
		}
		err := b.Check(board.Use{Function: "a", Lines: lines[0]}, board.Use{Function: "b", Lines: lines[1]})
		found := 0
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			found = len(joined.Unwrap())
		}
		if found != shared {
			t.Fatalf("%v: %d conflicts, want %d: %v", lines, found, shared, err)
		}
	})
}

func TestFaultyDataIsRefused(t *testing.T) {
	const good = "title=\"X\"\ncompatible=\"x,x\"\nsoc=\"x\"\narchitectures=[\"armv6\"]\nmemory_mib=[512]\ngpio_chip=\"pinctrl-x\"\nheader=\"header4\"\nwatchdog_limit=\"15s\"\n"
	const bus = "[[bus]]\nname=\"i2c-1\"\nkind=\"i2c\"\nenable=\"x\"\npins={sda=2, scl=3}\n"
	const header = `pins=["3V3","5V","GPIO2","GPIO3"]`
	try := func(text, header string) error {
		_, err := board.Load(fstest.MapFS{"x.toml": {Data: []byte(text)}, "header4.toml": {Data: []byte(header)}})
		return err
	}
	if err := try(good+bus, header); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, header, want string }{
		"key":           {good + "colour=1\n", header, "unknown key colour"},
		"syntax":        {good + "=", header, "x.toml"},
		"no title":      {strings.Replace(good, `"X"`, `""`, 1), header, "title"},
		"chip":          {strings.Replace(good, "pinctrl-", "", 1), header, "GPIO chip"},
		"architecture":  {strings.Replace(good, "armv6", "mips", 1), header, "mips"},
		"memory":        {strings.Replace(good, "[512]", "[512, 256]", 1), header, "ascending"},
		"watchdog":      {strings.Replace(good, `"15s"`, `"0s"`, 1), header, "watchdog"},
		"header":        {strings.Replace(good, "header4", "header5", 1), header, `"header5"`},
		"line":          {good + strings.Replace(bus, "scl=3", "scl=4", 1), header, "GPIO4"},
		"role":          {good + strings.Replace(bus, ", scl=3", "", 1), header, "scl"},
		"one line":      {good + strings.Replace(bus, "scl=3", "scl=2", 1), header, "two roles"},
		"kind":          {good + strings.Replace(bus, `"i2c"`, `"can"`, 1), header, "can"},
		"uart kind":     {good + bus + "uart=\"mini\"\n", header, "mini"},
		"twice":         {good + bus + bus, header, "twice"},
		"pin":           {good, `pins=["12V"]`, "12V"},
		"pin twice":     {good, `pins=["GPIO2","GPIO2"]`, "twice"},
		"no such GPIO":  {good, `pins=["GPIOx"]`, "GPIOx"},
		"stretch fault": {good + "[[bus]]\nname=\"u\"\nkind=\"uart\"\nuart=\"mini\"\nstretch_fault=true\nenable=\"x\"\npins={txd=2, rxd=3}\n", header, "stretches"},
	} {
		if err := try(c.text, c.header); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	_, err := board.Load(fstest.MapFS{"x.toml": {Data: []byte(good)}, "y.toml": {Data: []byte(good)}, "header4.toml": {Data: []byte(header)}})
	if err == nil || !strings.Contains(err.Error(), "too") {
		t.Errorf("two boards with one device tree: %v", err)
	}
}

func ExampleDetect() {
	b, err := board.Detect("raspberrypi,4-model-b\x00brcm,bcm2711\x00") // of /proc/device-tree/compatible
	if err != nil {
		fmt.Println(err)
		return
	}
	pin, _ := b.ParsePin("pin 11")
	fmt.Printf("%s: line %d of the chip labelled %s\n", b.Title, pin.Line, b.GPIOChip)
	// Output: Raspberry Pi 4 Model B: line 17 of the chip labelled pinctrl-bcm2711
}
