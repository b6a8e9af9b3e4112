// Package iec62056 reads electricity meters by IEC 62056-21 (formerly IEC 1107): in mode
// C, where a meter is asked and answers with a readout of text, and in mode D, where it
// sends one unasked.
//
// The standard is cited by the clauses of its first edition, IEC 62056-21:2002.
//
// In mode C (clause 6.4.3) the meter is asked at 300 baud, 7 data bits and even parity. It
// identifies itself with the speed it offers; that is acknowledged, and both go over to
// it. The readout stands between STX and ETX, and a block check character
// ends it: all bytes after STX up to and including ETX, exclusive or. Mode B, whose
// meters go over to their speed unasked, and mode A, which stays at 300 baud, are read
// as well.
//
// Mode D (clause 6.4.4, 2400 baud; many meters speak at 9600) has no block check: its
// values are unverified. Fill bytes may follow a message.
//
// The lines of both hold OBIS codes, whole or reduced, and values with units.
package iec62056
