package enrol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Approval is what an operator gives back: the key is on the ledger, and who keeps
// that ledger.
type Approval struct {
	Policy *block.Policy // of the oracles that have signed what the proofs are under
	// History is the handovers that lead from the charter's oracles to those of Policy,
	// oldest first; nil where the ledger's oracles were never changed.
	History []*handover.Handover
	// Charter proves leaf 0, Enrolment the leaf of the proven enrolment. Both hold
	// their leaf, under a checkpoint that satisfies the policy.
	Charter, Enrolment *block.LogProof
	// Certificate is the gateway's for the broker, by the TLS key of its request, and Roots
	// is the authority that it is of and that the broker's is of, both in DER; nil where
	// there are none. What they are worth the broker says, so that nothing proves them.
	Certificate, Roots []byte
}

// ErrApproval is wrapped where an approval is not one, or proves something else.
var ErrApproval = errors.New("no approval of this request")

// wireApproval is the form of a file: deterministic CBOR.
type wireApproval struct {
	_         struct{} `cbor:",toarray"`
	Kind      string
	Version   uint64
	Policy    []byte
	Charter   []byte
	Enrolment []byte
}

// wireCertified is the form of an approval with a certificate.
type wireCertified struct {
	_           struct{} `cbor:",toarray"`
	Kind        string
	Version     uint64
	Policy      []byte
	Charter     []byte
	Enrolment   []byte
	Certificate []byte
	Roots       []byte
}

// wireFollowed is the form of an approval after a change of oracles. Certificate and
// Roots are empty where there are none.
type wireFollowed struct {
	_           struct{} `cbor:",toarray"`
	Kind        string
	Version     uint64
	Policy      []byte
	Charter     []byte
	Enrolment   []byte
	Certificate []byte
	Roots       []byte
	History     []byte
}

const (
	approvalKind     = "approval"
	approvalVersion  = 1
	certifiedVersion = 2
	followedVersion  = 3
	// MaxApproval bounds an approval, in bytes: it goes in one message, and that is the
	// broker's limit.
	MaxApproval = 1 << 20

	arrayOf7 = 0x87 // the first byte of a CBOR array of seven
	arrayOf8 = 0x88
)

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 1024, MaxMapPairs: 16,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return v
}

// Encode writes the approval's file, in the oldest form that has room for what is in it.
func (a *Approval) Encode() []byte {
	policy, charter, enrolment := []byte(a.Policy.String()), a.Charter.Encode(), a.Enrolment.Encode()
	switch {
	case len(a.History) > 0:
		return must(encMode.Marshal(wireFollowed{
			Kind: approvalKind, Version: followedVersion, Policy: policy, Charter: charter, Enrolment: enrolment,
			Certificate: append([]byte{}, a.Certificate...), Roots: append([]byte{}, a.Roots...), // a string, never null
			History: handover.EncodeHistory(a.History),
		}))
	case a.Certificate != nil:
		return must(encMode.Marshal(wireCertified{
			Kind: approvalKind, Version: certifiedVersion, Policy: policy, Charter: charter, Enrolment: enrolment,
			Certificate: a.Certificate, Roots: a.Roots,
		}))
	}
	return must(encMode.Marshal(wireApproval{Kind: approvalKind, Version: approvalVersion, Policy: policy, Charter: charter, Enrolment: enrolment}))
}

// ParseApproval reads what Encode wrote, and only that. It verifies nothing.
func ParseApproval(b []byte) (*Approval, error) {
	if len(b) > MaxApproval {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrApproval, len(b), MaxApproval)
	}
	w, want, err := unmarshal(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrApproval, err)
	}
	if w.Kind != approvalKind || w.Version != want {
		return nil, fmt.Errorf("%w: %q version %d, and this program reads %q version %d", ErrApproval, w.Kind, w.Version, approvalKind, want)
	}
	a := Approval{Certificate: w.Certificate, Roots: w.Roots}
	switch {
	case want == approvalVersion:
	case want == followedVersion && len(w.Certificate)+len(w.Roots) == 0:
		a.Certificate, a.Roots = nil, nil
	default:
		for _, der := range [][]byte{w.Certificate, w.Roots} {
			if _, err := x509.ParseCertificate(der); err != nil || len(der) > wire.MaxCertificate {
				return nil, fmt.Errorf("%w: a certificate of %d bytes: %w", ErrApproval, len(der), errors.Join(err))
			}
		}
	}
	if a.Policy, err = block.ParsePolicy(w.Policy); err == nil {
		if a.Charter, err = block.ParseLogProof(w.Charter); err == nil {
			a.Enrolment, err = block.ParseLogProof(w.Enrolment)
		}
	}
	if err == nil && want == followedVersion {
		a.History, err = handover.ParseHistory(w.History)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrApproval, err)
	}
	if !bytes.Equal(a.Encode(), b) {
		return nil, fmt.Errorf("%w: not in its own encoding", ErrApproval)
	}
	return &a, nil
}

