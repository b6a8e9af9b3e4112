package hardwaretest

import (
	"wattmark/hardware"
	"wattmark/hardware/emulated"
)

// OnModbus is the Bench of a driver whose part is a unit of an emulated line and is asked
// in RTU frames. A part that is not there is one that is silent.
func OnModbus(device hardware.Device, line *emulated.Line, unit byte) *Bench {
	var plan emulated.Plan
	return &Bench{
		Device: device,
		Faults: func(p emulated.Plan) { plan = p; line.SetFaults(unit, p) },
		Attach: func(on bool) {
			line.SetFaults(unit, plan)
			if !on {
				line.SetFaults(unit, emulated.Always(emulated.Silence))
			}
		},
		Exchanges: line.Requests,
		Classes: map[emulated.Fault]error{
			emulated.Silence: hardware.ErrAbsent, emulated.BadCRC: hardware.ErrChecksum, emulated.FlippedBit: hardware.ErrChecksum,
			emulated.Truncated: hardware.ErrMalformed, emulated.Doubled: hardware.ErrStale,
			emulated.Late: hardware.ErrAbsent, emulated.Slow: hardware.ErrTimeout,
		},
	}
}
