//go:build !pkcs11 || !cgo

package pkcs11

import (
	"errors"

	"wattmark/signer"
)

// Key is a signer.Signer whose private key is in a token.
type Key struct{}

var errWithout = errors.New("this program was built without PKCS #11: build it with cgo and -tags pkcs11, or choose another key store")

// Create makes a key in the token; here it returns an error, as the program was
// built without PKCS #11.
func Create(Config) (*Key, error) { return nil, errWithout }

// Open finds a key in the token; here it returns an error, as the program was
// built without PKCS #11.
func Open(Config) (*Key, error) { return nil, errWithout }

// Advance puts a key in another's place in the token; here it returns an error, as the
// program was built without PKCS #11.
func Advance(cfg Config, next, replaced string) error { return errWithout }

// Public returns no key.
func (*Key) Public() signer.PublicKey { return signer.PublicKey{} }

// Sign returns an error.
func (*Key) Sign([]byte) ([]byte, error) { return nil, errWithout }

// Close does nothing.
func (*Key) Close() error { return nil }
