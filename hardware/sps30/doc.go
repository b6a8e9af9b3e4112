// Package sps30 reads the Sensirion SPS30: particle mass and number concentrations, over
// UART (SHDLC, 115200 8N1) or I2C (address 0x69).
//
// It follows the "Datasheet SPS30 Particulate Matter Sensor for Air Quality Monitoring
// and Control" version 1.0 (March 2020); numbers in comments are its sections. What is
// easily got wrong:
//
//   - On the UART the bytes 7e 7d 11 13 are stuffed, in the checksum too (5.1).
//   - A reply without data is no new measurement, not an error and not a zero (5.3.3).
//   - The fan needs up to 30 s to settle (table 1): values are marked warming_up for
//     that long after the driver started the part.
//   - The part cleans its fan once a week for 10 s and repeats old values meanwhile
//     (4.2). The driver leaves that setting alone.
//   - A fan or laser that fails shows in the status register (4.4) and nowhere else on
//     I2C: it is read with each sample where the firmware has it, and refuses the values.
package sps30
