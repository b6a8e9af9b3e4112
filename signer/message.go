package signer

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// MaxMessage is the size limit of a message in bytes: what an entry of a
// tiled transparency log can hold (C2SP tlog-tiles, uint16 length prefix).
const MaxMessage = 65535

// COSE header labels (RFC 9052 table 3, RFC 9597, RFC 9596, RFC 9995).
const (
	labelAlg          = 1
	labelContentType  = 3
	labelKid          = 4
	labelClaims       = 15
	labelType         = 16
	labelHashAlg      = 258
	labelPreimageType = 259
)

const hashSHA256 = -16 // COSE algorithm SHA-256 (RFC 9054 table 1)

// Header is what a message says about itself, all of it signed. Exactly one of
// ContentType and PreimageType is set.
type Header struct {
	// Type is the COSE typ (label 16): what kind of statement this is.
	Type string
	// ContentType (label 3) is the media type of the payload.
	ContentType string
	// PreimageType (label 259) makes the message a Hash Envelope (RFC 9995):
	// the payload is the SHA-256 of a preimage of this media type.
	PreimageType string
	// Claims is a deterministic CBOR map of CWT claims (label 15), opaque here.
	Claims []byte
}

// Message is a well-formed COSE_Sign1 whose signature has not been looked at.
// It refers to the bytes it was parsed from, which must not change.
type Message struct {
	Header
	Algorithm Algorithm
	KeyID     KeyID
	Payload   []byte

	raw       []byte
	protected []byte
	signature []byte
}

// Bytes returns the whole message as it was parsed.
func (m *Message) Bytes() []byte { return m.raw }

// Hidden reports whether the payload is the hash of something not disclosed
// here.
func (m *Message) Hidden() bool { return m.PreimageType != "" }

// Hash returns the SHA-256 of the message's Sig_structure: the identity of what
// was signed, whatever the signature bytes are.
func (m *Message) Hash() [32]byte {
	return sha256.Sum256(SigStructure(nil, m.protected, m.Payload))
}

// Sign makes a message of header and payload with s.
func Sign(s Signer, h Header, payload []byte) ([]byte, error) {
	if h.PreimageType != "" && len(payload) != sha256.Size {
		return nil, fmt.Errorf("the payload of a hash envelope is a SHA-256 of 32 bytes, not %d bytes", len(payload))
	}
	protected, err := appendProtected(make([]byte, 0, 64+len(h.Claims)), s.Public(), h)
	if err != nil {
		return nil, err
	}
	sig, err := s.Sign(SigStructure(nil, protected, payload))
	if err != nil {
		return nil, fmt.Errorf("signing with key %v: %w", s.Public().ID(), err)
	}
	b := make([]byte, 0, len(protected)+len(payload)+len(sig)+16)
	b = append(b, 0xd2, 0x84) // tag 18, array of 4
	b = appendBytes(b, protected)
	b = append(b, 0xa0) // empty unprotected header
	b = appendBytes(b, payload)
	b = appendBytes(b, sig)
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("a statement of %d bytes is over the limit of %d: put fewer records into a pack", len(b), MaxMessage)
	}
	return b, nil
}

func appendProtected(b []byte, key PublicKey, h Header) ([]byte, error) {
	if (h.ContentType == "") == (h.PreimageType == "") {
		return nil, errors.New("a header has either a content type or a preimage type")
	}
	if err := checkMediaType("type", h.Type); err != nil {
		return nil, err
	}
	if err := checkMediaType("content type", h.ContentType+h.PreimageType); err != nil {
		return nil, err
	}
	n := uint64(4)
	if h.PreimageType != "" {
		n++
	}
	if len(h.Claims) > 0 {
		r := reader{h.Claims}
		if h.Claims[0]>>5 != majorMap {
			return nil, errors.New("claims are not a CBOR map")
		}
		if _, err := r.skip(8); err != nil || len(r.rest) != 0 {
			return nil, fmt.Errorf("claims are not deterministic CBOR: %w", err)
		}
		n++
	}
	b = appendHead(b, majorMap, n)
	b = appendInt(appendInt(b, labelAlg), int64(key.Algorithm()))
	if h.ContentType != "" {
		b = appendText(appendInt(b, labelContentType), h.ContentType)
	}
	id := key.ID()
	b = appendBytes(appendInt(b, labelKid), id[:])
	if len(h.Claims) > 0 {
		b = append(appendInt(b, labelClaims), h.Claims...)
	}
	b = appendText(appendInt(b, labelType), h.Type)
	if h.PreimageType != "" {
		b = appendInt(appendInt(b, labelHashAlg), hashSHA256)
		b = appendText(appendInt(b, labelPreimageType), h.PreimageType)
	}
	return b, nil
}

// SigStructure appends to b the bytes that a COSE_Sign1 signature covers (RFC
// 9052 section 4.4), with no external data.
func SigStructure(b, protected, payload []byte) []byte {
	if b == nil {
		b = make([]byte, 0, 24+len(protected)+len(payload))
	}
	b = appendText(append(b, 0x84), "Signature1")
	b = appendBytes(b, protected)
	b = append(b, 0x40) // external_aad, empty
	return appendBytes(b, payload)
}

