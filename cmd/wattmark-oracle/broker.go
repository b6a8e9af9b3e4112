package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
)

// openBroker starts the embedded broker, or makes sure that there is a way to the servers.
func (d *daemon) openBroker(context.Context) error {
	if d.file.Broker.external() {
		if _, err := os.Stat(d.file.files().Certificate); err != nil {
			return fmt.Errorf("this oracle's certificate for the broker: %w: it comes with the charter, or set broker.certificate, certificate_key and roots", err)
		}
		d.openAuthority()
		d.expiry.addFile(ofOracle, d.file.files().Certificate)
		if d.file.Broker.Certificate == "" { // else whoever gave it renews it
			d.own = d.file.files().Certificate
			d.renewOwn()
		}
		return d.route(d.file.Broker.Servers, d.file.files()).Write(string(d.file.state()))
	}
	s, origin := d.file.state(), d.agreed.charter.Origin
	cfg := broker.Config{
		StoreDir: s.file("broker"), ClientListen: d.file.Broker.NATS, MQTTListen: d.file.Broker.MQTT,
		MaxStore: int64(d.file.Broker.MaxStore), Log: d.log,
	}
	var err error
	if files := d.file.files(); d.file.Broker.Certificate != "" {
		var r *renewed
		if _, cfg.Roots, err = files.Load(); err == nil {
			r, err = openRenewed("broker.certificate", files.Certificate, files.Key, d.log)
		}
		cfg.Present = func() *tls.Certificate { c, _ := r.get(nil); return c }
	} else if d.pki, err = broker.OpenPKI(s.file("pki"), time.Now()); err == nil {
		var o *own
		cfg.Roots = d.pki.Roots()
		o, err = openOwn(d.pki, d.file.Broker.Hosts, d.log, time.Now)
		cfg.Present = o.get
	}
	if err != nil {
		return err
	}
	d.expiry.add(ofBroker, func() (time.Time, error) { return cfg.Present().Leaf.NotAfter, nil })
	d.openAuthority()
	// The ledger is opened behind the broker. A gateway that connects before that, and is
	// refused as a stranger, may not come back soon: those of the last time are let in.
	names, err := s.admitted()
	if err != nil {
		return err
	}
	// The same holds for oracles: those of the last change that was final. What is to come
	// follows as soon as the ledger is open.
	sets, err := s.lastSets(d.agreed.charter)
	if err != nil {
		return err
	}
	cfg.Gateways, cfg.Oracles = rightsOf(origin, names, placesOf(sets)), oraclesOf(origin, sets)
	if d.broker, err = broker.Start(cfg); err != nil {
		return err
	}
	d.log.Info("started the broker", "mqtt", d.broker.MQTTURL(), "nats", d.broker.NATSURL())
	return d.writeRoute()
}

// writeRoute leaves beside the keys how the operator reaches the embedded broker.
func (d *daemon) writeRoute() error {
	if d.broker.NATSURL() == "" {
		return nil // it is reached from this process only
	}
	s, origin, name := d.file.state(), d.agreed.charter.Origin, d.agreed.own.Oracle.Name
	files := broker.Files{Certificate: s.file("tls.pem"), Key: s.file(tlsKeyFile), Roots: s.file("roots.pem")}
	if d.file.Broker.Certificate == "" {
		var err error
		if files, err = d.pki.Oracle(time.Now(), wire.ShortName(origin), oracle.CertificateName(name)); err != nil {
			return err
		}
	}
	if exists(files.Certificate) {
		d.own = files.Certificate
		d.expiry.addFile(ofOracle, d.own)
	}
	return d.route([]string{fromHere(d.broker.NATSURL())}, files).Write(string(s))
}

// fromHere is the address at which this machine reaches a server that may listen on all of
// its addresses: the loopback's, which a certificate names.
func fromHere(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	switch ip := net.ParseIP(u.Hostname()); {
	case ip.Equal(net.IPv4zero):
		u.Host = net.JoinHostPort("127.0.0.1", u.Port())
	case ip.Equal(net.IPv6unspecified):
		u.Host = net.JoinHostPort("::1", u.Port())
	}
	return u.String()
}

// route is this oracle's way to servers, for its operator.
func (d *daemon) route(servers []string, files broker.Files) *broker.Route {
	r := broker.RouteTo(servers, files, oracle.InboxPrefix(d.agreed.charter.Origin, d.agreed.own.Oracle.Name))
	if pki := d.file.state().file("pki"); exists(pki) {
		r.Authority = pki
	}
	return r
}

