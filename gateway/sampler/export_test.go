package sampler

import (
	"time"

	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// Corrected is what a correction makes of a value.
func Corrected(v hardware.Value, f entry.Factors) (entry.Decimal, bool) {
	c := channel{correction: &Correction{Factors: f}}
	return c.correct(v)
}

// MassFlowOf is the formula of MassFlow.
var MassFlowOf = massFlow

// KernelClock is a machine's clock that asks these functions.
func KernelClock(ntp func() (bool, time.Duration), battery func() bool, monotonic func() time.Duration) *MachineClock {
	return &MachineClock{kernel: kernel{ntp, battery, monotonic, false}}
}

// TimerClock returns the machine's clock with timers that synctest moves.
func TimerClock() *MachineClock {
	c := NewMachineClock()
	c.kernel.alarms = false
	return c
}
