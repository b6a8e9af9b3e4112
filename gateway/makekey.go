package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wattmark/gateway/enrol"
	"wattmark/signer"
	"wattmark/signer/keyfile"
	"wattmark/signer/pkcs11"
	"wattmark/signer/tpm"
)

// Endings of the key files of a key that is to replace the gateway's, and of one
// that was replaced.
const (
	nextKey     = ".next"
	replacedKey = ".replaced"
)

// OpenOrMakeKey opens the gateway's key, or makes it in its store where there is none.
// Whoever calls it closes the key if it is an io.Closer.
func (f *File) OpenOrMakeKey() (key signer.Signer, made bool, err error) {
	key, err = f.OpenKey()
	if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, pkcs11.ErrAbsent) {
		return key, false, err
	}
	if f.Key.Backend == "pkcs11" {
		key, err := inToken(pkcs11.Create(f.token(f.Key.Label)))
		return key, err == nil, err
	}
	key, err = f.makeKey(f.KeyFile())
	return key, err == nil, err
}

// NextKey opens the key that is to replace the gateway's, or makes it.
func (f *File) NextKey() (signer.Signer, error) {
	path := f.KeyFile() + nextKey
	var key signer.Signer
	var err error
	switch f.Key.Backend {
	case "file":
		key, err = keyfile.Load(path)
	case "tpm":
		key, err = opened(tpm.Open(f.Key.Device, path))
	case "pkcs11":
		key, err = inToken(pkcs11.Open(f.token(f.Key.Label + nextKey)))
		if errors.Is(err, pkcs11.ErrAbsent) {
			return inToken(pkcs11.Create(f.token(f.Key.Label + nextKey)))
		}
		return key, err
	default:
		return nil, fmt.Errorf("there is no key backend %q", f.Key.Backend)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return f.makeKey(path)
	}
	return key, err
}

// makeKey makes a key with a key file.
func (f *File) makeKey(path string) (signer.Signer, error) {
	if f.Key.Backend == "tpm" {
		return opened(tpm.Create(f.Key.Device, path))
	}
	key, err := signer.Generate(signer.EdDSA)
	if err != nil {
		return nil, err
	}
	return key, keyfile.Save(path, key)
}

// opened makes no interface of a nil pointer.
func opened(k *tpm.Key, err error) (signer.Signer, error) {
	if err != nil {
		return nil, err
	}
	return k, nil
}

// inToken makes no interface of a nil pointer.
func inToken(k *pkcs11.Key, err error) (signer.Signer, error) {
	if err != nil {
		return nil, err
	}
	return k, nil
}

// AdvanceKey puts the next key in the place of the gateway's, whose file is kept
// beside it: at every moment there is a key. In a token the two get other labels, and
// what was cut short there is finished when the key is opened.
func (f *File) AdvanceKey() error {
	if f.Key.Backend == "pkcs11" {
		return pkcs11.Advance(f.token(f.Key.Label), f.Key.Label+nextKey, f.Key.Label+replacedKey)
	}
	path := f.KeyFile()
	if err := os.Remove(path + replacedKey); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replacing the key: %w", err)
	}
	if err := os.Link(path, path+replacedKey); err != nil {
		return fmt.Errorf("replacing the key: %w", err)
	}
	if err := os.Rename(path+nextKey, path); err != nil {
		return fmt.Errorf("replacing the key: %w", err)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("replacing the key: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// CheckEnrolled says whether key is the one that is enrolled. Where nothing is
// enrolled it has nothing to say.
func (f *File) CheckEnrolled(key signer.PublicKey) error {
	e, err := enrol.Load(f.Path(f.Gateway.State))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case f.Uplink.Ledger != "" && e.Origin != f.Uplink.Ledger:
		return fmt.Errorf("the gateway is enrolled with the ledger %q, and uplink.ledger is %q: set it back, or take another state directory", e.Origin, f.Uplink.Ledger)
	case f.Gateway.Name != "" && e.Gateway != f.Gateway.Name:
		return fmt.Errorf("the gateway is enrolled as %q, and gateway.name is %q: set it back, or take another state directory", e.Gateway, f.Gateway.Name)
	}
	return e.CheckKey(key)
}
