package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/cmd/internal/service"
	"wattmark/ledger/state"
	"wattmark/oracle"
	"wattmark/oracle/api"
	"wattmark/oracle/broker"
	"wattmark/oracle/dashboard"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
)

// daemon is an oracle that runs: its broker or the way to one, its node, and what looks
// at it.
type daemon struct {
	file   *file
	log    *slog.Logger
	agreed *agreed
	broker *broker.Broker // nil where it is elsewhere
	pki    *broker.PKI    // nil where the authority is elsewhere
	own    string         // file of the certificate that renewOwn renews, if any
	expiry expiry
	conns  []*nats.Conn
	node   *oracle.Node

	// changed says that a block came, after which other gateways may be enrolled.
	changed chan struct{}
}

// now is the clock that the oracle states and judges by. Tests set it wrong.
var now = time.Now

// openWithin is how long the servers of the broker may take to answer at the start. The
// service manager tries again.
const openWithin = time.Minute

// run runs the oracle until ctx ends.
func (d *daemon) run(ctx context.Context) (err error) {
	s := d.file.state()
	if d.agreed, err = s.agreed(); err != nil {
		return err
	}
	digest, ok, err := s.founded()
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("%s holds no ledger: accept the charter again with wattmark-oracle init --accept %s, or bring the ledger back from the backup", s, s.file(foundingFile))
	case digest != d.agreed.digest:
		return fmt.Errorf("the ledger in %s was founded with another charter than the one that was accepted here", s)
	}
	defer d.close()
	taken, err := s.takeNext(d.agreed)
	if err != nil {
		return fmt.Errorf("taking the keys that the members have voted in: %w", err)
	}
	if taken {
		d.log.Info("took the keys that the members have voted in; those before sign nothing any more: destroy them", "before", s.file(oldKeys))
	}
	if err := d.openBroker(ctx); err != nil {
		return err
	}
	if err := d.openNode(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // somebody ended it while it waited for the servers
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- d.node.Run(ctx) }()
	beside.Go(func() { d.watchdog(ctx) })
	beside.Go(func() { d.followGateways(ctx) })
	beside.Go(func() { d.keepCertificates(ctx) })
	if err := d.serve(ctx, &beside); err != nil {
		cancel()
		return errors.Join(err, <-ended)
	}
	d.log.Info("running", "oracle", d.agreed.own.Oracle.Name, "ledger", d.agreed.charter.Origin, "oracles", len(d.agreed.charter.Oracles), "version", programVersion())
	d.tell("READY=1")
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		d.tell("STOPPING=1")
		return <-ended
	}
}

// openNode opens the ledger, with connections of its own for frames, order and votes:
// each delivers one message after another, and none shall wait behind another kind.
func (d *daemon) openNode(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	for range 3 {
		conn, err := d.connect()
		if err != nil {
			return err
		}
		d.conns = append(d.conns, conn)
	}
	js := jetstream.Config{Ledger: wire.ShortName(d.agreed.charter.Origin), Replicas: d.file.Broker.Replicas, Log: d.log}
	order, packs, err := d.openOrder(ctx, js)
	if err != nil {
		return err
	}
	witnesses, err := d.file.witnesses()
	if err != nil {
		return err
	}
	s := d.file.state()
	next, err := s.next()
	if err != nil {
		return err
	}
	// Whose oracle it is has been checked. One that the members have voted out goes on
	// watching, as one that they have not voted in yet does.
	cfg := oracle.Config{
		Name: d.agreed.own.Oracle.Name, Keys: d.agreed.keys, Dir: string(s), Tiles: d.file.at(d.file.Oracle.Tiles),
		Conn: d.conns[0], Frames: d.conns[2], Order: order, Packs: packs,
		Policy: d.agreed.policy, Witnesses: witnesses, Now: now, CutAfter: d.file.Oracle.CutAfter, Observe: d.observe, Log: d.log, Next: next, Watch: true,
		Certificates: d.expiry.ends,
	}
	if d.pki != nil {
		cfg.Certify = d.certifyGateway
	}
	n, report, err := oracle.Open(cfg)
	if err != nil {
		return err
	}
	for _, l := range report.Lines() {
		d.log.Warn("mended the ledger's end", "report", l)
	}
	d.node = n
	return nil
}

// orderRetry is how long an oracle waits before it asks again for the order.
const orderRetry = 250 * time.Millisecond

// openOrder opens the order and the packs. A cluster that has just started has no leader
// for a while, which passes.
func (d *daemon) openOrder(ctx context.Context, cfg jetstream.Config) (*jetstream.Orderer, *jetstream.Packs, error) {
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		order, err := jetstream.Open(try, d.conns[1], cfg)
		var packs *jetstream.Packs
		if err == nil {
			packs, err = jetstream.OpenPacks(try, d.conns[1], cfg)
		}
		cancel()
		if err == nil || errors.Is(err, jetstream.ErrSettings) {
			return order, packs, err
		}
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("the broker does not open the order: %w: see that most of its servers run, and that this oracle's certificate is one of those they know (wattmark-oracle permissions)", err)
		}
		d.log.Warn("waiting for the broker to open the order", "error", err)
		select { // who is refused is refused at once
		case <-time.After(orderRetry):
		case <-ctx.Done():
		}
	}
}

