package entry

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// TypeRelease is the type (COSE typ) of a statement that puts a release manifest onto
// the ledger. An oracle signs it; who made the release has signed the manifest.
const TypeRelease = "application/vnd.wattmark.release+cose"

// Release names one image of a gateway's firmware: what a release manifest says. The
// manifest is a C2SP signed note of its text (firmware/manifest).
type Release struct {
	Origin  string // who releases, and the name of the key that signs
	Board   string // which boards the image is for
	Version uint64 // from 1, rising for each origin and board
	Commit  string // of the source that it was built from, 40 hexadecimal digits
	// Root is the SHA-256 of the root file system, Size its length in bytes.
	Root [32]byte
	Size uint64
	// Kernel is the release of the kernel that the root has modules for: a gateway with
	// another one does not take it over the air.
	Kernel string
	// After is the oldest version that this one may follow, 0 for any.
	After uint64
}

// releaseMagic is the first line of a manifest's text. No checkpoint has such a first
// line with such a second one, so that neither is ever taken for the other.
const releaseMagic = "wattmark release v1"

const (
	// MaxRelease bounds a signed release manifest in bytes.
	MaxRelease     = 4096
	maxReleaseRoot = 500 << 20 // the size of a root slot
	maxVersion     = 1 << 31
)

// Text returns the text that is signed, one fact a line.
func (r *Release) Text() (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	return r.text(), nil
}

func (r *Release) text() string {
	return fmt.Sprintf("%s\norigin %s\nboard %s\nversion %d\ncommit %s\nroot %s\nsize %d\nkernel %s\nafter %d\n",
		releaseMagic, r.Origin, r.Board, r.Version, r.Commit, base64.StdEncoding.EncodeToString(r.Root[:]), r.Size, r.Kernel, r.After)
}

// ParseRelease reads what Text wrote, and nothing else.
func ParseRelease(text string) (*Release, error) {
	if len(text) > MaxRelease {
		return nil, fmt.Errorf("%w: a release of %d bytes, over the limit of %d", ErrForm, len(text), MaxRelease)
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 10 || lines[0] != releaseMagic || lines[9] != "" {
		return nil, fmt.Errorf("%w: a release starts with %q and has nine lines", ErrForm, releaseMagic)
	}
	r := &Release{}
	var root []byte
	var err error
	number := func(s string) (n uint64) {
		if err == nil {
			n, err = strconv.ParseUint(s, 10, 63)
		}
		return n
	}
	for i, name := range []string{"origin", "board", "version", "commit", "root", "size", "kernel", "after"} {
		value, ok := strings.CutPrefix(lines[i+1], name+" ")
		if !ok {
			return nil, fmt.Errorf("%w: line %d of a release starts with %q", ErrForm, i+2, name+" ")
		}
		switch name {
		case "origin":
			r.Origin = value
		case "board":
			r.Board = value
		case "version":
			r.Version = number(value)
		case "commit":
			r.Commit = value
		case "root":
			if root, err = base64.StdEncoding.Strict().DecodeString(value); err == nil && len(root) != len(r.Root) {
				err = fmt.Errorf("%d bytes", len(root))
			}
			copy(r.Root[:], root)
		case "size":
			r.Size = number(value)
		case "kernel":
			r.Kernel = value
		case "after":
			r.After = number(value)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d of a release: %w", ErrForm, i+2, err)
		}
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.text() != text { // as with numbers that start with a zero
		return nil, fmt.Errorf("%w: a release is not in its one form", ErrForm)
	}
	return r, nil
}

func (r *Release) check() error {
	if err := keyName("origin", r.Origin); err != nil {
		return err
	}
	if err := CheckGateway(r.Board); err != nil { // it becomes a file's name too
		return fmt.Errorf("%w: board %q is not lower-case letters, digits and hyphens", ErrForm, r.Board)
	}
	if err := text("kernel release", r.Kernel, 64); err != nil {
		return err
	}
	if strings.ContainsFunc(r.Kernel, unicode.IsSpace) {
		return fmt.Errorf("%w: the kernel release %q holds a space", ErrForm, r.Kernel)
	}
	if b, err := hex.DecodeString(r.Commit); err != nil || len(b) != 20 || hex.EncodeToString(b) != r.Commit {
		return fmt.Errorf("%w: %q is not a commit of 40 hexadecimal digits", ErrForm, r.Commit)
	}
	switch {
	case r.Version == 0 || r.Version > maxVersion:
		return fmt.Errorf("%w: version %d is not within 1 to %d", ErrForm, r.Version, uint64(maxVersion))
	case r.After >= r.Version:
		return fmt.Errorf("%w: version %d may follow %d and later: there is none", ErrForm, r.Version, r.After)
	case r.Size == 0 || r.Size > maxReleaseRoot:
		return fmt.Errorf("%w: a root of %d bytes is not within 1 to %d", ErrForm, r.Size, maxReleaseRoot)
	}
	return nil
}

// LoggedRelease is the payload of a statement of TypeRelease.
type LoggedRelease struct {
	// Manifest is the signed note, as its makers have signed it.
	Manifest []byte `cbor:"1,keyasint"`
}

// Encode writes the payload.
func (l *LoggedRelease) Encode() ([]byte, error) {
	if _, err := l.Release(); err != nil {
		return nil, err
	}
	return encode(l), nil
}

// ParseLoggedRelease reads the payload, and the release that its manifest is of. The
// signatures of the manifest are not looked at: whose count is for who installs it.
func ParseLoggedRelease(b []byte) (*LoggedRelease, *Release, error) {
	var l LoggedRelease
	if err := decode("release", b, &l); err != nil {
		return nil, nil, err
	}
	r, err := l.Release()
	return &l, r, err
}

// Release reads the text of the manifest.
func (l *LoggedRelease) Release() (*Release, error) {
	if len(l.Manifest) > MaxRelease {
		return nil, fmt.Errorf("%w: a manifest of %d bytes, over the limit of %d", ErrForm, len(l.Manifest), MaxRelease)
	}
	text, signatures, ok := strings.Cut(string(l.Manifest), "\n\n")
	if !ok || signatures == "" {
		return nil, fmt.Errorf("%w: a manifest has an empty line and signatures", ErrForm)
	}
	return ParseRelease(text + "\n")
}
