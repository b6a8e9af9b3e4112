package entry

import (
	"bytes"
	"fmt"
)

// Promise is an oracle's word that this is the one checkpoint that it signs at a
// height. It goes with the signatures of the checkpoint, which do not say the height,
// and is no leaf: only two that contradict one another are, in a [Conflict].
type Promise struct {
	Height uint64   `cbor:"1,keyasint"`
	Size   uint64   `cbor:"2,keyasint"` // leaves under the checkpoint
	Root   [32]byte `cbor:"3,keyasint"`
}

// Encode writes the payload of a promise.
func (p *Promise) Encode() []byte { return encode(p) }

// ParsePromise reads the payload of a promise.
func ParsePromise(b []byte) (*Promise, error) {
	var p Promise
	if err := decode("promise", b, &p); err != nil {
		return nil, err
	}
	if p.Height > 1<<60 || p.Size > 1<<60 {
		return nil, fmt.Errorf("%w: a promise for height %d and size %d is out of range", ErrForm, p.Height, p.Size)
	}
	return &p, nil
}

// Conflict is two statements of one key of which an honest holder signs one at most:
// two promises of an oracle for one height, or two entries with one sequence number.
// It is stated by an oracle, whichever saw them.
type Conflict struct {
	// First is the one whose bytes come first, so that one conflict has one form.
	First  []byte `cbor:"1,keyasint"`
	Second []byte `cbor:"2,keyasint"`
}

// MaxConflicting bounds each of the two statements in bytes: both go into one. What
// is larger cannot be shown this way.
const MaxConflicting = 32_000

// NewConflict puts two statements into order.
func NewConflict(a, b []byte) *Conflict {
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	return &Conflict{a, b}
}

// Encode writes the payload of a conflict.
func (c *Conflict) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return encode(c), nil
}

// ParseConflict reads the payload of a conflict. Its statements are not looked at.
func ParseConflict(b []byte) (*Conflict, error) {
	var c Conflict
	if err := decode("conflict", b, &c); err != nil {
		return nil, err
	}
	return &c, c.check()
}

func (c *Conflict) check() error {
	for _, s := range [][]byte{c.First, c.Second} {
		if len(s) == 0 || len(s) > MaxConflicting {
			return fmt.Errorf("%w: a statement of %d bytes in a conflict, instead of 1 to %d", ErrForm, len(s), MaxConflicting)
		}
	}
	if bytes.Compare(c.First, c.Second) >= 0 {
		return fmt.Errorf("%w: the statements of a conflict are two, and in order of their bytes", ErrForm)
	}
	return nil
}

// Restoration lets a key that was quarantined sign again: the body of a motion of the
// kind MotionRestore.
type Restoration struct {
	KeyID  []byte `cbor:"1,keyasint"`
	Reason string `cbor:"2,keyasint"` // for people; public for ever
}

// Encode writes the body of a motion of the kind MotionRestore.
func (r *Restoration) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return encode(r), nil
}

// ParseRestoration reads the body of a motion of the kind MotionRestore.
func ParseRestoration(b []byte) (*Restoration, error) {
	var r Restoration
	if err := decode("restoration", b, &r); err != nil {
		return nil, err
	}
	return &r, r.check()
}

func (r *Restoration) check() error {
	if err := checkKeyID(r.KeyID); err != nil {
		return err
	}
	return text("reason", r.Reason, 255)
}
