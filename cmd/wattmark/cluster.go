package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// clusterConfig says what oracles to run in this process.
type clusterConfig struct {
	dir      string
	oracles  int
	gateways []string // names of those that may connect
	listen   bool     // open ports on the loopback for gateways
	// now is the clock the oracles state; simulated says that it is not the
	// world's.
	now       func() time.Time
	simulated bool
	// parameters are set in the charter of a new ledger.
	parameters []entry.Parameter
	cutAfter   time.Duration
	observe    func(oracle int, e oracle.Event)
	log        *slog.Logger
}

// cluster is a broker and the oracles on it, in one process and one directory,
// sharing nothing but the broker.
type cluster struct {
	clusterConfig
	charter *entry.Charter
	policy  *block.Policy
	pki     *broker.PKI
	broker  *broker.Broker
	conns   []*nats.Conn
	nodes   []*oracle.Node
	mended  []string // what the stores had to mend when they were opened
}

func (c *cluster) oracleDir(i int) string {
	return filepath.Join(c.dir, "oracles", strconv.Itoa(i+1))
}

// openCluster founds the ledger in a new directory, or opens the one there.
func openCluster(ctx context.Context, cfg clusterConfig) (_ *cluster, err error) {
	c := &cluster{clusterConfig: cfg}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	keys, err := c.found()
	if err != nil {
		return nil, err
	}
	if c.policy, err = oracle.PolicyOf(c.charter); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(c.dir, "policy"), []byte(c.policy.String())); err != nil {
		return nil, err
	}
	if err := c.startBroker(); err != nil {
		return nil, err
	}
	for i := range keys {
		if err := c.openNode(ctx, i, keys[i]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// found loads the oracles' keys and the charter, or makes them.
func (c *cluster) found() ([]oracle.Keys, error) {
	charter, err := readCharter(c.oracleDir(0))
	if err == nil && len(charter.Oracles) != c.oracles {
		return nil, fmt.Errorf("the ledger in %s was founded by %d oracles, not %d: give --oracles %d or another directory", c.dir, len(charter.Oracles), c.oracles, len(charter.Oracles))
	}
	keys := make([]oracle.Keys, c.oracles)
	for i := range keys {
		k, err := oracle.LoadKeys(filepath.Join(c.oracleDir(i), "keys"))
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	switch {
	case err == nil:
		c.charter = charter
	case errors.Is(err, os.ErrNotExist):
		if c.charter, err = c.newCharter(keys); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	for i := range keys {
		if _, err := os.Stat(filepath.Join(c.oracleDir(i), "leaves")); err == nil {
			r, _, err := store.OpenReader(c.oracleDir(i))
			if err != nil {
				return nil, err
			}
			_, ok := r.Last()
			if err := r.Close(); err != nil {
				return nil, err
			}
			if ok {
				continue
			}
		}
		if err := ledger.Create(c.oracleDir(i), c.charter); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// charterFile keeps the charter from the moment it is agreed on, so that a crash
// while the oracles found their ledgers leaves them one charter.
const charterFile = "charter"

func readCharter(dir string) (*entry.Charter, error) {
	b, err := os.ReadFile(filepath.Join(dir, "..", charterFile))
	if err != nil {
		return nil, err
	}
	return entry.ParseCharter(b)
}

func (c *cluster) newCharter(keys []oracle.Keys) (*entry.Charter, error) {
	name := make([]byte, 6)
	if _, err := rand.Read(name); err != nil {
		return nil, err
	}
	origin := "wattmark.example/street/" + hex.EncodeToString(name)
	members := make([]entry.OracleKeys, len(keys))
	for i, k := range keys {
		members[i] = k.Public(oracleName(i), origin)
	}
	ch := oracle.NewCharter(origin, c.now(), members)
	ch.Simulated, ch.Parameters = c.simulated, c.parameters
	b, err := ch.Encode()
	if err != nil {
		return nil, err
	}
	return ch, writeFile(filepath.Join(c.dir, "oracles", charterFile), b)
}

func oracleName(i int) string { return fmt.Sprintf("wattmark.example/oracle-%d", i+1) }

func (c *cluster) startBroker() (err error) {
	if c.pki, err = broker.OpenPKI(filepath.Join(c.dir, "pki"), time.Now()); err != nil {
		return err
	}
	cfg := broker.Config{StoreDir: filepath.Join(c.dir, "broker"), Log: c.log}
	for _, g := range c.gateways {
		cfg.Gateways = append(cfg.Gateways, oracle.GatewayRights(c.charter.Origin, g, c.oracles))
	}
	if c.listen {
		cfg.Gateways = append(cfg.Gateways, oracle.BootstrapRights(c.charter.Origin))
		files, err := c.pki.Server(time.Now())
		if err != nil {
			return err
		}
		if cfg.Certificate, cfg.Roots, err = files.Load(); err != nil {
			return err
		}
		cfg.ClientListen, cfg.MQTTListen = "127.0.0.1:0", "127.0.0.1:0"
		for i := range c.oracles {
			cfg.Oracles = append(cfg.Oracles, oracle.OracleRights(c.charter.Origin, oracleName(i), i))
		}
	}
	if c.broker, err = broker.Start(cfg); err != nil || !c.listen {
		return err
	}
	return c.admitOperators()
}

// admitOperators leaves beside each oracle's keys how its operator reaches the broker
// from another process.
func (c *cluster) admitOperators() error {
	origin := c.charter.Origin
	for i := range c.oracles {
		files, err := c.pki.Oracle(time.Now(), wire.ShortName(origin), oracle.CertificateName(oracleName(i)))
		if err != nil {
			return err
		}
		r := broker.RouteTo([]string{c.broker.NATSURL()}, files, oracle.InboxPrefix(origin, oracleName(i)))
		r.Authority = filepath.Join(c.dir, "pki")
		if err := r.Write(c.oracleDir(i)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) openNode(ctx context.Context, i int, keys oracle.Keys) error {
	// A connection delivers one message after another: frames, the order and
	// votes each have their own, so that none waits behind another.
	var conns [3]*nats.Conn
	for k := range conns {
		conn, err := c.broker.Conn()
		if err != nil {
			return err
		}
		conns[k] = conn
		c.conns = append(c.conns, conn)
	}
	js := jetstream.Config{Ledger: wire.ShortName(c.charter.Origin), Log: c.log}
	order, err := jetstream.Open(ctx, conns[1], js)
	if err != nil {
		return err
	}
	packs, err := jetstream.OpenPacks(ctx, conns[1], js)
	if err != nil {
		return err
	}
	cfg := oracle.Config{
		Name: oracleName(i), Keys: keys, Dir: c.oracleDir(i), Conn: conns[0], Frames: conns[2], Order: order, Packs: packs,
		Policy: c.policy, Now: c.now, CutAfter: c.cutAfter, Log: c.log.With("oracle", i+1),
	}
	if i == 0 {
		cfg.Tiles = filepath.Join(c.dir, "tiles")
	}
	if c.observe != nil {
		cfg.Observe = func(e oracle.Event) { c.observe(i, e) }
	}
	n, report, err := oracle.Open(cfg)
	if err != nil {
		return fmt.Errorf("oracle %d: %w", i+1, err)
	}
	for _, l := range report.Lines() {
		c.mended = append(c.mended, fmt.Sprintf("oracle %d: %s", i+1, l))
	}
	c.nodes = append(c.nodes, n)
	return nil
}

// run runs the oracles until ctx ends or one of them fails.
func (c *cluster) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(c.nodes))
	for i, n := range c.nodes {
		wg.Go(func() {
			if err := n.Run(ctx); err != nil {
				errs[i] = fmt.Errorf("oracle %d: %w", i+1, err)
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// joining is a gateway that is to be enrolled, and its key.
type joining struct {
	key     signer.Signer
	request entry.EnrolmentRequest
}

// enrol has the first oracle enrol what is not enrolled yet, as its key asks for, and
// returns when every oracle knows it.
func (c *cluster) enrol(ctx context.Context, list []joining) error {
	missing := func(n *oracle.Node) (out []joining) {
		n.Ledger().View(func(s *state.State) {
			for _, j := range list {
				if _, ok := s.Key(j.key.Public().ID()); !ok {
					out = append(out, j)
				}
			}
		})
		return out
	}
	for _, j := range missing(c.nodes[0]) {
		if err := c.admit(ctx, j); err != nil {
			return fmt.Errorf("enrolling %s: %w", j.request.Gateway, err)
		}
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for _, n := range c.nodes {
		for len(missing(n)) > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-poll.C:
			}
		}
	}
	return c.writeKeys()
}

// admit has a gateway's key ask and the first oracle state the request.
func (c *cluster) admit(ctx context.Context, j joining) error {
	asked, err := request.Sign(j.key, j.request, c.charter.Origin, c.now().Unix())
	if err != nil {
		return err
	}
	e := entry.ProvenEnrolment{Request: asked}
	payload, err := e.Encode()
	if err != nil {
		return err
	}
	statement, err := c.nodes[0].Sign(entry.TypeProvenEnrolment, payload)
	if err != nil {
		return err
	}
	return c.nodes[0].Submit(ctx, statement)
}

// raise has the oracles vote a parameter up to at least a value, where it is lower.
// It holds a few blocks later.
func (c *cluster) raise(ctx context.Context, p entry.Parameter) error {
	var now int64
	var height uint64
	c.nodes[0].Ledger().View(func(s *state.State) { now, height = s.Setting(p.Name), s.Height() })
	if now >= p.Value {
		return nil
	}
	return c.vote(ctx, p, height+2)
}

// lower has the oracles vote a parameter down to a value. It holds a few blocks later.
func (c *cluster) lower(ctx context.Context, p entry.Parameter) error {
	var height uint64
	c.nodes[0].Ledger().View(func(s *state.State) { height = s.Height() })
	return c.vote(ctx, p, height+2)
}

// vote has the oracles vote that a parameter has a value from a height on.
func (c *cluster) vote(ctx context.Context, p entry.Parameter, height uint64) error {
	vote := entry.Vote{Proposal: entry.Proposal{Parameter: p.Name, Value: p.Value, Height: height}}
	for i, n := range c.nodes[:c.charter.Governance] {
		statement, err := n.Sign(entry.TypeVote, vote.Encode())
		if err == nil {
			err = n.Submit(ctx, statement)
		}
		if err != nil {
			return fmt.Errorf("oracle %d: voting for %s = %d: %w", i+1, p.Name, p.Value, err)
		}
	}
	return nil
}

// clientTLS returns what a gateway shows the broker and whom it trusts.
func (c *cluster) clientTLS(gateway string) (*tls.Config, error) {
	files, err := c.pki.Gateway(time.Now(), wire.ShortName(c.charter.Origin), gateway)
	if err != nil {
		return nil, err
	}
	cert, roots, err := files.Load()
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// writeKeys writes keys.jwks: every gateway and every oracle.
func (c *cluster) writeKeys() error {
	var set []audit.KnownKey
	for _, o := range c.charter.Oracles {
		k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key)
		if err != nil {
			return err
		}
		l, err := block.ParseVerifierKey(o.Log)
		if err != nil {
			return err
		}
		w, err := block.ParseVerifierKey(o.Cosigner)
		if err != nil {
			return err
		}
		set = append(set, audit.KnownKey{Public: k, Name: o.Name, Role: audit.RoleOracle},
			audit.KnownKey{Public: l.Key, Name: o.Name, Role: audit.RoleLog},
			audit.KnownKey{Public: w.Key, Name: o.Name, Role: audit.RoleCosigner})
	}
	c.nodes[0].Ledger().View(func(s *state.State) {
		for _, k := range s.Keys() {
			set = append(set, audit.KnownKey{Public: k.Public, Name: k.Gateway, Role: audit.RoleGateway, Enrolled: k.Enrolled, Revoked: k.Revoked})
		}
		for _, k := range s.Parties() {
			set = append(set, audit.KnownKey{Public: k.Public, Name: k.Name, Role: k.Role, Enrolled: k.Enrolled, Revoked: k.Revoked})
		}
	})
	b, err := audit.EncodeKeys(set)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(c.dir, "keys.jwks"), append(b, '\n'))
}

// close releases everything; the oracles must have stopped.
func (c *cluster) close() {
	for _, n := range c.conns {
		n.Close()
	}
	if c.broker != nil {
		if err := c.broker.Close(); err != nil {
			c.log.Warn("did not close the broker", "error", err)
		}
	}
}

// closeLedgers closes the ledgers of nodes that were never run.
func (c *cluster) closeLedgers() {
	for _, n := range c.nodes {
		if err := n.Ledger().Close(); err != nil {
			c.log.Warn("did not close a ledger", "error", err)
		}
	}
}
