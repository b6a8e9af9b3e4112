// Package mhz19 reads the Winsen MH-Z19B: CO2 (NDIR) over UART, 9600 8N1.
//
// It follows the "MH-Z19B User's Manual" V1.0 (Winsen, 2015-03-03). What is easily got
// wrong:
//
//   - The checksum is the sum of bytes 1 to 7, inverted, plus one. The first byte, 0xff,
//     is no part of it, and may come again within a frame.
//   - The part needs 180 s after power-up: until then values are marked warming_up.
//   - Self-calibration is on when the part comes: each day it takes the lowest value for
//     400 ppm, which is wrong where nobody airs. The driver reads that setting and never
//     writes it ([Dev.SelfCalibration]).
//   - One command sets the zero point, for good, wherever the part is. Nothing but
//     [Dev.Calibrate] sends it.
//   - Commands that set something are not answered.
package mhz19
