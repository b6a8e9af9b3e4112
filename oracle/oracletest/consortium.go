package oracletest

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Name is what the oracle of a consortium is called.
const Name = "wattmark.example/oracle"

// Consortium is one oracle and its broker.
type Consortium struct {
	*Broker
	Oracle *oracle.Node
	Keys   oracle.Keys
	Policy *block.Policy
}

// New founds a ledger and runs its only oracle, which soon makes a block of whatever
// comes. The broker admits the gateways named; Enrol enrols them.
func New(t testing.TB, origin string, gateways ...string) *Consortium {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	keys, err := oracle.LoadKeys(filepath.Join(dir, "keys"))
	must(err)
	charter := oracle.NewCharter(origin, time.Now(), []entry.OracleKeys{keys.Public(Name, origin)})
	must(ledger.Create(filepath.Join(dir, "oracle"), charter))
	c := &Consortium{Broker: StartBroker(t, origin, 1, gateways...), Keys: keys}
	c.Policy, err = oracle.PolicyOf(charter)
	must(err)

	conn, err := c.Conn()
	must(err)
	t.Cleanup(conn.Close)
	js := jetstream.Config{Ledger: wire.ShortName(origin)}
	order, err := jetstream.Open(t.Context(), conn, js)
	must(err)
	packs, err := jetstream.OpenPacks(t.Context(), conn, js)
	must(err)
	c.Oracle, _, err = oracle.Open(oracle.Config{
		Name: Name, Keys: keys, Dir: filepath.Join(dir, "oracle"), Conn: conn, Order: order, Packs: packs,
		Policy: c.Policy, Now: time.Now, CutAfter: 10 * time.Millisecond,
	})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Oracle.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return c
}

// Enrol enrols a gateway with one point, at which it measures energy, power and voltage
// in a mode of package entry.
func (c *Consortium) Enrol(t testing.TB, gateway, subject, mode string, key signer.PublicKey) {
	t.Helper()
	var channels []entry.Channel
	for _, n := range []string{"active_energy_import", "active_power", "voltage_l1"} {
		channels = append(channels, entry.Channel{Name: n, Unit: "Wh", Kind: entry.KindGauge, Most: entry.Int(1 << 40)})
	}
	e := entry.Enrolment{
		Algorithm: int(key.Algorithm()), Key: key.Bytes(), Gateway: gateway,
		Points: []entry.Point{{Subject: subject, Mode: mode, Channels: channels}},
	}
	payload, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	statement, err := c.Oracle.Sign(entry.TypeEnrolment, payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Oracle.Submit(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
