package survey_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/survey"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/hardware/modbus"
)

// usual is the mode of most meters.
var usual = bus.Mode{Baud: 9600, DataBits: 8, Parity: bus.ParityNone, StopBits: 1}

// port is a serial port with a line of units for some modes, and nobody for others. It
// keeps what is written.
type port struct {
	lines map[bus.Mode]*emulated.Line
	mu    sync.Mutex // guards sent
	sent  [][]byte
}

func (p *port) open(m bus.Mode) bus.Opener {
	return func() (io.Closer, error) {
		l := p.lines[m]
		if l == nil {
			l = emulated.NewLine()
		}
		return &wire{l.Conn(), p}, nil
	}
}

// wire is a connection whose writes are kept.
type wire struct {
	*emulated.Conn
	port *port
}

func (w *wire) Write(b []byte) (int, error) {
	w.port.mu.Lock()
	w.port.sent = append(w.port.sent, slices.Clone(b))
	w.port.mu.Unlock()
	return w.Conn.Write(b)
}

func meter(model string, serial uint32) *emulated.Meter {
	m := emulated.NewMeter(model, serial)
	m.SetPower(1200)
	m.SetEnergy(512_345, 0)
	return m
}

// told are models and addresses of finds.
func told(r survey.Report) []string {
	var all []string
	for _, f := range r.Finds {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %d %s", strings.Join(f.Models, "|"), f.Address, f.Mode)))
	}
	return all
}

// TestLine finds units of several makes on one line, and only reads.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := emulated.NewLine()
		l.Attach(1, meter("sdm630", 1001))
		l.Attach(3, meter("sdm120", 1003))
		pzem := emulated.NewPZEM()
		pzem.Set(2300, 1000, 2300, 500, 100)
		l.Attach(5, pzem)
		l.Attach(7, emulated.NewSunSpec(40000, "4711", false, 103))
		unknown := emulated.NewMap(10, true)
		unknown.SetHolding(100, 1, 2, 3)
		l.Attach(247, unknown)
		p := &port{lines: map[bus.Mode]*emulated.Line{usual: l}}
		var last survey.Progress
		r, err := survey.Serial(t.Context(), survey.Line{Open: p.open}, func(p survey.Progress) {
			if last.Of > 0 && (p.Left > last.Left || p.Share() < last.Share()) {
				t.Errorf("%s: the time left went from %s to %s", p.Step, last.Left, p.Left)
			}
			last = p
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"sdm630 1 9600 8N1", "sdm120 3 9600 8N1", "pzem004t 5 9600 8N1", "sunspec 7 9600 8N1", "modbus 247 9600 8N1"}
		if diff := cmp.Diff(want, told(r)); diff != "" {
			t.Errorf("found (-want +got):\n%s", diff)
		}
		if r.Finds[0].Identity.Serial != "1001" || len(r.Notes) > 0 || r.Asked != r.Of {
			t.Errorf("%+v", r)
		}
		for _, b := range p.sent {
			if r, err := modbus.ParseRequest(b); err == nil && (r.Function == modbus.ReadHolding || r.Function == modbus.ReadInput) {
				continue
			}
			if s := string(b); s != "/?!\r\n" && !strings.HasPrefix(s, "\xff\x01\x86") && !strings.HasPrefix(s, "\x7e\x00\xd0") {
				t.Errorf("sent % x, which is no read that is known", b)
			}
		}
	})
}

// TestSilence surveys a line on which nobody is, with the time-outs of the real client.
// The design allows four minutes, and the plan must be right about the time left.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(port)
		var planned time.Duration
		begin := time.Now()
		r, err := survey.Serial(t.Context(), survey.Line{Open: p.open}, func(p survey.Progress) { planned = max(planned, p.Left) })
		if err != nil || len(r.Finds) > 0 || len(r.Notes) > 0 {
			t.Fatalf("%+v: %v", r, err)
		}
		took := time.Since(begin)
		t.Logf("%d steps: planned %s, took %s", r.Of, planned.Round(time.Second), took.Round(time.Second))
		if took > survey.Limit || planned > survey.Limit-20*time.Second {
			t.Errorf("took %s and planned %s, want at most %s with 20 s for whoever answers", took, planned, survey.Limit)
		}
		// The connection in memory carries bytes at once, as 9600 baud would at the
		// client's reckoning, so both differ by the wire's part alone.
		if took > planned+5*time.Second || took < planned-15*time.Second {
			t.Errorf("planned %s, took %s", planned, took)
		}
	})
}

