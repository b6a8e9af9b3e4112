package uplink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"wattmark/oracle/wire"
)

// mqttLink is MQTT 3.1.1: publishes with QoS 1, a clean session, and no store of the
// client's. A session that the broker keeps would keep nothing, as receipts come from
// NATS publishers; and its client id, which must be known and stay, would let every
// other client that the broker admits close this one's connection.
type mqttLink struct{ link }

// MQTT returns the transport over MQTT 3.1.1.
func MQTT(l Link) (Transport, error) {
	checked, err := l.check([]string{"ssl", "tls", "mqtts"}, []string{"tcp", "mqtt"}, "8883")
	if err != nil {
		return nil, err
	}
	return &mqttLink{checked}, nil
}

// String implements Transport.
func (m *mqttLink) String() string { return "MQTT " + m.address }

type mqttConn struct {
	ending
	client  mqtt.Client
	birth   string // topic, empty for none
	cancel  context.CancelFunc
	timeout time.Duration
	slots   chan struct{}  // one for each publish in flight
	out     chan publish   // to the one goroutine that publishes
	running sync.WaitGroup // that goroutine and those that wait for acknowledgements
}

type publish struct {
	topic   string
	message []byte
}

// Connect implements Transport. Each connection is a new client with an empty
// store: what the last one had in flight is the outbox's to send again.
func (m *mqttLink) Connect(ctx context.Context, listen []string, deliver func(string, []byte)) (Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &mqttConn{ending: newEnding(), cancel: cancel, birth: wire.Topic(m.Announce), timeout: m.Timeout, slots: make(chan struct{}, inFlight), out: make(chan publish)}
	subjects := make(map[string]string, len(listen))
	filters := make(map[string]byte, len(listen))
	for _, s := range listen {
		subjects[wire.Topic(s)], filters[wire.Topic(s)] = s, 0 // what is missed is answered again
	}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + m.address).SetClientID(m.ClientID + "-" + rand.Text()).SetProtocolVersion(4)
	o.SetCleanSession(true).SetStore(mqtt.NewMemoryStore()).SetOrderMatters(true)
	if m.Announce != "" {
		o.SetBinaryWill(wire.Topic(m.Announce), []byte(wire.Offline), 1, true)
	}
	o.SetAutoReconnect(false).SetConnectRetry(false)
	o.SetKeepAlive(keepAlive).SetPingTimeout(m.Timeout).SetConnectTimeout(m.Timeout).SetWriteTimeout(m.Timeout)
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return m.wire(ctx, true) })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.end(err) })
	o.SetDefaultPublishHandler(func(_ mqtt.Client, msg mqtt.Message) {
		if s, ok := subjects[msg.Topic()]; ok && ctx.Err() == nil {
			deliver(s, msg.Payload())
		}
	})
	c.client = mqtt.NewClient(o)
	if err := c.open(ctx, filters, m.Timeout); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", m, err)
	}
	c.running.Go(func() { c.publish(ctx) })
	return c, nil
}

// refusedFilter is the return code of a subscription that was not granted (MQTT
// 3.1.1 section 3.9.3).
const refusedFilter = 0x80

func (c *mqttConn) open(ctx context.Context, filters map[string]byte, timeout time.Duration) error {
	if err := settle(ctx, c.client.Connect(), timeout); err != nil {
		return err
	}
	token := c.client.SubscribeMultiple(filters, nil)
	if err := settle(ctx, token, timeout); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	granted := token.(*mqtt.SubscribeToken).Result()
	var topics []string
	for topic := range filters {
		if code, ok := granted[topic]; !ok || code == refusedFilter {
			topics = append(topics, topic)
		}
	}
	if len(topics) > 0 {
		slices.Sort(topics)
		return fmt.Errorf("the broker does not let this gateway listen on %q", topics)
	}
	return nil
}

// settle waits for a token. The timeouts of the client itself come first, mostly.
func settle(ctx context.Context, t mqtt.Token, timeout time.Duration) error {
	late := time.NewTimer(2 * timeout)
	defer late.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-late.C:
		return errSilent
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Publish implements Conn.
func (c *mqttConn) Publish(ctx context.Context, subject string, message []byte) error {
	select {
	case c.slots <- struct{}{}:
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case c.out <- publish{wire.Topic(subject), message}:
		return nil
	case <-c.done:
		return c.err
	case <-ctx.Done():
		<-c.slots
		return ctx.Err()
	}
}

// publish hands messages to the client, one after another: the client blocks while
// the network does.
func (c *mqttConn) publish(ctx context.Context) {
	for {
		select {
		case p := <-c.out:
			token := c.client.Publish(p.topic, 1, false, p.message)
			c.running.Go(func() {
				switch err := settle(ctx, token, c.timeout); {
				case err == nil:
					<-c.slots
				case errors.Is(err, context.Canceled):
				default:
					c.end(err)
				}
			})
		case <-c.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Announce implements announcer.
func (c *mqttConn) Announce(ctx context.Context, message []byte) error {
	if c.birth == "" {
		return nil
	}
	return settle(ctx, c.client.Publish(c.birth, 1, true, message), c.timeout)
}

// goodbye is how long the client may take to say that it leaves, in milliseconds.
const goodbye = 250

// Close implements Conn.
func (c *mqttConn) Close() {
	if c.client.IsConnectionOpen() {
		if c.birth != "" { // a broker sends the will of those only that leave without a word
			c.client.Publish(c.birth, 1, true, wire.Offline).WaitTimeout(goodbye * time.Millisecond)
		}
		c.client.Disconnect(goodbye)
	}
	c.end(errClosed)
	c.cancel()
	c.running.Wait()
}
