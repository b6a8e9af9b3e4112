// Package bme280 reads the Bosch Sensortec BME280 (pressure, temperature, humidity) and
// BMP280 (without humidity) over I2C, address 0x76 or 0x77. Their numbers compensate
// those of gas sensors.
//
// It follows the data sheet BST-BME280-DS002 revision 1.6 (September 2018) and, for the
// BMP280, BST-BMP280-DS001 revision 1.14 (May 2015); numbers in comments are sections of
// the first. What is easily got wrong:
//
//   - Chip 0x58 is a BMP280: there is no humidity, whatever stands in those registers.
//   - The first measurement after power-up is dropped: with the filter and the
//     oversampling just set it is not what the next ones are.
//   - All measurements are read in one burst, or they are of different moments (4.1).
//   - The data registers hold 0x80000 and 0x8000 until something was measured, and for
//     what is switched off: that is no number.
//
// The compensation is the maker's integer formula (4.2.3, the 64-bit one for pressure),
// written here. That of periph's bmxx80, which the design names, cannot be used: it is
// bound to a bus, so that no recording can be decoded with it; its results come as
// physic's nanokelvins and nanopascals; and it reads the two 12-bit coefficients of
// humidity as unsigned, where the maker's are signed (4.2.2). In all else the two agree:
// a test compares them.
//
// The coefficients are read again for each sample, so that the evidence of a sample is
// all that it takes to calculate it, and a part that was exchanged is noticed.
package bme280
