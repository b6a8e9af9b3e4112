package tpm

import (
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"

	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// Key is a signer.Signer whose private key is in a TPM. It is safe for concurrent
// use; the TPM does one thing at a time.
type Key struct {
	device string
	blobs  *blobs
	public signer.PublicKey

	mu     sync.Mutex // guards what follows, and makes a queue of commands
	link   *link      // nil before the first use, after a failure and once closed
	handle tpm2.NamedHandle
	closed bool
}

// template is the key that Create asks for. The TPM fills Unique in.
var template = tpm2.TPMTPublic{
	Type:    tpm2.TPMAlgECC,
	NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
		UserWithAuth: true, NoDA: true, SignEncrypt: true,
	},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull},
		Scheme: tpm2.TPMTECCScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
		},
		CurveID: tpm2.TPMECCNistP256,
		KDF:     tpm2.TPMTKDFScheme{Scheme: tpm2.TPMAlgNull},
	}),
	Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
}

// parent is the storage primary below which keys lie: template H-2, whose unique
// fields are empty, where go-tpm's fills them with zeros.
func parent() tpm2.TPMTPublic {
	t := tpm2.ECCSRKTemplate
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return t
}

// Create makes a key in the TPM at device, which is [Device] or the unix socket of
// an emulator, and writes its key file to path. It refuses to replace a file. The
// key is durable when Create returns.
func Create(device, path string) (*Key, error) {
	k := &Key{device: device}
	err := k.try(func() error {
		if k.link == nil {
			if err := k.connect(); err != nil {
				return err
			}
		}
		return k.create()
	})
	if err == nil {
		var der []byte
		if der, err = k.blobs.marshal(); err == nil {
			err = keyfile.SavePEM(path, pemType, der)
		}
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// Open loads the key whose file is at path into the TPM at device. It refuses a
// file that others can read, and a key that could leave its TPM. Where there is no
// file, the error is fs.ErrNotExist.
func Open(device, path string) (*Key, error) {
	b, public, err := load(path)
	if err != nil {
		return nil, err
	}
	k := &Key{device: device, blobs: b, public: public}
	if err := k.try(k.ready); err != nil {
		return nil, errors.Join(fmt.Errorf("key file %s: %w", path, err), k.Close())
	}
	return k, nil
}

// Public returns the public half.
func (k *Key) Public() signer.PublicKey { return k.public }

// Sign signs message in the TPM, which draws its own randomness: the same message
// gives another signature each time. While the TPM is busy or being reset, Sign
// tries again for about a second.
func (k *Key) Sign(message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	var sig []byte
	err := k.try(func() error {
		if err := k.ready(); err != nil {
			return err
		}
		var err error
		sig, err = k.sign(digest)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("signing in the TPM: %w", err)
	}
	if !signer.VerifyRaw(k.public, message, sig) {
		return nil, errors.New("signing in the TPM: the signature it made does not verify: the chip or its connection is faulty")
	}
	return sig, nil
}

// Close lets the TPM forget the loaded key, and its link go. The file stays.
func (k *Key) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if k.link == nil {
		return nil
	}
	if k.handle.Handle != 0 {
		k.flush(k.handle.Handle)
	}
	err := k.link.Close()
	k.link = nil
	return err
}

const (
	// tries and firstPause bound what one call does about a busy TPM: pauses of 10,
	// 20, 40 … 640 ms, 1.27 s in all.
	tries      = 8
	firstPause = 10 * time.Millisecond
)

// try calls do, alone, until it succeeds or fails for good, or tries are used up.
func (k *Key) try(do func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errors.New("the key is closed")
	}
	pause := firstPause
	for n := 1; ; n++ {
		err := do()
		again, reload := passing(err)
		if reload {
			k.forget()
		}
		switch {
		case err == nil:
			return nil
		case !again:
			return explain(err)
		case n == tries:
			return fmt.Errorf("tried %d times: %w", n, err)
		}
		sleep(pause)
		pause *= 2
	}
}

var sleep = time.Sleep

// passing says whether err may pass by itself, and whether the link and the loaded
// key must be made anew.
func passing(err error) (again, reload bool) {
	if errors.Is(err, errLink) {
		return true, true
	}
	var rc tpm2.TPMRC
	if !errors.As(err, &rc) {
		return false, false
	}
	switch {
	case rc == tpm2.TPMRCRetry, rc == tpm2.TPMRCYielded, rc == tpm2.TPMRCTesting, rc == tpm2.TPMRCCanceled,
		rc == tpm2.TPMRCNVRate, rc == tpm2.TPMRCNVUnavailable:
		return true, false
	case rc == tpm2.TPMRCObjectMemory, rc == tpm2.TPMRCMemory, rc == tpm2.TPMRCObjectHandles,
		rc == tpm2.TPMRCSessionMemory, rc == tpm2.TPMRCSessionHandles:
		return true, false // others' loaded keys fill the TPM, which the resource manager moves out
	case rc == tpm2.TPMRCInitialize, rc == tpm2.TPMRCReboot:
		return true, true // between a reset and the firmware's or kernel's TPM2_Startup
	case rc == tpm2.TPMRCReferenceH0, rc.Is(tpm2.TPMRCHandle):
		return true, true // the loaded key is gone, as after a reset
	}
	return false, false
}

// explain adds what to do to the errors of a TPM that do not pass.
func explain(err error) error {
	var rc tpm2.TPMRC
	if !errors.As(err, &rc) {
		return err
	}
	switch {
	case rc.Is(tpm2.TPMRCIntegrity):
		return fmt.Errorf("%w: the key was made in another TPM, or this one was cleared since: enrol a new key", err)
	case rc.Is(tpm2.TPMRCAuthFail), rc.Is(tpm2.TPMRCBadAuth):
		return fmt.Errorf("%w: the TPM's owner hierarchy has a password: remove it (tpm2_changeauth -c owner), or clear the TPM in the firmware", err)
	case rc == tpm2.TPMRCLockout:
		return fmt.Errorf("%w: the TPM is locked after wrong passwords: wait, or reset the lockout (tpm2_dictionarylockout)", err)
	case rc == tpm2.TPMRCFailure:
		return fmt.Errorf("%w: the TPM failed its self-test: switch the machine off and on; if that does not help, the chip is broken", err)
	}
	return err
}

// What follows is called by try alone, which holds mu.

// connect opens the link.
func (k *Key) connect() error {
	l, err := dial(k.device)
	if err != nil {
		if k.public.IsZero() {
			return err
		}
		return lost(err) // it was there once
	}
	k.link, k.handle = l, tpm2.NamedHandle{}
	return nil
}

// forget drops a link, and with it what was loaded over it.
func (k *Key) forget() {
	if k.link != nil {
		k.link.Close() // it is of no use any more
	}
	k.link, k.handle = nil, tpm2.NamedHandle{}
}

// ready makes sure that the key is loaded.
func (k *Key) ready() error {
	if k.link == nil {
		if err := k.connect(); err != nil {
			return err
		}
	}
	if k.handle.Handle != 0 {
		return nil
	}
	return k.below(func(parent tpm2.NamedHandle) error {
		r, err := tpm2.Load{ParentHandle: parent, InPublic: k.blobs.public, InPrivate: k.blobs.private}.Execute(k.link)
		if err != nil {
			return fmt.Errorf("loading the key: %w", err)
		}
		k.handle = tpm2.NamedHandle{Handle: r.ObjectHandle, Name: r.Name}
		return nil
	})
}

// create makes a key and keeps its two parts.
func (k *Key) create() error {
	return k.below(func(parent tpm2.NamedHandle) error {
		r, err := tpm2.Create{ParentHandle: parent, InPublic: tpm2.New2B(template)}.Execute(k.link)
		if err != nil {
			return fmt.Errorf("making a key: %w", err)
		}
		public, err := publicKey(&r.OutPublic)
		if err != nil {
			return fmt.Errorf("making a key: the TPM made %w", err)
		}
		k.blobs, k.public = &blobs{r.OutPublic, r.OutPrivate}, public
		return nil
	})
}

// below calls do with the storage primary loaded.
func (k *Key) below(do func(parent tpm2.NamedHandle) error) error {
	r, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(parent())}.Execute(k.link)
	if err != nil {
		return fmt.Errorf("deriving the storage primary: %w", err)
	}
	defer k.flush(r.ObjectHandle)
	return do(tpm2.NamedHandle{Handle: r.ObjectHandle, Name: r.Name})
}

// flush unloads what is loaded at h. If that fails, the resource manager does it
// when the link is closed, and a TPM without one when it runs out of room.
func (k *Key) flush(h tpm2.TPMHandle) {
	tpm2.FlushContext{FlushHandle: h}.Execute(k.link) // see above
}

// sign signs a digest with the loaded key, in the form that COSE wants.
func (k *Key) sign(digest [sha256.Size]byte) ([]byte, error) {
	r, err := tpm2.Sign{
		KeyHandle:  k.handle,
		Digest:     tpm2.TPM2BDigest{Buffer: digest[:]},
		InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull}, // the key has its own
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(k.link)
	if err != nil {
		return nil, err
	}
	ecdsa, err := r.Signature.Signature.ECDSA()
	if err != nil {
		return nil, fmt.Errorf("the TPM signed otherwise than with ECDSA: %w", err)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(ecdsa.SignatureR.Buffer), new(big.Int).SetBytes(ecdsa.SignatureS.Buffer),
	})
	if err != nil {
		return nil, err
	}
	return signer.RawECDSA(der)
}
