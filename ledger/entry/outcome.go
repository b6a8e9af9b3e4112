package entry

import "fmt"

// Outcome is what the rules made of an entry. It is a leaf of its own, computed
// alike by every oracle, never signed by itself: the tree's root covers it.
type Outcome struct {
	Kind string // one of the Outcome constants
	// Leaf is the index of the statement that the outcome is about, for kinds
	// whose statement is in the log.
	Leaf uint64
	// Hash identifies what the outcome is about where that is not in the log: a
	// refused statement (the SHA-256 of its Sig_structure), or that is stated
	// several times: a proposal, a payload.
	Hash [32]byte
	// Code says why, in a word that programs compare.
	Code string
	// Detail names the channel or parameter concerned, where there is one.
	Detail string
	// Body is the outcome of a kind that says more than the fields above, which are
	// then empty: one CBOR map, laid out by its kind. See [Bodied].
	Body []byte
}

// Kinds of outcome.
const (
	OutcomeRefused = "refused" // Hash, Code a Reason
	OutcomeFlagged = "flagged" // Leaf, Code a Flag, Detail a channel
	OutcomeAdopted = "adopted" // Hash of what enough oracles agreed on, Code what that is, Detail its parameter or gateway
	// OutcomeVoid is of a motion that was adopted and cannot take effect any more: Hash
	// of the motion, Code a Reason.
	OutcomeVoid = "void"
	// OutcomeSnapshot says what the state is after the block before: Hash of its
	// records, Code SnapshotState, Detail how far in the order it is (SnapshotOrder).
	OutcomeSnapshot = "snapshot"
	// OutcomeQuarantined is of a key that is proven to have signed two things of which an
	// honest holder signs one: Hash of the Conflict, Code what they are, Detail whose.
	OutcomeQuarantined = "quarantined"
)

// What oracles adopt: the codes of OutcomeAdopted.
const (
	AdoptedVote        = "vote"        // Hash of the Proposal
	AdoptedEnrolment   = "enrolment"   // Hash of the payload, Detail the gateway
	AdoptedAppointment = "appointment" // Hash of the payload, Detail the party
	AdoptedFactorPack  = "factor_pack" // Hash of the payload, Detail the pack and its edition
	AdoptedRevocation  = "revocation"  // Hash of the payload, Detail the gateway whose key ended
	AdoptedMember      = "member"      // Hash of the payload, Detail the member
)

// What a key is quarantined for: the codes of OutcomeQuarantined.
const (
	QuarantinedPromises = "promises" // two checkpoints of one height
	QuarantinedSequence = "sequence" // two statements with one sequence number
)

// Flags of readings, and of one calibration, that are recorded and doubted.
const (
	FlagLate         = "late"          // more than the parameter late_after_s behind block time
	FlagRange        = "out_of_range"  // outside the registration's range
	FlagRate         = "rate"          // changed faster than the registration allows
	FlagRegisterFell = "register_fell" // a counter is lower than before
	FlagUnregistered = "unregistered"  // the channel is not in the registration
	FlagNotDerivable = "not_derivable" // a derived value without its method, inputs and configuration
	// FlagCalibrationGap is of a calibration: it starts from other factors than the one
	// before it ended with.
	FlagCalibrationGap = "calibration_gap"
	// FlagSpared is of a conflict: its oracle is not quarantined, as too few would be left.
	FlagSpared = "spared"
)

type wireOutcome struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Version uint64
	Leaf    *uint64
	Hash    *[32]byte
	Code    string
	Detail  string
}

const outcomeVersion = 1

// Encode writes the outcome as the bytes of its leaf.
func (o *Outcome) Encode() []byte {
	if o.Body != nil {
		return encode(wireBodied{Kind: o.Kind, Version: bodiedVersion, Body: o.Body})
	}
	w := wireOutcome{Kind: o.Kind, Version: outcomeVersion, Code: o.Code, Detail: o.Detail}
	if o.Kind == OutcomeFlagged {
		w.Leaf = &o.Leaf
	} else {
		w.Hash = &o.Hash
	}
	return encode(w)
}

// ParseOutcome reads an outcome leaf.
func ParseOutcome(b []byte) (*Outcome, error) {
	if len(b) > 0 && b[0] == bodiedHead {
		return parseBodied(b)
	}
	var w wireOutcome
	if err := decode("outcome", b, &w); err != nil {
		return nil, err
	}
	o := &Outcome{Kind: w.Kind, Code: w.Code, Detail: w.Detail}
	switch {
	case w.Version != outcomeVersion:
		return nil, fmt.Errorf("%w: outcome version %d is not known", ErrForm, w.Version)
	case len(w.Code) > 64 || len(w.Detail) > 255:
		return nil, fmt.Errorf("%w: an outcome's code has %d and its detail %d bytes, over the limits of 64 and 255", ErrForm, len(w.Code), len(w.Detail))
	case w.Kind == OutcomeFlagged && w.Leaf != nil && w.Hash == nil:
		o.Leaf = *w.Leaf
	case (w.Kind == OutcomeRefused || w.Kind == OutcomeAdopted || w.Kind == OutcomeVoid || w.Kind == OutcomeSnapshot || w.Kind == OutcomeQuarantined) && w.Leaf == nil && w.Hash != nil:
		o.Hash = *w.Hash
	default:
		return nil, fmt.Errorf("%w: an outcome of kind %q with these fields is not known", ErrForm, w.Kind)
	}
	return o, nil
}

// LeafKind tells the four sorts of leaf apart.
type LeafKind byte

// The sorts of leaf.
const (
	LeafUnknown   LeafKind = iota
	LeafStatement          // a COSE_Sign1
	LeafOutcome            // an Outcome
	LeafHeader             // a block's header (ledger/block)
	LeafCharter            // the Charter, leaf 0
)

// String returns "statement", "outcome", "header", "charter" or "unknown".
func (k LeafKind) String() string {
	names := [...]string{"unknown", "statement", "outcome", "header", "charter"}
	if int(k) >= len(names) {
		k = LeafUnknown
	}
	return names[k]
}

// KindOf tells a leaf's sort from its first bytes: a tag 18 starts a statement,
// an array starting with a number is a header, with "charter" the charter, with
// any other text an outcome.
func KindOf(leaf []byte) LeafKind {
	switch {
	case len(leaf) < 2:
		return LeafUnknown
	case leaf[0] == 0xd2:
		return LeafStatement
	case leaf[0]>>5 != 4:
		return LeafUnknown
	case leaf[1]>>5 == 0:
		return LeafHeader
	case leaf[1] == 0x67 && len(leaf) > 9 && string(leaf[2:9]) == "charter":
		return LeafCharter
	case leaf[1]>>5 == 3:
		return LeafOutcome
	}
	return LeafUnknown
}
