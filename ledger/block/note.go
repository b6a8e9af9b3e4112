package block

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"wattmark/signer"
)

// Signature types of C2SP signed-note that Wattmark uses.
const (
	typeEd25519  = 0x01 // a log's signature of a checkpoint
	typeCosigned = 0x04 // cosignature/v1
)

// VerifierKey is a C2SP vkey: a named Ed25519 key for one signature type.
type VerifierKey struct {
	Name string
	// Cosigner is true for keys of cosignatures, false for keys of logs.
	Cosigner bool
	Key      signer.PublicKey
}

// ID returns the key id that stands in signature lines.
func (k VerifierKey) ID() uint32 {
	sum := sha256.Sum256(append([]byte(k.Name+"\n"), k.material()...))
	return binary.BigEndian.Uint32(sum[:])
}

func (k VerifierKey) material() []byte {
	t := byte(typeEd25519)
	if k.Cosigner {
		t = typeCosigned
	}
	return append([]byte{t}, k.Key.Bytes()...)
}

// String returns the key in the form name+id+base64.
func (k VerifierKey) String() string {
	return fmt.Sprintf("%s+%08x+%s", k.Name, k.ID(), base64.StdEncoding.EncodeToString(k.material()))
}

// ParseVerifierKey is the inverse of String.
func ParseVerifierKey(s string) (VerifierKey, error) {
	name, rest, ok1 := strings.Cut(s, "+")
	id, b64, ok2 := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.Strict().DecodeString(b64)
	if !ok1 || !ok2 || err != nil || len(raw) == 0 || !validName(name) {
		return VerifierKey{}, fmt.Errorf("%q is not a verifier key of the form name+id+base64", s)
	}
	k := VerifierKey{Name: name}
	switch raw[0] {
	case typeEd25519:
	case typeCosigned:
		k.Cosigner = true
	default:
		return VerifierKey{}, fmt.Errorf("verifier key %q has signature type %#02x: 0x01 and 0x04 are known", name, raw[0])
	}
	if k.Key, err = signer.NewPublicKey(signer.EdDSA, raw[1:]); err != nil {
		return VerifierKey{}, fmt.Errorf("verifier key %q: %w", name, err)
	}
	if want := fmt.Sprintf("%08x", k.ID()); id != want {
		return VerifierKey{}, fmt.Errorf("verifier key %q has id %s, which should be %s", name, id, want)
	}
	if k.String() != s { // the decoder passes over line ends
		return VerifierKey{}, fmt.Errorf("verifier key %q is not in its one form, %s", s, k)
	}
	return k, nil
}

// validName reports whether s can name a key or a ledger: C2SP signed-note, and
// no control characters, as names are shown to people.
func validName(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) })
}

// Checkpoint is the head of the log at a size.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

// Text returns the checkpoint's note text (C2SP tlog-checkpoint).
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// ParseCheckpoint reads a note text without extension lines, which Wattmark
// does not use.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: it has three lines", ErrForm)
	}
	if !validName(lines[0]) {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: %q is not an origin", ErrForm, lines[0])
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil || size > maxSize || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: %q is no tree size", ErrForm, lines[1])
	}
	root, err := ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: %w", ErrForm, err)
	}
	return Checkpoint{lines[0], size, root}, nil
}

// maxNote bounds a signed checkpoint in bytes.
const maxNote = 64 << 10

// signatureLine writes one line under a checkpoint.
func signatureLine(k VerifierKey, sig []byte) string {
	raw := binary.BigEndian.AppendUint32(nil, k.ID())
	return "\u2014 " + k.Name + " " + base64.StdEncoding.EncodeToString(append(raw, sig...)) + "\n"
}

// SignLog returns the signature line by which s, as the log, vouches for c.
func SignLog(s signer.Signer, c Checkpoint) (string, error) {
	sig, err := s.Sign([]byte(c.Text()))
	if err != nil {
		return "", fmt.Errorf("signing checkpoint %d: %w", c.Size, err)
	}
	return signatureLine(VerifierKey{Name: c.Origin, Key: s.Public()}, sig), nil
}

