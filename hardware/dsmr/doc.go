// Package dsmr reads smart meters by their P1 port, which sends a telegram of text every
// second (every ten before version 5): DSMR 2.2 to 5 in the Netherlands, and their kin in
// Belgium, Luxembourg, Hungary, Ireland and Sweden.
//
// It follows the P1 Companion Standard, version 5.0.2, and for what came before its
// versions 2.2, 3.0 and 4.0; telegrams have the form of IEC 62056-21 mode D. The line runs
// at 115200 8N1, before version 4 at 9600 7E1, and the port speaks while its data request
// pin is held high.
//
// From version 4 on a CRC-16 ends the telegram, over all from "/" to "!" (section 5.2).
// Earlier ones carry none: their values are unverified.
package dsmr
