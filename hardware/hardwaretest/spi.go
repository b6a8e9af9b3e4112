package hardwaretest

import (
	"wattmark/hardware"
	"wattmark/hardware/emulated"
)

// OnSPI is the Bench of a driver whose part is on an emulated port, and which reads each
// word back: there is nothing else by which it could notice a fault of one transfer.
func OnSPI(device hardware.Device, port *emulated.SPIPort, chip emulated.Chip) *Bench {
	b := &Bench{
		Device: device,
		Faults: port.SetFaults,
		Attach: func(on bool) {
			if port.Attach(nil); on {
				port.Attach(chip)
			}
		},
		Exchanges: port.Transfers,
		Classes: map[emulated.Fault]error{
			emulated.Silence: hardware.ErrChecksum, emulated.NACK: hardware.ErrChecksum,
			emulated.FlippedBit: hardware.ErrChecksum, emulated.Slow: nil,
		},
	}
	if c, ok := chip.(interface{ Settings() int }); ok {
		b.Changes = c.Settings
	}
	return b
}
