package broker

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	rootLife = 10 * 365 * 24 * time.Hour
	leafLife = 397 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is made anew when it is next asked for.
	renewBefore = 30 * 24 * time.Hour
	// skew is how far a peer's clock may be behind ours.
	skew = time.Hour
)

// PKI is a certificate authority in a directory: ca.pem and ca-key.pem, and a pair of files for each certificate it made, all mode 0600
// and written by rename. Keys are ECDSA P-256. Calls for different certificates may run beside one another, in one process or in several;
// those for the same one may not.
type PKI struct {
	dir   string
	root  *x509.Certificate
	chain tls.Certificate
}

// Files are the paths of what a TLS peer needs, all PEM: the authority it trusts, its certificate and its key.
type Files struct {
	Roots, Certificate, Key string
}

// OpenPKI opens the authority in dir, or makes it there, valid from an hour before now for ten years. It is an error if the authority
// that is there is not valid at now: whoever trusts it must be told about a new one.
func OpenPKI(dir string, now time.Time) (*PKI, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the certificate directory: %w", err)
	}
	p := &PKI{dir: dir}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Wattmark consortium CA"},
		NotBefore:             now.Add(-skew).UTC(),
		NotAfter:              now.Add(rootLife).UTC(),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	pair, err := p.load("ca")
	if errors.Is(err, fs.ErrNotExist) {
		pair, err = p.make("ca", template)
	}
	if err != nil {
		return nil, err
	}
	p.chain, p.root = pair, pair.Leaf
	if !p.root.IsCA {
		return nil, fmt.Errorf("%s is not a certificate authority", p.files("ca").Certificate)
	}
	if now.Before(p.root.NotBefore) || now.After(p.root.NotAfter) {
		return nil, fmt.Errorf("certificate authority %s is valid from %v to %v, not at %v: make a new one in another directory and give it to everyone who connects",
			p.files("ca").Certificate, p.root.NotBefore, p.root.NotAfter, now.UTC())
	}
	return p, nil
}

// Roots is a pool that holds the authority.
func (p *PKI) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	return pool
}

// Server returns a server's certificate for the loopback names and for hosts, which are DNS names or IP addresses. The one in the
// directory is used again if it covers the same names and has a month left at now.
func (p *PKI) Server(now time.Time, hosts ...string) (Files, error) {
	return p.issue("server", serverTemplate("broker", now, hosts), now)
}

// Gateway returns the client certificate of a gateway of a ledger: its URI names are GatewayIdentity with "/mqtt" and with "/nats". The
// one in the directory is used again if it has a month left at now. Both names are 1 to 64 of A-Z, a-z, 0-9, '-' and '_'.
func (p *PKI) Gateway(now time.Time, ledger, name string) (Files, error) {
	if !plainName(ledger) || !plainName(name) {
		return Files{}, fmt.Errorf("gateway %q of ledger %q: want 1 to 64 of A-Z, a-z, 0-9, '-' and '_'", name, ledger)
	}
	id := GatewayIdentity(ledger, name)
	return p.client(now, "gateway."+ledger+"."+name, name, id+suffixMQTT, id+suffixNATS)
}

// Oracle returns the client certificate of an oracle in another process: its URI name is OracleIdentity. Otherwise it is like Gateway.
func (p *PKI) Oracle(now time.Time, ledger, name string) (Files, error) {
	if !plainName(ledger) || !plainName(name) {
		return Files{}, fmt.Errorf("oracle %q of ledger %q: want 1 to 64 of A-Z, a-z, 0-9, '-' and '_'", name, ledger)
	}
	return p.client(now, "oracle."+ledger+"."+name, name, OracleIdentity(ledger, name))
}

// Node returns the certificate of a server of a cluster: its peers and its clients see the same one. Names are as with Server, and
// loopback's are in it too.
func (p *PKI) Node(now time.Time, name string, hosts ...string) (Files, error) {
	if !plainName(name) {
		return Files{}, fmt.Errorf("server %q: want 1 to 64 of A-Z, a-z, 0-9, '-' and '_'", name)
	}
	c := serverTemplate(name, now, hosts)
	c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	return p.issue("node."+name, c, now)
}