// certifyGateway makes a gateway's client certificate by the authority that is here.
func (d *daemon) certifyGateway(now time.Time, gateway string, spki []byte) ([]byte, error) {
	return d.pki.CertifyGateway(now, wire.ShortName(d.agreed.charter.Origin), gateway, spki)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// connect opens a connection to the broker, in this process or to its servers.
func (d *daemon) connect() (*nats.Conn, error) {
	if d.broker != nil {
		return d.broker.Conn()
	}
	opts := append(broker.Patient(), nats.Timeout(5*time.Second), nats.RetryOnFailedConnect(true),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				d.log.Warn("lost a connection to the broker", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { d.log.Info("connected to the broker again", "server", c.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			d.log.Warn("the broker refused something", "error", err)
		}))
	conn, err := d.route(d.file.Broker.Servers, d.file.files()).Connect(opts...)
	if err != nil {
		var unknown *tls.CertificateVerificationError
		if errors.As(err, &unknown) {
			err = fmt.Errorf("%w: it is not of the authority in %s", err, d.file.files().Roots)
		}
		return nil, fmt.Errorf("connecting to the broker: %w", err)
	}
	return conn, nil
}

// followGateways gives those their rights at the embedded broker who are enrolled on the
// ledger, or are in the oracle set in force or one to come, and takes them from those who
// are no more.
func (d *daemon) followGateways(ctx context.Context) {
	if d.broker == nil {
		return // whoever runs the servers does so: wattmark-oracle permissions
	}
	origin := d.agreed.charter.Origin
	var had, hadOracles []string
	for {
		names, sets := enrolled(d.node)
		var set []string
		for _, oracles := range sets {
			for _, o := range oracles {
				set = append(set, o.Name)
			}
			set = append(set, "") // where a set ends: places count
		}
		if !slices.Equal(names, had) || !slices.Equal(set, hadOracles) {
			oracles := oraclesOf(origin, sets)
			if err := d.broker.SetClients(rightsOf(origin, names, placesOf(sets)), oracles); err != nil {
				d.log.Error("did not change who may connect", "gateways", len(names), "oracles", len(oracles), "error", err)
			} else {
				d.log.Info("changed who may connect", "gateways", len(names), "oracles", len(oracles))
				had, hadOracles = names, set
				if err := d.file.state().admit(names); err != nil {
					d.log.Warn("did not keep who may connect for the next start", "error", err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-d.changed:
		}
	}
}

// enrolled returns the names of the gateways that have a key, sorted, and the oracle sets
// in force and to come.
func enrolled(n *oracle.Node) (names []string, sets [][]entry.OracleKeys) {
	n.Ledger().View(func(s *state.State) {
		for _, k := range s.Keys() {
			if k.Revoked == 0 {
				names = append(names, k.Gateway)
			}
		}
		sets = append(sets, s.Oracles().Oracles)
		for _, m := range s.Motions() {
			if !m.Adopted || m.Kind != entry.MotionOracles {
				continue
			}
			if set, err := entry.ParseOracleSet(m.Body); err == nil {
				sets = append(sets, set.Oracles)
			}
		}
	})
	slices.Sort(names)
	return slices.Compact(names), sets
}

// oraclesOf is what the oracles of sets may do at the broker: one that changes its place
// has the rights of both, so that no block finds it without.
func oraclesOf(origin string, sets [][]entry.OracleKeys) (list []broker.Oracle) {
	for _, set := range sets {
		for i, o := range set {
			r := oracle.OracleRights(origin, o.Name, i)
			k := slices.IndexFunc(list, func(had broker.Oracle) bool { return had.Name == r.Name })
			if k < 0 {
				list = append(list, r)
				continue
			}
			list[k].Publish, list[k].Subscribe = joined(list[k].Publish, r.Publish), joined(list[k].Subscribe, r.Subscribe)
		}
	}
	return list
}

// joined adds to subjects those of more that are not among them.
func joined(subjects, more []string) []string {
	for _, s := range more {
		if !slices.Contains(subjects, s) {
			subjects = append(subjects, s)
		}
	}
	return subjects
}

// placesOf is how many places the largest of sets has: to so many a gateway may speak.
func placesOf(sets [][]entry.OracleKeys) (n int) {
	for _, set := range sets {
		n = max(n, len(set))
	}
	return n
}

func rightsOf(origin string, gateways []string, oracles int) []broker.Gateway {
	list := []broker.Gateway{oracle.BootstrapRights(origin)}
	for _, name := range gateways {
		list = append(list, oracle.GatewayRights(origin, name, oracles))
	}
	return list
}
