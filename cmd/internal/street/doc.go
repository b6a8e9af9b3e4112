// Package street is a neighbourhood that is not there: homes, the sun on some of
// their roofs, a bakery's stack, the feeder they all hang on, and the clock they
// live by. It drives the registers of emulated meters and sensors; what reads
// them, signs and sends is the code that ships.
//
// # What is real
//
// Energy. The homes use, and their roofs give, what eighteen real homes did:
// seventeen of the CityLearn data set, hour by hour for a week, and one whose
// registers were measured by the quarter hour for a day (data/PROVENANCE.md has
// origins and licences). Over each hour of UTC a home's net is exactly the data's
// load less its solar generation, to the Wh, and its generator's register
// advances by the data's generation; the measured home's three registers advance
// each quarter hour as they did in Konstanz.
//
// # What is invented
//
//   - The data's local time is taken for UTC, so that noon is at 12:00 UTC; the
//     week repeats, and so does the measured home's day, for whose night (20:00 to
//     04:00) a steady 46 Wh in a quarter hour is assumed.
//   - Within an hour the load is spread over steps of 10 s by a draw from the seed,
//     as appliances come and go, and the sun follows its neighbouring hours with
//     small clouds. Import and export are told apart in each step, so both may
//     advance in one hour. Power is constant within a step and is exactly the slope
//     of the registers.
//   - Seven of twelve homes generate, where the data has a generator nearly
//     everywhere; the others use the data's load alone. From the nineteenth home on
//     the data is used again, with a load of 70 to 130 % up to two hours earlier or
//     later, and generation of the same 70 to 130 %.
//   - Registers at the epoch, voltages, currents, power factors and the frequency
//     are drawn; voltage falls and rises with the current.
//   - The feeder's meter counts the homes' net, plus 2 % of all that each home
//     imports and exports, which the cables lose, plus street lamps of 144 W from
//     18:00 to 06:00 UTC that nobody meters. It is told into import and export after
//     the sum.
//   - The stack is a burner that runs 5 to 12 minutes out of 20 in a flue diluted to
//     what the sensors measure.
//
// All of it is a pure function of configuration and time: a street that is
// started again goes on where the clock is, and no register ever falls. Energy is
// added up in integers of µWh.
package street
