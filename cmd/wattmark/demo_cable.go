package main

import (
	"context"
	"errors"
	"net"
	"sync"
)

// cable is a gateway's network, which can be pulled.
type cable struct {
	mu     sync.Mutex // guards what follows
	pulled bool
	conns  map[net.Conn]struct{}
}

var errPulled = errors.New("the network is gone")

func newCable() *cable { return &cable{conns: make(map[net.Conn]struct{})} }

// dial opens a connection, unless the cable is pulled.
func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	pulled := c.pulled
	c.mu.Unlock()
	if pulled {
		return nil, errPulled
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &wired{conn, c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulled {
		return nil, errors.Join(errPulled, conn.Close())
	}
	c.conns[w] = struct{}{}
	return w, nil
}

// pull cuts every connection and lets none be opened, until plug.
func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = true
	for conn := range c.conns {
		conn.(*wired).Conn.Close()
	}
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = false
}

func (c *cable) isPulled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pulled
}

// wired is a connection that leaves its cable when it is closed.
type wired struct {
	net.Conn
	cable *cable
}

// Close closes the connection.
func (w *wired) Close() error {
	w.cable.mu.Lock()
	delete(w.cable.conns, w)
	w.cable.mu.Unlock()
	return w.Conn.Close()
}