// TestTwo tells what is wrong with a line: two speeds, two parts at one address.
func TestTwo(t *testing.T) {
	even := bus.Mode{Baud: 9600, DataBits: 8, Parity: bus.ParityEven, StopBits: 1}
	slow := bus.Mode{Baud: 2400, DataBits: 8, Parity: bus.ParityNone, StopBits: 1}
	synctest.Test(t, func(t *testing.T) {
		a, b, c := emulated.NewLine(), emulated.NewLine(), emulated.NewLine()
		same := meter("sdm120", 1001)
		a.Attach(1, same)
		b.Attach(1, same)
		a.Attach(2, meter("sdm120", 1002))
		c.Attach(2, meter("sdm630", 2002))
		a.Attach(3, meter("sdm120", 1003))
		a.SetFaults(3, emulated.Always(emulated.BadCRC))
		p := &port{lines: map[bus.Mode]*emulated.Line{usual: a, even: b, slow: c}}
		r, err := survey.Serial(t.Context(), survey.Line{Open: p.open, Modes: []bus.Mode{usual, even, slow}, Units: []byte{1, 2, 3}, Deaf: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"Unit 1 answers at 9600 8N1 and at 9600 8E1: keep the first, and check the setting of part and adapter.",
			"Two parts are at unit 2, one at 9600 8N1 and one at 2400 8N1: give one of them another unit, and both one speed.",
			"Unit 3 answers damaged at 9600 8N1: two parts at one address, or check termination and wires.",
		}
		if diff := cmp.Diff(want, r.Notes); diff != "" {
			t.Errorf("notes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"sdm120 1 9600 8N1", "sdm120 2 9600 8N1", "sdm630 2 2400 8N1"}, told(r)); diff != "" {
			t.Errorf("found (-want +got):\n%s", diff)
		}
	})
}

// TestAlone finds parts that have their line for themselves.
func TestAlone(t *testing.T) {
	for _, c := range []struct {
		part any
		mode string
		want string
	}{
		{emulated.NewP1(50), "115200 8N1", "dsmr 0 115200 8N1"},
		{emulated.NewP1(22), "9600 7E1", "dsmr|iec62056 0 9600 7E1"},
		{emulated.NewP1(22), "2400 7E1", "dsmr|iec62056 0 2400 7E1"}, // as a head of mode D speaks
		{emulated.NewSMLMeter("EMH", 4711), "9600 8N1", "sml 0 9600 8N1"},
		{emulated.NewPMS(), "9600 8N1", "pms5003|pms7003 0 9600 8N1"},
		{emulated.NewIECMeter(""), "300 7E1", "iec62056 0 300 7E1"},
		{emulated.NewMHZ19(), "9600 8N1", "mhz19b 0 9600 8N1"},
		{emulated.NewSPS30("A1B2", nil), "115200 8N1", "sps30 0 115200 8N1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			cable := emulated.NewCable(c.part)
			open := func(m bus.Mode) bus.Opener {
				return func() (io.Closer, error) {
					conn := cable.Conn()
					return conn, errors.Join(conn.SetMode(m.String()), mute(cable, m.String() == c.mode))
				}
			}
			r, err := survey.Serial(t.Context(), survey.Line{Open: open}, nil)
			if err != nil {
				t.Fatalf("%s: %v", c.want, err)
			}
			if diff := cmp.Diff([]string{c.want}, told(r)); diff != "" {
				t.Errorf("%s: found (-want +got):\n%s%v", c.want, diff, r.Notes)
			}
		})
	}
}

// mute makes a part that has no speed of its own unintelligible at the wrong one.
func mute(c *emulated.Cable, heard bool) error {
	var plan emulated.Plan
	if !heard {
		plan = emulated.Always(emulated.Silence)
	}
	c.SetFaults(plan)
	return nil
}

// TestStopped keeps what was found when somebody ends the survey.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := emulated.NewLine()
		l.Attach(1, meter("sdm120", 1001))
		p := &port{lines: map[bus.Mode]*emulated.Line{usual: l}}
		ctx, cancel := context.WithCancel(t.Context())
		r, err := survey.Serial(ctx, survey.Line{Open: p.open, Deaf: true}, func(p survey.Progress) {
			if p.Step == "9600 8N1 unit 4" {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) || len(r.Finds) != 1 || r.Asked >= r.Of || r.Asked == 0 {
			t.Errorf("%+v: %v", r, err)
		}
	})
}

