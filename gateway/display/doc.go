// Package display shows on the device itself how the gateway fares, for whoever opens the
// cupboard: on a small OLED screen, by a lamp, or both. They say the same words as status
// does and take nothing in.
//
// The screen is an SSD1306 of 128 x 64 on an I2C bus of the gateway's, through periph's
// driver and the bus's owner: it waits its turn, and gives the bus back after each of its
// four lines, which take up to 25 ms at 100 kHz; all of it, when it is set up and every ten
// minutes, takes 95 ms. A dark screen is a gateway that does not run.
//
//	home-01               the gateway
//	11/12 sensors good
//	sent 4 s ago          the newest receipt, or for how long none came
//	READY                 or NOT READY, or FAULT and what
//
// The lamp is lit while one may leave, blinks slowly while something is not ready yet,
// and fast where there is a fault. It is dark where nothing runs.
//
// What is looked at costs wake-ups, so both are opted into. A screen that is unplugged is
// tried again, and never stands in the way of sensors.
package display