// Site returns the certificate of the leaf node at a site of a ledger, with which it connects to the cluster and serves the gateways there.
func (p *PKI) Site(now time.Time, ledger, name string, hosts ...string) (Files, error) {
	if !plainName(ledger) || !plainName(name) {
		return Files{}, fmt.Errorf("site %q of ledger %q: want 1 to 64 of A-Z, a-z, 0-9, '-' and '_'", name, ledger)
	}
	c := serverTemplate(name, now, hosts)
	c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	u, err := url.Parse(SiteIdentity(ledger, name))
	if err != nil {
		return Files{}, fmt.Errorf("identity of site %q: %w", name, err)
	}
	c.URIs = append(c.URIs, u)
	return p.issue("site."+ledger+"."+name, c, now)
}

// CertifyGateway returns the certificate, in DER, of a gateway that has made its own TLS key, whose SubjectPublicKeyInfo is spki. It is that
// of Gateway otherwise, and is not kept.
func (p *PKI) CertifyGateway(now time.Time, ledger, name string, spki []byte) ([]byte, error) {
	if !plainName(ledger) || !plainName(name) {
		return nil, fmt.Errorf("gateway %q of ledger %q: want 1 to 64 of A-Z, a-z, 0-9, '-' and '_'", name, ledger)
	}
	id := GatewayIdentity(ledger, name)
	return p.certify(now, name, spki, id+suffixMQTT, id+suffixNATS)
}

// CertifyOracle is CertifyGateway for an oracle.
func (p *PKI) CertifyOracle(now time.Time, ledger, name string, spki []byte) ([]byte, error) {
	if !plainName(ledger) || !plainName(name) {
		return nil, fmt.Errorf("oracle %q of ledger %q: want 1 to 64 of A-Z, a-z, 0-9, '-' and '_'", name, ledger)
	}
	return p.certify(now, name, spki, OracleIdentity(ledger, name))
}

func (p *PKI) certify(now time.Time, common string, spki []byte, uris ...string) ([]byte, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("the TLS key of %s: %w", common, err)
	}
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, fmt.Errorf("the TLS key of %s is on the curve %s: want P-256 or Ed25519", common, k.Params().Name)
		}
	default:
		return nil, fmt.Errorf("the TLS key of %s is neither on P-256 nor Ed25519", common)
	}
	c, err := clientTemplate(common, now, uris)
	if err != nil {
		return nil, err
	}
	if c.NotAfter.After(p.root.NotAfter) {
		c.NotAfter = p.root.NotAfter
	}
	if c.SerialNumber, err = newSerial(); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, c, p.root, key, p.chain.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of %s: %w", common, err)
	}
	return der, nil
}

// Renew returns a certificate, in DER, like the client certificate have and for the same key. It is nil where have is of another authority,
// has a month left at now, or ends with the authority.
func (p *PKI) Renew(now time.Time, have *x509.Certificate) ([]byte, error) {
	if have.CheckSignatureFrom(p.root) != nil || !p.nearEnd(have, now) {
		return nil, nil
	}
	var uris []string
	for _, u := range have.URIs {
		uris = append(uris, u.String())
	}
	return p.certify(now, have.Subject.CommonName, have.RawSubjectPublicKeyInfo, uris...)
}

// nearEnd says whether a certificate has less than a month left, and another one would last longer.
func (p *PKI) nearEnd(have *x509.Certificate, now time.Time) bool {
	return !now.Add(renewBefore).Before(have.NotAfter) && have.NotAfter.Before(p.root.NotAfter)
}

// RootDER is the authority's certificate, for whoever trusts it.
func (p *PKI) RootDER() []byte { return bytes.Clone(p.root.Raw) }

func (p *PKI) client(now time.Time, file, common string, uris ...string) (Files, error) {
	c, err := clientTemplate(common, now, uris)
	if err != nil {
		return Files{}, err
	}
	return p.issue(file, c, now)
}

func clientTemplate(common string, now time.Time, uris []string) (*x509.Certificate, error) {
	c := leaf(common, now, x509.ExtKeyUsageClientAuth)
	for _, s := range uris {
		u, err := url.Parse(s)
		if err != nil {
			return nil, fmt.Errorf("identity %q: %w", s, err)
		}
		c.URIs = append(c.URIs, u)
	}
	return c, nil
}