// unmarshal reads the form of which an approval is, and the version that it must say.
func unmarshal(b []byte) (w wireFollowed, version uint64, err error) {
	first := byte(0)
	if len(b) > 0 {
		first = b[0]
	}
	switch first {
	case arrayOf8:
		err = decMode.Unmarshal(b, &w)
		return w, followedVersion, err
	case arrayOf7:
		var c wireCertified
		err = decMode.Unmarshal(b, &c)
		w.Kind, w.Version, w.Policy, w.Charter, w.Enrolment, w.Certificate, w.Roots = c.Kind, c.Version, c.Policy, c.Charter, c.Enrolment, c.Certificate, c.Roots
		return w, certifiedVersion, err
	}
	var bare wireApproval
	err = decMode.Unmarshal(b, &bare)
	w.Kind, w.Version, w.Policy, w.Charter, w.Enrolment = bare.Kind, bare.Version, bare.Policy, bare.Charter, bare.Enrolment
	return w, approvalVersion, err
}

// Enrolment is what a gateway knows once its key was admitted, all of it proven.
type Enrolment struct {
	Origin  string
	Policy  *block.Policy // of the oracles in force when it was approved
	Charter *entry.Charter
	Oracles *entry.OracleSet // that Policy is of
	Gateway string
	Key     signer.PublicKey
	// Points are the metering points as they are registered.
	Points []entry.Point
	// Leaf is the index of the leaf that admitted the key.
	Leaf uint64
	// Certificate and Roots are what came with the approval for the TLS key of the request,
	// in DER; nil where nothing did.
	Certificate, Roots []byte

	approval *Approval
}

// Accept verifies that the approval is of the request, and returns the enrolment.
// trusted is the policy of the oracles that the gateway trusts now: the one that it was
// given, or the one to which it has followed the oracles since. The approval's must be
// that one, or come after it by its handovers. nil is for none: then whoever calls lets the
// policy's words be compared. before is the enrolment of the key that is replaced, nil
// where there is none.
func Accept(a *Approval, r *Request, trusted *block.Policy, before *Enrolment) (*Enrolment, error) {
	e := &Enrolment{Origin: a.Policy.Origin(), Policy: a.Policy, Gateway: r.Gateway, Key: r.Public, Leaf: a.Enrolment.Index, approval: a}
	if e.Origin != r.Origin {
		return nil, fmt.Errorf("%w: it is of the ledger %q, the request is for %q", ErrApproval, e.Origin, r.Origin)
	}
	spans, err := a.follow()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrApproval, err)
	}
	if trusted != nil && !slices.ContainsFunc(spans, func(s handover.Span) bool { return s.Policy.String() == trusted.String() }) {
		return nil, fmt.Errorf("%w: its oracles are not those that are trusted here, and do not come after them: have the operator approve the same request again; if that does not help, ask the consortium which policy is right", ErrApproval)
	}
	carried, err := e.prove(a, spans)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrApproval, err)
	}
	if !bytes.Equal(carried, r.Carried) {
		return nil, fmt.Errorf("%w: it admits another request: bring back the approval of the newest one, or start again", ErrApproval)
	}
	if a.Certificate != nil {
		if err := certifies(a.Certificate, r.TLS); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrApproval, err)
		}
		e.Certificate, e.Roots = a.Certificate, a.Roots
	}
	e.Points = r.Points
	if r.Rotation {
		old := signer.KeyID(r.Replaces)
		if before == nil || before.Origin != e.Origin || before.Key.ID() != old {
			return nil, fmt.Errorf("%w: it replaces key %v, which is not the one enrolled here", ErrApproval, old)
		}
		e.Points = before.Points
	}
	return e, nil
}

// certifies reports whether a certificate is for the TLS key of a request.
func certifies(der, key []byte) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	if k, ok := c.PublicKey.(ed25519.PublicKey); !ok || len(key) == 0 || !bytes.Equal(k, key) {
		return errors.New("its certificate is for another TLS key than the request's")
	}
	return nil
}

