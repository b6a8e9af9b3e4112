package entry

import "fmt"

// EnrolmentRequest asks for a key to be enrolled. It is signed with the very key
// that it names, which proves that whoever asks holds the private part. By itself
// it does nothing: an oracle states it again in a [ProvenEnrolment], where Replaces
// is set inside a [Rotation].
type EnrolmentRequest struct {
	Algorithm int    `cbor:"1,keyasint"` // COSE algorithm of the key
	Key       []byte `cbor:"2,keyasint"` // raw public key
	Gateway   string `cbor:"3,keyasint"` // the gateway's name in subjects, [a-z0-9-]
	// Points are the metering points asked for, 1 to 64; none where Replaces is set,
	// as the new key takes over those of the old one just as they are registered.
	Points []Point `cbor:"4,keyasint"`
	// Devices are what the technician connected, for whoever approves. At most 64.
	Devices []RequestDevice `cbor:"5,keyasint"`
	// Model and Serial are those of the gateway's machine, empty where not known.
	Model  string `cbor:"6,keyasint,omitempty"`
	Serial string `cbor:"7,keyasint,omitempty"`
	// Replaces is the id of the key of the same gateway that ends as this one begins,
	// nil where there is none.
	Replaces []byte `cbor:"8,keyasint,omitempty"`
	// TLS is the raw Ed25519 public key with which the gateway reaches the broker, for
	// whoever approves to certify; nil where it has a certificate. The rules do not read it.
	TLS []byte `cbor:"9,keyasint,omitempty"`
}

// RequestDevice is a part that a gateway reads, as its request tells of it.
type RequestDevice struct {
	Model  string `cbor:"1,keyasint"`
	Serial string `cbor:"2,keyasint,omitempty"`
	// Where is the bus and address, for people.
	Where string `cbor:"3,keyasint,omitempty"`
	// Subject is the metering point that it measures.
	Subject string `cbor:"4,keyasint,omitempty"`
}

// MaxRequest is the most bytes that the statement of a request, or of a rotation,
// may have: it is carried whole in statements of others.
const MaxRequest = 60_000

// Limits of a request.
const (
	maxRequestDevices = 64
	maxLabel          = 64 // bytes of a model, a serial number or a place
	tlsKey            = 32 // bytes of an Ed25519 public key (RFC 8032)
)

// Encode writes the payload of an enrolment request.
func (r *EnrolmentRequest) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(r)
}

// ParseEnrolmentRequest reads the payload of an enrolment request.
func ParseEnrolmentRequest(b []byte) (*EnrolmentRequest, error) {
	var r EnrolmentRequest
	if err := decode("enrolment request", b, &r); err != nil {
		return nil, err
	}
	return &r, r.check()
}

// Enrolment returns what the request asks for. Of one that replaces a key it has no
// points, as they are those of that key.
func (r *EnrolmentRequest) Enrolment() *Enrolment {
	return &Enrolment{Algorithm: r.Algorithm, Key: r.Key, Gateway: r.Gateway, Points: r.Points}
}

func (r *EnrolmentRequest) check() error {
	if len(r.Replaces) == 0 {
		if err := r.Enrolment().check(); err != nil {
			return err
		}
	} else if err := r.checkReplacement(); err != nil {
		return err
	}
	if err := optional("model", r.Model, maxLabel); err != nil {
		return err
	}
	if err := optional("serial number", r.Serial, maxLabel); err != nil {
		return err
	}
	if len(r.TLS) != 0 && len(r.TLS) != tlsKey {
		return fmt.Errorf("%w: a TLS key of %d bytes instead of %d", ErrForm, len(r.TLS), tlsKey)
	}
	if len(r.Devices) > maxRequestDevices {
		return fmt.Errorf("%w: a request names %d devices, more than %d", ErrForm, len(r.Devices), maxRequestDevices)
	}
	for i := range r.Devices {
		if err := r.Devices[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// checkReplacement checks what is different where a key takes over from another.
func (r *EnrolmentRequest) checkReplacement() error {
	if err := checkKeyID(r.Replaces); err != nil {
		return err
	}
	if err := CheckGateway(r.Gateway); err != nil {
		return err
	}
	if len(r.Key) > maxKey {
		return fmt.Errorf("%w: a key of %d bytes, over the limit of %d", ErrForm, len(r.Key), maxKey)
	}
	if len(r.Points) > 0 {
		return fmt.Errorf("%w: a key that replaces another takes over its metering points and names none", ErrForm)
	}
	return nil
}

func (d *RequestDevice) check() error {
	if err := text("a device's model", d.Model, maxLabel); err != nil {
		return err
	}
	if err := optional("a device's serial number", d.Serial, maxLabel); err != nil {
		return err
	}
	if err := optional("a device's place", d.Where, maxLabel); err != nil {
		return err
	}
	return optional("a device's metering point", d.Subject, 128)
}

// Rotation is the consent of the key that ends. It is signed with that key, and
// carries the request that the new one has signed.
type Rotation struct {
	Request []byte `cbor:"1,keyasint"` // the statement of an EnrolmentRequest
}

// Encode writes the payload of a rotation.
func (r *Rotation) Encode() ([]byte, error) { return encodeCarried("rotation", r.Request, r) }

// ParseRotation reads the payload of a rotation. What it carries is for who knows
// signatures to read.
func ParseRotation(b []byte) (*Rotation, error) {
	var r Rotation
	if err := decode("rotation", b, &r); err != nil {
		return nil, err
	}
	return &r, checkCarried("rotation", r.Request)
}

// ProvenEnrolment admits the key that has signed a request. It is signed by an
// oracle of the charter.
type ProvenEnrolment struct {
	Request []byte `cbor:"1,keyasint"` // the statement of an EnrolmentRequest, or of a Rotation around one
}

// Encode writes the payload of a proven enrolment.
func (e *ProvenEnrolment) Encode() ([]byte, error) {
	return encodeCarried("proven enrolment", e.Request, e)
}

// ParseProvenEnrolment reads the payload of a proven enrolment. What it carries is
// for who knows signatures to read.
func ParseProvenEnrolment(b []byte) (*ProvenEnrolment, error) {
	var e ProvenEnrolment
	if err := decode("proven enrolment", b, &e); err != nil {
		return nil, err
	}
	return &e, checkCarried("proven enrolment", e.Request)
}

func encodeCarried(what string, carried []byte, v any) ([]byte, error) {
	if err := checkCarried(what, carried); err != nil {
		return nil, err
	}
	return encMode.Marshal(v)
}

func checkCarried(what string, carried []byte) error {
	if len(carried) == 0 || len(carried) > MaxRequest {
		return fmt.Errorf("%w: a %s carries a request of %d bytes instead of 1 to %d", ErrForm, what, len(carried), MaxRequest)
	}
	return nil
}

// optional is text that may be absent.
func optional(what, s string, most int) error {
	if s == "" {
		return nil
	}
	return text(what, s, most)
}
