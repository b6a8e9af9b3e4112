// Package modbus asks meters for registers over Modbus RTU: framing, checks and
// the rule of one reply to one request, shared by all drivers that speak it. It
// reads (functions 03 and 04) and cannot write.
//
// It follows "MODBUS over Serial Line Specification and Implementation Guide
// V1.02" (section 2.5.1, RTU framing and its silences) and "MODBUS Application
// Protocol Specification V1.1b3" (sections 6.3 and 6.4, the two functions; section
// 7, exceptions).
//
// A reply in RTU names no register, so a late reply cannot be told from a timely
// one by looking at it. [RTU] therefore empties the receive buffer before each
// request, listens for a silence after each reply, keeps listening on the account
// of a unit that did not answer, and takes nothing that was not answered exactly
// once: DESIGN.md says why, and why github.com/grid-x/modbus does not do this for us.
package modbus
