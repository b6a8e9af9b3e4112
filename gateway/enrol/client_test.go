package enrol_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wattmark/gateway/enrol"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
)

// year is somewhat more than a certificate lasts.
const year = 400 * 24 * time.Hour

// clientRig is the client certificate of a gateway, and the authority that makes others.
type clientRig struct {
	*enrol.Client
	t                testing.TB
	pki              *broker.PKI
	dir              string
	certificate, key []byte // PEM
	now              time.Time
}

func newClientRig(t testing.TB) *clientRig {
	t.Helper()
	r := &clientRig{t: t, dir: t.TempDir(), now: time.Now()}
	var err error
	if r.pki, err = broker.OpenPKI(t.TempDir(), r.now); err != nil {
		t.Fatal(err)
	}
	files, err := r.pki.Gateway(r.now, "street", "home-01")
	if err != nil {
		t.Fatal(err)
	}
	r.certificate, r.key = r.read(files.Certificate), r.read(files.Key)
	r.open()
	return r
}

func (r *clientRig) read(path string) []byte {
	r.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// open is a start of the gateway.
func (r *clientRig) open() {
	r.t.Helper()
	var err error
	if r.Client, err = enrol.OpenClient(r.certificate, r.key, r.pki.Roots(), r.dir); err != nil {
		r.t.Fatal(err)
	}
}

// made returns a certificate that an authority makes at a time.
func (r *clientRig) made(pki *broker.PKI, at time.Time, name string, spki []byte) []byte {
	r.t.Helper()
	der, err := pki.CertifyGateway(at, "street", name, spki)
	if err != nil {
		r.t.Fatal(err)
	}
	return der
}

// later is a certificate as an oracle sends it a month before the end.
func (r *clientRig) later() []byte {
	r.t.Helper()
	return r.made(r.pki, r.now.Add(year-60*24*time.Hour), "home-01", r.Leaf().RawSubjectPublicKeyInfo)
}

// admitted reports whether a broker admits the gateway at a time, by a handshake.
func (r *clientRig) admitted(at time.Time) bool {
	r.t.Helper()
	files, err := r.pki.Server(at)
	if err != nil {
		r.t.Fatal(err)
	}
	own, roots, err := files.Load()
	if err != nil {
		r.t.Fatal(err)
	}
	clock := func() time.Time { return at }
	near, far := net.Pipe()
	server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert, Time: clock})
	client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "localhost", GetClientCertificate: r.Show, Time: clock})
	defer near.Close()
	defer far.Close()
	go func() { _, _ = client.Read(make([]byte, 1)) }() // makes the handshake, and hears the alert
	return server.HandshakeContext(r.t.Context()) == nil
}

// TestClientIsRenewed: a certificate that is sent counts from the next connection on, also
// after a start, and admits the gateway when the one of the configuration has ended.
func TestClientIsRenewed(t *testing.T) {
	r := newClientRig(t)
	end := r.Leaf().NotAfter
	soon, after := end.Add(-20*24*time.Hour), end.Add(time.Hour)
	if !r.admitted(soon) || r.admitted(after) {
		t.Fatal("the certificate of the configuration is not good until it ends")
	}
	der := r.later()
	if used, err := r.Renew(der, soon); !used || err != nil {
		t.Fatalf("the new one is not used: %v", err)
	}
	if used, err := r.Renew(der, soon); used || err != nil {
		t.Errorf("once more: %v, %v", used, err)
	}
	if !bytes.Equal(r.Leaf().Raw, der) || !r.admitted(after) {
		t.Error("the new one does not admit the gateway")
	}
	r.open()
	if !bytes.Equal(r.Leaf().Raw, der) || !r.admitted(after) {
		t.Error("after a start the new one is forgotten")
	}
	// Whoever puts a later one into the configuration means that.
	newest := r.made(r.pki, r.now.Add(year), "home-01", r.Leaf().RawSubjectPublicKeyInfo)
	r.certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: newest})
	r.open()
	if !bytes.Equal(r.Leaf().Raw, newest) {
		t.Error("what was sent counts before a later one of the configuration")
	}
}

