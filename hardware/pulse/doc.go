// Package pulse counts the pulses of a meter's S0 output (EN 62053-31, IEC 62053-31:
// a contact that closes for at least 30 ms once for each so many watt-hours) on a GPIO
// line, model name s0.
//
// The kernel does what must not be late: it debounces the contact, stamps each edge
// with its own time, and numbers it. The number is what makes a count one can sign: if
// the kernel's queue ever ran over, the next number says by how many, and these pulses
// are added with a warning (resync). What no number tells of, a time in which nobody
// held the line, is said too (skipped) and added to by nothing.
//
// The count is a register: it grows, and energy is computed from it anew each time, so
// that rounding never adds up. It outlives the program by [Dev.Snapshot] and
// [Dev.Restore]. A pulse tells no direction; which register it belongs to is the
// installer's to say.
//
// There are no frames here, so there is no Decode.
package pulse
