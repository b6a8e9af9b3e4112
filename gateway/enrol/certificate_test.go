package enrol_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"wattmark/gateway/enrol"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/broker"
	"wattmark/signer"
)

// TestApprovalBringsTheCertificate takes an approval with a certificate for the TLS key of
// the request, and refuses one for another key.
func TestApprovalBringsTheCertificate(t *testing.T) {
	own, other := key(t, signer.EdDSA, 7), key(t, signer.EdDSA, 8)
	ask, err := enrol.Ask("home-01", devices())
	if err != nil {
		t.Fatal(err)
	}
	ask.TLS = own.Public().Bytes()
	r, err := enrol.NewRequest(key(t, signer.EdDSA, 1), ledgertest.Origin, now, ask)
	if err != nil {
		t.Fatal(err)
	}
	pki, err := broker.OpenPKI(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certify := func(k *signer.PrivateKey) []byte {
		t.Helper()
		spki, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(k.Public().Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		der, err := pki.CertifyGateway(time.Now(), "street", r.Gateway, spki)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	c := ledgertest.New(t, 4)
	a := admit(c, r)
	bare := a.Encode()
	if e, err := enrol.Accept(a, r, nil, nil); err != nil || e.Certificate != nil {
		t.Errorf("an approval without a certificate: %v", err)
	}
	a.Certificate, a.Roots = certify(own), pki.RootDER()
	read, err := enrol.ParseApproval(a.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.Encode(), bare) || !bytes.Equal(read.Certificate, a.Certificate) || !bytes.Equal(read.Roots, a.Roots) {
		t.Error("the certificate is not in the approval's file")
	}
	e, err := enrol.Accept(read, r, nil, nil)
	if err != nil || !bytes.Equal(e.Certificate, a.Certificate) {
		t.Fatalf("an approval with its certificate: %v", err)
	}
	if err := enrol.Save(t.TempDir(), e, r); err != nil {
		t.Error(err)
	}
	a.Certificate = certify(other)
	if _, err := enrol.Accept(a, r, nil, nil); !errors.Is(err, enrol.ErrApproval) {
		t.Errorf("a certificate for another's key: %v", err)
	}
	a.Certificate = []byte("none")
	if _, err := enrol.ParseApproval(a.Encode()); !errors.Is(err, enrol.ErrApproval) {
		t.Errorf("bytes that are no certificate: %v", err)
	}
}
