// Package sdm reads Eastron's energy meters SDM72, SDM120, SDM230 and SDM630 over
// Modbus RTU: function 04 for what they measure, 03 for settings.
//
// It follows "Eastron SDM630-Modbus V2 Modbus Protocol Implementation V1.1" and its
// sisters for the other models. All values are float32 in two registers, high word
// first; energies are kWh and kvarh, which become Wh and varh by moving the
// exponent. A float32 of kWh steps by 2 Wh above 16,384 kWh and by 125 Wh above
// 1,048,576 kWh, from where it is marked coarse.
//
// A meter of another model answers with zeros, or with other quantities, in the same
// registers. The first sample therefore asks for the meter's code too (holding
// register 0xFC02) and serial number (0xFC00); older meters answer that with an exception,
// and are believed.
//
// The meters answer at most 80 registers in a request (SDM72: 60).
package sdm
