package emulated

import (
	"context"
	"errors"

	"wattmark/hardware"
)

// Socket is a TCP connection, in memory, to a server in front of a Line: of Modbus TCP,
// or a converter that passes RTU frames through. It connects when it is asked to. It has
// one user at a time, but for Refuse.
type Socket struct {
	*Conn
	connected   bool
	connections int
	refuses     bool
}

// Socket returns a connection to the line, not connected yet, with frames of Modbus TCP
// or those of the line.
func (l *Line) Socket(modbusTCP bool) *Socket {
	c := l.Conn()
	c.mbap = modbusTCP
	return &Socket{Conn: c}
}

// Connect connects if there is no connection.
func (s *Socket) Connect(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.connected:
		return nil
	case s.refuses:
		return &hardware.Error{Class: hardware.ErrAbsent, Op: "connecting", Err: errors.New("connection refused")}
	}
	s.connected = true
	s.connections++
	return nil
}

// Disconnect ends the connection, with what was on its way.
func (s *Socket) Disconnect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = false
	s.incoming = s.incoming[:0]
	s.line.forget()
	return nil
}

// Write sends one frame.
func (s *Socket) Write(frame []byte) (int, error) {
	s.mu.Lock()
	connected := s.connected
	s.mu.Unlock()
	if !connected {
		return 0, errors.New("not connected")
	}
	return s.Conn.Write(frame)
}

// Connections returns how often it connected.
func (s *Socket) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Refuse makes the server take no connection, and ends the one there is; false makes it
// take them again.
func (s *Socket) Refuse(on bool) {
	s.mu.Lock()
	s.refuses = on
	s.mu.Unlock()
	if on {
		_ = s.Disconnect()
	}
}
