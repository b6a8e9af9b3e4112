// Package sampler decides when devices are read and turns what they say into
// packs, which are what one statement will carry.
//
// # When
//
// A schedule is a period that divides 900 s and an offset, both counted from 1970
// in UTC: a period of 10 s is due at :00, :10, :20, whenever the gateway started.
// Each device has a goroutine that waits for its bus alone, so a device that hangs
// holds up no other. The time of a sample is the middle of its exchange.
//
// # What
//
// A window is an aligned span of [Config.PackMaxAge], which divides 900 s too, so
// that every interval ends where a window does. The samples due in a window become
// one pack of each metering point, as soon as the last of them is there and at the
// latest when the window ends. The base name is the metering point and a slash;
// where a point has several devices, their names and a dot follow. Then:
//
//	<channel>          a counter: the first register value of the window with its
//	                   own time, as it is the one nearest to an interval's end;
//	                   a gauge: the mean, in the places of the most precise sample,
//	                   rounded half away from zero, with the last sample's time
//	<channel>.min      the least, the greatest and the number of a gauge's samples;
//	<channel>.max      left out where there was one sample, which is all three
//	<channel>.count
//	<channel>.quality  text: what the driver doubts in what stands above, and what
//	                   became of a register that fell: "reset", "rollover" or
//	                   "implausible", or that is another part's: "replaced"; the
//	                   values before and after both stand there
//	<channel>.calibration  text: the identity of the signed calibration that the
//	                   values were made with, in hexadecimal
//	<channel>.method   text, of what was derived: formula, input channels, digest of
//	<channel>.inputs   the configuration, and uncertainty as a share of the value
//	<channel>.config
//	<channel>.uncertainty
//	<channel>.gap      text: "first last count reason": samples that were due from
//	                   first to last, in Unix milliseconds, and have no value
//	clock.step         text: "before after": the clock was moved by more than a
//	                   second, in Unix milliseconds of the same moment
//
// The reasons of a gap are the driver's classes of failure (absent, timeout,
// checksum, malformed, wrong_device, stale, device, no_data, permission) and
// power_off (the gateway did not run), clock (the clock was moved), full (a queue
// overflowed), disabled (by the configuration) and missed (the sample before took too
// long).
//
// Nothing is filled in and nothing repaired. Packs wait in a queue that is bounded
// in bytes; what does not fit is counted and becomes a gap.
package sampler
