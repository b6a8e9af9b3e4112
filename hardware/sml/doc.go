// Package sml reads German electricity meters by their optical head (INFO interface, or
// LMN), which sends an SML file every second or few, 9600 baud 8N1.
//
// It follows SML 1.04, as in BSI TR-03109-1 annex IV, "Feinspezifikation Drahtgebundene
// LMN-Schnittstelle", part b: the transport protocol of version 1 with its escape
// sequences and CRC-16/X-25 (section 8), the encoding of types and lengths (section 6),
// and of the messages SML_PublicOpen.Res and SML_GetList.Res (section 5). All other
// messages are passed over, and signatures are not looked at.
//
// Without its PIN a meter gives whole kilowatt hours: those are coarse.
//
// DZG's DVS74 with serial numbers from 42,000,000 to 48,999,999 and from 55,000,000 to
// 58,999,999 sends positive power of one to three bytes as signed although it is not:
// 328.05 W as 53 80 25. It is read as unsigned, with a warning where that matters.
package sml
