package generic

import (
	"fmt"
	"math"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// Decode implements hardware.Decoder. Several exchanges merge, a later one replaces an
// earlier; a channel that was asked for and that none of them holds whole is left out
// with a warning.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Recorded(t, modbus.Expect{})
	if err != nil {
		return err
	}
	return d.decode(image, dst)
}

// DecodeRegisters implements hardware.RegisterDecoder. Words without a table are input
// registers.
func (d *Dev) DecodeRegisters(r *hardware.Registers, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Dumped(r, modbus.ReadInput)
	if err != nil {
		return err
	}
	return d.decode(image, dst)
}

func (d *Dev) decode(image modbus.Image, dst *hardware.Batch) error {
	for i := range d.channels {
		c := &d.channels[i]
		bits, ok := c.read(image)
		if !ok {
			if image.Missing(c.Table, c.Address, int(c.Type.words())) {
				dst.Warn(hardware.WarnSkipped, c.Name)
			}
			continue
		}
		if err := c.add(uint8(i), bits, dst); err != nil {
			dst.ResetValues()
			return err
		}
	}
	return nil
}

// read returns the registers of c as one number, unsigned.
func (c *Channel) read(image modbus.Image) (bits uint64, ok bool) {
	n := c.Type.words()
	for i := range n {
		at := c.Address + i
		if c.Type.lowFirst() {
			at = c.Address + n - 1 - i
		}
		w, ok := image.Word(c.Table, at)
		if !ok {
			return 0, false
		}
		bits = bits<<16 | uint64(w)
	}
	return bits, true
}

// add appends the value in bits.
func (c *Channel) add(index uint8, bits uint64, dst *hardware.Batch) error {
	v := hardware.Value{Channel: index, Exponent: c.Exponent}
	switch c.Type {
	case F32, F32LE:
		dst.AddFloat32(index, c.Name, math.Float32frombits(uint32(bits)), c.Exponent, c.coarse(floatStep(uint32(bits))), hardware.Limits{})
		return nil
	case I16:
		v.Mantissa = int64(int16(bits))
	case I32, I32LE:
		v.Mantissa = int64(int32(bits))
	default:
		if bits > math.MaxInt64 {
			return &hardware.Error{Class: hardware.ErrOverflow, Op: "reading " + c.Name,
				Err: fmt.Errorf("%d is more than %d", bits, int64(math.MaxInt64)), Remedy: "check the type and the order of words"}
		}
		v.Mantissa = int64(bits)
	}
	v.Quality = c.coarse(1) | hardware.CoarseGauge(c.Kind, v)
	dst.Add(v, hardware.Limits{})
	return nil
}

// floatStep is the step of a float32 at the number in bits.
func floatStep(bits uint32) float64 {
	exponent := int(bits >> 23 & 0xFF)
	return math.Ldexp(1, max(exponent, 1)-127-23)
}

// coarse marks a register of energy whose step, in its own units, is above 100 Wh.
func (c *Channel) coarse(step float64) hardware.Quality {
	if c.Kind != hardware.Counter || c.Unit != hardware.WattHour && c.Unit != hardware.VarHour {
		return 0
	}
	if step*math.Pow10(int(c.Exponent)) > 100 {
		return hardware.Coarse
	}
	return 0
}
