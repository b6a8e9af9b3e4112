// Package generic reads any Modbus meter whose registers are named in the configuration:
// integers and floats, from input and holding registers, over any framing.
//
// It is the driver for the model "modbus". What the numbers mean is the configuration's
// to say: a [Channel] has name, unit and kind, and tells which registers hold it and
// which power of ten one step of them is. Numbers follow the rules of package hardware:
// an integer is the mantissa, a float32 its shortest decimal, and an unsigned 64-bit
// register above the int64 range is refused (hardware.ErrOverflow).
//
// Registers are read in blocks of at most 80, one request for each; what lies between
// two channels of a block is read along, unless [Opts.Exact] says not to. Nothing is
// known of the meter, so it cannot be probed for, and no value is out of range.
package generic
