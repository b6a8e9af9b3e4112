package pkcs11

import (
	"bytes"
	"errors"
	"fmt"

	"wattmark/signer/keyfile"
)

// Config says where a key is.
type Config struct {
	// Module is the path of the token's PKCS #11 library.
	Module string
	// Token is the token's label.
	Token string
	// Label is the key's, as CKA_LABEL.
	Label string
	// PINFile is the path of a file that holds the user's PIN and that only its owner
	// can read.
	PINFile string
}

// pin checks the configuration and reads the PIN.
func (c Config) pin() (string, error) {
	for _, f := range []struct{ value, what string }{
		{c.Module, "the module's path"}, {c.Token, "the token's label"},
		{c.Label, "the key's label"}, {c.PINFile, "the file with the PIN"},
	} {
		if f.value == "" {
			return "", fmt.Errorf("a PKCS #11 key needs %s", f.what)
		}
	}
	b, err := keyfile.ReadSecret(c.PINFile)
	if err != nil {
		return "", fmt.Errorf("PIN: %w", err)
	}
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 {
		return "", errors.New("PIN: the file " + c.PINFile + " is empty")
	}
	return string(b), nil
}

// ErrAbsent is wrapped where the token has no key of the label: Create makes one.
var ErrAbsent = errors.New("no such key in the token")
