// Package modbus asks meters for registers over Modbus RTU and Modbus TCP: framing,
// checks and the rule of one reply to one request, shared by all drivers that speak it.
// It reads (functions 03 and 04) and cannot write.
//
// It follows "MODBUS over Serial Line Specification and Implementation Guide V1.02"
// (section 2.5.1, RTU framing and its silences), "MODBUS Messaging on TCP/IP
// Implementation Guide V1.0b" (section 3.1, the header) and "MODBUS Application Protocol
// Specification V1.1b3" (sections 6.3 and 6.4, the two functions; section 7, exceptions).
//
// A reply in RTU names no register, so a late reply cannot be told from a timely one by
// looking at it. [RTU] therefore empties the receive buffer before each request, listens
// for a silence after each reply, keeps listening on the account of a unit that did not
// answer, and takes nothing that was not answered exactly once. [TCP] numbers its
// requests and ends the connection after one that failed. DESIGN.md says why, and why
// github.com/grid-x/modbus does not do this for us.
//
// Drivers decode through [Image]: [Recorded] reads requests and replies in either
// framing under the same rule, [Dumped] takes registers without frames. [Requests] plans
// the blocks that a map of registers is read in, and [Tell] finds out which framing a
// socket speaks.
package modbus