// TestNoPort says what is wrong with a port.
func TestNoPort(t *testing.T) {
	r, err := survey.Serial(t.Context(), survey.Line{Open: func(m bus.Mode) bus.Opener { return bus.Serial("/dev/none", m) }}, nil)
	if err == nil || !strings.Contains(err.Error(), "/dev/none") || r.Asked > 0 {
		t.Errorf("%+v: %v", r, err)
	}
}

// watched is an I2C bus that keeps what is written to it.
type watched struct {
	*emulated.Bus
	wrote map[uint16][][]byte
}

func (w *watched) Tx(address uint16, out, in []byte) error {
	w.wrote[address] = append(w.wrote[address], slices.Clone(out))
	return w.Bus.Tx(address, out, in)
}

// TestI2C finds all parts on I2C, and sends nothing but pointers and commands that read.
func TestI2C(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		clock := func() time.Duration { return time.Since(begin) }
		b := &watched{emulated.NewBus("i2c-1"), make(map[uint16][][]byte)}
		b.Attach(0x40, emulated.NewINA219(clock))
		b.Attach(0x41, emulated.NewINA226(clock))
		b.Attach(0x45, emulated.NewINA228(clock))
		b.Attach(0x61, emulated.NewSCD30(clock))
		b.Attach(0x62, emulated.NewSCD4x(0x1234, clock))
		b.Attach(0x69, emulated.NewSPS30("A1B2", clock))
		b.Attach(0x77, emulated.NewBME280(true))
		r, err := survey.I2C(t.Context(), bus.Given(b), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"ina219 64", "ina226 65", "ina228 69", "scd30 97", "scd41|scd40 98", "sps30 105", "bme280 119"}
		if diff := cmp.Diff(want, told(r)); diff != "" {
			t.Errorf("found (-want +got):\n%s", diff)
		}
		reads := map[uint16][]string{
			0x61: {"d100"}, 0x62: {"3682", "e4b8"}, 0x69: {"d002", "d033", "d100"},
		}
		for address, all := range b.wrote {
			for _, out := range all {
				hex := fmt.Sprintf("%x", out)
				register := len(out) <= 1 && (address < 0x50 || address >= 0x76)
				if len(out) > 0 && !register && !slices.Contains(reads[address], hex) {
					t.Errorf("wrote %s to %#02x", hex, address)
				}
			}
		}
	})
}

func TestSPI(t *testing.T) {
	p := emulated.NewSPIPort("spi0.0")
	p.Attach(emulated.NewATM90E32())
	r, err := survey.SPI(t.Context(), bus.Given(p), nil)
	if diff := cmp.Diff([]string{"atm90e32 0"}, told(r)); err != nil || diff != "" {
		t.Errorf("found (-want +got):\n%s%v", diff, err)
	}
	empty := emulated.NewSPIPort("spi0.1")
	if r, err := survey.SPI(t.Context(), bus.Given(empty), nil); err != nil || len(r.Finds) > 0 {
		t.Errorf("an empty port: %+v: %v", r, err)
	}
}

// TestTCP tells the two framings apart, and finds what is behind them.
func TestTCP(t *testing.T) {
	t.Parallel()
	for _, mbap := range []bool{true, false} {
		s, err := emulated.Listen(mbap)
		if err != nil {
			t.Fatal(err)
		}
		s.Attach(1, emulated.NewSunSpec(40000, "4711", false, 103))
		s.Attach(2, emulated.NewSunSpec(40000, "4711", false, 103))
		s.Attach(3, meter("sdm630", 1003))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		r, err := survey.TCP(t.Context(), s.Address(), []byte{1, 2, 3}, nil)
		cancel()
		running.Wait()
		framing := map[bool]string{true: "modbus-tcp", false: "rtu-over-tcp"}[mbap]
		if diff := cmp.Diff([]string{"sunspec 1", "sdm630 3"}, told(r)); err != nil || diff != "" || r.Framing != framing {
			t.Errorf("%s: framing %q, found (-want +got):\n%s%v", framing, r.Framing, diff, err)
		}
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "answers at unit 2 too") {
			t.Errorf("%s: notes %q", framing, r.Notes)
		}
	}
	if _, err := survey.TCP(t.Context(), "127.0.0.1:1", nil, nil); err == nil {
		t.Error("nobody listens on port 1, and there is no error")
	}
}
