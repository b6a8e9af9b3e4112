package entry

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// wireBodied is the form of outcomes that say more than why: [kind, 2, body].
type wireBodied struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Version uint64
	Body    cbor.RawMessage
}

const (
	bodiedVersion = 2
	bodiedHead    = 0x83 // an array of three, which no outcome of version 1 is
)

// MaxBody is the most bytes that an outcome's body may have: the leaf must fit an
// entry of C2SP tlog-tiles.
const MaxBody = 65_000

// Body is what the outcomes of one kind say. Check reports what decoding alone
// does not show.
type Body interface {
	// OutcomeKind is the kind of outcome whose body this is.
	OutcomeKind() string
	Check() error
}

// bodies makes an empty body of each kind of outcome that has one. A kind that is
// not here is not known, and its leaves are refused.
var bodies = map[string]func() Body{
	OutcomeCleared:   func() Body { return new(Cleared) },
	OutcomeSettled:   func() Body { return new(Settled) },
	OutcomeCertified: func() Body { return new(Certified) },
	OutcomeMoved:     func() Body { return new(Moved) },
	OutcomeStated:    func() Body { return new(Stated) },
	OutcomeIssued:    func() Body { return new(Issued) },
	OutcomeAdjusted:  func() Body { return new(Adjusted) },
}

// Bodied returns the outcome that says body. It returns an error if body is not
// well-formed or too long.
func Bodied(body Body) (*Outcome, error) {
	if err := body.Check(); err != nil {
		return nil, err
	}
	b, err := encMode.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding outcome %q: %w", body.OutcomeKind(), err)
	}
	if len(b) > MaxBody {
		return nil, fmt.Errorf("an outcome %q of %d bytes, over the limit of %d", body.OutcomeKind(), len(b), MaxBody)
	}
	return &Outcome{Kind: body.OutcomeKind(), Body: b}, nil
}

// ParseBody reads the body of an outcome that has one: a pointer to the type of its
// kind.
func (o *Outcome) ParseBody() (Body, error) {
	fresh := bodies[o.Kind]
	if fresh == nil || o.Body == nil {
		return nil, fmt.Errorf("%w: an outcome of kind %q has no body that is known", ErrForm, o.Kind)
	}
	if len(o.Body) > MaxBody {
		return nil, fmt.Errorf("%w: an outcome's body of %d bytes, over the limit of %d", ErrForm, len(o.Body), MaxBody)
	}
	body := fresh()
	if err := decode("outcome "+o.Kind, o.Body, body); err != nil {
		return nil, err
	}
	return body, body.Check()
}

func parseBodied(b []byte) (*Outcome, error) {
	var w wireBodied
	if err := decode("outcome", b, &w); err != nil {
		return nil, err
	}
	if w.Version != bodiedVersion {
		return nil, fmt.Errorf("%w: outcome version %d is not known in this form", ErrForm, w.Version)
	}
	o := &Outcome{Kind: w.Kind, Body: w.Body}
	_, err := o.ParseBody()
	if err != nil {
		return nil, err
	}
	return o, nil
}
