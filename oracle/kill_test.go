package oracle_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
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
	// childJoin is the address of tiles of the ledger that a process is to join, in childDir,
	// and childSnapshot the file of a snapshot.
	childJoin     = "WATTMARK_TEST_ORACLE_JOIN"
	childSnapshot = "WATTMARK_TEST_ORACLE_SNAPSHOT"
)

func TestMain(m *testing.M) {
	var err error
	if url := os.Getenv(childURL); url != "" {
		err = beOracle(url, os.Getenv(childDir))
	} else if from := os.Getenv(childJoin); from != "" {
		_, err = oracle.Join(context.Background(), os.Getenv(childDir), &oracle.Tiles{From: from}, ledgertest.NewConsortium(process{}, 4).Policy,
			func(uint64) ([]byte, error) { return os.ReadFile(os.Getenv(childSnapshot)) }, nil)
	} else {
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
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
	s.listenForChild()
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

// listenForChild has the broker listen for an oracle in a process of its own.
func (s *street) listenForChild() {
	s.t.Helper()
	pki, err := broker.OpenPKI(filepath.Join(s.dir, "pki"), time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	files, err := pki.Server(time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	cert, roots, err := files.Load()
	if err != nil {
		s.t.Fatal(err)
	}
	s.listen = func(c *broker.Config) {
		c.ClientListen, c.Certificate, c.Roots = "127.0.0.1:0", cert, roots
		c.Oracles = []broker.Oracle{oracle.OracleRights(ledgertest.Origin, ownName, 3)}
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

// joinKilled joins a ledger in dir in processes that are killed, one at each file that
// they ask for and some at drawn moments after the last one. What they leave is no ledger.
func joinKilled(t *testing.T, dir, tiles, snapshot string) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var asked, deadly atomic.Int64
	kill := make(chan struct{}, 1)
	files := http.FileServer(http.Dir(tiles))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == deadly.Load() {
			kill <- struct{}{}
			<-r.Context().Done() // it is dead
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	join := func() (c *exec.Cmd, ended chan error) {
		c = exec.Command(os.Args[0])
		c.Env = append(os.Environ(), childJoin+"="+server.URL, childDir+"="+dir, childSnapshot+"="+snapshot)
		c.Stderr = &lines{t: t, prefix: "child"}
		asked.Store(0)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended = make(chan error, 1)
		go func() { ended <- c.Wait() }()
		return c, ended
	}
	noLedger := func() {
		t.Helper()
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a process that was killed left a ledger: %v", err)
		}
	}
	for k := int64(1); ; k++ {
		deadly.Store(k)
		c, ended := join()
		select {
		case <-kill:
			c.Process.Kill()
			<-ended
			noLedger()
			continue
		case err := <-ended:
			if err != nil || k < 4 {
				t.Fatalf("joining over %d files: %v", k-1, err)
			}
		}
		deadly.Store(k - 1) // the last file
		break
	}
	built := 0
	for range 12 {
		if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(dir+".joining")); err != nil {
			t.Fatal(err)
		}
		last := deadly.Swap(0)
		c, ended := join()
		for asked.Load() < last {
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Duration(rng.Int64N(int64(8 * time.Millisecond))))
		c.Process.Kill()
		<-ended
		deadly.Store(last)
		if _, err := os.Stat(dir + ".joining"); err == nil {
			built++
			noLedger()
		}
	}
	t.Logf("%d files, each with a kill; %d of 12 kills fell into the making of the ledger", deadly.Load(), built)
	if built == 0 {
		t.Error("no kill fell into the making of the ledger")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}
