// Package calibration compares a device with a reference, and carries what somebody
// decided to do about it to the gateway that runs.
//
// A [Comparison] holds what both said and tells error, uncertainty and the factors that
// would make the device right. It follows JCGM 100:2008 (GUM): standard uncertainties
// are combined as the root of the sum of their squares (5.1.2), a resolution counts as
// a rectangle, step/(2 sqrt 3) (F.2.2.1), and what is shown is expanded with k = 2
// (6.2.1). What a single sample is wrong by systematically no comparison shows but
// against a better instrument: the reference's own uncertainty is part of the result.
//
// A [Tray] is a directory in the gateway's state directory through which a calibration
// reaches the running gateway. The console changes nothing, by design; whoever may
// write into the state directory, the gateway's own user or root, may calibrate. A
// request is taken at most once: one that was taken when the machine went off is
// answered with that, and never repeated by itself.
package calibration
