// Package survey finds the parts on a bus. It only reads: identification registers of
// known parts at the addresses that they can have, Modbus functions 03 and 04, what
// serial heads say unasked, and the requests that other serial parts answer with what
// they are. It changes no setting, whatever is really there, and leaves the decision
// what to do with a find to whoever asked.
//
// A serial port is listened to first: optical heads, P1 ports and particle sensors
// speak unasked. Then the parts are asked that stand alone on their line, and last
// Modbus units, at each speed and parity of [Modes] and each unit of [Units], where a
// unit that is silent costs two time-outs. All of it takes at most [Limit], and ends
// with its context; what was found until then counts.
//
// Parts without frames (pulse inputs) cannot be found, and no register says which
// quantities an unknown Modbus meter has.
package survey
