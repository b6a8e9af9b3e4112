package manifest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Errors that callers branch on.
var (
	// ErrForm is wrapped by the errors of what is no manifest, or no proof of one.
	ErrForm = errors.New("not a release manifest")
	// ErrSignature is wrapped where no key that is trusted has signed, or one's
	// signature is wrong.
	ErrSignature = errors.New("no release key that is trusted has signed the manifest")
	// ErrNotLogged is wrapped where a proof does not show the manifest on the ledger.
	ErrNotLogged = errors.New("the manifest is not shown to be on the ledger")
	// ErrQuorum is wrapped where the proof's checkpoint does not satisfy the policy.
	ErrQuorum = errors.New("the checkpoint of the manifest's proof does not satisfy the policy")
)

// Sign returns the manifest of a release, signed by a key of its origin.
func Sign(s signer.Signer, r *entry.Release) ([]byte, error) {
	text, err := r.Text()
	if err != nil {
		return nil, err
	}
	return signText(s, r.Origin, text)
}

// signText makes a C2SP signed note of a text.
func signText(s signer.Signer, origin, text string) ([]byte, error) {
	if s.Public().Algorithm() != signer.EdDSA {
		return nil, fmt.Errorf("a release is signed with an Ed25519 key, not %v: C2SP signed notes have no other", s.Public().Algorithm())
	}
	sig, err := s.Sign([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("signing for %s: %w", origin, err)
	}
	raw := append(binary.BigEndian.AppendUint32(nil, Key(origin, s.Public()).ID()), sig...)
	return fmt.Appendf(nil, "%s\n— %s %s\n", text, origin, base64.StdEncoding.EncodeToString(raw)), nil
}

// Key is the key of an origin in the form in which gateways hold it.
func Key(origin string, k signer.PublicKey) block.VerifierKey {
	return block.VerifierKey{Name: origin, Key: k}
}

// ParseKeys reads release keys, one a line in the form name+id+base64. Empty lines and
// those that start with # are passed over. All keys are of one origin.
func ParseKeys(b []byte) ([]block.VerifierKey, error) {
	const maxKeys, maxBytes = 16, 16 << 10
	if len(b) > maxBytes {
		return nil, fmt.Errorf("release keys: %d bytes, over the limit of %d", len(b), maxBytes)
	}
	var keys []block.VerifierKey
	for i, line := range bytes.Split(b, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		k, err := block.ParseVerifierKey(string(line))
		switch {
		case err != nil:
			return nil, fmt.Errorf("release keys, line %d: %w", i+1, err)
		case k.Cosigner:
			return nil, fmt.Errorf("release keys, line %d: %q is a cosigner's key, which signs no release", i+1, k.Name)
		case len(keys) > 0 && keys[0].Name != k.Name:
			return nil, fmt.Errorf("release keys, line %d: %q is of another origin than %q", i+1, k.Name, keys[0].Name)
		case slices.ContainsFunc(keys, func(o block.VerifierKey) bool { return o.ID() == k.ID() }):
			return nil, fmt.Errorf("release keys, line %d: a key of this id stands before", i+1)
		case len(keys) == maxKeys:
			return nil, fmt.Errorf("release keys: more than %d", maxKeys)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("release keys: there is none")
	}
	return keys, nil
}

// Read reads a manifest and believes nothing of it.
func Read(manifest []byte) (*entry.Release, error) {
	l := entry.LoggedRelease{Manifest: manifest}
	r, err := l.Release()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return r, nil
}

// Open reads a manifest that at least one of the keys has signed. A wrong signature of
// one of them fails it, also beside a right one of another; signatures of other keys
// are passed over (C2SP signed-note). The errors wrap ErrForm or ErrSignature.
func Open(manifest []byte, keys []block.VerifierKey) (*entry.Release, error) {
	r, err := Read(manifest)
	if err != nil {
		return nil, err
	}
	if err := openNote(manifest, r.Origin, keys); err != nil {
		return nil, err
	}
	return r, nil
}

// openNote checks that one of the keys has signed a note of an origin.
func openNote(b []byte, origin string, keys []block.VerifierKey) error {
	list := make([]note.Verifier, 0, len(keys))
	for _, k := range keys {
		// A key of another origin signs for that one, and never for this.
		if k.Name == origin && !k.Cosigner {
			list = append(list, verifier{k})
		}
	}
	n, err := note.Open(b, note.VerifierList(list...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return fmt.Errorf("%w: it is of %q", ErrSignature, origin)
	case errors.As(err, &invalid):
		return fmt.Errorf("%w: the signature of %q is wrong", ErrSignature, invalid.Name)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrForm, err)
	}
	for _, s := range n.Sigs { // note.Open takes any trailing bits
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return fmt.Errorf("%w: the signature line of %q is not strict base64", ErrForm, s.Name)
		}
	}
	return nil
}

// verifier adapts a key to note.Verifier.
type verifier struct{ key block.VerifierKey }

func (v verifier) Name() string    { return v.key.Name }
func (v verifier) KeyHash() uint32 { return v.key.ID() }
func (v verifier) Verify(msg, sig []byte) bool {
	return signer.VerifyRaw(v.key.Key, msg, sig)
}
