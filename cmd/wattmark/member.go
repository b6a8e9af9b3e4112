package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/ingest"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

func newMember() *cobra.Command {
	return noun("member", "Admit gateways and members to a ledger, and see members' bills",
		newMemberPending(), newMemberApprove(), newMemberRevoke(), newMemberSubmit(),
		newMemberInvite(), newMemberJoin(), newMemberAdmit(), newMemberList(), newMemberBill(), newMemberProve(), newMemberPrefs(), newMemberOpen())
}

// member is an oracle's operator at work: the oracle's directory, and what is in it.
type member struct {
	dir     string // the oracle's
	number  int    // from 1
	charter *entry.Charter
	policy  *block.Policy
}

// memberFlags say whose operator it is.
type memberFlags struct {
	dir    string
	oracle int
}

func (f *memberFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "dir", "", "`DIR` of an oracle, or the one given to 'wattmark demo --dir'")
	c.Flags().IntVar(&f.oracle, "oracle", 1, "which oracle of a demonstration's directory, from 1")
}

// open reads the oracle's charter. The policy is the charter's: the operator is one of
// those who founded the ledger.
func (f *memberFlags) open() (*member, error) {
	if f.dir == "" {
		return nil, &exitError{exitUsage, errors.New("give --dir DIR: the directory of your oracle")}
	}
	dirs, err := storesOf(f.dir)
	if err != nil {
		return nil, err
	}
	if f.oracle < 1 || f.oracle > len(dirs) {
		return nil, &exitError{exitUsage, fmt.Errorf("--oracle %d: %s holds %s", f.oracle, f.dir, plural(len(dirs), "oracle", "oracles"))}
	}
	m := &member{dir: dirs[f.oracle-1], number: f.oracle}
	r, _, err := store.OpenReader(m.dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if m.charter, err = charterOf(r); err != nil {
		return nil, err
	}
	m.policy, err = oracle.PolicyOf(m.charter)
	return m, err
}

// own loads the oracle's statement key, and finds its place in the set in force. An oracle
// that has changed its keys has the new ones beside the old until its next start.
func (m *member) own() (key signer.Signer, name string, place int, err error) {
	set, err := m.oracles()
	if err != nil {
		return nil, "", 0, err
	}
	path := filepath.Join(m.dir, "keys", "statement.pem")
	if key, err = keyfile.Load(path); err != nil {
		return nil, "", 0, err
	}
	keys := []signer.Signer{key}
	if next, err := keyfile.Load(filepath.Join(m.dir, "keys-next", "statement.pem")); err == nil {
		keys = append(keys, next)
	}
	for _, key := range keys {
		for i, o := range set.Oracles {
			if string(o.Key) == string(key.Public().Bytes()) {
				return key, o.Name, i, nil
			}
		}
	}
	return nil, "", 0, fmt.Errorf("the key in %s is of no oracle in force of %s: give the directory of one that is", path, m.charter.Origin)
}

// sign signs an entry with the oracle's statement key, which must be in the oracle set
// in force.
func (m *member) sign(typ string, payload []byte) ([]byte, error) {
	key, name, _, err := m.own()
	if err != nil {
		return nil, err
	}
	c := entry.Claims{Issuer: "urn:wattmark:oracle:" + name, Audience: m.charter.Origin, IssuedAt: time.Now().Unix()}
	claims, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: claims}, payload)
}

// link is a connection to the broker with an oracle's rights.
type link struct {
	conn  *nats.Conn
	order *jetstream.Orderer
	sub   wire.Subjects
}

const connectWithin = 10 * time.Second

// connect opens the way that the oracle's directory tells.
func (m *member) connect(ctx context.Context) (*link, error) {
	r, err := broker.ReadRoute(m.dir)
	if err != nil {
		return nil, fmt.Errorf("how to reach the broker: %w: is the oracle running? Off line: --out FILE, and 'wattmark member submit FILE' where it runs", err)
	}
	conn, err := r.Connect(nats.Timeout(connectWithin), nats.NoReconnect())
	if err != nil {
		return nil, fmt.Errorf("connecting to the broker at %s: %w: is the oracle running? Off line: --out FILE, and 'wattmark member submit FILE' where it runs", r.URL, err)
	}
	order, err := jetstream.Open(ctx, conn, jetstream.Config{Ledger: wire.ShortName(m.charter.Origin)})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &link{conn, order, wire.For(m.charter.Origin)}, nil
}

func (l *link) submit(ctx context.Context, statements ...[]byte) error {
	return l.order.Submit(ctx, ingest.EncodeBundle(statements))
}

// give publishes an approval where the gateway that waits for it listens, with a
// certificate of its own or without, and where oracles take note of it.
func (l *link) give(gateway string, key signer.KeyID, approval []byte) error {
	for _, subject := range []string{l.sub.Receipt(gateway), l.sub.Approval(key)} {
		if err := l.conn.Publish(subject, approval); err != nil {
			return err
		}
	}
	return l.conn.FlushTimeout(connectWithin)
}

// newFile writes a file that must not be there, so that nothing is lost.
func newFile(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
