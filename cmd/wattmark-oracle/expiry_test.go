package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/oracletest"
	"wattmark/oracle/wire"
)

// oracleHurried is the name under which this test's program looks at certificates all the
// time.
const oracleHurried = "oracle-hurried"

func hurry() {
	expiryEvery, serverLooks = 50*time.Millisecond, 50*time.Millisecond
	main()
}

// longAgo is when a certificate was made that ends in seventeen days.
func longAgo() time.Time { return time.Now().Add(-380 * 24 * time.Hour) }

// got is what an address answers.
func got(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", url, res.StatusCode, err)
	}
	return string(b)
}

// endIn is when a certificate ends, as a status says; empty where it is not there.
func (s *status) endIn(of, server string) (ends string, soon bool) {
	if s == nil {
		return "", false // nobody answers
	}
	for _, c := range s.Certificates {
		if c.Of == of && c.Server == server {
			return c.Ends, c.Soon
		}
	}
	return "", false
}

// TestCertificatesEnd runs an oracle that holds the authority at a server elsewhere, both
// as processes. Status and metrics say when the certificates end: also the server's, which
// its operator renews meanwhile. The oracle's own comes near its end: it renews it without
// a restart, and shows it when it connects the next time.
func TestCertificatesEnd(t *testing.T) {
	dir := t.TempDir()
	web, err := broker.OpenPKI(filepath.Join(dir, "web"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	https, err := web.Node(longAgo(), "web")
	if err != nil {
		t.Fatal(err)
	}
	port, monitor, admin := oracletest.FreePort(t), oracletest.FreePort(t), oracletest.FreePort(t)
	m := members(t, 1, func(int) string {
		return fmt.Sprintf("[broker]\nservers = [\"tls://localhost:%d\"]\n[http]\nlisten = \"127.0.0.1:0\"\ncertificate = %q\ncertificate_key = %q\nadmin = \"127.0.0.1:%d\"\n",
			port, https.Certificate, https.Key, admin)
	})[0]
	pki, err := broker.OpenPKI(m.state.file("pki"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	node, err := pki.Node(longAgo(), "nats-1")
	if err != nil {
		t.Fatal(err)
	}
	verb(t, "--config", m.config, "permissions", "--out", filepath.Join(dir, "authorization.conf"))
	conf := filepath.Join(dir, "server.conf")
	text := fmt.Sprintf(`server_name: "nats-1"
listen: "127.0.0.1:%d"
http: "127.0.0.1:%d"
max_payload: 1MB
jetstream { store_dir: %q, sync_interval: always }
tls { cert_file: %q, key_file: %q, ca_file: %q, verify_and_map: true }
include "authorization.conf"
`, port, monitor, filepath.Join(dir, "store"), node.Certificate, node.Key, node.Roots)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nats := newProcess(t, "nats-1", oracleHurried, nil, "server", conf)
	m.process = newProcess(t, "1", oracleHurried, nil, "--config", m.config, "run")

	server := fmt.Sprintf("localhost:%d", port)
	until(t, "the oracle has seen the server's certificate", func() bool {
		s := m.status(t)
		if s == nil || !s.Running || !s.Connected {
			return false
		}
		_, soon := s.endIn(ofBroker, server)
		return soon
	})
	s := m.status(t)
	for _, c := range []struct {
		of, server, file string
		soon             bool
	}{
		{ofBroker, server, node.Certificate, true},
		{ofOracle, "", m.state.file("tls.pem"), false},
		{ofListen, "", https.Certificate, true},
		{ofAuthority, "", m.state.file(authorityFile), false},
	} {
		at, err := endOf(c.file)
		if err != nil {
			t.Fatal(err)
		}
		if ends, soon := s.endIn(c.of, c.server); ends != at.UTC().Format(time.RFC3339) || soon != c.soon {
			t.Errorf("status: %s %s ends on %q, soon %v, want %v, %v", c.of, c.server, ends, soon, at, c.soon)
		}
		mark := "\n"
		if c.soon {
			mark = ": ends within 30 days\n"
		}
		line := strings.TrimSpace(c.of+" "+c.server) + " until " + at.UTC().Format(time.DateOnly) + mark
		if text := verb(t, "--config", m.config, "status"); !strings.Contains(text, line) {
			t.Errorf("status prints\n%s\nwithout %q", text, line)
		}
		figure := fmt.Sprintf("wattmark_certificate_end_timestamp_seconds{of=%q,server=%q} %v\n", c.of, c.server, float64(at.Unix()))
		if text := got(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", admin)); !strings.Contains(text, figure) {
			t.Errorf("the metrics are without %s: %q", figure, regexp.MustCompile("(?m)^wattmark_certificate.*").FindAllString(text, -1))
		}
	}

	verb(t, "--config", m.config, "certificate", "node", "nats-1")
	until(t, "the oracle sees the server's new certificate", func() bool { ends, soon := m.status(t).endIn(ofBroker, server); return ends != "" && !soon })

	first, err := readCertificate(m.state.file("tls.pem"))
	if err != nil {
		t.Fatal(err)
	}
	old, err := pki.CertifyOracle(longAgo(), wire.ShortName(origin), oracle.CertificateName(m.name), first.RawSubjectPublicKeyInfo)
	if err != nil {
		t.Fatal(err)
	}
	if err := writePEM(m.state.file("tls.pem"), old); err != nil {
		t.Fatal(err)
	}
	var second *x509.Certificate
	until(t, "the oracle renews its own certificate", func() bool {
		second, err = readCertificate(m.state.file("tls.pem"))
		return err == nil && time.Until(second.NotAfter) > 390*24*time.Hour
	})
	if second.Equal(first) {
		t.Fatal("the first certificate is back")
	}
	nats.kill()
	nats.start()
	shows := func() bool {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/connz?auth=true", monitor))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		var answer struct {
			Connections []struct {
				Peer []struct {
					Certificate string `json:"cert_sha256"`
				} `json:"tls_peer_certs"`
			}
		}
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			return false
		}
		sum := sha256.Sum256(second.Raw)
		for _, c := range answer.Connections {
			if len(c.Peer) != 1 || c.Peer[0].Certificate != hex.EncodeToString(sum[:]) {
				return false
			}
		}
		return len(answer.Connections) >= 3 // for frames, for the order and for votes
	}
	until(t, "the oracle connects with its new certificate", shows)
	until(t, "the oracle works", func() bool { s := m.status(t); return s != nil && s.Running && s.Connected })
	m.end()
	if s := m.status(t); s == nil || s.Running || len(s.Certificates) != 3 {
		t.Errorf("ended, its status is %+v", s)
	}
}

// TestShownEnd looks at a server whose certificate has ended, to which nobody connects any
// more: its end is seen all the same.
func TestShownEnd(t *testing.T) {
	pki, err := broker.OpenPKI(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	files, err := pki.Server(time.Now().Add(-400 * 24 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	cert, roots, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Start(broker.Config{StoreDir: t.TempDir(), ClientListen: "127.0.0.1:0", Certificate: cert, Roots: roots, Oracles: []broker.Oracle{oracle.OracleRights(origin, "a", 0)}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	own, err := pki.Oracle(time.Now(), wire.ShortName(origin), oracle.CertificateName("a"))
	if err != nil {
		t.Fatal(err)
	}
	r := broker.RouteTo([]string{b.NATSURL()}, own, "")
	if ends, err := shownEnd(r); err != nil || !ends.Equal(cert.Leaf.NotAfter) {
		t.Errorf("it ends at %v, %v, want %v", ends, err, cert.Leaf.NotAfter)
	}
	b.Close()
	if _, err := shownEnd(r); err == nil {
		t.Error("a server that does not answer has shown something")
	}
}

// TestRenewFile renews for the authority's own oracle alone: an authority that is here by
// chance does not touch what another has certified.
func TestRenewFile(t *testing.T) {
	pki, err := broker.OpenPKI(t.TempDir(), longAgo())
	if err != nil {
		t.Fatal(err)
	}
	files, err := pki.Oracle(longAgo(), "street", "one")
	if err != nil {
		t.Fatal(err)
	}
	before, err := readCertificate(files.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	other, err := broker.OpenPKI(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name    string
		pki     *broker.PKI
		renewed bool
	}{{"another authority", other, false}, {"its own", pki, true}, {"once more", pki, false}} {
		renewed, err := renewFile(step.pki, files.Certificate, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := files.Load(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		after, err := readCertificate(files.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if renewed != step.renewed || after.Equal(before) == step.renewed {
			t.Errorf("%s: renewed %v, the same as before %v, want renewed %v", step.name, renewed, after.Equal(before), step.renewed)
		}
		before = after
	}
	if _, err := renewFile(pki, filepath.Join(t.TempDir(), "none.pem"), time.Now()); err == nil {
		t.Error("a certificate that is not there is renewed")
	}
}