func serverTemplate(common string, now time.Time, hosts []string) *x509.Certificate {
	c := leaf(common, now, x509.ExtKeyUsageServerAuth)
	for _, h := range append([]string{"localhost", "127.0.0.1", "::1"}, hosts...) {
		if ip := net.ParseIP(h); ip != nil {
			if v4 := ip.To4(); v4 != nil {
				ip = v4
			}
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return c
}

func leaf(common string, now time.Time, use x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: common},
		NotBefore:             now.Add(-skew).UTC(),
		NotAfter:              now.Add(leafLife).UTC(),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{use},
	}
}

// issue returns the files of a certificate like template, making it unless a good one is there.
func (p *PKI) issue(name string, template *x509.Certificate, now time.Time) (Files, error) {
	if now.After(p.root.NotAfter) {
		return Files{}, fmt.Errorf("making certificate %s: the authority %s ended on %s: make a new one in another directory and give it to everyone who connects",
			name, p.files("ca").Certificate, p.root.NotAfter.Format(time.DateOnly))
	}
	if template.NotAfter.After(p.root.NotAfter) {
		template.NotAfter = p.root.NotAfter
	}
	// A pair that does not load is made anew like one that ran out: a crash may have come between its two files.
	if pair, err := p.load(name); err == nil && p.serves(pair.Leaf, template, now) {
		return p.files(name), nil
	}
	if _, err := p.make(name, template); err != nil {
		return Files{}, err
	}
	return p.files(name), nil
}

// serves says whether the certificate have can be used for what want asks.
func (p *PKI) serves(have, want *x509.Certificate, now time.Time) bool {
	return have.CheckSignatureFrom(p.root) == nil &&
		!now.Before(have.NotBefore) && !p.nearEnd(have, now) &&
		slices.Equal(have.ExtKeyUsage, want.ExtKeyUsage) &&
		slices.Equal(have.DNSNames, want.DNSNames) &&
		slices.EqualFunc(have.IPAddresses, want.IPAddresses, func(a, b net.IP) bool { return a.Equal(b) }) &&
		slices.EqualFunc(have.URIs, want.URIs, func(a, b *url.URL) bool { return a.String() == b.String() })
}

// make signs template with the authority, or with its own key before there is one, and writes the pair.
func (p *PKI) make(name string, template *x509.Certificate) (tls.Certificate, error) {
	fail := func(err error) (tls.Certificate, error) {
		return tls.Certificate{}, fmt.Errorf("making certificate %s: %w", name, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	if template.SerialNumber, err = newSerial(); err != nil {
		return fail(err)
	}
	parent, signer := template, any(key)
	if p.root != nil {
		parent, signer = p.root, p.chain.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return fail(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fail(err)
	}
	f := p.files(name)
	// The key goes first: a key without a certificate counts as nothing, so an authority whose making was cut short is made again.
	if err := writeFile(f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})); err != nil {
		return fail(err)
	}
	if err := writeFile(f.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return fail(err)
	}
	return p.load(name)
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

// load reads a pair; its error is fs.ErrNotExist if there is no certificate.
func (p *PKI) load(name string) (tls.Certificate, error) {
	f := p.files(name)
	if _, err := os.Stat(f.Certificate); err != nil {
		return tls.Certificate{}, err
	}
	return loadPair(f)
}

func (p *PKI) files(name string) Files {
	return Files{
		Roots:       filepath.Join(p.dir, "ca.pem"),
		Certificate: filepath.Join(p.dir, name+".pem"),
		Key:         filepath.Join(p.dir, name+"-key.pem"),
	}
}

func loadPair(f Files) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s with key %s: %w", f.Certificate, f.Key, err)
	}
	if pair.Leaf == nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s: no leaf", f.Certificate)
	}
	return pair, nil
}

// Load reads the files: the peer's certificate with its key, and the pool it trusts.
func (f Files) Load() (tls.Certificate, *x509.CertPool, error) {
	pair, err := loadPair(f)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	data, err := os.ReadFile(f.Roots)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return tls.Certificate{}, nil, fmt.Errorf("%s holds no certificate", f.Roots)
	}
	return pair, pool, nil
}

func plainName(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

// writeFile writes data so that path holds either its old content or all of the new, also after a power cut.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
