package main

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/gateway/settings"
	"wattmark/ledger/block"
	"wattmark/oracle"
	"wattmark/oracle/broker"
)

// defaultFile is where the configuration stands on an oracle's machine.
const defaultFile = "/etc/wattmark/oracle.toml"

// file is a configuration file: the tables of deploy/oracle.toml. Relative paths in it
// begin in its own directory.
type file struct {
	Oracle oracleTable `toml:"oracle"`
	Broker brokerTable `toml:"broker"`
	HTTP   httpTable   `toml:"http"`

	path string
	fill settings.Reader
}

// oracleTable is [oracle].
type oracleTable struct {
	State    string        `toml:"state"`     // the directory of keys, charter, ledger and vault
	Tiles    string        `toml:"tiles"`     // where the static tiles go; empty is state/tiles
	CutAfter time.Duration `toml:"cut_after"` // how long statements wait for company
	// Witnesses are lines of a policy: whom from outside to ask, and where.
	Witnesses []string `toml:"witnesses"`
}

// brokerTable is [broker]: one in this process, or servers elsewhere.
type brokerTable struct {
	MQTT     string        `toml:"mqtt"`  // address on which gateways reach the embedded broker over MQTT
	NATS     string        `toml:"nats"`  // and over NATS, as the other oracles do
	Hosts    []string      `toml:"hosts"` // names under which the embedded broker is reached, for its certificate
	MaxStore settings.Size `toml:"max_store"`

	Servers  []string `toml:"servers"`  // addresses of a cluster, or of another member's broker
	Replicas int      `toml:"replicas"` // servers of the cluster that keep the order

	// Of this oracle as a client of servers; or, all three, of the embedded broker in the
	// place of its own authority.
	Certificate    string `toml:"certificate"`
	CertificateKey string `toml:"certificate_key"`
	Roots          string `toml:"roots"`
}

// httpTable is [http].
type httpTable struct {
	Listen string `toml:"listen"` // what is for everybody: log, proofs
	Admin  string `toml:"admin"`  // what is for the operator: metrics, readiness
	// Certificate and CertificateKey make Listen speak TLS. Without them it must be on the
	// loopback, or behind something that does.
	Certificate    string `toml:"certificate"`
	CertificateKey string `toml:"certificate_key"`
}

func defaults() file {
	return file{
		Oracle: oracleTable{State: "/var/lib/wattmark-oracle", CutAfter: 100 * time.Millisecond},
		Broker: brokerTable{MQTT: ":8883", Replicas: 1},
	}
}

// configured reads the configuration that a verb was given.
func configured(cmd *cobra.Command) (*file, error) {
	name, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	f, err := readFile(name)
	if err != nil {
		return nil, &failure{err}
	}
	return f, nil
}

// readFile reads a configuration file and checks what can be seen in it. If something is
// wrong the error is [*settings.Mistakes].
func readFile(path string) (*file, error) {
	text, err := settings.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseFile(path, text)
}

func parseFile(path string, text []byte) (*file, error) {
	f := defaults()
	f.path = path
	tables, err := f.fill.Parse(path, text)
	if err != nil {
		return nil, err
	}
	f.fill.Table("", tables, &f)
	f.check()
	return &f, f.fill.Err(path)
}

