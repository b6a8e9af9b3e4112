package console

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Access is what stands before the page where others than this machine can reach it: TLS
// with a certificate of the gateway's own, which nobody vouches for, and a code that only
// those know who may read the state directory, as readings of a household are behind it.
type Access struct {
	Certificate tls.Certificate
	// Code is 80 bits of the certificate's key.
	Code string
}

// accessFile holds certificate and key, in the state directory.
const accessFile = "page.pem"

// accessLife is how long a certificate is used.
const accessLife = 10 * 365 * 24 * time.Hour

// OpenAccess opens the access of a state directory, or makes it there, mode 0600.
func OpenAccess(dir string, now time.Time) (*Access, error) {
	path := filepath.Join(dir, accessFile)
	a, err := loadAccess(path)
	if err == nil && now.Before(a.Certificate.Leaf.NotAfter) {
		return a, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the page's certificate: %w: remove %s, and another is made", err, path)
	}
	if err := makeAccess(path, now); err != nil {
		return nil, fmt.Errorf("making the page's certificate: %w", err)
	}
	return loadAccess(path)
}

// LoadAccess opens the access of a state directory as it was made by the gateway that
// runs, or returns fs.ErrNotExist.
func LoadAccess(dir string) (*Access, error) {
	a, err := loadAccess(filepath.Join(dir, accessFile))
	if err != nil {
		return nil, fmt.Errorf("the page's certificate: %w", err)
	}
	return a, nil
}

func loadAccess(path string) (*Access, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("wattmark gateway page\x00"), key...))
	return &Access{pair, base32.StdEncoding.EncodeToString(sum[:10])}, nil
}

func makeAccess(path string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	name, _ := os.Hostname() // without one it has no name
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Wattmark gateway " + name},
		// A gateway's clock may be set later, and run ahead of a phone's.
		NotBefore: now.Add(-24 * time.Hour).UTC(), NotAfter: now.Add(accessLife).UTC(),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if name != "" {
		template.DNSNames = []string{name, name + ".local"}
	}
	template.IPAddresses = append(template.IPAddresses, addresses()...)
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: certificate}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&b, block); err != nil {
			return err
		}
	}
	// Beside its place first: a power cut leaves the old file or none.
	f, err := os.CreateTemp(filepath.Dir(path), "."+accessFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b.Bytes())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// addresses are those of this machine at which others may reach it.
func addresses() []net.IP {
	var out []net.IP
	all, _ := net.InterfaceAddrs() // where they cannot be told there are none to show
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			out = append(out, n.IP)
		}
	}
	return out
}

// Loopback reports whether an address that a page listens on is this machine's alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// Listen opens an address that others can reach, with TLS.
func (a *Access) Listen(address string) (net.Listener, error) {
	return tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{a.Certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
}

// cookie holds the code once somebody has given it.
const cookie = "wattmark_page"

// Guard lets those through who have given the code: as a link gives it, once.
func (a *Access) Guard(next http.Handler) http.Handler {
	right := func(code string) bool { return subtle.ConstantTimeCompare([]byte(code), []byte(a.Code)) == 1 }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie(cookie); err == nil && right(c.Value) {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodGet && r.URL.Path == "/" && right(strings.ToUpper(r.URL.Query().Get("code"))) {
			http.SetCookie(w, &http.Cookie{Name: cookie, Value: a.Code, Path: "/", MaxAge: 30 * 24 * 3600, HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		http.Error(w, languageOf(r).word("Readings of a household are behind this page. On the gateway,\n  sudo wattmark-gateway console\nshows the link, with its code, and a picture of it for a phone."), http.StatusForbidden)
	})
}

// Links are where the page is reached on an address that it listens on. access is nil
// where that is this machine's alone.
func Links(address string, access *Access) []string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	if access == nil {
		return []string{"http://" + net.JoinHostPort(host, port) + "/"}
	}
	hosts := []string{host}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		hosts = nil
		for _, ip := range addresses() {
			hosts = append(hosts, ip.String())
		}
	}
	var out []string
	for _, h := range hosts {
		out = append(out, "https://"+net.JoinHostPort(h, port)+"/?code="+access.Code)
	}
	return out
}
