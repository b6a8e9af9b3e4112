// Package s8 reads Senseair's CO2 sensors S8 and S88 over Modbus RTU at 9600 baud:
// function 04, input register 0x0003, in ppm.
//
// It follows Senseair's "Modbus on Senseair S8" (TDE2067): the status word is input
// register 0x0000, what the sensor says of itself 0x0019 to 0x001E. Each sensor answers
// to address 0xFE. Frames that are printed in documents and in the net often carry
// checksums that are wrong; they are refused, as damaged ones are.
//
// A sample reads status and CO2 in one request, 0x0000 x 4: a sensor in error goes on to
// tell a number, which is refused.
package s8