// ErrForm is wrapped by every error of Parse.
var ErrForm = errors.New("not a well-formed statement")

// Parse reads a message. It accepts exactly what Sign writes (and the fully
// specified algorithm numbers); its errors wrap ErrForm and say what is wrong.
func Parse(b []byte) (*Message, error) {
	m := &Message{raw: b}
	if err := m.parse(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return m, nil
}

func (m *Message) parse(b []byte) error {
	if len(b) > MaxMessage {
		return fmt.Errorf("%d bytes, over the limit of %d", len(b), MaxMessage)
	}
	r := reader{b}
	if tag, err := r.expect(majorTag, "COSE_Sign1 tag"); err != nil {
		return err
	} else if tag != 18 {
		return fmt.Errorf("tag %d instead of 18, COSE_Sign1", tag)
	}
	if n, err := r.expect(majorArray, "COSE_Sign1 array"); err != nil {
		return err
	} else if n != 4 {
		return fmt.Errorf("COSE_Sign1 has %d elements instead of 4", n)
	}
	var err error
	if m.protected, err = r.str(majorBytes, "protected header"); err != nil {
		return err
	}
	if n, err := r.expect(majorMap, "unprotected header"); err != nil {
		return err
	} else if n != 0 {
		return errors.New("the unprotected header is not empty")
	}
	if m.Payload, err = r.str(majorBytes, "payload"); err != nil {
		return err
	}
	if m.signature, err = r.str(majorBytes, "signature"); err != nil {
		return err
	}
	if len(r.rest) != 0 {
		return fmt.Errorf("%d bytes after the end", len(r.rest))
	}
	if len(m.signature) != 64 {
		return fmt.Errorf("a signature of %d bytes instead of 64", len(m.signature))
	}
	return m.parseProtected()
}

func (m *Message) parseProtected() error {
	r := reader{m.protected}
	n, err := r.expect(majorMap, "protected header map")
	if err != nil {
		return err
	}
	var alg, hash int64
	var hashed bool
	var kid []byte
	last := int64(-1)
	for ; n > 0; n-- {
		label, err := r.integer("header label")
		if err != nil {
			return err
		}
		if label <= last {
			return fmt.Errorf("header label %d repeated or out of order", label)
		}
		last = label
		switch label {
		case labelAlg:
			alg, err = r.integer("algorithm")
		case labelContentType:
			m.ContentType, err = r.mediaType("content type")
		case labelKid:
			kid, err = r.str(majorBytes, "key id")
		case labelClaims:
			if len(r.rest) > 0 && r.rest[0]>>5 != majorMap {
				return errors.New("claims are not a map")
			}
			m.Claims, err = r.skip(8)
		case labelType:
			m.Type, err = r.mediaType("type")
		case labelHashAlg:
			hashed = true
			hash, err = r.integer("hash algorithm")
		case labelPreimageType:
			m.PreimageType, err = r.mediaType("preimage content type")
		default:
			err = fmt.Errorf("header label %d is not used by any statement", label)
		}
		if err != nil {
			return err
		}
	}
	if len(r.rest) != 0 {
		return fmt.Errorf("%d bytes after the protected header", len(r.rest))
	}
	if hashed && hash != hashSHA256 {
		return fmt.Errorf("hash algorithm %d is not %d, SHA-256", hash, hashSHA256)
	}
	return m.check(alg, hashed, kid)
}

func (m *Message) check(alg int64, hashed bool, kid []byte) error {
	switch alg {
	case -8, -19:
		m.Algorithm = EdDSA
	case -7, -9:
		m.Algorithm = ES256
	default:
		return fmt.Errorf("algorithm %d is not accepted", alg)
	}
	if len(kid) != len(m.KeyID) {
		return fmt.Errorf("a key id of %d bytes instead of %d", len(kid), len(m.KeyID))
	}
	copy(m.KeyID[:], kid)
	if m.Type == "" {
		return errors.New("the type (label 16) is missing")
	}
	switch {
	case m.ContentType != "" && m.PreimageType == "" && !hashed:
	case m.ContentType == "" && m.PreimageType != "" && hashed:
		if len(m.Payload) != sha256.Size {
			return fmt.Errorf("a hash envelope with a payload of %d bytes instead of 32", len(m.Payload))
		}
	default:
		return errors.New("neither a content type (label 3) nor a SHA-256 hash envelope (labels 258 and 259)")
	}
	return nil
}

func (r *reader) mediaType(what string) (string, error) {
	s, err := r.str(majorText, what)
	if err != nil {
		return "", err
	}
	if err := checkMediaType(what, s); err != nil {
		return "", err
	}
	return internMediaType(s), nil
}

// checkMediaType asks for printable ASCII (RFC 6838 section 4.2 allows less):
// media types are shown to people, and a terminal obeys control characters.
func checkMediaType[T string | []byte](what string, s T) error {
	if len(s) == 0 || len(s) > 127 {
		return fmt.Errorf("%s: a media type of %d bytes instead of 1 to 127", what, len(s))
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return fmt.Errorf("%s: %q is not printable ASCII", what, s)
		}
	}
	return nil
}
