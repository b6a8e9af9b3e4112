package main

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"

	"wattmark/oracle/broker"
)

// complaints counts what a server says of routes that it is refused.
type complaints struct{ refused atomic.Int64 }

func (c *complaints) Noticef(format string, v ...any) { c.Errorf(format, v...) }
func (c *complaints) Warnf(format string, v ...any)   { c.Errorf(format, v...) }
func (c *complaints) Fatalf(format string, v ...any)  { c.Errorf(format, v...) }
func (c *complaints) Debugf(string, ...any)           {}
func (c *complaints) Tracef(string, ...any)           {}
func (c *complaints) Errorf(format string, v ...any) {
	said := fmt.Sprintf(format, v...)
	for _, word := range []string{"Authorization Violation", "authorization", "Authentication Failure", "bad certificate", "Router connection closed"} {
		if strings.Contains(said, word) {
			c.refused.Add(1)
		}
	}
}

// server starts a server that wants to be one of the cluster, with a certificate.
func (c *cluster) server(name string, files broker.Files) (*server.Server, *complaints) {
	c.t.Helper()
	cert, roots, err := files.Load()
	if err != nil {
		c.t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, ClientCAs: roots, MinVersion: tls.VersionTLS12}
	opts := &server.Options{
		ServerName: name, Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true,
		Cluster: server.ClusterOpts{Name: "wattmark", Host: "127.0.0.1", Port: server.RANDOM_PORT, TLSConfig: conf, TLSTimeout: 5},
	}
	for _, port := range c.peers {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("localhost:%d", port)})
	}
	s, err := server.NewServer(opts)
	if err != nil {
		c.t.Fatal(err)
	}
	said := &complaints{}
	s.SetLoggerV2(said, false, false, false)
	c.t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	go s.Start()
	return s, said
}

// intrude tries to become a server of the cluster with a gateway's certificate, which is of
// the same authority: every message of everybody would pass it. A server's certificate
// opens the same door, so that it is the door that is tried.
func (c *cluster) intrude(gateway broker.Files) {
	c.t.Helper()
	s, said := c.server("intruder", gateway)
	until(c.t, "the servers refuse it", func() bool { return said.refused.Load() >= 3 })
	// It takes a route for made until a server has looked at its certificate. One that was
	// let in would stay.
	until(c.t, "it has no route", func() bool { return s.NumRoutes() == 0 })
	s.Shutdown()
	real, _ := c.server("nats-4", c.nodes[0].certificate(c.t, "node", "nats-4", "--host", "localhost"))
	until(c.t, "a server's certificate makes routes", func() bool { return real.NumRoutes() > 0 })
}
