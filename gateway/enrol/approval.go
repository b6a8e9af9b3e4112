package enrol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Approval is what an operator gives back: the key is on the ledger, and who keeps
// that ledger.
type Approval struct {
	Policy *block.Policy
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

const (
	approvalKind     = "approval"
	approvalVersion  = 1
	certifiedVersion = 2
	// maxApproval bounds an approval in bytes: a policy and two proofs of 256 KiB each.
	maxApproval = 3<<18 + 64 + 2*maxCertificate
	// maxCertificate bounds each of two certificates, in bytes.
	maxCertificate = 4 << 10

	arrayOf7 = 0x87 // the first byte of a CBOR array of seven
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

// Encode writes the approval's file.
func (a *Approval) Encode() []byte {
	if a.Certificate != nil {
		return must(encMode.Marshal(wireCertified{
			Kind: approvalKind, Version: certifiedVersion,
			Policy: []byte(a.Policy.String()), Charter: a.Charter.Encode(), Enrolment: a.Enrolment.Encode(),
			Certificate: a.Certificate, Roots: a.Roots,
		}))
	}
	return must(encMode.Marshal(wireApproval{
		Kind: approvalKind, Version: approvalVersion,
		Policy: []byte(a.Policy.String()), Charter: a.Charter.Encode(), Enrolment: a.Enrolment.Encode(),
	}))
}

// ParseApproval reads what Encode wrote, and only that. It verifies nothing.
func ParseApproval(b []byte) (*Approval, error) {
	if len(b) > maxApproval {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrApproval, len(b), maxApproval)
	}
	var w wireCertified
	var err error
	want := uint64(approvalVersion)
	if len(b) > 0 && b[0] == arrayOf7 {
		want = certifiedVersion
		err = decMode.Unmarshal(b, &w)
	} else {
		var bare wireApproval
		err = decMode.Unmarshal(b, &bare)
		w = wireCertified{Kind: bare.Kind, Version: bare.Version, Policy: bare.Policy, Charter: bare.Charter, Enrolment: bare.Enrolment}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrApproval, err)
	}
	if w.Kind != approvalKind || w.Version != want {
		return nil, fmt.Errorf("%w: %q version %d, and this program reads %q version %d", ErrApproval, w.Kind, w.Version, approvalKind, want)
	}
	if want == certifiedVersion {
		for _, der := range [][]byte{w.Certificate, w.Roots} {
			if _, err := x509.ParseCertificate(der); err != nil || len(der) > maxCertificate {
				return nil, fmt.Errorf("%w: a certificate of %d bytes: %w", ErrApproval, len(der), errors.Join(err))
			}
		}
	}
	a := Approval{Certificate: w.Certificate, Roots: w.Roots}
	if a.Policy, err = block.ParsePolicy(w.Policy); err == nil {
		if a.Charter, err = block.ParseLogProof(w.Charter); err == nil {
			a.Enrolment, err = block.ParseLogProof(w.Enrolment)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrApproval, err)
	}
	if !bytes.Equal(a.Encode(), b) {
		return nil, fmt.Errorf("%w: not in its own encoding", ErrApproval)
	}
	return &a, nil
}

// Enrolment is what a gateway knows once its key was admitted, all of it proven.
type Enrolment struct {
	Origin  string
	Policy  *block.Policy
	Charter *entry.Charter
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
// trusted is the policy that the gateway was given, nil for none: then whoever calls
// lets the policy's words be compared. before is the enrolment of the key that is
// replaced, nil where there is none.
func Accept(a *Approval, r *Request, trusted *block.Policy, before *Enrolment) (*Enrolment, error) {
	if trusted != nil && trusted.String() != a.Policy.String() {
		return nil, fmt.Errorf("%w: its policy is not the one of the configuration: ask the operator which is right", ErrApproval)
	}
	e := &Enrolment{Origin: a.Policy.Origin(), Policy: a.Policy, Gateway: r.Gateway, Key: r.Public, Leaf: a.Enrolment.Index, approval: a}
	if e.Origin != r.Origin {
		return nil, fmt.Errorf("%w: it is of the ledger %q, the request is for %q", ErrApproval, e.Origin, r.Origin)
	}
	carried, err := e.prove(a)
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

// prove verifies both proofs and the oracle's statement, and returns the request
// that was admitted.
func (e *Enrolment) prove(a *Approval) (carried []byte, err error) {
	if _, err := a.Charter.Verify(a.Policy); err != nil {
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
	if _, err := a.Enrolment.Verify(a.Policy); err != nil {
		return nil, fmt.Errorf("the enrolment's proof: %w", err)
	}
	m, err := signer.Parse(a.Enrolment.Extra)
	if err != nil {
		return nil, err
	}
	if m.Type != entry.TypeProvenEnrolment {
		return nil, fmt.Errorf("a leaf of type %q in the place of the enrolment", m.Type)
	}
	key, ok := e.OracleKeys()[m.KeyID]
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

// OracleKeys returns the oracles' statement keys, which sign refusals.
func (e *Enrolment) OracleKeys() map[signer.KeyID]signer.PublicKey {
	out := make(map[signer.KeyID]signer.PublicKey)
	for _, o := range e.Charter.Oracles {
		if k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key); err == nil {
			out[k.ID()] = k
		}
	}
	return out
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
