package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"wattmark/ledger/store"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/oracletest"
	"wattmark/oracle/wire"
)

// cluster is three servers, each a process with deploy/nats/node.conf, and four oracles,
// each a process of its own with keys that no other has.
type cluster struct {
	t       *testing.T
	dir     string
	urls    []string // for clients
	mqtt    []int    // ports for gateways that speak MQTT
	leafs   []string // for leaf nodes
	peers   []int    // ports on which the servers reach one another
	servers []*process
	nodes   []*node
	meters  []*meter
}

const servers = 3

func newCluster(t *testing.T, gateways ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir()}
	var clients, routes []int
	for range servers {
		port := oracletest.FreePort(t)
		clients, routes = append(clients, port), append(routes, oracletest.FreePort(t))
		c.urls = append(c.urls, fmt.Sprintf("tls://localhost:%d", port))
	}
	list, err := json.Marshal(c.urls)
	if err != nil {
		t.Fatal(err)
	}
	c.nodes = members(t, 4, func(int) string { return fmt.Sprintf("[broker]\nservers = %s\nreplicas = 3\n", list) })
	c.permit()
	c.peers = routes
	var peers []string
	for _, port := range routes {
		peers = append(peers, fmt.Sprintf(`"nats://localhost:%d"`, port))
	}
	for i := range servers {
		name := fmt.Sprintf("nats-%d", i+1)
		files := c.nodes[0].certificate(t, "node", name, "--host", "localhost")
		leaf, mqtt := oracletest.FreePort(t), oracletest.FreePort(t)
		c.mqtt = append(c.mqtt, mqtt)
		c.leafs = append(c.leafs, fmt.Sprintf(`"tls://localhost:%d"`, leaf))
		c.servers = append(c.servers, newProcess(t, name, "wattmark-oracle", []string{
			"WATTMARK_NODE=" + name, fmt.Sprintf("WATTMARK_NATS=127.0.0.1:%d", clients[i]), fmt.Sprintf("WATTMARK_MQTT=127.0.0.1:%d", mqtt),
			fmt.Sprintf("WATTMARK_CLUSTER=127.0.0.1:%d", routes[i]), fmt.Sprintf("WATTMARK_LEAF=127.0.0.1:%d", leaf),
			"WATTMARK_ROUTES=[" + strings.Join(peers, ", ") + "]", "WATTMARK_STORE=" + filepath.Join(c.dir, name),
			"WATTMARK_CERTIFICATE=" + files.Certificate, "WATTMARK_CERTIFICATE_KEY=" + files.Key, "WATTMARK_ROOTS=" + files.Roots,
		}, "server", c.conf("node.conf")))
	}
	for _, n := range c.nodes {
		n.run(t)
	}
	for _, n := range c.nodes {
		until(t, n.name+" runs", func() bool { s := n.status(t); return s != nil && s.Running && s.CaughtUp })
	}
	for _, g := range gateways {
		c.admit(g)
	}
	return c
}

// conf is a configuration of deploy/nats, beside the permissions that it includes.
func (c *cluster) conf(name string) string {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join("../../deploy/nats", name))
	if err != nil {
		c.t.Fatal(err)
	}
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// permit writes the permissions as the first oracle's ledger says.
func (c *cluster) permit(sites ...string) {
	c.t.Helper()
	args := []string{"--config", c.nodes[0].config, "permissions", "--out", filepath.Join(c.dir, "authorization.conf")}
	for _, s := range sites {
		args = append(args, "--site", s)
	}
	verb(c.t, args...)
	for _, s := range c.servers {
		s.signal(syscall.SIGHUP)
	}
}

// admit enrols a gateway and lets it connect.
func (c *cluster) admit(name string) *meter {
	c.t.Helper()
	m := newMeter(c.t, name, c.nodes[0].policyFile(c.t))
	before := c.nodes[0].status(c.t).Gateways
	c.nodes[1].enrol(c.t, name, m.key)
	for _, n := range c.nodes {
		until(c.t, n.name+" knows "+name, func() bool { s := n.status(c.t); return s != nil && s.Gateways > before })
	}
	c.permit()
	files := c.nodes[0].certificate(c.t, "gateway", name)
	until(c.t, name+" connects", func() bool { return m.connect(strings.Join(c.urls, ","), files) == nil })
	c.meters = append(c.meters, m)
	return m
}

// level waits until the oracles have the same end, and it is final.
func (c *cluster) level() {
	c.t.Helper()
	until(c.t, "all oracles are level", func() bool {
		var heights []uint64
		for _, n := range c.nodes {
			s := n.status(c.t)
			if s == nil || !s.Running || s.FinalHeight == nil || *s.FinalHeight != s.Height {
				return false
			}
			heights = append(heights, s.Height)
		}
		return slices.Min(heights) == slices.Max(heights)
	})
}

// agreed looks for votes that contradict one another.
func (c *cluster) agreed() {
	c.t.Helper()
	for _, n := range c.nodes {
		if exists(n.state.file(oracle.ConflictsDir)) {
			c.t.Errorf("%s keeps votes that contradict one another", n.name)
		}
	}
}

