package qemutest_test

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"wattmark/firmware/manifest"
	"wattmark/firmware/update"
	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/oracle/oracletest"
	"wattmark/oracle/wire"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

const (
	origin        = "wattmark.example/lab"
	name          = "lab-1"
	subject       = "mp-lab"
	releaseOrigin = "wattmark.example/firmware"
	// patience is how long something may take in a machine that is emulated on busy cores.
	patience = 4 * time.Minute
)

// site is a gateway with an oracle, its broker, and a server of updates, all on this
// machine.
type site struct {
	t       *testing.T
	far     *oracletest.Consortium
	key     *signer.PrivateKey // the gateway's
	release *signer.PrivateKey
	perm    string // what /perm begins with
	updates string // the folder of the server
	machine *machine
	line    *line

	mu    sync.Mutex // guards birth
	birth *wire.Birth
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, perm: t.TempDir(), updates: t.TempDir()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.far = oracletest.New(t, origin, name)
	var err error
	s.key, err = signer.Generate(signer.EdDSA)
	must(err)
	s.release, err = signer.Generate(signer.EdDSA)
	must(err)
	s.far.Enrol(t, name, subject, entry.ModeOpen, s.key.Public())

	dir := filepath.Join(s.perm, "wattmark")
	must(os.MkdirAll(dir, 0o755))
	at := func(name string) string { return filepath.Join(dir, name) }
	must(os.WriteFile(at("policy"), []byte(s.far.Policy.String()), 0o644))
	set, err := audit.EncodeKeys([]audit.KnownKey{{Public: s.far.Keys.Statement.Public(), Name: oracletest.Name, Role: audit.RoleOracle}})
	must(err)
	must(os.WriteFile(at("keys.jwks"), set, 0o644))
	must(keyfile.Save(at("key.pem"), s.key))
	must(os.WriteFile(at("release.keys"), []byte(manifest.Key(releaseOrigin, s.release.Public()).String()+"\n"), 0o644))
	files := s.far.Files(t, name)
	for to, from := range map[string]string{"client.pem": files.Certificate, "client.key": files.Key, "roots.pem": files.Roots} {
		b, err := os.ReadFile(from)
		must(err)
		must(os.WriteFile(at(to), b, 0o600))
	}
	must(os.WriteFile(at("gateway.toml"), fmt.Appendf(nil, `[gateway]
name = %q
state = "."
console = "/tmp/console.sock"
point = %q
mode = "open"
pack_max_age = "1s"
board = "4b"

[outbox]
flush_after = "100ms"

[uplink]
ledger = %q
broker = "mqtts://127.0.0.1:8883"
certificate = "client.pem"
certificate_key = "client.key"
roots = "roots.pem"
policy = "policy"
oracle_keys = "keys.jwks"
resend_after = "2s"
reconnect_after = "250ms"
reconnect_most = "1s"

[update]
url = "https://127.0.0.1:8443/firmware"
keys = "release.keys"
roots = "roots.pem"
every = "3s"
within = "60s"

[[bus]]
name = "rs485"
kind = "serial"
port = "/tmp/meter"
timeout = "2s"

[[device]]
name = "grid"
model = "sdm120"
bus = "rs485"
unit = 1
period = "1s"
`, name, subject, origin), 0o640))

	at8883, err := url.Parse(s.far.MQTTURL())
	must(err)
	s.line = newLine(t, at8883.Host)
	broker := s.line.port()
	// 10.0.2.2 is the host's loopback in QEMU's user network.
	lab := filepath.Join(s.perm, "lab")
	must(os.MkdirAll(lab, 0o755))
	must(os.WriteFile(filepath.Join(lab, "forwards"), fmt.Appendf(nil, "8883 10.0.2.2:%s\n8443 10.0.2.2:%s\n", broker, s.serve()), 0o644))
	s.machine = &machine{t: t, firmware: efi(t)}
	t.Cleanup(func() {
		s.machine.off()
		if t.Failed() {
			t.Logf("the machine's console, its end:\n%s", s.machine.tail(80))
		}
	})
	s.listen()
	return s
}

