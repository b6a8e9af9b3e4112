package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"wattmark/oracle/broker"
)

// renewed is a certificate that is read again when its file has changed, so that whoever
// renews it (certbot, an operator) need not restart the oracle.
type renewed struct {
	of               string // the setting that names it
	certificate, key string // files
	log              *slog.Logger
	now              func() time.Time

	mu      sync.Mutex // guards what is below
	current *tls.Certificate
	changed time.Time // of the certificate's file
	looked  time.Time // when it was looked at last
	refused string    // why a new one was not taken, as it was logged; empty once one is
}

// lookEvery is how often a handshake looks at the file.
const lookEvery = 10 * time.Second

// openRenewed reads a certificate, which must be there at the start.
func openRenewed(of, certificate, key string, log *slog.Logger) (*renewed, error) {
	r := &renewed{of: of, certificate: certificate, key: key, log: log, now: time.Now}
	info, err := os.Stat(certificate)
	if err != nil {
		return nil, err
	}
	c, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	r.current, r.changed, r.looked = &c, info.ModTime(), r.now()
	return r, nil
}

// get is a tls.Config's GetCertificate. A new pair that cannot be read changes nothing, and
// is tried again: key and certificate may be replaced one after the other.
func (r *renewed) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.looked) >= lookEvery {
		r.looked = now
		if err := r.look(); err == nil {
			r.refused = ""
		} else if err.Error() != r.refused {
			r.refused = err.Error()
			r.log.Error("kept the old certificate of "+r.of+": look at the new one", "file", r.certificate, "error", err)
		}
	}
	return r.current, nil
}

// ends says when the certificate ends that is shown.
func (r *renewed) ends() (time.Time, error) {
	c, err := r.get(nil)
	if err != nil {
		return time.Time{}, err
	}
	return c.Leaf.NotAfter, nil
}

func (r *renewed) look() error {
	info, err := os.Stat(r.certificate)
	if err != nil || info.ModTime().Equal(r.changed) {
		return err
	}
	c, err := tls.LoadX509KeyPair(r.certificate, r.key)
	if err != nil {
		return err
	}
	if c.Leaf != nil && r.now().After(c.Leaf.NotAfter) {
		return fmt.Errorf("it ended on %s", c.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	r.current, r.changed = &c, info.ModTime()
	r.log.Info("took the new certificate of "+r.of, "file", r.certificate)
	return nil
}

// httpsConfig is the certificate of the public listener, nil where it has none.
func (d *daemon) httpsConfig() (*tls.Config, error) {
	f := d.file
	if f.HTTP.Certificate == "" {
		return nil, nil
	}
	c, err := openRenewed(ofListen, f.at(f.HTTP.Certificate), f.at(f.HTTP.CertificateKey), d.log)
	if err != nil {
		return nil, fmt.Errorf("the certificate of http.listen: %w", err)
	}
	d.expiry.add(ofListen, c.ends)
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}, nil
}

// own is the embedded broker's certificate where its authority is here: made anew a month
// before it ends.
type own struct {
	pki   *broker.PKI
	hosts []string
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex // guards what is below
	current *tls.Certificate
	looked  time.Time
}

// renewEvery is how often a handshake looks whether the certificate lasts.
const renewEvery = time.Hour

func openOwn(pki *broker.PKI, hosts []string, log *slog.Logger, now func() time.Time) (*own, error) {
	o := &own{pki: pki, hosts: hosts, log: log, now: now}
	return o, o.look()
}

// get returns the certificate for a connection.
func (o *own) get() *tls.Certificate {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.now().Sub(o.looked) >= renewEvery {
		if err := o.look(); err != nil {
			o.log.Error("the broker's certificate was not renewed", "ends", o.current.Leaf.NotAfter.UTC().Format(time.DateOnly), "error", err)
		}
	}
	return o.current
}

func (o *own) look() error {
	now := o.now()
	o.looked = now
	files, err := o.pki.Server(now, o.hosts...)
	if err != nil {
		return err
	}
	c, _, err := files.Load()
	if err != nil {
		return err
	}
	if o.current != nil && !c.Leaf.Equal(o.current.Leaf) {
		o.log.Info("the broker's certificate is a new one", "ends", c.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	o.current = &c
	return nil
}
