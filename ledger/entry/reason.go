package entry

// Reason says why a statement was refused. The words are part of the format:
// they stand in outcomes and in answers to gateways.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	ReasonTooLarge       Reason = "too_large"
	ReasonMalformed      Reason = "malformed"
	ReasonUnknownKey     Reason = "unknown_key"
	ReasonRevokedKey     Reason = "revoked_key"
	ReasonWrongGateway   Reason = "wrong_gateway"
	ReasonBadSignature   Reason = "bad_signature"
	ReasonWrongLedger    Reason = "wrong_ledger"
	ReasonWrongType      Reason = "wrong_type"
	ReasonNotAuthorised  Reason = "not_authorised"
	ReasonSequenceUsed   Reason = "sequence_used"
	ReasonTooManyHoles   Reason = "too_many_holes"
	ReasonFuture         Reason = "future"
	ReasonUnknownPoint   Reason = "unknown_point"
	ReasonWrongMode      Reason = "wrong_mode"
	ReasonPackMissing    Reason = "pack_missing"
	ReasonPackMismatch   Reason = "pack_mismatch"
	ReasonBadPayload     Reason = "bad_payload"
	ReasonAlreadyKnown   Reason = "already_known"
	ReasonWrongHeight    Reason = "wrong_height"
	ReasonUnknownSetting Reason = "unknown_parameter"
	// The reasons above stand in the order in which they are looked for; those below
	// came later, and each is looked for last in what it is about.
	ReasonUnknownChannel     Reason = "unknown_channel"
	ReasonUnknownCalibration Reason = "unknown_calibration"
	ReasonNotClaimable       Reason = "not_claimable"
	ReasonForgotten          Reason = "forgotten"
	ReasonUnknownMotion      Reason = "unknown_motion"
	ReasonOtherOracles       Reason = "other_oracles"
	ReasonQuarantinedKey     Reason = "quarantined_key"
	ReasonTooFewLeft         Reason = "too_few_left"
	// Of the market. Their outcomes name the field at fault as detail.
	ReasonUnknownZone   Reason = "unknown_zone"
	ReasonGateClosed    Reason = "gate_closed"
	ReasonWrongInterval Reason = "wrong_interval"
	ReasonBadOrder      Reason = "bad_order"
	ReasonUnknownLine   Reason = "unknown_line"
	ReasonSealing       Reason = "sealing"
	// Of carbon accounting. Their outcomes say what it is about as detail; that of
	// ReasonCountedTwice names both claims.
	ReasonUnknownID     Reason = "unknown_id"
	ReasonWrongStatus   Reason = "wrong_status"
	ReasonNotMeasured   Reason = "not_measured"
	ReasonUnknownFactor Reason = "unknown_factor"
	ReasonSequenceGap   Reason = "sequence_gap"
	ReasonTooMuch       Reason = "too_much"
	ReasonOwing         Reason = "owing"
	ReasonCountedTwice  Reason = "counted_twice"
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{ReasonTooLarge, ReasonMalformed, ReasonUnknownKey, ReasonRevokedKey, ReasonWrongGateway,
		ReasonBadSignature, ReasonWrongLedger, ReasonWrongType, ReasonNotAuthorised, ReasonSequenceUsed, ReasonTooManyHoles, ReasonFuture,
		ReasonUnknownPoint, ReasonWrongMode, ReasonPackMissing, ReasonPackMismatch, ReasonBadPayload,
		ReasonAlreadyKnown, ReasonWrongHeight, ReasonUnknownSetting,
		ReasonUnknownChannel, ReasonUnknownCalibration, ReasonNotClaimable,
		ReasonForgotten, ReasonUnknownMotion, ReasonOtherOracles, ReasonQuarantinedKey, ReasonTooFewLeft,
		ReasonUnknownZone, ReasonGateClosed, ReasonWrongInterval, ReasonBadOrder, ReasonUnknownLine, ReasonSealing,
		ReasonUnknownID, ReasonWrongStatus, ReasonNotMeasured, ReasonUnknownFactor, ReasonSequenceGap, ReasonTooMuch, ReasonOwing, ReasonCountedTwice}
}

// Logged reports whether a refusal for this reason leaves an outcome in the
// ledger. Nobody knows who wrote what is no statement or does not verify: with
// outcomes of such anybody could fill the ledger of all.
func (r Reason) Logged() bool {
	return r != ReasonMalformed && r != ReasonUnknownKey && r != ReasonBadSignature
}

