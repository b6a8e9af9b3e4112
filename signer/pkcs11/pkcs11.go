//go:build pkcs11 && cgo

package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThalesIgnite/crypto11"

	"wattmark/signer"
)

// Key is a signer.Signer whose private key is in a token. It is safe for concurrent
// use.
type Key struct {
	cfg    Config
	public signer.PublicKey

	mu      sync.Mutex        // guards what follows, and makes a queue of signatures
	context *crypto11.Context // nil after a failure and once closed
	key     crypto11.Signer
	closed  bool
}

// waitSession bounds the wait for a session with a token that others use too.
const waitSession = 5 * time.Second

// Create makes a key in the token. It refuses a label that the token has already.
func Create(cfg Config) (*Key, error) {
	k := &Key{cfg: cfg}
	err := k.connect()
	if err == nil {
		err = k.create()
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// Open finds the key in the token. Where the token has none of the label, the error
// is ErrAbsent.
func Open(cfg Config) (*Key, error) {
	k := &Key{cfg: cfg}
	if err := k.ready(); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// Public returns the public half.
func (k *Key) Public() signer.PublicKey { return k.public }

// Sign signs message in the token. Where the token does not answer, one more try is
// made over a new connection.
func (k *Key) Sign(message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errors.New("the key is closed")
	}
	der, err := k.sign(digest[:])
	if err != nil {
		// Sessions and handles end when a token is pulled, also where it is back.
		k.forget()
		der, err = k.sign(digest[:])
	}
	if err != nil {
		k.forget()
		return nil, fmt.Errorf("signing in the token: %w", err)
	}
	sig, err := signer.RawECDSA(der)
	if err != nil {
		return nil, fmt.Errorf("signing in the token: %w", err)
	}
	if !signer.VerifyRaw(k.public, message, sig) {
		return nil, errors.New("signing in the token: the signature it made does not verify: the token is faulty")
	}
	return sig, nil
}

// Close ends the sessions with the token. The key stays there.
func (k *Key) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if k.context == nil {
		return nil
	}
	err := k.context.Close()
	k.context, k.key = nil, nil
	return err
}

// What follows is called with mu held, or before anybody else has the key.

func (k *Key) sign(digest []byte) ([]byte, error) {
	if err := k.ready(); err != nil {
		return nil, err
	}
	return k.key.Sign(rand.Reader, digest, crypto.SHA256)
}

// connect opens the module and logs in.
func (k *Key) connect() error {
	pin, err := k.cfg.pin()
	if err != nil {
		return err
	}
	k.context, err = crypto11.Configure(&crypto11.Config{
		Path: k.cfg.Module, TokenLabel: k.cfg.Token, Pin: pin, PoolWaitTimeout: waitSession,
	})
	if err != nil {
		k.context = nil
		return fmt.Errorf("token %q of %s: %w: is it plugged in, and are module, label and PIN right?", k.cfg.Token, k.cfg.Module, err)
	}
	return nil
}

// forget drops the connection. Its sessions may be dead, so errors say nothing.
func (k *Key) forget() {
	if k.context != nil {
		k.context.Close()
	}
	k.context, k.key = nil, nil
}

// find returns the one key of the label, nil where there is none.
func (k *Key) find() (crypto11.Signer, error) {
	keys, err := k.context.FindKeyPairs(nil, []byte(k.cfg.Label))
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking for key %q in token %q: %w", k.cfg.Label, k.cfg.Token, err)
	case len(keys) > 1:
		return nil, fmt.Errorf("token %q has %d keys with the label %q: give each another one", k.cfg.Token, len(keys), k.cfg.Label)
	case len(keys) == 0:
		return nil, nil
	}
	return keys[0], nil
}

// ready makes sure that the key is at hand, and that it is the one that it was.
func (k *Key) ready() error {
	if k.key != nil {
		return nil
	}
	if k.context == nil {
		if err := k.connect(); err != nil {
			return err
		}
	}
	key, err := k.find()
	if err != nil {
		return err
	}
	if key == nil {
		return fmt.Errorf("%w: token %q has no key with the label %q", ErrAbsent, k.cfg.Token, k.cfg.Label)
	}
	return k.keep(key)
}

// keep makes key the one that signs, if it may be.
func (k *Key) keep(key crypto11.Signer) error {
	public, err := publicKey(key.Public())
	switch {
	case err != nil:
		return fmt.Errorf("key %q in token %q: %w", k.cfg.Label, k.cfg.Token, err)
	case !k.public.IsZero() && public != k.public:
		return fmt.Errorf("key %q in token %q is %v now, and was %v: put the token back that was there", k.cfg.Label, k.cfg.Token, public.ID(), k.public.ID())
	}
	k.public, k.key = public, key
	return nil
}

func publicKey(public crypto.PublicKey) (signer.PublicKey, error) {
	p, ok := public.(*ecdsa.PublicKey)
	if !ok || p.Curve != elliptic.P256() {
		return signer.PublicKey{}, fmt.Errorf("a key of type %T that is not P-256: make another one", public)
	}
	der, err := x509.MarshalPKIXPublicKey(p)
	if err != nil {
		return signer.PublicKey{}, err
	}
	return signer.ParseSPKI(der)
}

// create makes a key where the token has none of the label.
func (k *Key) create() error {
	switch key, err := k.find(); {
	case err != nil:
		return err
	case key != nil:
		return fmt.Errorf("token %q has a key with the label %q already: open it, or choose another label", k.cfg.Token, k.cfg.Label)
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("drawing an id: %w", err)
	}
	key, err := k.context.GenerateECDSAKeyPairWithLabel(id, []byte(k.cfg.Label), elliptic.P256())
	if err != nil {
		return fmt.Errorf("making a key in token %q: %w", k.cfg.Token, err)
	}
	return k.keep(key)
}
