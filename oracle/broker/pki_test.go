package broker_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/oracle/broker"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openPKI(t *testing.T, dir string, now time.Time) *broker.PKI {
	t.Helper()
	p, err := broker.OpenPKI(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// certificate loads files and returns the certificate in them.
func certificate(t *testing.T, files broker.Files, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	pair, _, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func TestPKIIssuesWhatPeersVerify(t *testing.T) {
	p := openPKI(t, t.TempDir(), noon)
	files, err := p.Server(noon, "broker.example", "10.0.0.7")
	server := certificate(t, files, err)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "broker.example", "10.0.0.7"} {
		if _, err := server.Verify(x509.VerifyOptions{DNSName: name, Roots: p.Roots(), CurrentTime: noon}); err != nil {
			t.Errorf("server certificate for %s: %v", name, err)
		}
	}
	files, err = p.Gateway(noon, "street", "home-1")
	client := certificate(t, files, err)
	if _, err := client.Verify(x509.VerifyOptions{
		Roots: p.Roots(), CurrentTime: noon.Add(390 * 24 * time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		t.Errorf("gateway's certificate: %v", err)
	}
	var uris []string
	for _, u := range client.URIs {
		uris = append(uris, u.String())
	}
	id := broker.GatewayIdentity("street", "home-1")
	if diff := cmp.Diff([]string{id + "/mqtt", id + "/nats"}, uris); diff != "" {
		t.Errorf("gateway's names (-want +got):\n%s", diff)
	}
	if _, err := client.Verify(x509.VerifyOptions{Roots: p.Roots(), CurrentTime: noon}); err == nil {
		t.Error("a gateway's certificate verifies as a server's")
	}
}

func TestPKIKeepsWhatItMade(t *testing.T) {
	dir := t.TempDir()
	files, err := openPKI(t, dir, noon).Gateway(noon, "street", "home-1")
	first := certificate(t, files, err)

	later := noon.Add(300 * 24 * time.Hour)
	files, err = openPKI(t, dir, later).Gateway(later, "street", "home-1")
	if !certificate(t, files, err).Equal(first) {
		t.Error("a certificate with a month left was replaced")
	}
	later = noon.Add(380 * 24 * time.Hour)
	files, err = openPKI(t, dir, later).Gateway(later, "street", "home-1")
	if certificate(t, files, err).Equal(first) {
		t.Error("a certificate near its end was kept")
	}
	p := openPKI(t, dir, later)
	files, err = p.Server(later)
	plain := certificate(t, files, err)
	files, err = p.Server(later, "broker.example")
	if certificate(t, files, err).Equal(plain) {
		t.Error("a server's certificate without the name asked for was kept")
	}
}

// TestPKINearItsEnd asks an authority in its last month: what ends with it is not made
// again, as another one would last no longer, and nothing is made once it has ended.
func TestPKINearItsEnd(t *testing.T) {
	p := openPKI(t, t.TempDir(), noon)
	end := noon.Add(10 * 365 * 24 * time.Hour)
	last := end.Add(-10 * 24 * time.Hour)
	files, err := p.Server(last.Add(-30 * 24 * time.Hour))
	first := certificate(t, files, err)
	if !first.NotAfter.Equal(end) {
		t.Fatalf("a certificate is good until %v, its authority until %v", first.NotAfter, end)
	}
	files, err = p.Server(last)
	if !certificate(t, files, err).Equal(first) {
		t.Error("a certificate is made anew that lasts no longer than the one before")
	}
	if der, err := p.Renew(last, first); der != nil || err != nil {
		t.Errorf("renewed: %d bytes, %v", len(der), err)
	}
	if _, err := p.Server(end.Add(time.Second)); err == nil {
		t.Error("an authority that has ended makes a certificate")
	}
}

func TestPKIRenews(t *testing.T) {
	p := openPKI(t, t.TempDir(), noon)
	files, err := p.Oracle(noon, "street", "one")
	first := certificate(t, files, err)
	if der, err := p.Renew(noon.Add(360*24*time.Hour), first); der != nil || err != nil {
		t.Errorf("with a month left: %d bytes, %v", len(der), err)
	}
	later := noon.Add(370 * 24 * time.Hour)
	if der, err := openPKI(t, t.TempDir(), noon).Renew(later, first); der != nil || err != nil {
		t.Errorf("by another authority: %d bytes, %v", len(der), err)
	}
	der, err := p.Renew(later, first)
	if err != nil {
		t.Fatal(err)
	}
	second, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if !second.NotAfter.After(later.Add(390*24*time.Hour)) || second.URIs[0].String() != broker.OracleIdentity("street", "one") ||
		!bytes.Equal(second.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
		t.Errorf("the new one is for %v, until %v", second.URIs, second.NotAfter)
	}
	if _, err := second.Verify(x509.VerifyOptions{Roots: p.Roots(), CurrentTime: later, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
}

func TestPKIFilesArePrivateAndWhole(t *testing.T) {
	dir := t.TempDir()
	p := openPKI(t, dir, noon)
	if _, err := p.Server(noon); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", e.Name(), info.Mode())
		}
	}
	if diff := cmp.Diff([]string{"ca-key.pem", "ca.pem", "server-key.pem", "server.pem"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestPKIRefuses(t *testing.T) {
	dir := t.TempDir()
	p := openPKI(t, dir, noon)
	for _, name := range []string{"", "a/b", "a.b", "ä", "..", strings.Repeat("x", 65)} {
		if _, err := p.Gateway(noon, "street", name); err == nil {
			t.Errorf("gateway %q was accepted", name)
		}
		if _, err := p.Oracle(noon, name, "one"); err == nil {
			t.Errorf("ledger %q was accepted", name)
		}
	}
	if _, err := broker.OpenPKI(dir, noon.Add(11*365*24*time.Hour)); err == nil {
		t.Error("an authority that ran out was opened")
	}
	if err := os.WriteFile(filepath.Join(dir, "ca-key.pem"), []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.OpenPKI(dir, noon); err == nil {
		t.Error("an authority with a damaged key was opened")
	}
}

// A crash between the two files of a pair must not need a hand to mend it.
func TestPKIMendsWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	p := openPKI(t, dir, noon)
	files, err := p.Gateway(noon, "street", "home-1")
	certificate(t, files, err)
	other, err := p.Gateway(noon, "street", "home-2")
	certificate(t, other, err)
	if err := os.Rename(other.Key, files.Key); err != nil {
		t.Fatal(err)
	}
	files, err = p.Gateway(noon, "street", "home-1")
	certificate(t, files, err)

	fresh := t.TempDir()
	if err := os.WriteFile(filepath.Join(fresh, "ca-key.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	openPKI(t, fresh, noon)
}
