package emulated

import "sync"

// Width and height of an SSD1306's memory, in pixels.
const (
	ssd1306Columns = 128
	ssd1306Pages   = 8 // of eight rows
)

// SSD1306 is the register model of a Solomon Systech SSD1306 OLED controller on I2C with
// a panel of 128 x 64 (its data sheet's "write mode for I2C", "command table" and "command
// descriptions"): commands set registers, data goes into the graphic memory where the
// pointer is, which moves by the addressing mode and wraps in its window. What one sees is
// that memory, while the display and its charge pump are on. Its methods may be called
// from any goroutine.
type SSD1306 struct {
	mu sync.Mutex // guards the fields below
	ssd1306Registers
}

// ssd1306Registers are all that a reset sets.
type ssd1306Registers struct {
	memory  [ssd1306Pages][ssd1306Columns]byte
	command []byte // that waits for its arguments
	unknown int
	data    int // bytes of data since power-up

	on, pump, inverted, all bool
	remapped, reversed      bool // columns and rows run the other way
	mode                    byte // 0 horizontal, 1 vertical, 2 page
	columns, pages          [2]byte
	column, page            byte
	contrast, start, offset byte
	multiplex               byte
}

var _ Part = (*SSD1306)(nil)

// NewSSD1306 returns a part that has just got power.
func NewSSD1306() *SSD1306 {
	s := &SSD1306{}
	s.power()
	return s
}

// power sets what stands after a reset. The memory holds anything.
func (s *SSD1306) power() {
	s.ssd1306Registers = ssd1306Registers{mode: 2, columns: [2]byte{0, ssd1306Columns - 1}, pages: [2]byte{0, ssd1306Pages - 1}, contrast: 0x7f, multiplex: 63}
	for p := range s.memory {
		for c := range s.memory[p] {
			s.memory[p][c] = byte(37*p + 11*c)
		}
	}
}

// BrownOut takes the power away and gives it back.
func (s *SSD1306) BrownOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.power()
}

// Lit reports whether somebody in front of the panel, which is mounted as most modules
// are, sees a pixel lit.
func (s *SSD1306) Lit(x, y int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on || !s.pump || x < 0 || y < 0 || x >= ssd1306Columns || y > int(s.multiplex) {
		return false
	}
	if s.all {
		return true
	}
	// On such modules the usual picture needs both directions turned round (A1h, C8h).
	if !s.remapped {
		x = ssd1306Columns - 1 - x
	}
	if !s.reversed {
		y = int(s.multiplex) - y
	}
	y = (y + int(s.start) + int(s.offset)) % (8 * ssd1306Pages)
	return (s.memory[y/8][x]>>(y%8)&1 == 1) != s.inverted
}

// On reports whether the display is on.
func (s *SSD1306) On() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// Data returns how many bytes went into the memory since power-up.
func (s *SSD1306) Data() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

// Unknown returns how many commands came that there are not.
func (s *SSD1306) Unknown() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unknown
}

// Control bytes: what follows to the end is commands, or data.
const (
	ssd1306Commands = 0x00
	ssd1306Data     = 0x40
)

// WriteI2C implements Part.
func (s *SSD1306) WriteI2C(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b) == 0 {
		return true
	}
	switch b[0] {
	case ssd1306Commands:
		for _, c := range b[1:] {
			s.take(c)
		}
	case ssd1306Data:
		for _, d := range b[1:] {
			s.store(d)
		}
	default: // single bytes with a control byte each: nobody here does that
		s.unknown++
	}
	return true
}

// ReadI2C implements Part: the status, of which bit 6 says that the display is off.
func (s *SSD1306) ReadI2C(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b {
		b[i] = 0
		if !s.on {
			b[i] = 1 << 6
		}
	}
	return true
}

// ssd1306Arguments is how many bytes follow a command.
func ssd1306Arguments(c byte) int {
	switch c {
	case 0x20, 0x81, 0x8d, 0xa8, 0xd3, 0xd5, 0xd9, 0xda, 0xdb:
		return 1
	case 0x21, 0x22, 0xa3:
		return 2
	case 0x29, 0x2a:
		return 5
	case 0x26, 0x27:
		return 6
	}
	return 0
}

// take takes one byte of commands.
func (s *SSD1306) take(b byte) {
	s.command = append(s.command, b)
	if len(s.command) <= ssd1306Arguments(s.command[0]) {
		return
	}
	c, arg := s.command[0], s.command[1:]
	s.command = nil
	switch {
	case c <= 0x0f:
		s.column = s.column&0xf0 | c
	case c <= 0x1f:
		s.column = s.column&0x0f | c<<4
	case c == 0x20:
		s.mode = arg[0] & 3
	case c == 0x21:
		s.columns, s.column = [2]byte{arg[0] & 0x7f, arg[1] & 0x7f}, arg[0]&0x7f
	case c == 0x22:
		s.pages, s.page = [2]byte{arg[0] & 7, arg[1] & 7}, arg[0]&7
	case c >= 0x40 && c <= 0x7f:
		s.start = c & 0x3f
	case c == 0x81:
		s.contrast = arg[0]
	case c == 0x8d:
		s.pump = arg[0]&4 != 0
	case c == 0xa0, c == 0xa1:
		s.remapped = c == 0xa1
	case c == 0xa4, c == 0xa5:
		s.all = c == 0xa5
	case c == 0xa6, c == 0xa7:
		s.inverted = c == 0xa7
	case c == 0xa8:
		s.multiplex = arg[0] & 0x3f
	case c == 0xae, c == 0xaf:
		s.on = c == 0xaf
	case c >= 0xb0 && c <= 0xb7:
		s.page = c & 7
	case c == 0xc0, c == 0xc8:
		s.reversed = c == 0xc8
	case c == 0xd3:
		s.offset = arg[0] & 0x3f
	case c == 0x26, c == 0x27, c == 0x29, c == 0x2a, c == 0x2e, c == 0x2f, c == 0xa3, c == 0xd5, c == 0xd9, c == 0xda, c == 0xdb, c == 0xe3:
		// Scrolling, timing, and how the panel is wired: nothing that a person sees here.
	default:
		s.unknown++
	}
}

// store takes one byte of data, and moves the pointer.
func (s *SSD1306) store(b byte) {
	s.memory[s.page][s.column&0x7f] = b
	s.data++
	next := func(at *byte, window [2]byte) (wrapped bool) {
		if *at == window[1] {
			*at = window[0]
			return true
		}
		*at++
		return false
	}
	switch s.mode {
	case 0:
		if next(&s.column, s.columns) {
			next(&s.page, s.pages)
		}
	case 1:
		if next(&s.page, s.pages) {
			next(&s.column, s.columns)
		}
	default:
		s.column = (s.column + 1) & 0x7f
	}
}
