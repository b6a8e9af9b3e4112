package oracletest

import (
	"crypto/tls"
	"testing"
	"time"

	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
)

// Broker is the embedded broker with the authority that its certificates come from.
type Broker struct {
	*broker.Broker
	PKI    *broker.PKI
	ledger string // short name
}

// StartBroker starts a broker on free ports of the loopback, for the ledger of an origin
// with so many oracles, and admits the gateways named.
func StartBroker(t testing.TB, origin string, oracles int, gateways ...string) *Broker {
	t.Helper()
	b := &Broker{ledger: wire.ShortName(origin)}
	now := time.Now()
	var err error
	if b.PKI, err = broker.OpenPKI(t.TempDir(), now); err != nil {
		t.Fatal(err)
	}
	server, err := b.PKI.Server(now)
	if err != nil {
		t.Fatal(err)
	}
	cfg := broker.Config{StoreDir: t.TempDir(), ClientListen: "127.0.0.1:0", MQTTListen: "127.0.0.1:0"}
	if cfg.Certificate, cfg.Roots, err = server.Load(); err != nil {
		t.Fatal(err)
	}
	for _, name := range gateways {
		cfg.Gateways = append(cfg.Gateways, oracle.GatewayRights(origin, name, oracles))
	}
	cfg.Gateways = append(cfg.Gateways, oracle.BootstrapRights(origin))
	if b.Broker, err = broker.Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// Files returns the certificate that a gateway connects with.
func (b *Broker) Files(t testing.TB, gateway string) broker.Files {
	t.Helper()
	files, err := b.PKI.Gateway(time.Now(), b.ledger, gateway)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Bootstrap returns the certificate that gateways share which have none of their own yet.
func (b *Broker) Bootstrap(t testing.TB) broker.Files {
	t.Helper()
	files, err := b.PKI.Bootstrap(time.Now(), b.ledger)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TLS returns what a gateway's program makes of its files.
func (b *Broker) TLS(t testing.TB, gateway string) *tls.Config {
	t.Helper()
	certificate, roots, err := b.Files(t, gateway).Load()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots}
}
