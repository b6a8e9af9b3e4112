package gateway

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// TLSKey returns the raw Ed25519 public key for which the gateway asks a certificate of the
// broker with its enrolment: that of uplink.certificate_key, which is made where it is not
// there. It is nil where the gateway has a certificate, or a key of another kind.
func (f *File) TLSKey() ([]byte, error) {
	u := &f.Uplink
	if u.Certificate == "" || u.CertificateKey == "" {
		return nil, nil
	}
	if _, err := os.Stat(f.Path(u.Certificate)); !errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	k, err := keyfile.LoadOrCreate(f.Path(u.CertificateKey), signer.EdDSA)
	if err != nil {
		return nil, fmt.Errorf("the key of the certificate for the broker: %w: set uplink.certificate and uplink.certificate_key to paths in the state directory, or have the consortium make both", err)
	}
	if k.Public().Algorithm() != signer.EdDSA {
		return nil, nil
	}
	return k.Public().Bytes(), nil
}

// SaveCertificate puts the certificate that came with an approval where the configuration
// has it, and the authority's, both in DER, unless there is one.
func (f *File) SaveCertificate(certificate, roots []byte) error {
	for _, c := range []struct {
		path string
		der  []byte
		keep bool
	}{{f.Uplink.Roots, roots, true}, {f.Uplink.Certificate, certificate, false}} {
		if c.path == "" || len(c.der) == 0 {
			continue
		}
		path := f.Path(c.path)
		if _, err := os.Stat(path); err == nil && c.keep {
			continue
		}
		if err := writeWhole(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.der})); err != nil {
			return fmt.Errorf("keeping the certificate for the broker: %w", err)
		}
	}
	return nil
}

// writeWhole writes a file so that it is there whole or not at all, also after a power cut.
func writeWhole(path string, content []byte) error {
	w, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(w.Name())
	_, err = w.Write(content)
	if err := errors.Join(err, w.Chmod(0o644), w.Sync(), w.Close()); err != nil {
		return err
	}
	return os.Rename(w.Name(), path)
}
