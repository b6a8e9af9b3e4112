package display

import (
	"context"
	"fmt"
	"image"
	"image/draw"
	"time"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/devices/v3/ssd1306"
	"periph.io/x/devices/v3/ssd1306/image1bit"

	"wattmark/hardware"
)

// Bus is an I2C bus with an owner (hardware/bus.Bus).
type Bus interface {
	// I2C returns the bus as it is inside of Do.
	I2C() i2c.Bus
	// Do runs f, in turn, where the bus is its own.
	Do(ctx context.Context, f func(ctx context.Context) error) error
}

// Address is where a screen usually is; 0x3d is the other one there is.
const Address = 0x3c

// anew is how often a screen is set up again, as one that had no power for a moment stays
// dark and does not say so.
const anew = 10 * time.Minute

// lineHeight is what a line of text takes: a quarter of the screen.
const lineHeight = 64 / Rows

// Screen is an SSD1306. It is not safe for concurrent use.
type Screen struct {
	bus     Bus
	address uint16
	options ssd1306.Opts

	dev   *ssd1306.Dev // nil before it was set up, and after a failure
	setUp time.Time
	lines [Rows]string // that are shown
	shown *image1bit.VerticalLSB
}

// NewScreen returns the screen at an address, 0 for the usual one, of a bus. flip is for
// one that is mounted upside down.
func NewScreen(bus Bus, address uint16, flip bool) *Screen {
	if address == 0 {
		address = Address
	}
	options := ssd1306.DefaultOpts
	options.MirrorHorizontal, options.MirrorVertical = flip, flip
	return &Screen{bus: bus, address: address, options: options}
}

// moved is a bus on which what periph's driver takes for the usual address is another.
type moved struct {
	i2c.Bus
	address uint16
}

// Tx implements i2c.Bus.
func (m moved) Tx(_ uint16, w, r []byte) error { return m.Bus.Tx(m.address, w, r) }

// Show shows lines, of which those that stand there already cost nothing. After a
// failure it begins anew.
func (s *Screen) Show(ctx context.Context, lines [Rows]string) error {
	if s.dev != nil && time.Since(s.setUp) < anew && lines == s.lines {
		return nil
	}
	if s.dev == nil || time.Since(s.setUp) >= anew {
		if err := s.begin(ctx); err != nil {
			return err
		}
	}
	for i, line := range lines {
		if line == s.lines[i] {
			continue
		}
		s.write(i, line)
		// A job for each line: between them the bus is the sensors'.
		if err := s.do(ctx, "drawing on the screen", func() error { return s.dev.Draw(s.dev.Bounds(), s.shown, image.Point{}) }); err != nil {
			return err
		}
		s.lines[i] = line
	}
	return nil
}

// begin sets the screen up, dark at first.
func (s *Screen) begin(ctx context.Context) error {
	s.shown = image1bit.NewVerticalLSB(image.Rect(0, 0, s.options.W, s.options.H))
	s.lines = [Rows]string{}
	err := s.do(ctx, "setting the screen up", func() (err error) {
		s.dev, err = ssd1306.NewI2C(moved{s.bus.I2C(), s.address}, &s.options)
		return err
	})
	if err != nil {
		return err
	}
	s.setUp = time.Now()
	return nil
}

// write puts a line into the picture.
func (s *Screen) write(row int, text string) {
	band := image.Rect(0, row*lineHeight, s.options.W, (row+1)*lineHeight)
	draw.Draw(s.shown, band, image.NewUniform(image1bit.Off), image.Point{}, draw.Src)
	d := font.Drawer{Dst: s.shown, Src: image.NewUniform(image1bit.On), Face: basicfont.Face7x13, Dot: fixed.P(0, band.Min.Y+basicfont.Face7x13.Ascent+1)}
	d.DrawString(text)
}

// do runs a job on the bus. A failure is classified, and the next one begins anew.
func (s *Screen) do(ctx context.Context, what string, f func() error) error {
	err := s.bus.Do(ctx, func(context.Context) error { return f() })
	if err != nil {
		s.dev = nil
		return hardware.I2CError(err, fmt.Sprintf("%s at %#02x", what, s.address))
	}
	return nil
}

// Off makes the screen dark.
func (s *Screen) Off(ctx context.Context) error {
	if s.dev == nil {
		return nil
	}
	dev := s.dev
	s.dev = nil
	return s.bus.Do(ctx, func(context.Context) error { return dev.Halt() })
}