// Cosign returns the line by which s, under name, cosigns c at a time in Unix
// seconds (C2SP tlog-cosignature, Ed25519).
func Cosign(s signer.Signer, name string, c Checkpoint, seconds uint64) (string, error) {
	sig, err := s.Sign(cosignedMessage(c.Text(), seconds))
	if err != nil {
		return "", fmt.Errorf("cosigning checkpoint %d: %w", c.Size, err)
	}
	stamped := append(binary.BigEndian.AppendUint64(nil, seconds), sig...)
	return signatureLine(VerifierKey{Name: name, Cosigner: true, Key: s.Public()}, stamped), nil
}

func cosignedMessage(text string, seconds uint64) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text)
}

// noteVerifier adapts a VerifierKey to note.Verifier.
type noteVerifier struct {
	VerifierKey
	id uint32
}

func (v noteVerifier) Name() string    { return v.VerifierKey.Name }
func (v noteVerifier) KeyHash() uint32 { return v.id }

func (v noteVerifier) Verify(msg, sig []byte) bool {
	if !v.Cosigner {
		return signer.VerifyRaw(v.Key, msg, sig)
	}
	if len(sig) != 8+64 {
		return false
	}
	seconds := binary.BigEndian.Uint64(sig)
	return seconds < 1<<63 && signer.VerifyRaw(v.Key, cosignedMessage(string(msg), seconds), sig[8:])
}

// openNote verifies the signatures of known keys under a note; a wrong one of a
// known key fails the whole, unknown ones are passed over (C2SP signed-note).
func openNote(b []byte, known []noteVerifier) (*note.Note, error) {
	if len(b) > maxNote {
		return nil, fmt.Errorf("checkpoint: %w: %d bytes, over the limit of %d", ErrForm, len(b), maxNote)
	}
	list := make([]note.Verifier, len(known))
	for i := range known {
		list[i] = known[i]
	}
	n, err := note.Open(b, note.VerifierList(list...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return nil, fmt.Errorf("%w: checkpoint carries no signature of a key in the policy", ErrQuorum)
	case errors.As(err, &invalid):
		return nil, fmt.Errorf("%w: checkpoint signature of %q is wrong", signer.ErrSignature, invalid.Name)
	case err != nil:
		return nil, fmt.Errorf("checkpoint: %w: %w", ErrForm, err)
	}
	for _, s := range n.Sigs { // note.Open takes any trailing bits
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return nil, fmt.Errorf("checkpoint: %w: the signature line of %q is not strict base64", ErrForm, s.Name)
		}
	}
	return n, nil
}

// lineOf writes a signature of a note as its line.
func lineOf(s note.Signature) string { return "\u2014 " + s.Name + " " + s.Base64 + "\n" }

// OpenSigned verifies a checkpoint that at least one of the keys signed, and returns
// the lines of those that did. A wrong signature of any of the keys fails it.
func OpenSigned(signed []byte, keys ...VerifierKey) (c Checkpoint, lines []string, err error) {
	known := make([]noteVerifier, len(keys))
	for i, k := range keys {
		known[i] = noteVerifier{k, k.ID()}
	}
	n, err := openNote(signed, known)
	if err != nil {
		return c, nil, err
	}
	for _, s := range n.Sigs {
		lines = append(lines, lineOf(s))
	}
	c, err = ParseCheckpoint(n.Text)
	return c, lines, err
}

// CheckpointOf returns the checkpoint in a signed note without looking at its
// signatures: for display, never for trust.
func CheckpointOf(signed []byte) (Checkpoint, error) {
	text, _, ok := strings.Cut(string(signed), "\n\n")
	if !ok {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: no empty line before the signatures", ErrForm)
	}
	return ParseCheckpoint(text + "\n")
}

// Stated returns the checkpoint that a signed note states, whoever signed it: nothing is
// verified. It tells which policy a note is to be held against.
func Stated(note []byte) (Checkpoint, error) {
	text, _, _ := strings.Cut(string(note), "\n\n")
	return ParseCheckpoint(text + "\n")
}
