// Package keyfile keeps a private key in a file: PKCS #8 (RFC 5958) in PEM, mode
// 0600, written whole or not at all. It is the key store of a machine without a
// TPM; whoever can read the file can sign, which is why a file that others can
// read is refused.
//
// The packages tpm and pkcs11 keep what is theirs in files under the same rules
// ([LoadPEM], [SavePEM], [ReadSecret]).
package keyfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"wattmark/signer"
)

const pemType = "PRIVATE KEY"

// maxFile bounds what is read of a file, in bytes; a PKCS #8 key is under 300.
const maxFile = 16 << 10

// Load reads the key at path. It refuses a file that anybody but its owner may
// read or write, and a key that is neither Ed25519 nor P-256.
func Load(path string) (*signer.PrivateKey, error) {
	der, err := LoadPEM(path, pemType)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key file %s: a key of type %T does not sign", path, key)
	}
	k, err := signer.NewPrivateKey(s)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

// Save writes key to path with mode 0600 and makes it durable before it
// returns. It refuses to replace a file, as that would lose a key.
func Save(path string, key *signer.PrivateKey) error {
	der, err := key.PKCS8()
	if err != nil {
		return fmt.Errorf("writing key: %w", err)
	}
	return SavePEM(path, pemType, der)
}

// LoadPEM returns the content of the one PEM block of type kind that the file at
// path holds, under the rules of [ReadSecret].
func LoadPEM(path, kind string) ([]byte, error) {
	b, err := ReadSecret(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("key file %s does not hold one PEM block %q and nothing else", path, kind)
	}
	return block.Bytes, nil
}

// ReadSecret reads a small regular file that nobody but its owner may read or
// write, and refuses every other. A credential of the service manager
// (systemd.exec(5)) is guarded by its directory: there the group's bits show the mask
// of an access control list, and reading is allowed.
func ReadSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of the file that is read, whatever its name points to by then
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s is no regular file", path)
	}
	closed := fs.FileMode(0o077)
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(path) == filepath.Clean(dir) {
		closed = 0o037
	}
	if info.Mode().Perm()&closed != 0 {
		return nil, fmt.Errorf("key file %s has mode %04o and is open to others: run chmod 600 %s, and replace the key if anybody may have read it", path, info.Mode().Perm(), path)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("key file %s has %d bytes: a private key is smaller", path, info.Size())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	return b, nil
}

// SavePEM writes one PEM block to path as Save writes a key: mode 0600, durable
// on return, and never in place of another file.
func SavePEM(path, kind string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".key-*") // CreateTemp makes mode 0600
	if err != nil {
		return fmt.Errorf("writing key: %w", err)
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: content})
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("writing key: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike Rename, Link never replaces
		return fmt.Errorf("writing key: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("writing key: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// LoadOrCreate loads the key at path, or makes one of algorithm alg there. A
// key of another algorithm is an error: keys are not replaced by accident.
func LoadOrCreate(path string, alg signer.Algorithm) (*signer.PrivateKey, error) {
	k, err := Load(path)
	switch {
	case err == nil && k.Public().Algorithm() != alg:
		return nil, fmt.Errorf("key file %s holds a key for %v, not %v: move it away to make a new one", path, k.Public().Algorithm(), alg)
	case err == nil:
		return k, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if k, err = signer.Generate(alg); err != nil {
		return nil, err
	}
	return k, Save(path, k)
}
