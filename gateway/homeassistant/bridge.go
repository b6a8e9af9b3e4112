package homeassistant

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"wattmark/gateway/sampler"
	"wattmark/hardware"
)

// Config says what is shown where. Gateway, Broker and Devices must be given.
type Config struct {
	Gateway string
	// Broker is an address such as mqtt://homeassistant.local:1883, or mqtts:// with TLS.
	Broker   string
	User     string
	Password string
	// Oracles is the address of the oracles' broker, which Broker must not be.
	Oracles string
	// TLS is for mqtts://; nil trusts the machine's roots.
	TLS *tls.Config
	// Prefix is that of discovery topics; empty is "homeassistant".
	Prefix  string
	Devices []Device
	Log     *slog.Logger // nil drops everything
}

// Device is a meter or sensor as people see it.
type Device struct {
	Name    string // as samples have it
	Subject string // likewise
	About   hardware.Descriptor
}

// Stats are counts since the start.
type Stats struct {
	Connected bool
	Shown     uint64 // samples
	Dropped   uint64 // samples, as the broker was absent or slow
}

// queued bounds the samples that wait to be shown.
const queued = 64

// again is how long the bridge waits between two attempts to connect, at most.
const again = time.Minute

// patience bounds each exchange with the broker.
const patience = 10 * time.Second

// Bridge shows samples. Run does the work; Sample may be called from any goroutine.
type Bridge struct {
	cfg     Config
	broker  string
	samples chan state

	mu    sync.Mutex // guards stats
	stats Stats
}

// state is a sample as it is shown.
type state struct {
	topic   string
	payload []byte
}

// Check returns what is wrong with the addresses and the prefix. Devices and the
// gateway's name are not looked at.
func (c *Config) Check() error {
	_, err := c.address()
	return err
}

// address checks and returns the broker's as the client takes it.
func (c *Config) address() (string, error) {
	u, err := url.Parse(c.Broker)
	if err != nil {
		return "", errors.New("home_assistant.broker is no address") // the cause would repeat a password
	}
	secure := u.Scheme == "mqtts" || u.Scheme == "ssl"
	if u.Hostname() == "" || u.User != nil || !secure && u.Scheme != "mqtt" && u.Scheme != "tcp" {
		return "", fmt.Errorf("home_assistant.broker %q: an address is mqtt:// or mqtts://, a host and a port; user and password have keys of their own", u.Redacted())
	}
	if strings.ContainsAny(c.Prefix, "+#") || strings.HasPrefix(c.Prefix, "/") {
		return "", fmt.Errorf("home_assistant.prefix %q is no topic", c.Prefix)
	}
	if o, err := url.Parse(c.Oracles); err == nil && c.Oracles != "" && strings.EqualFold(o.Hostname(), u.Hostname()) && o.Port() == u.Port() {
		return "", fmt.Errorf("home_assistant.broker %q is the oracles': readings are shown on a broker of one's own", c.Broker)
	}
	scheme, port := "tcp://", "1883"
	if secure {
		scheme, port = "ssl://", "8883"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return scheme + net.JoinHostPort(u.Hostname(), port), nil
}

// New checks the configuration and returns a Bridge that has not started.
func New(cfg Config) (*Bridge, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "homeassistant"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	broker, err := cfg.address()
	if err != nil {
		return nil, err
	}
	if cfg.Gateway == "" || len(cfg.Devices) == 0 {
		return nil, errors.New("home assistant needs a gateway's name and devices")
	}
	return &Bridge{cfg: cfg, broker: broker, samples: make(chan state, queued)}, nil
}

// Sample shows a sample soon, or drops it where too many wait. It never blocks.
func (b *Bridge) Sample(s sampler.Sample) {
	if s.Err != nil || s.About == nil {
		return
	}
	values := make(map[string]json.Number, len(s.Values))
	for _, v := range s.Values {
		if int(v.Channel) < len(s.About.Channels) && v.Quality&hardware.Barring == 0 {
			values[s.About.Channels[v.Channel].Name] = json.Number(v.String())
		}
	}
	payload, err := json.Marshal(values)
	if err != nil || len(values) == 0 {
		return
	}
	select {
	case b.samples <- state{b.stateTopic(s.Subject, s.Device), payload}:
	default:
		b.count(func(s *Stats) { s.Dropped++ })
	}
}

func (b *Bridge) count(f func(*Stats)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.stats)
}

// Stats returns the counts up to now.
func (b *Bridge) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// Run shows samples until ctx ends, and returns nil.
func (b *Bridge) Run(ctx context.Context) error {
	o := mqtt.NewClientOptions().AddBroker(b.broker).SetClientID("wattmark-" + b.cfg.Gateway).SetTLSConfig(b.cfg.TLS)
	o.SetUsername(b.cfg.User).SetPassword(b.cfg.Password)
	o.SetBinaryWill(b.statusTopic(), []byte("offline"), 1, true)
	o.SetCleanSession(true).SetConnectRetry(true).SetConnectRetryInterval(again).SetAutoReconnect(true).SetMaxReconnectInterval(again)
	o.SetConnectTimeout(patience).SetWriteTimeout(patience)
	announce := make(chan struct{}, 1)
	ask := func() { // it must not block
		select {
		case announce <- struct{}{}:
		default:
		}
	}
	o.SetOnConnectHandler(func(mqtt.Client) {
		b.cfg.Log.Info("connected to home assistant's broker", "broker", b.broker)
		b.count(func(s *Stats) { s.Connected = true })
		ask()
	})
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		b.cfg.Log.Warn("no connection to home assistant's broker", "error", err)
		b.count(func(s *Stats) { s.Connected = false })
	})
	client := mqtt.NewClient(o)
	client.Connect() // it is tried until it succeeds
	defer func() {
		if client.IsConnectionOpen() {
			client.Publish(b.statusTopic(), 0, true, "offline").WaitTimeout(time.Second)
		}
		client.Disconnect(250)
	}()
	for {
		select {
		case <-announce:
			if !client.IsConnectionOpen() {
				// The library tells of a connection a moment before it takes messages for
				// it. If it is lost again, the next one asks.
				time.AfterFunc(10*time.Millisecond, func() {
					if ctx.Err() == nil {
						ask()
					}
				})
				continue
			}
			b.announce(client)
		case s := <-b.samples:
			if !client.IsConnectionOpen() {
				b.count(func(s *Stats) { s.Dropped++ })
				continue
			}
			client.Publish(s.topic, 0, false, s.payload)
			b.count(func(s *Stats) { s.Shown++ })
		case <-ctx.Done():
			return nil
		}
	}
}

// announce publishes the configurations and then that the gateway is there. What fails
// is made good after the next connection, so that nothing needs an acknowledgement; and
// what has one the library changes, after a lost connection, while it may still be sending it.
func (b *Bridge) announce(client mqtt.Client) {
	for i := range b.cfg.Devices {
		for _, c := range b.configurations(&b.cfg.Devices[i]) {
			if t := client.Publish(c.topic, 0, true, c.payload); !t.WaitTimeout(patience) || t.Error() != nil {
				b.cfg.Log.Warn("did not announce a channel to home assistant", "error", t.Error())
				return
			}
		}
	}
	client.Publish(b.statusTopic(), 0, true, "online")
}
