package s8

import (
	"fmt"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

const (
	model = "s8"
	part  = "Senseair S8"
	maker = "Senseair"
)

// The input registers (TDE2067, section "Register map").
const (
	statusAt      = 0x0000
	co2At         = 0x0003
	typeAt        = 0x0019 // two registers, of which three bytes are the type
	versionAt     = 0x001C // of the firmware: main, sub
	serialAt      = 0x001D // two registers
	identityCount = serialAt + 2 - typeAt
)

// Bits of the status register. The other errors (offset regulation, the analogue output)
// leave the number what it is.
const (
	fatal          = 1 << 0
	algorithm      = 1 << 2
	selfDiagnostic = 1 << 4
	outOfRange     = 1 << 5
	memory         = 1 << 6
)

// highest is the end of the extended range. The number stays there above it.
const highest = 10_000

// about has the extended range; within 400 to 2000 ppm the S8's error is stated.
var about = hardware.Descriptor{Model: model, Part: part, Channels: []hardware.Channel{
	hardware.NewChannel("co2", hardware.Limits{High: highest}),
}}

// usual is the read that nearly everybody's programs make.
var usual = modbus.Request{Unit: AnyAddress, Function: modbus.ReadInput, Address: co2At, Count: 1}

// Decode implements hardware.Decoder. A lone reply, with nothing sent, answers the read
// of register 0x0003 alone. A status that says the number is wrong is ErrDevice.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Recorded(t, modbus.Expect{Usual: usual})
	if err != nil {
		return err
	}
	return decode(image, dst)
}

// DecodeRegisters implements hardware.RegisterDecoder. Words without a table are input
// registers.
func (d *Dev) DecodeRegisters(r *hardware.Registers, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Dumped(r, modbus.ReadInput)
	if err != nil {
		return err
	}
	return decode(image, dst)
}

func decode(image modbus.Image, dst *hardware.Batch) error {
	status, _ := image.Word(modbus.ReadInput, statusAt)
	if status&(fatal|algorithm|selfDiagnostic|memory) != 0 {
		return &hardware.Error{Class: hardware.ErrDevice, Op: "reading the status", Err: fmt.Errorf("status %#04x", status),
			Remedy: "cut its power for a while; replace it if that does not help"}
	}
	identify(image, dst)
	ppm, ok := image.Word(modbus.ReadInput, co2At)
	if !ok {
		if image.Missing(modbus.ReadInput, co2At, 1) {
			dst.Warn(hardware.WarnSkipped, about.Channels[0].Name)
		}
		return nil
	}
	v := hardware.Value{Mantissa: int64(ppm)}
	if status&outOfRange != 0 {
		v.Quality |= hardware.OutOfRange
	}
	if ppm == highest {
		v.Quality |= hardware.Saturated
	}
	dst.Add(v, about.Channels[0].Limits)
	return nil
}

// identify tells type, serial number and version, if they were read.
func identify(image modbus.Image, dst *hardware.Batch) {
	if kind, ok := image.Uint32(modbus.ReadInput, typeAt); ok {
		dst.Identity.Manufacturer, dst.Identity.Model = maker, fmt.Sprintf("%s type %06X", part, kind&0xFFFFFF)
	}
	if serial, ok := image.Uint32(modbus.ReadInput, serialAt); ok {
		dst.Identity.Manufacturer, dst.Identity.Serial = maker, fmt.Sprintf("%08X", serial)
	}
	if version, ok := image.Word(modbus.ReadInput, versionAt); ok {
		dst.Identity.Manufacturer, dst.Identity.Version = maker, fmt.Sprintf("%d.%d", version>>8, version&0xFF)
	}
}
