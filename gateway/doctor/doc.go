// Package doctor looks a gateway over and says of each thing that can be wrong in the
// field whether it is, with one line of remedy: power, pins, buses, parts, clock, disk,
// key, enrolment, connection, service.
//
// [Examine] runs the checks of one table. A check asks the [Machine], that is files of
// the system, outputs of its commands, and the kernel; the network; the running gateway,
// by its console; and what the configuration says, the [Patient]. It changes nothing.
// [Report.Fix] then does what is reversible, and says what it did and how to undo it.
//
// Some findings tell what a household uses, as they are for whoever stands before the
// meter; [Report.WithoutValues] is for others.
package doctor
