// Package scd30 reads the Sensirion SCD30: CO2 (NDIR), temperature and humidity over
// I2C, address 0x61.
//
// It follows the "Interface Description Sensirion SCD30 Sensor Module" version 1.0
// (May 2020); numbers in comments are its sections. What is easily got wrong:
//
//   - The part does not support a repeated start (1.1): write, wait 3 ms, read.
//   - It stretches the clock by up to 150 ms once a day. At most 100 kHz, better 50
//     (1.1); that is the bus's business.
//   - It keeps its settings and that it measures through a loss of power (1.4.1), so
//     the driver writes a setting only when it differs.
//   - Automatic self-calibration needs an hour of fresh air a day (1.4.6): it is off
//     unless the options ask for it.
package scd30
