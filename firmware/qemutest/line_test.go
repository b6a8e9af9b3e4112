package qemutest_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// line is a gateway's way to the broker, which can be cut.
type line struct {
	l  net.Listener
	to string

	mu    sync.Mutex // guards what follows
	isCut bool
	conns map[net.Conn]bool
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{l: l, to: to, conns: make(map[net.Conn]bool)}
	t.Cleanup(func() { l.Close(); p.cut(true) })
	go p.run()
	return p
}

func (p *line) port() string {
	_, port, _ := net.SplitHostPort(p.l.Addr().String())
	return port
}

// cut breaks what is connected, and whatever connects until it is mended.
func (p *line) cut(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = is
	if is {
		for c := range p.conns {
			c.Close()
		}
	}
}

func (p *line) run() {
	for {
		near, err := p.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil || !p.keep(near, far) {
			near.Close()
			if far != nil {
				far.Close()
			}
			continue
		}
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			go func() {
				_, _ = io.Copy(way[0], way[1])
				near.Close()
				far.Close()
				p.mu.Lock()
				defer p.mu.Unlock()
				delete(p.conns, way[0])
			}()
		}
	}
}

// keep takes note of a connection, unless the line is cut.
func (p *line) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isCut {
		return false
	}
	for _, c := range conns {
		p.conns[c] = true
	}
	return true
}
