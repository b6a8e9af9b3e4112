package bus

import (
	"io"
	"net"
	"time"
)

// dialTimeout is for a converter to take a connection.
const dialTimeout = 2 * time.Second

// Converter is an Opener of a serial port at the other end of a TCP connection: a
// converter set to pass bytes as they are ("raw" or "TCP server" mode), at host:port.
// The speed of the line is set in the converter.
func Converter(address string) Opener {
	return func() (io.Closer, error) {
		c, err := net.DialTimeout("tcp", address, dialTimeout)
		if err != nil {
			return nil, openError(address, err, "check the converter's address and port, its power and who else is connected to it")
		}
		return c, nil
	}
}