// TestClientRefuses: what is not the gateway's changes nothing, in memory or on disk.
func TestClientRefuses(t *testing.T) {
	r := newClientRig(t)
	spki, soon := r.Leaf().RawSubjectPublicKeyInfo, r.Leaf().NotAfter.Add(-20*24*time.Hour)
	at := r.now.Add(year - 60*24*time.Hour)
	others, err := broker.OpenPKI(t.TempDir(), r.now)
	if err != nil {
		t.Fatal(err)
	}
	another, err := r.pki.Gateway(r.now, "street", "home-02")
	if err != nil {
		t.Fatal(err)
	}
	pair, _, err := another.Load()
	if err != nil {
		t.Fatal(err)
	}
	good := r.later()
	torn := bytes.Clone(good)
	torn[len(torn)-1] ^= 1
	before := r.Leaf()
	for what, der := range map[string][]byte{
		"nothing":                        nil,
		"no certificate":                 []byte("0123456789"),
		"too much":                       append(bytes.Clone(good), make([]byte, wire.MaxCertificate)...),
		"one with another signature":     torn,
		"one of another authority":       r.made(others, at, "home-01", spki),
		"another gateway's":              r.made(r.pki, at, "home-02", spki),
		"one for another key":            r.made(r.pki, at, "home-01", pair.Leaf.RawSubjectPublicKeyInfo),
		"one that is not good yet":       r.made(r.pki, at.Add(year), "home-01", spki),
		"one that is of use no more":     good,
		"an oracle's, for the same name": oraclesOwn(t, r, at),
	} {
		when := soon
		if what == "one that is of use no more" {
			when = soon.Add(3 * year)
		}
		if used, err := r.Renew(der, when); used || !errors.Is(err, enrol.ErrRenewal) {
			t.Errorf("%s: used %v, %v", what, used, err)
		}
	}
	if used, err := r.Renew(r.made(r.pki, r.now.Add(-time.Hour), "home-01", spki), soon); used || err != nil {
		t.Errorf("one that ends earlier: used %v, %v", used, err)
	}
	if r.Leaf() != before {
		t.Error("something else is used now")
	}
	if list, err := os.ReadDir(r.dir); err != nil || len(list) > 0 {
		t.Errorf("something was kept: %v, %v", list, err)
	}
	// A damaged file is passed over: another is sent.
	for _, content := range []string{"", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", string(make([]byte, 3*wire.MaxCertificate))} {
		if err := os.WriteFile(filepath.Join(r.dir, "renewed.pem"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		r.open()
		if !r.Leaf().Equal(before) {
			t.Errorf("with %.20q in its place another certificate is used", content)
		}
	}
}

// oraclesOwn is a certificate of the same authority and key for an oracle of the gateway's name.
func oraclesOwn(t *testing.T, r *clientRig, at time.Time) []byte {
	t.Helper()
	der, err := r.pki.CertifyOracle(at, "street", "home-01", r.Leaf().RawSubjectPublicKeyInfo)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestClientNotKept: where the disk does not take it, the certificate is used until the end of
// the run, and that is said.
func TestClientNotKept(t *testing.T) {
	r := newClientRig(t)
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	der := r.later()
	if used, err := r.Renew(der, r.Leaf().NotAfter.Add(-time.Hour)); !used || err == nil || errors.Is(err, enrol.ErrRenewal) {
		t.Errorf("used %v, %v", used, err)
	}
	if !bytes.Equal(r.Leaf().Raw, der) {
		t.Error("it is not used")
	}
}

// FuzzRenew: nobody but the authority makes a certificate that is used.
func FuzzRenew(f *testing.F) {
	r := newClientRig(f)
	good := r.later()
	f.Add(good)
	f.Add(r.Leaf().Raw)
	f.Add([]byte{0x30})
	f.Fuzz(func(t *testing.T, der []byte) {
		r := &clientRig{t: t, pki: r.pki, dir: t.TempDir(), certificate: r.certificate, key: r.key}
		r.open()
		used, err := r.Renew(der, r.Leaf().NotAfter.Add(-time.Hour))
		if used != bytes.Equal(der, good) || used && err != nil {
			t.Errorf("used %v, %v: %x", used, err, der)
		}
		if _, err := x509.ParseCertificate(r.Leaf().Raw); err != nil {
			t.Error(err)
		}
	})
}
