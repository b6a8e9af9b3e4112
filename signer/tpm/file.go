package tpm

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"wattmark/signer"
	"wattmark/signer/keyfile"
)

const pemType = "TSS2 PRIVATE KEY"

var oidLoadable = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3}

// keyASN1 is a TPMKey of draft-bottomley-tpm2-keys-00 section 3.1, without the
// optional parts that this package does not write.
type keyASN1 struct {
	Type      asn1.ObjectIdentifier
	EmptyAuth bool `asn1:"optional,explicit,tag:0"` // no password
	Parent    int64
	Public    []byte // a TPM2B_PUBLIC, with its length
	Private   []byte // a TPM2B_PRIVATE, with its length
}

// blobs are the two parts of a key as a TPM loads them.
type blobs struct {
	public  tpm2.TPM2BPublic
	private tpm2.TPM2BPrivate
}

// marshal writes the blobs as the DER of a key file.
func (k *blobs) marshal() ([]byte, error) {
	return asn1.Marshal(keyASN1{
		Type: oidLoadable, EmptyAuth: true, Parent: int64(tpm2.TPMRHOwner),
		Public: tpm2.Marshal(k.public), Private: tpm2.Marshal(k.private),
	})
}

// parseFile reads what marshal wrote, and the public key of it. A key that could
// leave its TPM, or is for anything but our signatures, is refused.
func parseFile(der []byte) (*blobs, signer.PublicKey, error) {
	var a keyASN1
	rest, err := asn1.Unmarshal(der, &a)
	switch {
	case err != nil:
		return nil, signer.PublicKey{}, fmt.Errorf("no TPM key that can be read here: %w", err)
	case len(rest) > 0:
		return nil, signer.PublicKey{}, fmt.Errorf("%d bytes behind the TPM key", len(rest))
	case !a.Type.Equal(oidLoadable):
		return nil, signer.PublicKey{}, fmt.Errorf("a TPM key of type %v, not the loadable key %v", a.Type, oidLoadable)
	case !a.EmptyAuth:
		return nil, signer.PublicKey{}, errors.New("a TPM key with a password, which a gateway cannot enter")
	case a.Parent != int64(tpm2.TPMRHOwner):
		return nil, signer.PublicKey{}, fmt.Errorf("a TPM key below %#x, not below the owner hierarchy %#x", a.Parent, int64(tpm2.TPMRHOwner))
	}
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](a.Public)
	if err != nil {
		return nil, signer.PublicKey{}, fmt.Errorf("public part: %w", err)
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](a.Private)
	if err != nil {
		return nil, signer.PublicKey{}, fmt.Errorf("private part: %w", err)
	}
	key, err := publicKey(public)
	if err != nil {
		return nil, signer.PublicKey{}, err
	}
	b := &blobs{*public, *private}
	if again, err := b.marshal(); err != nil || !bytes.Equal(again, der) {
		return nil, signer.PublicKey{}, errors.New("a TPM key in another encoding than its own")
	}
	return b, key, nil
}

// publicKey reads a public area, and refuses one that is not of our template.
func publicKey(b *tpm2.TPM2BPublic) (signer.PublicKey, error) {
	area, err := b.Contents()
	if err != nil {
		return signer.PublicKey{}, fmt.Errorf("public part: %w", err)
	}
	ours := template
	ours.Unique = area.Unique
	if area.Type != tpm2.TPMAlgECC || !bytes.Equal(tpm2.Marshal(ours), b.Bytes()) {
		return signer.PublicKey{}, errors.New("a TPM key that is not P-256 for ECDSA with SHA-256, made in its TPM, fixed to it and without a password: make a new one")
	}
	point, err := area.Unique.ECC()
	if err != nil {
		return signer.PublicKey{}, fmt.Errorf("public part: %w", err)
	}
	raw := make([]byte, 65) // SEC 1 section 2.3.3: 4, x, y
	raw[0] = 4
	if len(point.X.Buffer) > 32 || len(point.Y.Buffer) > 32 {
		return signer.PublicKey{}, fmt.Errorf("a TPM key with coordinates of %d and %d bytes, over the 32 of P-256", len(point.X.Buffer), len(point.Y.Buffer))
	}
	// Some TPMs leave leading zeros out.
	copy(raw[33-len(point.X.Buffer):33], point.X.Buffer)
	copy(raw[65-len(point.Y.Buffer):], point.Y.Buffer)
	return signer.NewPublicKey(signer.ES256, raw)
}

// load reads the key file at path.
func load(path string) (*blobs, signer.PublicKey, error) {
	der, err := keyfile.LoadPEM(path, pemType)
	if err != nil {
		return nil, signer.PublicKey{}, err
	}
	b, key, err := parseFile(der)
	if err != nil {
		return nil, signer.PublicKey{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return b, key, nil
}
