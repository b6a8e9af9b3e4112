// Package pms reads the Plantower PMS5003 and PMS7003: particle mass and number over
// UART, 9600 8N1. The part speaks unasked, each 0.2 to 2.3 s, and is sent nothing.
//
// It follows the "PMS5003 series data manual" V2.3 (2016-06-01) and the "PMS7003 series
// data manual" V2.5, appendix I. What is easily got wrong:
//
//   - Mass is told twice. The first three words are of "standard" particles, for use in
//     factories (_std here); the next three are "under atmospheric environment".
//   - Particles are counted above a size, not up to it, and in 0.1 l: a step is 0.01
//     to the cubic centimetre.
//   - A frame begins with 42 4d, which may stand within one too: only the sum tells.
//   - The fan needs 30 s after power-up (output result, note 4): until then values are
//     marked warming_up.
//   - Sisters (PMS3003, PMS5003ST) send longer or shorter frames with other words in
//     them: they are refused.
package pms
