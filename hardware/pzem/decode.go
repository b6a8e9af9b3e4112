package pzem

import (
	"fmt"
	"math/bits"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

const (
	model = "pzem004t"
	part  = "Peacefair PZEM-004T v3"
)

// The registers of the manual's section 2.3, all input registers.
const (
	registers = 10
	alarmAt   = 9 // 0xFFFF while the power is above the threshold, else 0
	alarmOn   = 0xFFFF
)

// field is where a channel is, and its step as a power of ten.
type field struct {
	address uint16
	words   int
	step    int8
	quality hardware.Quality
}

// fields stand in the order of the channels of about. The alarm is apart.
var fields = [...]field{
	{0, 1, -1, 0},
	{1, 2, -3, 0},
	{3, 2, -1, hardware.NoSign},
	{5, 2, 0, hardware.NoSign},
	{7, 1, -1, 0},
	{8, 1, -2, 0},
	{alarmAt, 1, 0, 0},
}

// about has the ranges of the manual's section 1: those of the version for 100 A, which
// cannot be told from the one for 10 A.
var about = hardware.Descriptor{Model: model, Part: part, Channels: []hardware.Channel{
	hardware.NewChannel("voltage_l1", hardware.Limits{Low: 80, High: 260}),
	hardware.NewChannel("current_l1", hardware.Limits{High: 100}),
	hardware.NewChannel("active_power", hardware.Limits{High: 23_000}),
	energy,
	hardware.NewChannel("frequency", hardware.Limits{Low: 45, High: 65}),
	hardware.NewChannel("power_factor", hardware.Limits{High: 1}),
	hardware.NewChannel("alarm", hardware.Limits{High: 1}),
}}

// energy is a register of 32 bits of 1 Wh.
var energy = func() hardware.Channel {
	c := hardware.NewChannel("active_energy_import", hardware.Limits{High: 9_999_990})
	c.Wrap = hardware.Value{Mantissa: 1 << 32}
	return c
}()

// measurement asks for all that is measured.
func measurement(unit byte) modbus.Request {
	return modbus.Request{Unit: unit, Function: modbus.ReadInput, Address: 0, Count: registers}
}

// Decode implements hardware.Decoder. A lone reply, with nothing sent, answers the read
// of all measurements. Several exchanges merge.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Recorded(t, modbus.Expect{Usual: measurement(AnyAddress)})
	if err != nil {
		return err
	}
	decode(image, dst)
	return nil
}

// DecodeRegisters implements hardware.RegisterDecoder. Words without a table are input
// registers.
func (d *Dev) DecodeRegisters(r *hardware.Registers, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Dumped(r, modbus.ReadInput)
	if err != nil {
		return err
	}
	decode(image, dst)
	return nil
}

func decode(image modbus.Image, dst *hardware.Batch) {
	for c, f := range fields {
		channel := &about.Channels[c]
		raw, ok := f.read(image)
		if !ok {
			if image.Missing(modbus.ReadInput, f.address, f.words) {
				dst.Warn(hardware.WarnSkipped, channel.Name)
			}
			continue
		}
		if f.address == alarmAt {
			if raw != 0 && raw != alarmOn {
				dst.Warn(hardware.WarnNotANumber, fmt.Sprintf("%s is %#04x", channel.Name, raw))
				continue
			}
			raw &= 1
		}
		dst.Add(hardware.Value{Channel: uint8(c), Mantissa: int64(raw), Exponent: f.step, Quality: f.quality}, channel.Limits)
	}
}

// read returns the number in the registers of f, whose low word comes first.
func (f field) read(image modbus.Image) (uint32, bool) {
	if f.words == 2 {
		swapped, ok := image.Uint32(modbus.ReadInput, f.address)
		return bits.RotateLeft32(swapped, 16), ok
	}
	w, ok := image.Word(modbus.ReadInput, f.address)
	return uint32(w), ok
}
