package gateway

import (
	"errors"
	"fmt"
	"path/filepath"

	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// keyBackend opens the key of a table [key]: the one table of key stores. What holds
// the key stays open until the program ends.
var keyBackends = map[string]func(f *File) (signer.Signer, error){
	"file": func(f *File) (signer.Signer, error) { return keyfile.Load(f.KeyFile()) },
	"tpm": func(*File) (signer.Signer, error) {
		return nil, errors.New("this build has no TPM backend")
	},
	"pkcs11": func(*File) (signer.Signer, error) {
		return nil, errors.New("this build has no PKCS#11 backend: build it with -tags pkcs11")
	},
}

// KeyFile is where the backend "file" has its key.
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
