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

// ModeSetter is a Stream whose line can be set anew, as IEC 62056-21 mode C needs: a
// meter that is spoken to at 300 baud answers at the speed that was agreed on.
type ModeSetter interface {
	// SetMode waits until all that was written is sent, then sets the line to a mode
	// such as "300 7E1": speed, data bits, parity (N, E, O), stop bits. It stays so
	// until it is set again or the port is opened anew, in its bus's own mode. A line
	// that cannot be set (a converter on the network) is errors.ErrUnsupported.
	SetMode(mode string) error
}
