// Package sunspec reads inverters, meters and storage that speak SunSpec Modbus, over
// TCP or RTU: function 03.
//
// It follows "SunSpec Information Model Specification" (version 1.9) and the model
// definitions of the SunSpec Alliance: 1 (who made it), 101 to 103 and 111 to 113
// (inverters, integers and floats), 160 (strings of panels), 201 to 204 (meters) and 802
// (batteries). The list of models is found at register 40000, 50000 or 0, behind the
// letters SunS, and walked by the lengths that it gives; models that are not read here
// are listed and passed over.
//
// A register that holds the value for "not implemented" gives no channel: 0xFFFF of an
// unsigned number, 0x8000 of a signed one, 0 of an accumulator (and 0x80000000 and
// 0xFFFFFFFF, which some devices put there). So does one whose scale factor is not
// implemented: a number without its scale is not a measurement; a warning says so.
//
// Where two models give the same channel, as an inverter's and a meter's in one unit may,
// the first of the list gives it, and a warning names the other. [Opts.Models] chooses.
package sunspec
