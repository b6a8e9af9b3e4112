package oracle_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
)

// How a test tells a process of its own binary to be an oracle, the last of the
// consortium: the address of the broker, and the street's directory.
const (
	childURL = "WATTMARK_TEST_ORACLE_URL"
	childDir = "WATTMARK_TEST_ORACLE_DIR"
	ownName  = "child" // in its certificate
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := beOracle(url, os.Getenv(childDir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process stands for a test in the process that is an oracle.
type process struct{ testing.TB }

func (process) Helper()           {}
func (process) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// beOracle runs an oracle until somebody kills it.
func beOracle(url, dir string) error {
	c := ledgertest.NewConsortium(process{}, 4)
	pki, err := broker.OpenPKI(filepath.Join(dir, "pki"), time.Now())
	if err != nil {
		return err
	}
	files, err := pki.Oracle(time.Now(), wire.ShortName(ledgertest.Origin), oracle.CertificateName(ownName))
	if err != nil {
		return err
	}
	cert, roots, err := files.Load()
	if err != nil {
		return err
	}
	conn, err := nats.Connect(url, nats.Secure(&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}), nats.MaxReconnects(-1),
		nats.CustomInboxPrefix(oracle.InboxPrefix(ledgertest.Origin, ownName)))
	if err != nil {
		return err
	}
	ctx := context.Background()
	js := jetstream.Config{Ledger: wire.ShortName(ledgertest.Origin)}
	order, err := jetstream.Open(ctx, conn, js)
	if err != nil {
		return err
	}
	packs, err := jetstream.OpenPacks(ctx, conn, js)
	if err != nil {
		return err
	}
	o := &c.Oracles[3]
	n, _, err := oracle.Open(oracle.Config{
		Name: o.Name, Keys: oracle.Keys{Statement: o.Statement, Log: o.Log, Cosigner: o.Cosigner},
		Dir: filepath.Join(dir, "oracle-4"), Conn: conn, Order: order, Packs: packs, Policy: c.Policy,
		Now: func() time.Time { return time.UnixMilli(ledgertest.Start) }, CutAfter: 5 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	return n.Run(ctx)
}

// An oracle that is a process of its own is killed again and again while blocks
// are made, with whatever it is doing. The street checks that it never votes for
// two checkpoints of a height, and that its store ends sound and like the others'.
func TestKilledOracleKeepsItsPromise(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := foundStreet(t, 4)
	pki, err := broker.OpenPKI(filepath.Join(s.dir, "pki"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	files, err := pki.Server(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, roots, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	s.listen = func(c *broker.Config) {
		c.ClientListen, c.Certificate, c.Roots = "127.0.0.1:0", cert, roots
		c.Oracles = []broker.Oracle{oracle.OracleRights(ledgertest.Origin, ownName, 3)}
	}
	s.startBroker()
	s.start(0, 1, 2)
	open, hidden := s.enrol("home-1", entry.ModeOpen), s.enrol("home-2", entry.ModeCommitted)
	own, other := s.Oracles[3].Cosigner.Public().ID(), s.Oracles[0].Cosigner.Public().ID()
	for round := range 8 {
		kill := s.child()
		frames := append(open.read(5), hidden.read(3)...)
		// Sometimes it has voted for the newest block, sometimes it is at it.
		whose, more := own, rng.Uint64N(3)
		if round%2 == 1 {
			whose = other
		}
		height, _, _ := s.nodes[0].Ledger().Last()
		open.publish(frames[:5]...)
		open.deliver(frames[:5]...)
		hidden.publish(frames[5:]...)
		for range more {
			open.deliver(open.read(1)...)
		}
		s.until("a vote for a new block", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			for p := range s.votes {
				if p.key == whose && p.height > height.Height {
					return true
				}
			}
			return false
		})
		kill()
		hidden.deliver(frames[5:]...)
	}
	kill := s.child()
	s.level(0, 1, 2)
	s.until("its vote for the last block", func() bool {
		h, _, _ := s.nodes[0].Ledger().Last()
		s.mu.Lock()
		defer s.mu.Unlock()
		_, ok := s.votes[promise{own, h.Height}]
		return ok
	})
	kill()
	height, _ := lastOf(t, s.oracleDir(3))
	if h, _, _ := s.nodes[0].Ledger().Last(); h.Height != height {
		t.Errorf("its store ends at height %d, the others' at %d", height, h.Height)
	}
}

// child starts the process, and returns what kills it.
func (s *street) child() (kill func()) {
	s.t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childURL+"="+s.broker.NATSURL(), childDir+"="+s.dir)
	c.Stderr = &lines{t: s.t, prefix: "child"}
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			c.Process.Kill()
			c.Wait()
		}
	}
	s.t.Cleanup(kill) // before the street ends
	return kill
}
