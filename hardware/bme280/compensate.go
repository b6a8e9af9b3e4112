package bme280

import "wattmark/hardware"

// coefficients are what the maker measured of one part (4.2.2, table 16).
type coefficients struct {
	t1             int64
	t2, t3         int64
	p1             int64
	p2, p3, p4, p5 int64
	p6, p7, p8, p9 int64
	h1, h3         int64
	h2, h4, h5, h6 int64
}

// unsigned and signed read a coefficient of two bytes, low byte first.
func unsigned(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 }
func signed(b []byte) int64   { return int64(int16(unsigned(b))) }

// temperatureAndPressure reads the coefficients at 88h to 9Fh.
func (c *coefficients) temperatureAndPressure(b []byte) {
	c.t1, c.t2, c.t3 = unsigned(b), signed(b[2:]), signed(b[4:])
	c.p1, c.p2, c.p3 = unsigned(b[6:]), signed(b[8:]), signed(b[10:])
	c.p4, c.p5, c.p6 = signed(b[12:]), signed(b[14:]), signed(b[16:])
	c.p7, c.p8, c.p9 = signed(b[18:]), signed(b[20:]), signed(b[22:])
}

// humidity reads the coefficients at A1h and E1h to E7h. H4 and H5 share a byte, and are
// signed numbers of 12 bits.
func (c *coefficients) humidity(h1 byte, b []byte) {
	c.h1, c.h2, c.h3 = int64(h1), signed(b), int64(b[2])
	c.h4 = int64(int8(b[3]))<<4 | int64(b[4]&0xF)
	c.h5 = int64(int8(b[5]))<<4 | int64(b[4]>>4)
	c.h6 = int64(int8(b[6]))
}

// fine returns the temperature as the other formulas want it (4.2.3, t_fine).
func (c *coefficients) fine(raw int64) int64 {
	x := ((raw>>3 - c.t1<<1) * c.t2) >> 11
	y := raw>>4 - c.t1
	return x + (((y*y)>>12)*c.t3)>>14
}

// centidegrees returns the temperature in 0.01 degrees Celsius.
func centidegrees(fine int64) int64 { return (fine*5 + 128) >> 8 }

// pascals returns the pressure in Pa, from the formula's 1/256 Pa. It is false for
// coefficients that it cannot be calculated with.
func (c *coefficients) pascals(raw, fine int64) (int64, bool) {
	x := fine - 128000
	y := x*x*c.p6 + (x*c.p5)<<17 + c.p4<<35
	x = (x*x*c.p3)>>8 + (x*c.p2)<<12
	x = ((1<<47 + x) * c.p1) >> 33
	if x == 0 {
		return 0, false
	}
	p := (((1048576-raw)<<31 - y) * 3125) / x
	x = (c.p9 * (p >> 13) * (p >> 13)) >> 25
	y = (c.p8 * p) >> 19
	return hardware.RoundDiv((p+x+y)>>8+c.p7<<4, 256), true
}

// centipercent returns the relative humidity in 0.01 %, from the formula's 1/1024 %.
func (c *coefficients) centipercent(raw, fine int64) int64 {
	x := fine - 76800
	v := (raw<<14 - c.h4<<20 - c.h5*x + 16384) >> 15
	w := (((x * c.h6) >> 10) * ((x*c.h3)>>11 + 32768)) >> 10
	v *= ((w+2097152)*c.h2 + 8192) >> 14
	v -= ((((v >> 15) * (v >> 15)) >> 7) * c.h1) >> 4
	v = max(0, min(419430400, v)) // 0 to 100 %
	return hardware.RoundDiv((v>>12)*100, 1024)
}
