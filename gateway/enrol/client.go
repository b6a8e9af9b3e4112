package enrol

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"wattmark/oracle/wire"
)

// fileRenewed holds the client certificate that came in the place of the configuration's,
// in PEM. The key stays where the configuration has it.
const fileRenewed = "renewed.pem"

// Client is the certificate that a gateway shows the broker: that of its configuration, or
// the one that an oracle sent since, before the end of that. Its methods may be called from
// any goroutine.
type Client struct {
	dir   string
	roots *x509.CertPool

	mu   sync.Mutex // guards pair
	pair tls.Certificate
}

// ErrRenewal is wrapped where a certificate that was sent is not one to put in the place
// of the present one.
var ErrRenewal = errors.New("it is not this gateway's to use")

// OpenClient takes certificate and key of the configuration, in PEM, the authorities that
// count, and the state directory, where a renewed one may be.
func OpenClient(certificate, key []byte, roots *x509.CertPool, dir string) (*Client, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	if leaf := Renewed(dir, pair.Leaf); leaf != pair.Leaf {
		pair.Certificate, pair.Leaf = [][]byte{leaf.Raw}, leaf
	}
	return &Client{dir: dir, roots: roots, pair: pair}, nil
}

// Renewed returns the certificate that is kept in a state directory in the place of the
// configuration's: one for the same key and name, that ends later. Otherwise it returns the
// configuration's: what is there is of before that, or damaged, and is sent again when it
// is needed.
func Renewed(dir string, have *x509.Certificate) *x509.Certificate {
	b, err := read(filepath.Join(dir, fileRenewed), 2*wire.MaxCertificate)
	if err != nil {
		return have
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return have
	}
	leaf, err := follows(have, block.Bytes)
	if err != nil {
		return have
	}
	return leaf
}

// Show is a tls.Config's GetClientCertificate.
func (c *Client) Show(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pair := c.pair
	return &pair, nil
}

// Leaf returns the certificate in use.
func (c *Client) Leaf() *x509.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair.Leaf
}

// Renew puts a certificate in DER into the place of the present one, if it is for the same
// key and name, of an authority that counts, good at now, and ends later. Else its error
// wraps ErrRenewal, and nothing changes. It reports whether the certificate is in use:
// with an error too, where it could not be kept for the next start.
func (c *Client) Renew(der []byte, now time.Time) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	leaf, err := follows(c.pair.Leaf, der)
	if errors.Is(err, errNoLater) {
		return false, nil // it was sent twice
	}
	if err == nil {
		_, err = leaf.Verify(x509.VerifyOptions{Roots: c.roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrRenewal, err)
	}
	c.pair.Certificate, c.pair.Leaf = [][]byte{der}, leaf
	if err := replace(c.dir, fileRenewed, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return true, fmt.Errorf("keeping the client certificate for the next start: %w", err)
	}
	return true, nil
}

var errNoLater = errors.New("it ends no later than the present one")

// follows reads a certificate that may come in the place of another.
func follows(have *x509.Certificate, der []byte) (*x509.Certificate, error) {
	if len(der) > wire.MaxCertificate {
		return nil, fmt.Errorf("%d bytes, over the limit of %d", len(der), wire.MaxCertificate)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	key, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !key.Equal(have.PublicKey):
		return nil, errors.New("it is for another key")
	case leaf.Subject.CommonName != have.Subject.CommonName,
		!slices.EqualFunc(leaf.URIs, have.URIs, func(a, b *url.URL) bool { return a.String() == b.String() }):
		return nil, errors.New("it is for another name")
	case !leaf.NotAfter.After(have.NotAfter):
		return nil, errNoLater
	}
	return leaf, nil
}
