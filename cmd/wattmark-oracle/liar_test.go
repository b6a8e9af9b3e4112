package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/finality"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// oracleLiar is the name under which this test's program is an oracle that lies: it has an
// oracle's keys and certificate and speaks on the wire as that oracle.
const oracleLiar = "oracle-liar"

// lieVariable names the lie, and liarVariable who tells it: its directory and its name.
const (
	lieVariable  = "WATTMARK_TEST_LIE"
	liarVariable = "WATTMARK_TEST_LIAR"
	nameVariable = "WATTMARK_TEST_LIAR_NAME"
)

// The lies.
const (
	withholds = "withholds"        // takes gateways' statements, orders none and votes for nothing
	computes  = "computes another" // votes for another result at each height
	twice     = "votes twice"      // votes for the result and for another at each height
)

// toldFile is made in the liar's directory once it has lied.
const toldFile = "told"

// liar is the program.
type liar struct {
	lie      string
	dir      stateDir
	name     string
	keys     oracle.Keys
	policy   *block.Policy
	conn     *nats.Conn
	subjects wire.Subjects

	mu    sync.Mutex // guards what follows
	voted map[uint64]bool
}

func beLiar() {
	l := &liar{lie: os.Getenv(lieVariable), dir: stateDir(os.Getenv(liarVariable)), name: os.Getenv(nameVariable), subjects: wire.For(origin), voted: make(map[uint64]bool)}
	if err := l.run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (l *liar) run() (err error) {
	if l.keys, err = l.dir.keys(); err != nil {
		return err
	}
	text, err := os.ReadFile(l.dir.file("policy"))
	if err != nil {
		return err
	}
	if l.policy, err = block.ParsePolicy(text); err != nil {
		return err
	}
	route, err := broker.ReadRoute(string(l.dir))
	if err != nil {
		return err
	}
	if l.conn, err = route.Connect(broker.Patient()...); err != nil {
		return err
	}
	defer l.conn.Close()
	if l.lie == withholds {
		_, err = l.conn.QueueSubscribe(l.subjects.Up("*"), wire.QueueGroup, func(*nats.Msg) { l.told() })
	} else {
		_, err = l.conn.Subscribe(l.subjects.Vote(), l.heard)
	}
	if err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	return nil
}

func (l *liar) told() {
	if err := os.WriteFile(l.dir.file(toldFile), []byte(l.lie), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// heard lies about a height that another oracle votes for.
func (l *liar) heard(m *nats.Msg) {
	v, err := finality.ParseVote(m.Data, origin)
	if err != nil || v.KeyID == l.keys.Cosigner.Public().ID() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.voted[v.Height] {
		return
	}
	l.voted[v.Height] = true
	other := v.Checkpoint
	other.Root[0] ^= 1
	list := []block.Checkpoint{other}
	if l.lie == twice {
		list = []block.Checkpoint{v.Checkpoint, other}
	}
	for _, c := range list {
		b, err := l.vote(v.Height, c)
		if err == nil {
			err = l.conn.Publish(l.subjects.Vote(), b)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
	}
	l.told()
}

// vote is this oracle's vote, with everything that makes it count.
func (l *liar) vote(height uint64, c block.Checkpoint) ([]byte, error) {
	now := time.Now().Unix()
	t := finality.NewTally(finality.Always(l.policy), finality.Keys{Name: l.name, Log: l.keys.Log, Cosigner: l.keys.Cosigner})
	v, _, err := t.Cast(height, c, uint64(now))
	if err != nil {
		return nil, err
	}
	p := entry.Promise{Height: height, Size: c.Size, Root: c.Root}
	claims, err := (&entry.Claims{Issuer: "urn:wattmark:oracle:" + l.name, Audience: origin, IssuedAt: now}).Encode()
	if err != nil {
		return nil, err
	}
	v.Promise, err = signer.Sign(l.keys.Statement, signer.Header{Type: entry.TypePromise, ContentType: entry.ContentCBOR, Claims: claims}, p.Encode())
	return v.Encode(), err
}

// lies has the last oracle lie in one way after the other. Whatever it says, every
// statement gets its receipt from the others. Of what it says a gateway takes nothing and
// the others remember that it differs; once it has voted twice at a height the ledger
// says so, and who it was, and its votes do not count any more.
func (c *cluster) lies(t *testing.T, round func(*testing.T)) {
	n := c.nodes[3]
	keys, err := n.state.keys()
	if err != nil {
		t.Fatal(err)
	}
	n.end()
	honest := n.command
	for _, lie := range []string{withholds, computes, twice} {
		if !t.Run(lie, func(t *testing.T) {
			_ = os.Remove(n.state.file(toldFile))
			n.command = func() *exec.Cmd {
				cmd := honest()
				cmd.Args[0] = oracleLiar
				cmd.Env = append(cmd.Env, lieVariable+"="+lie, liarVariable+"="+string(n.state), nameVariable+"="+n.name)
				return cmd
			}
			n.start()
			until(t, "the lie is told", func() bool {
				round(t)
				return exists(n.state.file(toldFile))
			})
			round(t)
			if lie == computes {
				for _, other := range c.nodes[:3] {
					until(t, other.name+" keeps the vote that differs", func() bool {
						list, err := os.ReadDir(filepath.Join(string(other.state), oracle.ConflictsDir))
						return err == nil && len(list) > 0
					})
				}
			}
			if lie == twice {
				for _, other := range c.nodes[:3] {
					until(t, other.name+" has it on the ledger", func() bool {
						round(t)
						return len(accused(t, other.state)) > 0
					})
				}
			}
			n.end()
		}) {
			t.FailNow()
		}
	}
	n.command = honest
	n.start()
	round(t)
	c.level()
	for _, node := range c.nodes {
		if list := accused(t, node.state); len(list) != 1 || list[0] != keys.Statement.Public().ID() {
			t.Errorf("the ledger of %s accuses %v, want %v once", node.name, list, keys.Statement.Public().ID())
		}
	}
}

// accused are the keys that a ledger has proof against.
func accused(t *testing.T, s stateDir) (list []signer.KeyID) {
	t.Helper()
	for _, leaf := range readLeaves(t, s) {
		m, err := signer.Parse(leaf)
		if err != nil || m.Type != entry.TypeConflict {
			continue
		}
		p, err := entry.ParseConflict(m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		first, err := signer.Parse(p.First)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, first.KeyID)
	}
	return list
}
