// Package hardware says what a driver of a sensor or meter promises: a number
// leaves a chip or a meter as a [Value] that is exact, carries its unit, kind and
// [Quality], and comes with the bytes it was made from.
//
// A driver (one package a part, below this one) turns bytes into values and
// nothing else. It opens no port, starts no goroutine, knows no reading, key or
// broker, and takes its constructor's arguments from periph's conventions: a bus,
// an address, options. [Device.Sense] exchanges bytes with the part, keeps them in
// the batch's [Transcript] and hands that to [Decoder.Decode], so that a recording
// decodes to the same digits as the part did.
//
// Numbers never pass through floating-point arithmetic:
//
//  1. An integer register is the mantissa, its scale the exponent.
//  2. A float32 register is the shortest decimal that reads back as the same
//     float32 ([Batch.AddFloat32]); NaN and infinity leave the channel out.
//  3. Text is the digits as sent; a prefix (k, M, m) moves the exponent only.
//  4. A word with a non-decimal scale is computed in integers and rounded half
//     away from zero ([RoundDiv]).
//
// Conformance is checked by package hardwaretest, buses are scheduled by package
// bus, parts that are not there come from package emulated.
package hardware
