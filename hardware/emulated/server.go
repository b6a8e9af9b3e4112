package emulated

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Server is a Line behind a TCP socket of this machine: a server of Modbus TCP, or a
// converter that passes RTU frames through.
type Server struct {
	*Line
	mbap     bool
	listener net.Listener

	mu    sync.Mutex // guards the field below
	conns map[net.Conn]bool
}

// Listen returns a server on a port of the loopback that is free, with frames of Modbus
// TCP or those of the line. It answers while Run runs.
func Listen(modbusTCP bool) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return &Server{Line: NewLine(), mbap: modbusTCP, listener: l, conns: map[net.Conn]bool{}}, nil
}

// Address returns where it listens, as host:port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Run answers until ctx ends or the server is closed, then ends all connections and
// returns nil.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.listener.Close() })
	defer stop()
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting on %s: %w", s.Address(), err)
		}
		serving.Go(func() {
			hangUp := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer hangUp()
			s.keep(c, true)
			defer s.keep(c, false)
			s.serve(ctx, c)
		})
	}
}

// Close ends Run.
func (s *Server) Close() error { return s.listener.Close() }

// Cut ends all connections, as a server does that is switched off for a moment.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// keep notes a connection, or closes it.
func (s *Server) keep(c net.Conn, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open {
		s.conns[c] = true
		return
	}
	delete(s.conns, c)
	_ = c.Close()
}

// serve answers on one connection until it fails.
func (s *Server) serve(ctx context.Context, c net.Conn) {
	size, respond := frameSize, s.respond
	if s.mbap {
		size, respond = tcpFrameSize, s.respondTCP
	}
	var buf [512]byte
	var reply []byte
	n := 0
	for {
		k, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		n += k
		used := 0
		for {
			frame := buf[used:n]
			length := size(frame)
			if length > len(buf) {
				return // no frame is that long: the peer speaks something else
			}
			if length == 0 || length > len(frame) {
				break
			}
			var after time.Duration
			reply, after = respond(reply[:0], frame[:length])
			select {
			case <-time.After(after):
			case <-ctx.Done():
				return
			}
			if _, err := c.Write(reply); err != nil {
				return
			}
			used += length
		}
		n = copy(buf[:], buf[used:n])
	}
}
