// Package atm90e32 reads the Microchip ATM90E32AS: a front end for three-phase meters, on
// SPI in mode 3 at 200 kHz.
//
// It follows the ATM90E32AS data sheet (Atmel-46003, revision SE-M90E32AS) and its
// application note (Atmel-46103). What is easily got wrong:
//
//   - An exchange is 32 bits: the address, with bit 15 set to read, then the data.
//   - SPI carries no checksum. Register 0x78 repeats the last data that was read or
//     written: it is read after each word, and another value is ErrChecksum. An open line
//     reads as ones, so a part that is missing is noticed by its settings.
//   - Bit 12 of MMODE0 must tell 60 Hz from 50 Hz, or the numbers are wrong by little.
//   - Power is two words, read one by one: the high word is read again, and the low word
//     after it if it changed.
//   - The energy registers clear when they are read. So the driver keeps the totals, and
//     the part counts on while nobody reads it, up to 0xFFFF steps of 0.01 impulse: that
//     is 204 Wh, so it must be read every half minute at 20 kW. Halt does not stop it.
//
// # Totals
//
// [Dev] is a hardware.Persistent: whoever reads it saves Snapshot beside the values, and
// gives it to Restore before the first Sense of the next life. A step is added to its
// total as soon as it left the part, even if the rest of the sample fails. What is lost
// in a crash is what was read after the last snapshot; what is lost on the wire is said
// in a warning. Totals are in no recording: Decode and DecodeRegisters leave them out.
//
// # Calibration
//
// The part multiplies voltages and currents, and with them power and energy, by gains
// that depend on the transformers and dividers in front of it. Options set them. All
// numbers are those of the part after them, and before the factors that a gateway's
// configuration may apply.
package atm90e32
