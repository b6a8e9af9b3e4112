package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/oracle"
	"wattmark/oracle/broker"
)

// Whose certificate it is that ends.
const (
	ofBroker    = "broker"      // what the embedded broker shows, or the servers
	ofOracle    = "oracle"      // with which this oracle and its operator's tools connect to the broker
	ofListen    = "http.listen" // what the public listener shows
	ofAuthority = "authority"   // what the certificates in pki/ come from
)

// authorityFile is the authority's own certificate, in the state directory.
const authorityFile = "pki/ca.pem"

// expiry knows when each certificate ends that this oracle shows or is shown.
type expiry struct {
	mu      sync.Mutex // guards what is below
	own     []ownCertificate
	servers map[string]time.Time // what each showed when it was asked last
}

// ownCertificate is one that this oracle has.
type ownCertificate struct {
	of   string
	ends func() (time.Time, error)
}

func (e *expiry) add(of string, ends func() (time.Time, error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.own = append(e.own, ownCertificate{of, ends})
}

// addFile adds a certificate that is read from its file whenever somebody asks.
func (e *expiry) addFile(of, name string) {
	e.add(of, func() (time.Time, error) { return endOf(name) })
}

func (e *expiry) saw(server string, ends time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.servers == nil {
		e.servers = make(map[string]time.Time)
	}
	e.servers[server] = ends
}

// ends leaves out what cannot be read.
func (e *expiry) ends() (list []oracle.CertificateEnd) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.own {
		if at, err := c.ends(); err == nil {
			list = append(list, oracle.CertificateEnd{Of: c.of, At: at})
		}
	}
	for _, server := range slices.Sorted(maps.Keys(e.servers)) {
		list = append(list, oracle.CertificateEnd{Of: ofBroker, Server: server, At: e.servers[server]})
	}
	return list
}

// readCertificate reads the first certificate of a PEM file.
func readCertificate(name string) (*x509.Certificate, error) {
	b, err := read(name)
	if err != nil {
		return nil, err
	}
	for p, rest := pem.Decode(b); p != nil; p, rest = pem.Decode(rest) {
		if p.Type == "CERTIFICATE" {
			return x509.ParseCertificate(p.Bytes)
		}
	}
	return nil, fmt.Errorf("%s holds no certificate", name)
}

// endOf says when the certificate in a file ends.
func endOf(name string) (time.Time, error) {
	c, err := readCertificate(name)
	if err != nil {
		return time.Time{}, err
	}
	return c.NotAfter, nil
}

// leftEnds is when the certificates end that an oracle has which does not run.
func (f *file) leftEnds() []oracle.CertificateEnd {
	var e expiry
	switch {
	case f.Broker.external():
		e.addFile(ofOracle, f.files().Certificate)
	case f.Broker.Certificate != "":
		e.addFile(ofBroker, f.files().Certificate)
	default:
		e.addFile(ofBroker, f.state().file("pki/server.pem"))
	}
	e.addFile(ofListen, f.at(f.HTTP.Certificate))
	e.addFile(ofAuthority, f.state().file(authorityFile))
	return e.ends()
}

// expiryEvery is how often an oracle looks at its own certificate, and asks the servers
// for theirs. Tests are in a hurry.
var expiryEvery = time.Hour

// keepCertificates renews the certificate with which this oracle connects, and asks the
// servers of a broker elsewhere for theirs, until ctx ends.
func (d *daemon) keepCertificates(ctx context.Context) {
	tick := time.NewTicker(expiryEvery)
	defer tick.Stop()
	for {
		d.renewOwn()
		d.askServers(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// renewOwn renews the certificate with which this oracle and its operator's tools connect,
// a month before its end, where the authority that it is of is here. A connection shows it
// when it is next made.
func (d *daemon) renewOwn() {
	if d.pki == nil || d.own == "" {
		return
	}
	switch renewed, err := renewFile(d.pki, d.own, time.Now()); {
	case err != nil:
		d.log.Error("this oracle's certificate for the broker was not renewed", "file", d.own, "error", err)
	case renewed:
		d.log.Info("renewed this oracle's certificate for the broker", "file", d.own)
	}
}

// renewFile renews the client certificate in a file if it is near its end, for its key.
func renewFile(pki *broker.PKI, name string, now time.Time) (renewed bool, err error) {
	have, err := readCertificate(name)
	if err != nil {
		return false, err
	}
	der, err := pki.Renew(now, have)
	if err != nil || der == nil {
		return false, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return false, err
	}
	return true, writeFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), info.Mode().Perm())
}

// askServers connects anew to each server of a broker elsewhere, as a server shows a
// renewed certificate to new connections alone. Of one that does not answer, the last
// answer is kept.
func (d *daemon) askServers(ctx context.Context) {
	if d.broker != nil {
		return
	}
	for _, url := range d.file.Broker.Servers {
		if ctx.Err() != nil {
			return
		}
		ends, err := shownEnd(d.route([]string{url}, d.file.files()))
		if err != nil {
			d.log.Debug("did not see the certificate of a server", "server", url, "error", err)
			continue
		}
		d.expiry.saw(strings.TrimPrefix(url, "tls://"), ends)
	}
}

// shownEnd says when the certificate ends that a server shows.
func shownEnd(r *broker.Route) (time.Time, error) {
	conn, err := r.Connect(nats.NoReconnect(), nats.Timeout(5*time.Second))
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return invalid.Cert.NotAfter, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	defer conn.Close()
	state, err := conn.TLSConnectionState()
	if err != nil {
		return time.Time{}, err
	}
	return state.PeerCertificates[0].NotAfter, nil
}

// openAuthority opens the authority where this oracle holds one.
func (d *daemon) openAuthority() {
	s := d.file.state()
	d.expiry.addFile(ofAuthority, s.file(authorityFile))
	if d.pki != nil || !exists(s.file(authorityFile)) {
		return
	}
	var err error
	if d.pki, err = broker.OpenPKI(s.file("pki"), time.Now()); err != nil {
		d.log.Error("the authority in pki/ renews nothing", "error", err)
	}
}
