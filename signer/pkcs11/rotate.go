//go:build pkcs11 && cgo

package pkcs11

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Advance puts the key with the label next in the place of the one of cfg, which gets
// the label replaced: a key that had that before is removed. Cut short in between it
// leaves no key with the label of cfg, and does the rest when it is called again. Keys
// that are open stay usable. Where there is no next key the error is ErrAbsent.
//
// Package crypto11 changes no labels, so this asks the module itself.
func Advance(cfg Config, next, replaced string) error {
	if err := advance(cfg, next, replaced); err != nil {
		return fmt.Errorf("putting key %q in the place of %q in token %q: %w", next, cfg.Label, cfg.Token, err)
	}
	return nil
}

func advance(cfg Config, next, replaced string) (err error) {
	s, err := openSession(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	coming, err := s.pair(next)
	if err != nil {
		return err
	}
	if coming == nil {
		return ErrAbsent
	}
	going, err := s.pair(cfg.Label)
	if err != nil {
		return err
	}
	if going != nil {
		old, err := s.pair(replaced)
		if err != nil {
			return err
		}
		for _, o := range old {
			if err := s.module.DestroyObject(s.handle, o); err != nil {
				return fmt.Errorf("removing key %q: %w", replaced, err)
			}
		}
		if err := s.label(going, replaced); err != nil {
			return err
		}
	}
	return s.label(coming, cfg.Label)
}

// session is a session of this package's own with a token. The module may be in use by
// others in the process, who opened it first or open it meanwhile: then it is theirs to
// end.
type session struct {
	module  *pkcs11.Ctx
	handle  pkcs11.SessionHandle
	started bool // the module was idle before
	entered bool // nobody was logged in before
}

func openSession(cfg Config) (_ *session, err error) {
	pin, err := cfg.pin()
	if err != nil {
		return nil, err
	}
	s := &session{module: pkcs11.New(cfg.Module)}
	if s.module == nil {
		return nil, fmt.Errorf("%s is no PKCS #11 module", cfg.Module)
	}
	switch err := s.module.Initialize(); {
	case err == nil:
		s.started = true
	case !is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED):
		s.module.Destroy()
		return nil, err
	}
	slot, err := s.slot(cfg.Token)
	if err == nil {
		s.handle, err = s.module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	}
	if err != nil {
		return nil, errors.Join(err, s.end())
	}
	switch err := s.module.Login(s.handle, pkcs11.CKU_USER, pin); {
	case err == nil:
		s.entered = true
	case !is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func is(err error, code uint) bool {
	var e pkcs11.Error
	return errors.As(err, &e) && uint(e) == code
}

// slot returns the slot of the token with a label.
func (s *session) slot(token string) (uint, error) {
	slots, err := s.module.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, slot := range slots {
		if info, err := s.module.GetTokenInfo(slot); err == nil && info.Label == token {
			return slot, nil
		}
	}
	return 0, errors.New("there is no such token: is it plugged in?")
}

// pair returns the private key of a label and the public key of its id, nil where there
// is none.
func (s *session) pair(label string) ([]pkcs11.ObjectHandle, error) {
	private, err := s.find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	switch {
	case err != nil || len(private) == 0:
		return nil, err
	case len(private) > 1:
		return nil, fmt.Errorf("there are several keys with the label %q: give each another one", label)
	}
	id, err := s.module.GetAttributeValue(s.handle, private[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, nil)})
	if err != nil {
		return nil, err
	}
	public, err := s.find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, id[0].Value))
	// The private key goes last: it is the one that is looked for by its label.
	return append(public, private...), err
}

// find returns the objects with the given attributes, at most 16.
func (s *session) find(attributes ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := s.module.FindObjectsInit(s.handle, attributes); err != nil {
		return nil, err
	}
	found, _, err := s.module.FindObjects(s.handle, 16)
	return found, errors.Join(err, s.module.FindObjectsFinal(s.handle))
}

// label gives objects a label.
func (s *session) label(objects []pkcs11.ObjectHandle, label string) error {
	for _, o := range objects {
		if err := s.module.SetAttributeValue(s.handle, o, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)}); err != nil {
			return fmt.Errorf("giving a key the label %q: %w: a token that changes none has its key revoked, and another label set and enrolled anew", label, err)
		}
	}
	return nil
}

func (s *session) close() error {
	var err error
	if s.entered && s.started {
		err = s.module.Logout(s.handle)
	}
	return errors.Join(err, s.module.CloseSession(s.handle), s.end())
}

func (s *session) end() error {
	var err error
	if s.started {
		err = s.module.Finalize()
	}
	s.module.Destroy()
	return err
}
