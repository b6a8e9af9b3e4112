package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRenewal replaces the files of a certificate under a server, badly and well.
func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "https.pem"), filepath.Join(dir, "https.key")
	at := time.Now()
	write := func(name string, ends time.Time) (certificate, private []byte) {
		t.Helper()
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: at.Add(-48 * time.Hour), NotAfter: ends},
			&x509.Certificate{Subject: pkix.Name{CommonName: name}}, k.Public(), k)
		if err != nil {
			t.Fatal(err)
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	}
	stamp := at.Add(-time.Hour)
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		stamp = stamp.Add(time.Second) // however coarse the file system's clock is
		if err := os.Chtimes(name, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	if _, err := openRenewed(cert, key, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate that is not there is opened")
	}
	c, k := write("first", at.Add(24*time.Hour))
	put(cert, c)
	put(key, k)
	r, err := openRenewed(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := r.now()
	r.now = func() time.Time { return now }
	shown := func() string {
		t.Helper()
		now = now.Add(lookEvery)
		c, err := r.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.Subject.CommonName
	}
	second, secondKey := write("second", at.Add(24*time.Hour))
	old, oldKey := write("old", at.Add(-time.Minute))
	for _, step := range []struct {
		name string
		do   func()
		want string
		logs string
	}{
		{"nothing changes", func() {}, "first", ""},
		{"the certificate alone", func() { put(cert, second) }, "first", "kept the old certificate"},
		{"its key too", func() { put(key, secondKey) }, "second", "took the new certificate"},
		{"one that has ended", func() { put(key, oldKey); put(cert, old) }, "second", "it ended on"},
		{"no certificate", func() { put(cert, []byte("x")) }, "second", "kept the old certificate"},
		{"no file", func() { os.Remove(cert) }, "second", "kept the old certificate"},
		{"the first one again", func() { put(key, k); put(cert, c) }, "first", "took the new certificate"},
	} {
		log.Reset()
		step.do()
		if got := shown(); got != step.want {
			t.Errorf("%s: %s is shown, want %s", step.name, got, step.want)
		}
		if step.logs == "" && log.Len() > 0 || !strings.Contains(log.String(), step.logs) {
			t.Errorf("%s: logged %q, want %q", step.name, log.String(), step.logs)
		}
	}
	// Between two looks nothing is read.
	put(cert, second)
	put(key, secondKey)
	if c, err := r.get(nil); err != nil || c.Leaf.Subject.CommonName != "first" {
		t.Errorf("at once: %v, %v", c.Leaf.Subject, err)
	}
}
