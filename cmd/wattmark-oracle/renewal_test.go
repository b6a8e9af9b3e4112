package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
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
	if _, err := openRenewed("http.listen", cert, key, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate that is not there is opened")
	}
	c, k := write("first", at.Add(24*time.Hour))
	put(cert, c)
	put(key, k)
	r, err := openRenewed("http.listen", cert, key, slog.New(slog.NewTextHandler(&log, nil)))
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
		{"nothing more", func() {}, "second", ""}, // said once
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

// shownBy connects with files and returns the certificate that a server shows. at is the
// time for the client, and the connection stays until the test ends.
func shownBy(t *testing.T, url string, files broker.Files, at func() time.Time) (*nats.Conn, *x509.Certificate) {
	t.Helper()
	cert, roots, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	var shown *x509.Certificate
	conn, err := nats.Connect(url, nats.CustomInboxPrefix("_none"), nats.Secure(&tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12, Time: at,
		VerifyConnection: func(s tls.ConnectionState) error { shown = s.PeerCertificates[0]; return nil },
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn, shown
}

// TestBrokersOwnCertificate runs a broker until its certificate has less than a month: who
// connects then sees a new one, and who is connected stays.
func TestBrokersOwnCertificate(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	pki, err := broker.OpenPKI(t.TempDir(), now())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o, err := openOwn(pki, []string{"broker.example"}, slog.New(slog.NewTextHandler(&log, nil)), now)
	if err != nil {
		t.Fatal(err)
	}
	rights := oracle.OracleRights(origin, "a", 0)
	b, err := broker.Start(broker.Config{
		StoreDir: t.TempDir(), ClientListen: "127.0.0.1:0", MQTTListen: "127.0.0.1:0", Roots: pki.Roots(), Present: o.get, Now: now, Oracles: []broker.Oracle{rights},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	files, err := pki.Oracle(now(), wire.ShortName(origin), oracle.CertificateName("a"))
	if err != nil {
		t.Fatal(err)
	}
	conn, first := shownBy(t, b.NATSURL(), files, now)
	ahead.Store(int64(time.Until(first.NotAfter) - 31*24*time.Hour))
	if _, same := shownBy(t, b.NATSURL(), files, now); !same.Equal(first) {
		t.Error("a certificate that has a month is renewed")
	}
	ahead.Add(int64(2 * 24 * time.Hour))
	// Who may connect changes as well: that must not bring the old one back.
	if err := b.SetClients(nil, []broker.Oracle{rights, oracle.OracleRights(origin, "b", 1)}); err != nil {
		t.Fatal(err)
	}
	_, second := shownBy(t, b.NATSURL(), files, now)
	if second.Equal(first) || !second.NotAfter.After(now().Add(300*24*time.Hour)) || second.VerifyHostname("broker.example") != nil {
		t.Errorf("with less than a month a certificate until %v is shown", second.NotAfter)
	}
	if err := conn.Flush(); err != nil || conn.Stats().Reconnects > 0 {
		t.Errorf("the connection from before: %v, %d times anew", err, conn.Stats().Reconnects)
	}
	if !strings.Contains(log.String(), "the broker's certificate is a new one") {
		t.Errorf("logged %q", log.String())
	}
}

// renew has the operator renew the certificates of all servers, which take them by
// themselves, but for one that is told by a signal. Nobody loses a connection.
func (c *cluster) renew() {
	c.t.Helper()
	own := c.nodes[0].certificate(c.t, "gateway", c.meters[0].name)
	var before []*x509.Certificate
	for i, s := range c.servers {
		_, shown := shownBy(c.t, c.urls[i], own, time.Now)
		before = append(before, shown)
		files := c.nodes[0].certificate(c.t, "node", s.name, "--host", "localhost")
		if err := os.Remove(files.Certificate); err != nil {
			c.t.Fatal(err)
		}
		if again := c.nodes[0].certificate(c.t, "node", s.name, "--host", "localhost"); again != files {
			c.t.Fatalf("the new certificate of %s is at %v, the old one was at %v", s.name, again, files)
		}
	}
	c.servers[0].signal(syscall.SIGHUP)
	for i, s := range c.servers {
		until(c.t, s.name+" shows its new certificate", func() bool {
			conn, after := shownBy(c.t, c.urls[i], own, time.Now)
			conn.Close()
			return !after.Equal(before[i])
		})
	}
	for _, m := range c.meters {
		if n := m.conn.Stats().Reconnects; n > 0 {
			c.t.Errorf("%s has connected anew %d times", m.name, n)
		}
	}
}
