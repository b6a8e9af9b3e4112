package hardware

import (
	"errors"
	"slices"
	"strings"
)

// The classes of a failed Sense, Decode or Probe. Only ErrNoData may be retried
// within one sample.
var (
	// ErrAbsent: no part answered: a NACK, or a port that is not there.
	ErrAbsent = errors.New("absent")
	// ErrTimeout: nothing complete came in time.
	ErrTimeout = errors.New("timeout")
	// ErrChecksum: a frame or word came damaged.
	ErrChecksum = errors.New("bad checksum")
	// ErrMalformed: bytes that are not what the protocol or the request asks for.
	ErrMalformed = errors.New("malformed")
	// ErrWrongDevice: another unit, part or protocol answered.
	ErrWrongDevice = errors.New("wrong device")
	// ErrStale: not exactly one reply, or one that may belong to another request.
	ErrStale = errors.New("stale reply")
	// ErrDevice: the part says no: an exception, an error state, a failed self-test.
	ErrDevice = errors.New("device error")
	// ErrNoData: the part has no new measurement yet.
	ErrNoData = errors.New("no data")
	// ErrPermission: the system refuses the port, or another process holds it.
	ErrPermission = errors.New("permission")
)

// Details of ErrMalformed, which each of them wraps: they tell refused bytes apart, and
// are no classes of their own. They may stand in an Error's place of the class.
var (
	// ErrTruncated: a frame ends before its time.
	ErrTruncated error = detail("truncated")
	// ErrWrongReply: function, register count or length are not those asked for.
	ErrWrongReply error = detail("not the reply to the request")
	// ErrOverflow: a number is larger than a Value holds.
	ErrOverflow error = detail("number too large")
)

// detail is a kind of ErrMalformed that says more than its class, and so alone.
type detail string

// Error implements error.
func (d detail) Error() string { return string(d) }

// Unwrap returns the class.
func (d detail) Unwrap() error { return ErrMalformed }

var classes = []error{
	ErrNoData, ErrStale, ErrChecksum, ErrWrongDevice, ErrMalformed, ErrDevice,
	ErrPermission, ErrAbsent, ErrTimeout,
}

// Class returns the class that err belongs to, nil if it has none. Its text is
// fit for a label of a metric.
func Class(err error) error {
	for _, class := range classes {
		if errors.Is(err, class) {
			return class
		}
	}
	return nil
}

// Error is a failure of the physical world, told to the person who stands before
// it. Fields that do not apply are empty.
type Error struct {
	Class  error  // one of the classes above
	Device string // "sdm630 unit 1"
	Bus    string // "rs485-1"
	Op     string // what was being done: "reading input registers 0x0000-0x001f"
	Remedy string // what to do next
	Err    error  // the cause below, if any
}

// Error returns bus, device, operation, class, cause and remedy in one line. A cause that
// is of the class itself says it.
func (e *Error) Error() string {
	class := ""
	if e.Class != nil && !errors.Is(e.Err, e.Class) {
		class = e.Class.Error()
	}
	return e.text(class)
}

// Detail returns what Error says but for the class, which the caller says otherwise. It
// is empty where there is no more to say.
func (e *Error) Detail() string { return e.text("") }

func (e *Error) text(class string) string {
	parts := []string{e.Bus, e.Device, e.Op, class}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	text := strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ": ")
	if e.Remedy != "" {
		text += " (" + e.Remedy + ")"
	}
	return text
}

// Unwrap returns class and cause, for errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	switch {
	case e.Err == nil:
		return []error{e.Class}
	case e.Class == nil:
		return []error{e.Err}
	}
	return []error{e.Class, e.Err}
}

// Locate returns err with the device and the bus it happened on filled in where
// they are not said yet. An error without class is returned as it is.
func Locate(err error, device, bus string) error {
	e := new(Error)
	if !errors.As(err, &e) {
		class := Class(err)
		if class == nil {
			return err
		}
		return &Error{Class: class, Device: device, Bus: bus, Err: err}
	}
	located := *e
	if located.Device == "" {
		located.Device = device
	}
	if located.Bus == "" {
		located.Bus = bus
	}
	return &located
}