// compare ends the oracles and compares what they have: the same blocks, to the byte.
func (c *cluster) compare() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.end()
	}
	var first [][]byte
	for i, n := range c.nodes {
		leaves := readLeaves(c.t, n.state)
		if i == 0 {
			first = leaves
			continue
		}
		if !slices.EqualFunc(first, leaves, slices.Equal[[]byte]) {
			c.t.Errorf("%s has other leaves than %s: %d and %d", n.name, c.nodes[0].name, len(leaves), len(first))
		}
	}
	seen := make(map[uint64]string)
	for _, m := range c.meters {
		for _, at := range m.leaves() {
			if other, ok := seen[at]; ok {
				c.t.Errorf("leaf %d is of %s and of %s", at, m.name, other)
			}
			seen[at] = m.name
			if at >= uint64(len(first)) {
				c.t.Errorf("%s has a receipt for leaf %d of %d", m.name, at, len(first))
			}
		}
	}
}

// readLeaves reads all leaves of an oracle that does not run.
func readLeaves(t *testing.T, s stateDir) (leaves [][]byte) {
	t.Helper()
	r, _, err := store.OpenReader(string(s))
	if err != nil {
		t.Fatal(err)
	}
	err = r.Leaves(0, r.Size(), func(_ uint64, leaf []byte) error {
		leaves = append(leaves, slices.Clone(leaf))
		return nil
	})
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return leaves
}

// TestCluster renews the servers' certificates, kills an oracle and a server with SIGKILL
// while gateways publish, and starts them again. Every statement gets its receipt, all oracles end with the same blocks, and
// the order is kept three times.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("seven processes")
	}
	c := newCluster(t, "home-1", "home-2")
	replicas(t, c)
	round := func() {
		for _, m := range c.meters {
			m.publish(20)
		}
	}
	settle := func() {
		for _, m := range c.meters {
			m.settle(len(c.nodes))
		}
	}
	round()
	settle()
	c.renew()
	round()
	settle()

	c.nodes[3].kill()
	round()
	settle() // three of four oracles make blocks final
	c.nodes[3].start()
	round()
	c.servers[0].kill()
	round()
	settle() // two of three servers keep the order
	c.servers[0].start()
	c.nodes[2].kill()
	c.nodes[2].start()
	round()
	settle()
	c.level()
	c.agreed()
	c.compare()
}

// replicas looks at the streams.
func replicas(t *testing.T, c *cluster) {
	t.Helper()
	r, err := broker.ReadRoute(string(c.nodes[0].state))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := r.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := natsjs.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ORDER-", "PACKS-"} {
		s, err := js.Stream(t.Context(), name+wire.ShortName(origin))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().Config.Replicas; got != 3 {
			t.Errorf("%s has %d replicas, want 3", name, got)
		}
		// An oracle can neither empty nor change what the others rest on.
		if err := js.DeleteStream(t.Context(), name+wire.ShortName(origin)); err == nil {
			t.Errorf("an oracle has deleted the stream %s", name)
		}
	}
}

// TestSite connects a gateway to the server of its site, a leaf node, and not to the
// cluster. It is heard and answered; another's subjects do not pass.
func TestSite(t *testing.T) {
	if testing.Short() {
		t.Skip("eight processes")
	}
	c := newCluster(t)
	m := newMeter(t, "north-1", c.nodes[0].policyFile(t))
	c.nodes[0].enrol(t, m.name, m.key)
	until(t, "the first oracle knows the gateway", func() bool { return c.nodes[0].status(t).Gateways == 1 })
	c.permit("north=" + m.name)
	files := c.nodes[0].certificate(t, "site", "north", "--host", "localhost")
	port := oracletest.FreePort(t)
	newProcess(t, "site", natsServer, []string{
		"WATTMARK_NODE=site-north", fmt.Sprintf("WATTMARK_NATS=127.0.0.1:%d", port), "WATTMARK_HUBS=[" + strings.Join(c.leafs, ", ") + "]",
		"WATTMARK_CERTIFICATE=" + files.Certificate, "WATTMARK_CERTIFICATE_KEY=" + files.Key, "WATTMARK_ROOTS=" + files.Roots,
	}, "--config", c.conf("leaf.conf"))
	own := c.nodes[0].certificate(t, "gateway", m.name)
	until(t, "the gateway connects to its site", func() bool { return m.connect(fmt.Sprintf("tls://localhost:%d", port), own) == nil })
	c.meters = append(c.meters, m)
	m.publish(10)
	m.settle(len(c.nodes))
	if len(m.refused) > 0 {
		t.Errorf("the gateway was refused: %q", m.refused)
	}

	if conn, err := nats.Connect(fmt.Sprintf("tls://localhost:%d", port), nats.RootCAs(files.Roots), nats.NoReconnect()); err == nil {
		conn.Close()
		t.Error("somebody without a certificate connected to the site")
	}
	c.intrude(own)
}

// TestEndsWhileItWaits ends an oracle that has not reached any server: that is no failure.
func TestEndsWhileItWaits(t *testing.T) {
	m := members(t, 1, func(int) string {
		return fmt.Sprintf("[broker]\nservers = [\"tls://localhost:%d\"]\n", oracletest.FreePort(t))
	})[0]
	manager := listen(t)
	m.process = newProcess(t, "waiting", "wattmark-oracle", []string{"NOTIFY_SOCKET=" + manager.path}, "--config", m.config, "run")
	until(t, "it leaves how its operator reaches the broker", func() bool { return exists(m.state.file(broker.RouteFile)) })
	m.end()
	select {
	case told := <-manager.told:
		t.Errorf("it told its service manager %q", told)
	default:
	}
}
