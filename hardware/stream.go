package hardware

import (
	"io"
	"time"
)

// Stream is a serial line as the driver of a part that is no Modbus unit sees it.
// It works inside jobs of its bus only, and has one user at a time.
type Stream interface {
	io.ReadWriter
	// SetDeadline sets until when Read and Write wait; zero is for ever. One that
	// has passed is os.ErrDeadlineExceeded.
	SetDeadline(t time.Time) error
	// Discard drops at once what was received and not read, and returns how much.
	Discard() (n int, err error)
}
