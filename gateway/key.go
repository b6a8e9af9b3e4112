package gateway

import (
	"fmt"
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
		return pkcs11.Open(pkcs11.Config{Module: f.Key.Module, Token: f.Key.Token, Label: f.Key.Label, PINFile: f.Path(f.Key.PINFile)})
	},
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
