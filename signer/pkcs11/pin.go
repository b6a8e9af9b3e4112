//go:build pkcs11 && cgo

package pkcs11

import (
	"bytes"
	"errors"
	"fmt"

	"wattmark/signer/keyfile"
)

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
