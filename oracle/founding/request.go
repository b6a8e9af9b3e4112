package founding

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Media types of what members sign. Neither is an entry of a ledger.
const (
	TypeRequest    = "application/vnd.wattmark.oracle-request+cose"
	TypeAcceptance = "application/vnd.wattmark.charter-acceptance+cose"
)

// MaxRequest bounds a request in bytes: four public keys, two signatures and names.
const MaxRequest = 4 << 10

// ErrRequest is wrapped by every error of OpenRequest.
var ErrRequest = errors.New("not an oracle's request that proves possession of its keys")

// Keys are an oracle's private keys, as package oracle has them.
type Keys struct {
	Statement, Log, Cosigner signer.Signer
}

// Request is a member's wish to be an oracle. It exists where all three signatures
// verified.
type Request struct {
	Origin string // of the ledger
	Oracle entry.OracleKeys
	// TLS is the SubjectPublicKeyInfo of the key with which the oracle reaches the
	// broker; nil where it needs none.
	TLS      []byte
	IssuedAt int64 // Unix seconds, by the member's clock

	statement []byte
}

// Statement returns the signed bytes, which are the request's file.
func (r *Request) Statement() []byte { return bytes.Clone(r.statement) }

// payload is what the statement key signs.
type payload struct {
	Oracle   entry.OracleKeys `cbor:"1,keyasint"`
	TLS      []byte           `cbor:"2,keyasint,omitempty"`
	Log      []byte           `cbor:"3,keyasint"` // the log key's signature of the possession
	Cosigner []byte           `cbor:"4,keyasint"` // and the cosigner's
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		TagsMd: cbor.TagsForbidden, MaxNestedLevels: 5, MaxArrayElements: 256, MaxMapPairs: 16,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return v
}

// decode reads deterministic CBOR, and only that.
func decode(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return err
	}
	if !bytes.Equal(must(encMode.Marshal(v)), b) {
		return errors.New("it is not deterministic CBOR")
	}
	return nil
}

// possession is what the log's and the cosigner's key sign: for which oracle of which
// ledger they are meant. Its first line is no line of a note (an origin has no spaces)
// and of no cosigned message.
func possession(origin string, o *entry.OracleKeys, tls []byte) []byte {
	sum := sha256.Sum256(must(encMode.Marshal([]any{origin, *o, tls})))
	return append([]byte("wattmark oracle keys v1\n"), sum[:]...)
}

// NewRequest signs a member's request with all its keys, at a time in Unix seconds.
func NewRequest(k Keys, name, origin string, tls []byte, seconds int64) (*Request, error) {
	if len(tls) == 0 {
		tls = nil
	}
	p := payload{Oracle: entry.OracleKeys{
		Name: name, Algorithm: int(k.Statement.Public().Algorithm()), Key: k.Statement.Public().Bytes(),
		Log:      block.VerifierKey{Name: origin, Key: k.Log.Public()}.String(),
		Cosigner: block.VerifierKey{Name: name, Cosigner: true, Key: k.Cosigner.Public()}.String(),
	}, TLS: tls}
	proof := possession(origin, &p.Oracle, tls)
	var err error
	if p.Log, err = k.Log.Sign(proof); err != nil {
		return nil, fmt.Errorf("signing with the log's key: %w", err)
	}
	if p.Cosigner, err = k.Cosigner.Sign(proof); err != nil {
		return nil, fmt.Errorf("signing with the cosigner's key: %w", err)
	}
	statement, err := sign(k.Statement, TypeRequest, name, origin, must(encMode.Marshal(p)), seconds)
	if err != nil {
		return nil, err
	}
	return OpenRequest(statement)
}

func sign(key signer.Signer, typ, name, origin string, payload []byte, seconds int64) ([]byte, error) {
	c := entry.Claims{Issuer: "urn:wattmark:oracle:" + name, Audience: origin, IssuedAt: seconds}
	claims, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: claims}, payload)
}

// OpenRequest reads a request and verifies its three signatures.
func OpenRequest(statement []byte) (*Request, error) {
	r, err := openRequest(statement)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return r, nil
}

func openRequest(statement []byte) (*Request, error) {
	if len(statement) > MaxRequest {
		return nil, fmt.Errorf("%d bytes, over the limit of %d", len(statement), MaxRequest)
	}
	m, err := signer.Parse(statement)
	if err != nil {
		return nil, err
	}
	c, err := readClaims(m, TypeRequest)
	if err != nil {
		return nil, err
	}
	var p payload
	if err := decode(m.Payload, &p); err != nil {
		return nil, err
	}
	key, err := signer.NewPublicKey(signer.Algorithm(p.Oracle.Algorithm), p.Oracle.Key)
	if err != nil {
		return nil, err
	}
	if _, err := signer.Verify(m, key); err != nil {
		return nil, err
	}
	if c.Issuer != "urn:wattmark:oracle:"+p.Oracle.Name {
		return nil, fmt.Errorf("it is issued by %q and for oracle %q", c.Issuer, p.Oracle.Name)
	}
	log, err := block.ParseVerifierKey(p.Oracle.Log)
	if err != nil {
		return nil, fmt.Errorf("its log key: %w", err)
	}
	cosigner, err := block.ParseVerifierKey(p.Oracle.Cosigner)
	if err != nil {
		return nil, fmt.Errorf("its cosigner key: %w", err)
	}
	switch {
	case log.Name != c.Audience || log.Cosigner:
		return nil, fmt.Errorf("its log key is for %q, not for the ledger %q", log.Name, c.Audience)
	case cosigner.Name != p.Oracle.Name || !cosigner.Cosigner:
		return nil, fmt.Errorf("its cosigner key is for %q, not for the oracle %q", cosigner.Name, p.Oracle.Name)
	case key.ID() == log.Key.ID() || key.ID() == cosigner.Key.ID() || log.Key.ID() == cosigner.Key.ID():
		return nil, errors.New("one key has two purposes")
	}
	proof := possession(c.Audience, &p.Oracle, p.TLS)
	if !signer.VerifyRaw(log.Key, proof, p.Log) {
		return nil, errors.New("its log key has not signed")
	}
	if !signer.VerifyRaw(cosigner.Key, proof, p.Cosigner) {
		return nil, errors.New("its cosigner key has not signed")
	}
	if p.TLS != nil {
		if _, err := x509.ParsePKIXPublicKey(p.TLS); err != nil {
			return nil, fmt.Errorf("its TLS key: %w", err)
		}
	}
	return &Request{Origin: c.Audience, Oracle: p.Oracle, TLS: p.TLS, IssuedAt: c.IssuedAt, statement: bytes.Clone(statement)}, nil
}

// readClaims reads who said it, of which ledger and when, of a message of one type.
func readClaims(m *signer.Message, typ string) (entry.Claims, error) {
	if m.Type != typ || m.ContentType != entry.ContentCBOR {
		return entry.Claims{}, fmt.Errorf("a statement of type %q and %q", m.Type, m.ContentType)
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return c, err
	}
	if c.Subject != "" || c.Uptime != 0 || c.Sequence != (entry.Sequence{}) || c.Previous != nil || c.Time != nil || c.Skipped != nil {
		return c, errors.New("it has claims besides issuer, ledger and time")
	}
	return c, nil
}
