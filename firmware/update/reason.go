package update

import (
	"errors"
	"fmt"

	"wattmark/firmware/manifest"
)

// Reason says in a word why an update was not taken, or not kept. Programs compare it.
type Reason string

// The reasons why an update is not taken, in the order in which they are looked for
// (firmware/manifest/FORMAT.md, section 3).
const (
	Malformed      Reason = "malformed"
	BadSignature   Reason = "bad_signature"
	NoQuorum       Reason = "no_quorum"
	NotLogged      Reason = "not_logged"
	WrongBoard     Reason = "wrong_board"
	OlderVersion   Reason = "older_version"
	TooOldToFollow Reason = "too_old_to_follow"
	OtherKernel    Reason = "other_kernel"
	Truncated      Reason = "truncated"
	Altered        Reason = "altered"
)

// The reasons why an update that was tried is not kept.
const (
	NotBooted   Reason = "not_booted"  // the slot did not take over: the machine is in the old root
	Interrupted Reason = "interrupted" // the machine was started again while it tried
	Unhealthy   Reason = "unhealthy"   // the gateway did not prove to work in time
	Unknown     Reason = "unknown"     // a root runs that the journal does not know
)

// Remedy tells whoever reads a reason what to do next.
func (r Reason) Remedy() string {
	switch r {
	case Malformed:
		return "the file is no update of this project, or was damaged on its way: publish it again"
	case BadSignature:
		return "it is signed with a key that this gateway does not hold: check who published it"
	case NoQuorum:
		return "too few oracles have signed the checkpoint: prove the release anew with 'wattmark release publish'"
	case NotLogged:
		return "the release does not stand on the ledger: put it there with 'wattmark release publish'; if somebody gave you this file, tell the operators"
	case WrongBoard:
		return "the image is for other boards: offer it under its own name"
	case OlderVersion:
		return "publish a higher version: what has run or failed here is not taken again"
	case TooOldToFollow:
		return "offer a version between first, or write the card anew"
	case OtherKernel:
		return "kernels change at a visit only: write the card anew"
	case Truncated, Altered:
		return "the root was damaged on its way or by the card: it is fetched again; if it comes back, exchange the card"
	case NotBooted:
		return "the image does not start on this machine, or the power went as it started: it is tried once more; then withdraw the release"
	case Interrupted:
		return "the power went or the watchdog struck during the trial: it is tried once more"
	case Unhealthy:
		return "see what was missing; withdraw the release if others miss it too"
	}
	return "see the log of the gateway"
}

// Refused says that an update is not taken.
type Refused struct {
	Reason  Reason
	Version uint64 // 0 where it could not be read
	Err     error
}

// Error implements error.
func (r *Refused) Error() string {
	return fmt.Sprintf("update refused: %s: %v; %s", r.Reason, r.Err, r.Reason.Remedy())
}

// Unwrap returns the cause.
func (r *Refused) Unwrap() error { return r.Err }

// reasonOf is the reason behind an error of package manifest.
func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, manifest.ErrSignature):
		return BadSignature
	case errors.Is(err, manifest.ErrQuorum):
		return NoQuorum
	case errors.Is(err, manifest.ErrNotLogged):
		return NotLogged
	}
	return Malformed
}
