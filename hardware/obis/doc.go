// Package obis knows the identification codes that DSMR, SML and IEC 62056-21 share
// (IEC 62056-6-1): which of our channels a code is, in which unit, and when a meter's
// signed power goes by the code of its import.
//
// A protocol puts the readings of one message into a [Message] and lets it [Message.Fill]
// a batch. Channel B and storage F of a code make no difference; where a code comes
// twice, the present value goes before a stored one and the first before later ones.
// Numbers stay what was sent: digits, with the exponent moved by the unit's prefix.
//
// Coarse are energies in steps above 100 Wh (or varh), by the last digit that is sent. The
// step of small powers, currents and totals may be above 1 % of the value; that is their
// nature, and they are not marked.
package obis
