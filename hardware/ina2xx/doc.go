// Package ina2xx reads the Texas Instruments INA219, INA226 and INA228: monitors of
// the voltage across a shunt and of the voltage of a DC bus, over I2C, addresses 0x40
// to 0x4F.
//
// It follows the data sheets INA219 (SBOS448G, December 2015), INA226 (SBOS547B,
// September 2024) and INA228 (SLYS021A, May 2022); numbers in comments are their
// sections and tables. What is easily got wrong:
//
//   - The parts calculate current and power from a calibration register that a
//     brown-out clears, and then give zero. So both are calculated here, in integers,
//     from the shunt's voltage, its resistance and the bus's voltage. The part's own
//     registers are a cross-check: the driver sets the calibration with which the
//     current register repeats the shunt's.
//   - After power-up a part measures in a set-up of its own, and nothing in the
//     numbers shows it. The driver's set-up differs from that in every model, and is
//     looked at in each sample: another one means that the part lost power, and the
//     sample is refused with ErrNoData while the set-up is written again.
//   - The INA219 starts with 32 V full scale but may have been left at 16 V.
//   - A conversion takes time: the ready bit says when there is one that was not read
//     before. Until then there is ErrNoData, never the old value.
//   - I2C carries no checksum, and none of these parts adds one. A damaged word is
//     seen by the cross-check only.
//
// Shunt and bus voltage are converted one after the other and read one by one, so the
// two may be of neighbouring conversions, about 0.2 s apart.
package ina2xx
