package pkcs11

import "errors"

// Config says where a key is.
type Config struct {
	// Module is the path of the token's PKCS #11 library.
	Module string
	// Token is the token's label.
	Token string
	// Label is the key's, as CKA_LABEL.
	Label string
	// PINFile is the path of a file that holds the user's PIN and that only its owner
	// can read.
	PINFile string
}

// ErrAbsent is wrapped where the token has no key of the label: Create makes one.
var ErrAbsent = errors.New("no such key in the token")