// serve serves the folder of updates over TLS, and returns the port.
func (s *site) serve() string {
	s.t.Helper()
	server, err := s.far.PKI.Server(time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	certificate, _, err := server.Load()
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		s.t.Fatal(err)
	}
	h := &http.Server{Handler: http.StripPrefix("/firmware/", http.FileServer(http.Dir(s.updates)))}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(func() { h.Close(); serving.Wait() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	return port
}

// listen hears the gateway's births.
func (s *site) listen() {
	s.t.Helper()
	conn, err := s.far.Conn()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Close)
	sub, err := conn.SubscribeSync(wire.For(origin).Birth(name))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var hearing sync.WaitGroup
	hearing.Go(func() {
		for {
			m, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				return
			}
			if b, _, err := wire.OpenBirth(m.Data, s.key.Public()); err == nil {
				s.mu.Lock()
				s.birth = b
				s.mu.Unlock()
			}
		}
	})
	s.t.Cleanup(func() { cancel(); hearing.Wait() })
}

// told is what the gateway's last birth says of its image.
func (s *site) told() *wire.Firmware {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.birth == nil {
		return nil
	}
	return s.birth.Firmware
}

// logged is a statement of the gateway that is on the ledger.
type logged struct {
	leaf     uint64
	identity [32]byte
	claims   entry.Claims
}

// statements are those on the ledger from a leaf on, final ones or not, in their order.
func (s *site) statements(from uint64) []logged {
	s.t.Helper()
	var out []logged
	src := s.far.Oracle.Ledger().Store()
	err := src.Leaves(from, src.Size(), func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafStatement {
			return nil
		}
		m, err := signer.Parse(leaf)
		if err != nil || m.KeyID != s.key.Public().ID() {
			return err
		}
		c, err := entry.ParseClaims(m.Claims)
		if err != nil {
			return err
		}
		// The claims refer to the leaf, which is only lent.
		c.Previous, c.Firmware = append([]byte(nil), c.Previous...), append([]byte(nil), c.Firmware...)
		out = append(out, logged{i, m.Hash(), c})
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// until waits for something that the machine does.
func (s *site) until(what string, yes func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("not within %s: %s; the ledger has %d statements, the birth tells %+v", patience, what, len(s.statements(0)), s.told())
		}
	}
	s.t.Logf("%s: after %.1f s", what, time.Since(begin).Seconds())
}

// more waits for so many more statements that the root with a digest has signed.
func (s *site) more(n int, root string) (last logged) {
	s.t.Helper()
	from := s.far.Oracle.Ledger().Store().Size()
	s.until(fmt.Sprintf("%d statements signed on %.8s…", n, root), func() bool {
		have := 0
		for _, l := range s.statements(from) {
			if hex.EncodeToString(l.claims.Firmware) == root {
				have++
				last = l
			}
		}
		return have >= n
	})
	return last
}

// publish puts a release onto the ledger and offers it to all gateways.
func (s *site) publish(r *entry.Release, root []byte) {
	s.t.Helper()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	note, err := manifest.Sign(s.release, r)
	must(err)
	l := entry.LoggedRelease{Manifest: note}
	payload, err := l.Encode()
	must(err)
	statement, err := s.far.Oracle.Sign(entry.TypeRelease, payload)
	must(err)
	must(s.far.Oracle.Submit(s.t.Context(), statement))
	var proof []byte
	s.until(fmt.Sprintf("release %d is final on the ledger", r.Version), func() bool {
		src := s.far.Oracle.Ledger().Store()
		checkpoint, _, ok := src.Final()
		if !ok {
			return false
		}
		signed, err := s.far.Policy.Verify(checkpoint)
		must(err)
		must(ledger.Releases(src, signed.Size, func(on ledger.Released) bool {
			if on.Release.Version != r.Version {
				return true
			}
			p, err := ledger.LogProof(src, checkpoint, signed.Checkpoint, on.Leaf)
			must(err)
			proof = p.Encode()
			return false
		}))
		return proof != nil
	})
	rollout, err := manifest.SignRollout(s.release, &manifest.Rollout{Origin: r.Origin, Board: r.Board, Version: r.Version, Percent: 100, Issued: time.Now().Unix()})
	must(err)
	dir := filepath.Join(s.updates, r.Board)
	must(os.MkdirAll(dir, 0o755))
	for _, f := range []struct {
		name    string
		content []byte
	}{{update.RootFile(r.Version), root}, {update.RolloutFile, rollout}, {update.ProofFile, proof}} { // the proof last: it is what is looked for
		must(os.WriteFile(filepath.Join(dir, f.name+".new"), f.content, 0o644))
		must(os.Rename(filepath.Join(dir, f.name+".new"), filepath.Join(dir, f.name)))
	}
}
