package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// renewed is a certificate that is read again when its file has changed, so that whoever
// renews it (certbot, an operator) need not restart the oracle.
type renewed struct {
	certificate, key string // files
	log              *slog.Logger
	now              func() time.Time

	mu      sync.Mutex // guards what is below
	current *tls.Certificate
	changed time.Time // of the certificate's file
	looked  time.Time // when it was looked at last
}

// lookEvery is how often a handshake looks at the file.
const lookEvery = 10 * time.Second

// openRenewed reads a certificate, which must be there at the start.
func openRenewed(certificate, key string, log *slog.Logger) (*renewed, error) {
	r := &renewed{certificate: certificate, key: key, log: log, now: time.Now}
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
		if err := r.look(); err != nil {
			r.log.Error("kept the old certificate of http.listen: look at the new one", "file", r.certificate, "error", err)
		}
	}
	return r.current, nil
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
	r.log.Info("took the new certificate of http.listen", "file", r.certificate)
	return nil
}
