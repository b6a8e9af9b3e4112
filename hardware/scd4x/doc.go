// Package scd4x reads the Sensirion SCD40 and SCD41: CO2 (photoacoustic),
// temperature and humidity over I2C, address 0x62.
//
// It follows the SCD4x data sheet version 1.1 (April 2021); numbers in comments are
// its sections. What is easily got wrong:
//
//   - A command and the read of its answer are two transfers, 1 ms apart (3.5.2).
//   - While it measures, the part takes five commands and refuses all others; to
//     stop takes it 500 ms (3.5.3).
//   - Automatic self-calibration assumes that fresh air comes by every week (3.7.2).
//     Rooms do not do that, nor do stacks: it is off unless the options ask for it,
//     and what the driver sets is not persisted in the part.
//   - Forced recalibration answers 0xFFFF when it failed (3.7.1).
//   - What is persisted takes 800 ms, in which the part hears nothing (3.9.1), and is all
//     that is set: the driver does it only to calibrate the temperature.
//   - A brown-out leaves the part idle: no data comes until measuring is started
//     again, which the driver does after three intervals without any.
package scd4x
