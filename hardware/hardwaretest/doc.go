// Package hardwaretest is the suite that every driver passes: [Run] holds it against
// what hardware.Device and its optional interfaces promise, with an emulated part
// behind it, [CheckDecode] and [FuzzDecode] against what hardware.Decoder promises.
//
// What a part's numbers are is not known here: each driver's own tests check those
// against its data sheet. The suite checks that no fault changes them.
package hardwaretest