// Remedy tells the technician who reads a refusal what to do next.
func (r Reason) Remedy() string {
	switch r {
	case ReasonTooLarge:
		return "put fewer records into a pack"
	case ReasonMalformed:
		return "the bytes are no statement: look for a damaged frame or an old gateway version"
	case ReasonUnknownKey:
		return "enrol the gateway's key, or check that it publishes to the right ledger"
	case ReasonRevokedKey:
		return "this key has ended: enrol a new one"
	case ReasonWrongGateway:
		return "the key belongs to another gateway's connection: check which certificate and key this one uses"
	case ReasonBadSignature:
		return "the statement was changed after it was signed, or signed with another key"
	case ReasonWrongLedger:
		return "the statement was signed for another ledger: check the enrolment"
	case ReasonWrongType:
		return "this ledger does not know this type of statement: update the oracle or the gateway"
	case ReasonNotAuthorised:
		return "this key may not write entries of this type"
	case ReasonSequenceUsed:
		return "this sequence number was used for another statement: the key may be in use twice; stop one and enrol a new key"
	case ReasonTooManyHoles:
		return "too many sequence numbers of this boot are missing: send the backlog in order"
	case ReasonFuture:
		return "the gateway's clock is ahead: set its time"
	case ReasonUnknownPoint:
		return "the metering point is not registered with this key"
	case ReasonWrongMode:
		return "the metering point is registered the other way, open or committed"
	case ReasonPackMissing:
		return "send the pack together with its statement"
	case ReasonPackMismatch:
		return "the pack is not the one whose hash was signed"
	case ReasonBadPayload:
		return "the payload does not read as its content type says"
	case ReasonAlreadyKnown:
		return "nothing to do: it is on the ledger already"
	case ReasonWrongHeight:
		return "nothing to do: the block was closed meanwhile"
	case ReasonUnknownSetting:
		return "check the spelling of the parameter"
	case ReasonUnknownChannel:
		return "the channel is not registered with this metering point: enrol it, or check its name"
	case ReasonUnknownCalibration:
		return "the calibration to be undone is not the one in force: look at wattmark gateway show"
	case ReasonNotClaimable:
		return "a concentration is no total: register co2, eco2 and other ppm as gauges, and claim a mass"
	case ReasonForgotten:
		return "the metering point was closed and forgotten: enrol another one under a new pseudonym"
	case ReasonUnknownMotion:
		return "no such motion waits for votes: look at wattmark ledger proposals"
	case ReasonTooFewLeft:
		return "too many oracles of this set are quarantined for its quorum and governance: restore them first, or give them new keys"
	case ReasonQuarantinedKey:
		return "this key is proven to have signed two things of which it may sign one: find out where else it is in use; the oracles restore it, or end it for a new one"
	case ReasonOtherOracles:
		return "the oracle set that it would replace is not the one in force, or a key of it has another use: propose it again"
	case ReasonUnknownZone:
		return "the zone has no tariff, or is not the member's: look at wattmark member list"
	case ReasonGateClosed:
		return "orders for this interval are not taken now: look when its gate closes"
	case ReasonWrongInterval:
		return "it is too early or too late for this interval"
	case ReasonBadOrder:
		return "the field named is outside what the market takes"
	case ReasonUnknownLine:
		return "the member has no invoiced line for this interval"
	case ReasonSealing:
		return "this market seals its orders until the gate, or does not: place the order again with wattmark market order place, which does as it does"
	case ReasonUnknownID:
		return "nothing on this ledger has that id: look at wattmark carbon"
	case ReasonWrongStatus:
		return "it is not in a status from which that is done"
	case ReasonNotMeasured:
		return "readings of that interval are missing or flagged, and such back no claim"
	case ReasonUnknownFactor:
		return "no factor pack of the period has the factor: open it with one that has"
	case ReasonSequenceGap:
		return "statements of a gateway are missing and nobody said why: let it send its backlog"
	case ReasonTooMuch:
		return "it is more than was measured, verified or is there"
	case ReasonOwing:
		return "pay first what is owed, by cancelling units for it"
	case ReasonCountedTwice:
		return "another claim has that interval: the detail names both"
	}
	return "ask the operator of the oracle"
}
