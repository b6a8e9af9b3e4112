package broker_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/oracle/broker"
	"wattmark/oracle/oracletest"
)

// served is a server of a cluster with a certificate that a test replaces.
type served struct {
	t      *testing.T
	pki    *broker.PKI
	files  broker.Files // of the server
	client broker.Files
	url    string
	log    string
	reload chan struct{}
	look   chan time.Time
}

// serve starts a server with a certificate that was made at a time.
func serve(t *testing.T, made time.Time) *served {
	t.Helper()
	dir := t.TempDir()
	s := &served{t: t, pki: openPKI(t, filepath.Join(dir, "pki"), time.Now()), log: filepath.Join(dir, "log"), reload: make(chan struct{}), look: make(chan time.Time)}
	var err error
	if s.files, err = s.pki.Node(made, "nats-1"); err != nil {
		t.Fatal(err)
	}
	if s.client, err = s.pki.Oracle(time.Now(), "street", "one"); err != nil {
		t.Fatal(err)
	}
	port := oracletest.FreePort(t)
	s.url = fmt.Sprintf("tls://localhost:%d", port)
	config := filepath.Join(dir, "server.conf")
	text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\nlogfile: %q\ntls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }\n",
		port, s.log, s.files.Certificate, s.files.Key, s.files.Roots)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- broker.Serve(ctx, config, s.reload, s.look) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	err = until(func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "tls://"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if err != nil {
		t.Fatalf("the server does not answer: %v", err)
	}
	s.looks()
	return s
}

// looks has the server look until it has settled on what is there.
func (s *served) looks() {
	for range 4 {
		s.look <- time.Now()
	}
}

func (s *served) connect() (*nats.Conn, error) {
	return broker.RouteTo([]string{s.url}, s.client, "").Connect(nats.MaxReconnects(-1))
}

// shown is what the server shows to who connects.
func (s *served) shown() *x509.Certificate {
	s.t.Helper()
	conn, err := s.connect()
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	state, err := conn.TLSConnectionState()
	if err != nil {
		s.t.Fatal(err)
	}
	return state.PeerCertificates[0]
}

// logged is how often the server's log has a text.
func (s *served) logged(text string) int {
	s.t.Helper()
	b, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Count(string(b), text)
}

func (s *served) put(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// made makes a pair like the server's at a time.
func (s *served) made(at time.Time) (certificate, key []byte) {
	s.t.Helper()
	for _, name := range []string{s.files.Certificate, s.files.Key} {
		if err := os.Remove(name); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := s.pki.Node(at, "nats-1"); err != nil {
		s.t.Fatal(err)
	}
	var err error
	if certificate, err = os.ReadFile(s.files.Certificate); err == nil {
		key, err = os.ReadFile(s.files.Key)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return certificate, key
}

// TestServeTakesCertificates replaces the TLS files under a server, badly and well. What
// is wrong changes nothing and is logged once; what is right is shown to who connects, and
// who is connected stays.
func TestServeTakesCertificates(t *testing.T) {
	s := serve(t, time.Now())
	conn, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	first := s.shown()
	cert, err := os.ReadFile(s.files.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(s.files.Key)
	if err != nil {
		t.Fatal(err)
	}
	oldCert, oldKey := s.made(time.Now().Add(-400 * 24 * time.Hour))
	newCert, newKey := s.made(time.Now())
	for _, step := range []struct {
		name      string
		cert, key []byte
		says      string // what the log has once more
	}{
		{"what was there", cert, key, ""},
		{"no certificate", []byte("x"), key, "Not reloaded"},
		{"another's key", cert, newKey, "Not reloaded"},
		{"one that has ended", oldCert, oldKey, "ended on"},
	} {
		s.put(s.files.Certificate, step.cert)
		s.put(s.files.Key, step.key)
		refused, said := s.logged("Not reloaded"), s.logged(step.says)
		s.looks()
		if !s.shown().Equal(first) {
			t.Errorf("%s: another certificate is shown", step.name)
		}
		if step.says == "" {
			if n := s.logged("Not reloaded"); n != refused {
				t.Errorf("%s: refused", step.name)
			}
		} else if n := s.logged(step.says); n != said+1 {
			t.Errorf("%s: logged %q %d times", step.name, step.says, n-said)
		}
	}
	// A signal does not make it take what has ended.
	s.reload <- struct{}{}
	s.looks()
	if !s.shown().Equal(first) {
		t.Error("at a signal a certificate that has ended is taken")
	}
	if err := os.Remove(s.files.Certificate); err != nil {
		t.Fatal(err)
	}
	s.looks()
	if !s.shown().Equal(first) {
		t.Error("without its file another certificate is shown")
	}
	refused := s.logged("Not reloaded")
	s.put(s.files.Key, newKey)
	s.put(s.files.Certificate, newCert)
	s.looks()
	second := s.shown()
	if took := s.logged("Took the TLS files"); second.Equal(first) || took != 1 || s.logged("Not reloaded") != refused {
		t.Errorf("the right files: still the first one %v, taken %d times", second.Equal(first), took)
	}
	if err := conn.Flush(); err != nil || conn.Stats().Reconnects > 0 {
		t.Errorf("the connection from before: %v, %d times anew", err, conn.Stats().Reconnects)
	}
}

// TestServeReloadsWithWhatHasEnded sends a signal to a server whose certificate has ended
// under it: other changes are still taken.
func TestServeReloadsWithWhatHasEnded(t *testing.T) {
	s := serve(t, time.Now().Add(-400*24*time.Hour))
	s.reload <- struct{}{}
	s.looks()
	if n := s.logged("Reloaded server configuration"); n != 1 {
		t.Errorf("reloaded %d times", n)
	}
}