func (f *file) check() {
	b := &f.Broker
	given := func(key string) bool { _, ok := f.fill.Lines[key]; return ok }
	if f.Oracle.State == "" {
		f.fill.Mistake("oracle.state", "name a directory", "oracle.state is empty")
	}
	if f.Oracle.CutAfter < time.Millisecond || f.Oracle.CutAfter > 10*time.Second {
		f.fill.Mistake("oracle.cut_after", "", "oracle.cut_after = %q is not between 1ms and 10s", f.Oracle.CutAfter)
	}
	if _, err := f.witnesses(); err != nil {
		f.fill.Mistake("oracle.witnesses", "write the line that wattmark-oracle witness prints", "oracle.witnesses: %v", err)
	}
	if b.external() {
		for _, key := range []string{"mqtt", "nats", "hosts", "max_store"} {
			if given("broker." + key) {
				f.fill.Mistake("broker."+key, "leave out one of the two", "broker.%s is of a broker in this process, and broker.servers names others", key)
			}
		}
		for i, s := range b.Servers {
			if u, err := url.Parse(s); err != nil || u.Scheme != "tls" || u.Host == "" {
				f.fill.Mistake(fmt.Sprintf("broker.servers[%d]", i), "write it as \"tls://broker.example.org:4222\"", "broker.servers: %q is no address with TLS", s)
			}
		}
		if b.Replicas != 1 && b.Replicas != 3 && b.Replicas != 5 {
			f.fill.Mistake("broker.replicas", "", "broker.replicas = %d is not 1, 3 or 5", b.Replicas)
		}
		// Without the three the founding's certificate is taken.
	} else {
		f.address("broker.mqtt", b.MQTT)
		f.address("broker.nats", b.NATS)
		if given("broker.replicas") {
			f.fill.Mistake("broker.replicas", "leave it out", "broker.replicas is of servers elsewhere, and none are named")
		}
	}
	if n := count(b.Certificate, b.CertificateKey, b.Roots); n != 0 && n != 3 {
		f.fill.Mistake("broker", "give certificate, certificate_key and roots, or none of them", "%d of three files for TLS with the broker", n)
	}
	f.address("http.listen", f.HTTP.Listen)
	f.address("http.admin", f.HTTP.Admin)
	if count(f.HTTP.Certificate, f.HTTP.CertificateKey) == 1 {
		f.fill.Mistake("http", "give certificate and certificate_key, or neither", "one of two files for HTTPS")
	}
	if f.HTTP.Admin != "" && !loopback(f.HTTP.Admin) {
		f.fill.Mistake("http.admin", "listen on 127.0.0.1, and forward what is to be seen elsewhere", "http.admin = %q is not on the loopback", f.HTTP.Admin)
	}
}

// witnesses are whom from outside to ask.
func (f *file) witnesses() ([]block.PolicyWitness, error) {
	var out []block.PolicyWitness
	for _, line := range f.Oracle.Witnesses {
		w, err := oracle.ParseWitness(line)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

func count(texts ...string) (n int) {
	for _, s := range texts {
		if s != "" {
			n++
		}
	}
	return n
}

func (f *file) address(key, address string) {
	if address == "" {
		return
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		f.fill.Mistake(key, "write it as \"127.0.0.1:8080\" or \":8883\"", "%s = %q is no address with a port", key, address)
	}
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// external reports whether the broker is elsewhere.
func (b *brokerTable) external() bool { return len(b.Servers) > 0 }

// at makes a path of the file one from where the program runs.
func (f *file) at(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.path), path)
}

// state is the state directory.
func (f *file) state() stateDir { return stateDir(f.at(f.Oracle.State)) }

// files are what this oracle shows to the servers of the broker.
func (f *file) files() broker.Files {
	if f.Broker.Certificate != "" {
		return broker.Files{Certificate: f.at(f.Broker.Certificate), Key: f.at(f.Broker.CertificateKey), Roots: f.at(f.Broker.Roots)}
	}
	s := f.state()
	return broker.Files{Certificate: s.file("tls.pem"), Key: s.file(tlsKeyFile), Roots: s.file("roots.pem")}
}

// sampleFor is the configuration that init writes where there is none.
func sampleFor(state string) string {
	return strings.ReplaceAll(`# The configuration of a Wattmark oracle; deploy/oracle.toml explains every key.

[oracle]
state = "STATE"

[broker]
mqtt = ":8883"

[http]
listen = "127.0.0.1:8080"
admin = "127.0.0.1:9470"
`, "STATE", state)
}
