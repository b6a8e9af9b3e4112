package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// startTimeout is how long the server may take to recover its streams and listen. A big store on an SD card is slow to recover.
const startTimeout = 2 * time.Minute

// Config says what Start starts.
type Config struct {
	// StoreDir holds the streams. One broker uses it at a time.
	StoreDir string
	// Name is the server's name; empty is "wattmark". MQTT sessions are kept under it, so it must not change.
	Name string

	// ClientListen and MQTTListen are the addresses ("127.0.0.1:0", ":8883") for NATS and for MQTT clients, always with TLS. Empty
	// opens no port.
	ClientListen, MQTTListen string
	// Certificate is the server's, and Roots are the authorities whose client certificates it accepts. Both are needed to listen.
	Certificate tls.Certificate
	Roots       *x509.CertPool
	// Present, if set, returns the certificate for each new connection instead, so that a renewed one needs no restart. It is safe for
	// concurrent use and returns at once.
	Present func() *tls.Certificate

	// Gateways are those that may connect.
	Gateways []Gateway
	// Oracles are those in other processes, which connect over NATS.
	Oracles []Oracle

	// Cluster, if set, makes the server one of several that keep streams together, as deploy/nats does. It needs a name of its own, and
	// ClientListen.
	Cluster *Cluster

	// MaxStore is the most that all streams together may take on disk, in bytes; 0 leaves it to the server, which takes three quarters
	// of what is free when it starts. When it is reached nothing more is ordered.
	MaxStore int64
	// Now is the clock by which certificates are valid; nil is the system's.
	Now func() time.Time
	// Log gets the server's warnings and errors, at most 20 a second, and at debug level its notices. Nil drops them.
	Log *slog.Logger
}

// Cluster says where the servers of a cluster reach one another, over TLS, with certificates that name a host of the routes.
type Cluster struct {
	// Listen is this server's address for the others ("127.0.0.1:6222").
	Listen string
	// Routes are the addresses of all of them ("localhost:6222").
	Routes []string
}

// Broker is a running broker. It is safe for concurrent use.
type Broker struct {
	srv  *server.Server
	self nkeys.KeyPair // with which the process connects to itself
	lock *os.File

	// mu guards cfg.Gateways and cfg.Oracles; the rest of cfg does not change once the server runs, and its addresses are those in use.
	mu  sync.Mutex
	cfg Config

	close sync.Once
}

// Start starts a broker and returns once it is ready for connections. On an error nothing is left running.
func Start(cfg Config) (*Broker, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	self, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("making the broker's own key: %w", err)
	}
	opts, err := options(cfg, self)
	if err != nil {
		return nil, fmt.Errorf("broker configuration: %w", err)
	}
	lock, err := lockDir(cfg.StoreDir)
	if err != nil {
		return nil, err
	}
	b := &Broker{self: self, lock: lock, cfg: cfg}
	if err := b.start(opts); err != nil {
		if b.srv != nil {
			b.srv.Shutdown()
			b.srv.WaitForShutdown()
		}
		lock.Close()
		return nil, err
	}
	return b, nil
}

func (b *Broker) start(opts *server.Options) error {
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("setting up the broker: %w", err)
	}
	b.srv = srv
	log := &serverLog{log: b.cfg.Log, now: b.cfg.Now}
	srv.SetLoggerV2(log, false, false, false)
	go srv.Start() // returns when all is started; Shutdown ends what it leaves running
	for end := time.Now().Add(startTimeout); !srv.ReadyForConnections(250 * time.Millisecond); {
		if err := log.fatal(); err != nil {
			return fmt.Errorf("starting the broker: %w", err)
		}
		if time.Now().After(end) {
			return fmt.Errorf("starting the broker: not ready within %v", startTimeout)
		}
	}
	if err := log.fatal(); err != nil {
		return fmt.Errorf("starting the broker: %w", err)
	}
	if !srv.JetStreamEnabled() {
		return errors.New("starting the broker: JetStream did not start; the log says why")
	}
	if b.cfg.ClientListen != "" {
		// Only the port, where any free one was asked for: another host, as the [::] that
		// who listens everywhere has as address, would be a change that no reload takes.
		_, port, err := net.SplitHostPort(srv.Addr().String())
		if err != nil {
			return fmt.Errorf("reading the NATS address: %w", err)
		}
		b.cfg.ClientListen = net.JoinHostPort(opts.Host, port)
	}
	if b.cfg.MQTTListen != "" {
		state, err := srv.Varz(nil)
		if err != nil {
			return fmt.Errorf("asking for the MQTT address: %w", err)
		}
		b.cfg.MQTTListen = net.JoinHostPort(state.MQTT.Host, strconv.Itoa(state.MQTT.Port))
		return b.makeMQTTMessages()
	}
	return nil
}

// NATSURL is the address for NATS clients, "tls://host:port", or empty when the broker does not listen for them.
func (b *Broker) NATSURL() string { return b.url("tls://", b.cfg.ClientListen) }

// MQTTURL is the address for MQTT clients as paho takes it, "ssl://host:port", or empty when the broker does not listen for them.
func (b *Broker) MQTTURL() string { return b.url("ssl://", b.cfg.MQTTListen) }

func (b *Broker) url(scheme, addr string) string {
	if addr == "" {
		return ""
	}
	return scheme + addr
}

// Conn connects within the process, with all rights and without TLS. The connection is the caller's to close, before the broker.
func (b *Broker) Conn(opts ...nats.Option) (*nats.Conn, error) {
	pub, err := b.self.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("the broker's own key: %w", err)
	}
	all := append([]nats.Option{
		nats.InProcessServer(b.srv),
		nats.Nkey(pub, b.self.Sign),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
	}, opts...)
	nc, err := nats.Connect("", all...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the embedded broker: %w", err)
	}
	return nc, nil
}

// SetGateways is SetClients with the oracles as they are.
func (b *Broker) SetGateways(gateways []Gateway) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.set(gateways, b.cfg.Oracles)
}

// SetClients replaces the gateways and the oracles that may connect, while the broker runs. Connections of those that are gone are closed;
// changed permissions hold at once. On an error nothing changes.
func (b *Broker) SetClients(gateways []Gateway, oracles []Oracle) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.set(gateways, oracles)
}

// set does it. The caller holds the lock.
func (b *Broker) set(gateways []Gateway, oracles []Oracle) error {
	cfg := b.cfg
	cfg.Gateways, cfg.Oracles = slices.Clone(gateways), slices.Clone(oracles)
	opts, err := options(cfg, b.self)
	if err != nil {
		return fmt.Errorf("broker configuration: %w", err)
	}
	if err := b.srv.ReloadOptions(opts); err != nil {
		return fmt.Errorf("changing who may connect to the broker: %w", err)
	}
	b.cfg.Gateways, b.cfg.Oracles = cfg.Gateways, cfg.Oracles
	return nil
}

// Close stops the broker and returns when it has stopped.
func (b *Broker) Close() error {
	b.close.Do(func() {
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
		b.lock.Close()
	})
	return nil
}

// lockDir makes dir and holds it, so that a second broker does not write the same streams.
func lockDir(dir string) (*os.File, error) {
	if dir == "" {
		return nil, errors.New("broker configuration: no store directory")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the broker's store: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the broker's store: %w", err)
	}
	if err := flock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("store %s is in use by another broker: %w", dir, err)
	}
	return f, nil
}
