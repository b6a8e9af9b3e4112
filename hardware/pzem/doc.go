// Package pzem reads Peacefair's PZEM-004T version 3, a single-phase energy meter on a
// board, over Modbus RTU at 9600 baud: function 04, registers 0x0000 to 0x0009.
//
// It follows "PZEM-004T V3.0 User Manual", section 2.3 (measurements) and section 2.2
// (addresses). Values of 32 bits stand low word first, unlike nearly everybody else's.
//
// A PZEM cannot tell import from export: power is never negative, and energy counts
// whichever way it flows. Both are marked no_sign. Each PZEM answers to address 0xF8,
// for which there must be one on the line.
//
// Function 0x42 clears the energy total. Package modbus cannot send it, nor any other
// that changes a part.
package pzem