// follow returns the oracles from those of the charter to those of the policy, each set
// accepted by the one before alone. Where they never changed that is the policy, whatever
// it is. The charter is not proven yet: the policy does that, if it is trusted.
func (a *Approval) follow() ([]handover.Span, error) {
	if len(a.History) == 0 {
		return []handover.Span{{Policy: a.Policy}}, nil
	}
	c, err := entry.ParseCharter(a.Charter.Extra)
	if err != nil {
		return nil, err
	}
	first, err := handover.PolicyOf(a.Policy.Origin(), c.OracleSet())
	if err != nil {
		return nil, err
	}
	spans, err := handover.Follow(first, a.History)
	if err != nil {
		return nil, err
	}
	if len(spans) != len(a.History)+1 || spans[len(spans)-1].Policy.String() != a.Policy.String() {
		return nil, errors.New("its handovers do not lead from the charter's oracles to those of its policy")
	}
	return spans, nil
}

// prove verifies both proofs and the oracle's statement, by the oracles to which the
// approval's handovers lead, and returns the request that was admitted.
func (e *Enrolment) prove(a *Approval, spans []handover.Span) (carried []byte, err error) {
	last := &spans[len(spans)-1]
	signed, err := a.Charter.Verify(a.Policy)
	if err != nil {
		return nil, fmt.Errorf("the charter's proof: %w", err)
	}
	if a.Charter.Index != 0 {
		return nil, fmt.Errorf("leaf %d in the place of the charter", a.Charter.Index)
	}
	if e.Charter, err = entry.ParseCharter(a.Charter.Extra); err != nil {
		return nil, err
	}
	if e.Charter.Origin != e.Origin {
		return nil, fmt.Errorf("a charter of %q under a policy of %q", e.Charter.Origin, e.Origin)
	}
	if e.Oracles = last.Set; e.Oracles == nil {
		e.Oracles = e.Charter.OracleSet()
	}
	proven, err := a.Enrolment.Verify(a.Policy)
	if err != nil {
		return nil, fmt.Errorf("the enrolment's proof: %w", err)
	}
	if last.From > 0 && min(signed.Size, proven.Size) <= last.From {
		return nil, fmt.Errorf("its proofs are under a checkpoint of before block %d, with which the oracles of its policy begin", last.Height)
	}
	m, err := signer.Parse(a.Enrolment.Extra)
	if err != nil {
		return nil, err
	}
	if m.Type != entry.TypeProvenEnrolment {
		return nil, fmt.Errorf("a leaf of type %q in the place of the enrolment", m.Type)
	}
	key, ok := statedBy(spans, e.Charter, m.KeyID)
	if !ok {
		return nil, fmt.Errorf("it is stated by key %v, which is no oracle's", m.KeyID)
	}
	if _, err := signer.Verify(m, key); err != nil {
		return nil, err
	}
	p, err := entry.ParseProvenEnrolment(m.Payload)
	if err != nil {
		return nil, err
	}
	return p.Request, nil
}

// statedBy returns the statement key of an oracle of any set on the way: what was admitted
// before a change, and is proven again after it, was stated by an oracle of then. Who might
// state it at the time the ledger has looked at.
func statedBy(spans []handover.Span, c *entry.Charter, id signer.KeyID) (signer.PublicKey, bool) {
	for _, s := range spans {
		set := s.Set
		if set == nil {
			set = c.OracleSet()
		}
		if k, ok := handover.StatementKeys(set)[id]; ok {
			return k, true
		}
	}
	return signer.PublicKey{}, false
}

// OracleKeys returns the oracles' statement keys, which sign refusals.
func (e *Enrolment) OracleKeys() map[signer.KeyID]signer.PublicKey {
	return handover.StatementKeys(e.Oracles)
}

// CheckKey says whether key is the one that is enrolled, and if not, what to do.
func (e *Enrolment) CheckKey(key signer.PublicKey) error {
	const remedy = "set [key] to the store it was enrolled from; if it is lost, have it revoked and run wattmark-gateway enrol --again"
	switch {
	case key == e.Key:
		return nil
	case key.Algorithm() != e.Key.Algorithm():
		return fmt.Errorf("the key store holds a key for %v, and the enrolled key %v is for %v: %s", key.Algorithm(), e.Key.ID(), e.Key.Algorithm(), remedy)
	}
	return fmt.Errorf("the key store holds key %v, and %v is enrolled: %s", key.ID(), e.Key.ID(), remedy)
}