// observe is told by the node what happens; it returns at once.
func (d *daemon) observe(e oracle.Event) {
	if e.Block != nil {
		select {
		case d.changed <- struct{}{}:
		default: // it is known already
		}
	}
}

// close lets everything go; the node has ended.
func (d *daemon) close() {
	for _, c := range d.conns {
		c.Close()
	}
	if d.broker != nil {
		if err := d.broker.Close(); err != nil {
			d.log.Warn("did not close the broker", "error", err)
		}
	}
}

// serve listens for those who look: what is for everybody, what is for the operator, and
// status on a socket beside the ledger.
func (d *daemon) serve(ctx context.Context, beside *sync.WaitGroup) error {
	a := d.node.API()
	origin, dir := d.agreed.charter.Origin, string(d.file.state())
	show := dashboard.Options{Origin: origin, Simulated: d.agreed.charter.Simulated, Ledger: d.node.Ledger().Store(), API: a, Dir: dir, Log: d.log}
	forAll := dashboard.New(nil, show)
	show.Fleet, show.Trouble, show.Refused, show.Backups = a.Fleet, a.Trouble, a.Refused, a.Backups
	forOperator := dashboard.New(nil, show)
	public, admin := withPages(a.Handler(), forAll), withPages(a.Admin(), forOperator, "/gateways", "/gateways/")
	https, err := d.httpsConfig()
	if err != nil {
		return err
	}
	for _, s := range []struct {
		key, network, address string
		handler               http.Handler
		tls                   *tls.Config
	}{
		{"http.listen", "tcp", d.file.HTTP.Listen, public, https},
		{"http.admin", "tcp", d.file.HTTP.Admin, admin, nil},
		{"the status socket", "unix", d.file.state().file(statusSocket), http.HandlerFunc(d.serveStatus), nil},
	} {
		if s.address == "" {
			continue
		}
		if s.network == "unix" { // of a life before; a broker's lock keeps a second one away
			if err := os.Remove(s.address); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		l, err := net.Listen(s.network, s.address)
		if err != nil {
			return fmt.Errorf("listening for %s: %w", s.key, err)
		}
		if s.network == "unix" {
			if err := os.Chmod(s.address, 0o600); err != nil {
				return errors.Join(err, l.Close())
			}
		}
		if s.tls != nil {
			l = tls.NewListener(l, s.tls)
		}
		d.log.Info("listening", "for", s.key, "address", l.Addr().String())
		srv := api.NewServer(s.handler, d.log)
		beside.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				d.log.Error("ended answering", "for", s.key, "error", err)
			}
		})
		beside.Go(func() {
			<-ctx.Done()
			last, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if srv.Shutdown(last) != nil {
				srv.Close()
			}
		})
	}
	beside.Go(func() { forAll.Run(ctx) })
	beside.Go(func() { forOperator.Run(ctx) })
	return nil
}

// withPages serves pages for people beside what is for programs.
func withPages(api http.Handler, pages *dashboard.Dashboard, more ...string) http.Handler {
	m := http.NewServeMux()
	for _, path := range append([]string{"/events", "/ledger", "/ledger/", "/market", "/market/", "/carbon", "/member", "/member/", "/join", "/docs", "/static/", "/verify", "/verify.html", "/verify-cross.html"}, more...) {
		m.Handle(path, pages)
	}
	m.Handle("/", api)
	return m
}

// tell tells the service manager something.
func (d *daemon) tell(state string) {
	if err := service.Notify(state); err != nil {
		d.log.Warn("did not reach the service manager", "state", state, "error", err)
	}
}

// watchdog tells the service manager that all is well, as long as the ledger can be looked
// at. That a quorum or the broker is away is no reason to start again.
func (d *daemon) watchdog(ctx context.Context) {
	every := service.WatchdogEvery()
	if every == 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	alive := make(chan struct{}, 1)
	looking := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-alive:
			looking = false
			d.tell("WATCHDOG=1")
		case <-tick.C:
			if looking {
				d.log.Error("not feeding the watchdog: the ledger does not answer")
				continue
			}
			looking = true
			go func() {
				d.node.Ledger().View(func(*state.State) {})
				alive <- struct{}{}
			}()
		}
	}
}

// servers are the addresses of the broker, for people.
func (d *daemon) servers() string {
	if d.broker == nil {
		return strings.Join(d.file.Broker.Servers, ", ")
	}
	return strings.TrimSuffix(strings.Join([]string{d.broker.MQTTURL(), d.broker.NATSURL()}, ", "), ", ")
}
