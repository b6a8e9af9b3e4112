package gateway

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"wattmark/signer"
	"wattmark/signer/keyfile"
	"wattmark/signer/pkcs11"
	"wattmark/signer/tpm"
)

// keyBackends opens the key of a table [key]: the one table of key stores. What holds
// the key stays open until the program ends.
var keyBackends = map[string]func(f *File) (signer.Signer, error){
	"file": func(f *File) (signer.Signer, error) { return keyfile.Load(f.KeyFile()) },
	"tpm":  func(f *File) (signer.Signer, error) { return opened(tpm.Open(f.Key.Device, f.KeyFile())) },
	"pkcs11": func(f *File) (signer.Signer, error) {
		key, err := inToken(pkcs11.Open(f.token(f.Key.Label)))
		if errors.Is(err, pkcs11.ErrAbsent) && f.finishAdvance() == nil {
			return inToken(pkcs11.Open(f.token(f.Key.Label)))
		}
		return key, err
	},
}

// token is where the backend "pkcs11" has the key of a label.
func (f *File) token(label string) pkcs11.Config {
	return pkcs11.Config{Module: f.Key.Module, Token: f.Key.Token, Label: label, PINFile: f.Path(f.Key.PINFile)}
}

// finishAdvance does the rest of an AdvanceKey that was cut short between its two
// steps: only that leaves a token with a replaced key, a next one and none between.
func (f *File) finishAdvance() error {
	replaced, err := inToken(pkcs11.Open(f.token(f.Key.Label + replacedKey)))
	if err != nil {
		return err
	}
	if err := replaced.(io.Closer).Close(); err != nil {
		return err
	}
	return f.AdvanceKey()
}

// KeyFile is where the backends "file" and "tpm" have their key.
func (f *File) KeyFile() string {
	if f.Key.File != "" {
		return f.Path(f.Key.File)
	}
	return filepath.Join(f.Path(f.Gateway.State), "key.pem")
}

// OpenKey opens the gateway's key.
func (f *File) OpenKey() (signer.Signer, error) {
	open := keyBackends[f.Key.Backend]
	if open == nil {
		return nil, fmt.Errorf("there is no key backend %q", f.Key.Backend)
	}
	return open(f)
}
