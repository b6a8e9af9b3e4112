package oracle

import (
	"crypto/x509"
	"errors"
	"time"

	"wattmark/oracle/wire"
)

const (
	// certifyEvery bounds how often a gateway is sent a certificate.
	certifyEvery = 10 * time.Minute
	// freshBirth is how far the time of a birth may be from the clock for a certificate to
	// be made for it: an old one may be of a key that was given up since.
	freshBirth = 24 * time.Hour
)

// certify sends a gateway another client certificate where it hears its receipts, if its
// birth says that the present one ends soon and this oracle has the authority. The birth
// is signed with a key that the ledger has, and names the TLS key. The gateway verifies
// what comes by the roots that it has.
func (n *Node) certify(gateway string) {
	n.births.mu.Lock()
	var c *wire.Certificate
	var said time.Time
	if b := n.births.last[gateway]; b != nil {
		c, said = b.Certificate, time.Unix(b.At, 0)
	}
	now := n.cfg.Now()
	if n.cfg.Certify == nil || c == nil || c.Ends.Sub(now) >= wire.RenewBefore || now.Sub(said).Abs() > freshBirth ||
		time.Since(n.births.certified[gateway]) < certifyEvery {
		n.births.mu.Unlock()
		return
	}
	if n.births.certified == nil {
		n.births.certified = make(map[string]time.Time)
	}
	n.births.certified[gateway] = time.Now()
	n.births.mu.Unlock()
	ends, err := n.sendCertificate(gateway, c, now)
	if err != nil {
		n.cfg.Log.Warn("did not send a gateway another client certificate", "gateway", gateway, "has_until", c.Ends.UTC().Format(time.DateOnly), "error", err)
		return
	}
	n.cfg.Log.Info("sent a gateway another client certificate", "gateway", gateway, "had_until", c.Ends.UTC().Format(time.DateOnly), "until", ends.UTC().Format(time.DateOnly))
}

func (n *Node) sendCertificate(gateway string, c *wire.Certificate, now time.Time) (ends time.Time, err error) {
	der, err := n.cfg.Certify(now, gateway, c.Key)
	if err != nil {
		return ends, err
	}
	leaf, err := x509.ParseCertificate(der)
	switch {
	case err != nil:
		return ends, err
	case !leaf.NotAfter.After(c.Ends):
		return ends, errors.New("the authority itself ends: make another, and give gateways its root")
	}
	return leaf.NotAfter, n.cfg.Conn.Publish(n.subjects.Receipt(gateway), der)
}
